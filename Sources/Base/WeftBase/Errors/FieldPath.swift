// Where in a structured document something is: `static_resources.clusters[0].load_assignment`.

/// A path of field names, list indices and map keys, outermost first.
package struct FieldPath: Sendable, Hashable, CustomStringConvertible {
  package enum Step: Sendable, Hashable {
    case field(String)
    case index(Int)
    case key(String)
  }

  package var steps: [Step]

  package init(_ steps: [Step] = []) { self.steps = steps }

  package var isEmpty: Bool { steps.isEmpty }

  package mutating func append(_ step: Step) { steps.append(step) }

  package func appending(_ step: Step) -> FieldPath { FieldPath(steps + [step]) }

  /// This path below `outer`.
  package func prefixed(by outer: FieldPath) -> FieldPath { FieldPath(outer.steps + steps) }

  package var description: String {
    var text = ""
    for step in steps {
      switch step {
      case .field(let name):
        if !text.isEmpty { text += "." }
        text += name
      case .index(let i): text += "[\(i)]"
      case .key(let key): text += "[\"\(key)\"]"
      }
    }
    return text
  }
}
