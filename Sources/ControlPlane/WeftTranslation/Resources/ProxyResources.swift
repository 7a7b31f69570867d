package import WeftControlAPI
import WeftProtobuf

/// Everything one proxy is given from one snapshot.
package struct ProxyResources: Sendable {
  /// The snapshot it was made from.
  package var version: UInt64
  package private(set) var byType: [ResourceType: [String: Resource]] = [:]
  package var dependencies = Dependencies()
  /// What rules ask for and this proxy cannot be given.
  package var issues: [TranslationIssue] = []

  package init(version: UInt64 = 0) { self.version = version }

  package func all(_ type: ResourceType) -> [String: Resource] { byType[type] ?? [:] }
  package func names(_ type: ResourceType) -> [String] { all(type).keys.sorted() }
  package subscript(type: ResourceType, name: String) -> Resource? { byType[type]?[name] }

  /// The first resource of a name stays: callers add in order of precedence.
  @discardableResult
  package mutating func add(_ resource: Resource) -> Bool {
    guard byType[resource.type]?[resource.name] == nil else { return false }
    byType[resource.type, default: [:]][resource.name] = resource
    return true
  }

  mutating func add(_ type: ResourceType, _ name: String, _ message: some Message, origins: [Origin]) {
    guard byType[type]?[name] == nil else { return }
    add(Resource(type, name, message, origins: origins))
  }

  /// Adds what a part holds; of two resources of a name the first stays.
  mutating func merge(_ part: ProxyResources) {
    for (type, resources) in part.byType {
      if byType[type] == nil { byType[type] = resources } else { byType[type]?.merge(resources) { old, _ in old } }
    }
    dependencies.merge(part.dependencies)
    issues += part.issues
  }

  /// Puts `resource` in place of the one of its name.
  package mutating func set(_ resource: Resource) { byType[resource.type, default: [:]][resource.name] = resource }
}

/// A part of a rule that had no effect, and why.
package struct TranslationIssue: Hashable, Sendable, Comparable, CustomStringConvertible {
  package var origin: Origin
  /// The field, as the rule spells it.
  package var path: String
  package var message: String

  package init(_ origin: Origin, _ path: String, _ message: String) {
    self.origin = origin
    self.path = path
    self.message = message
  }

  init(_ origin: Origin, _ feature: UnsupportedFeatures.Feature) {
    self.init(origin, feature.path, feature.message)
  }

  package static func < (a: TranslationIssue, b: TranslationIssue) -> Bool {
    (a.origin, a.path, a.message) < (b.origin, b.path, b.message)
  }

  package var description: String { "\(origin.key): \(path): \(message)" }
}
