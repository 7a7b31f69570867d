package import WeftBase
package import WeftControlAPI

/// One difference between two values.
package struct FieldChange: Sendable, Hashable {
  package var path: FieldPath
  /// Nil: the field is new.
  package var before: JSONValue?
  /// Nil: the field is gone.
  package var after: JSONValue?

  package var json: JSONValue {
    var object: JSONObject = ["path": .string(path.description)]
    if let before { object["before"] = before }
    if let after { object["after"] = after }
    return .object(object)
  }
}

/// What differs between two versions of an object, in the parts that people write.
package enum ObjectDiff {
  package static func changes(from before: Envelope?, to after: Envelope?) -> [FieldChange] {
    var changes: [FieldChange] = []
    compare(before.map(written), after.map(written), .root, &changes)
    return changes
  }

  /// The object without what the store adds.
  package static func written(_ object: Envelope) -> JSONValue {
    var bare = object
    bare.metadata.resourceVersion = 0
    return bare.json
  }

  private static func compare(
    _ before: JSONValue?, _ after: JSONValue?, _ path: FieldPath, _ changes: inout [FieldChange]
  ) {
    if before == after { return }
    switch (before, after) {
    case (.object(let old), .object(let new)):
      for member in old.members { compare(member.value, new[member.name], path.field(member.name), &changes) }
      for member in new.members where old[member.name] == nil {
        compare(.none, member.value, path.field(member.name), &changes)
      }
    case (.array(let old), .array(let new)):
      for index in 0..<max(old.count, new.count) {
        // Not `nil`: that is a JSON value, too.
        let left: JSONValue? = index < old.count ? .some(old[index]) : .none
        let right: JSONValue? = index < new.count ? .some(new[index]) : .none
        compare(left, right, path.index(index), &changes)
      }
    default: changes.append(FieldChange(path: path, before: before, after: after))
    }
  }
}
