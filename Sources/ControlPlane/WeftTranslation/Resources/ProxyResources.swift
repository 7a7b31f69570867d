package import WeftControlAPI
import WeftModel
import WeftProtobuf
import WeftXDSMessages

/// Everything one proxy is given from one snapshot.
package struct ProxyResources: Sendable {
  /// The snapshot it was made from.
  package var version: UInt64
  package private(set) var byType: [ResourceType: [String: Resource]] = [:]
  package var dependencies = Dependencies()
  /// What rules ask for and this proxy cannot be given.
  package var issues: [TranslationIssue] = []
  /// What the proxy can read: whatever else is made for it is left out.
  private let extensions: KnownExtensions

  package init(version: UInt64 = 0) { self.init(version: version, extensions: .any) }

  init(version: UInt64, extensions: KnownExtensions) {
    self.version = version
    self.extensions = extensions
  }

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

  // What may hold parts of several rules, or of a rule's making, goes past the guard.

  /// *Parameter* `makers`: who a virtual host is made from, by its name.
  mutating func add(
    _ type: ResourceType, _ name: String, _ message: RouteConfiguration, origins: [Origin],
    makers: [String: [Origin]] = [:]
  ) {
    guard byType[type]?[name] == nil else { return }
    let (kept, refusals) = ResourceGuard.kept(message, for: extensions)
    note(refusals, type, name, makers, origins)
    add(Resource(type, name, kept, origins: origins))
  }

  /// *Parameter* `makers`: who a filter chain is made from, by one of its server names or its statistics prefix.
  mutating func add(
    _ type: ResourceType, _ name: String, _ message: Listener, origins: [Origin], makers: [String: [Origin]] = [:]
  ) {
    guard byType[type]?[name] == nil else { return }
    let (kept, refusals) = ResourceGuard.kept(message, for: extensions)
    note(refusals, type, name, makers, origins)
    if let kept { add(Resource(type, name, kept, origins: origins)) }
  }

  mutating func add(_ type: ResourceType, _ name: String, _ message: Cluster, origins: [Origin]) {
    guard byType[type]?[name] == nil else { return }
    if let refusal = ResourceGuard.refusal(message) {
      note([refusal], type, name, [:], origins)
    } else {
      add(Resource(type, name, message, origins: origins))
    }
  }

  private mutating func note(
    _ refusals: [ResourceGuard.Refusal], _ type: ResourceType, _ name: String, _ makers: [String: [Origin]],
    _ origins: [Origin]
  ) {
    for refusal in refusals {
      let named = refusal.names.lazy.compactMap { makers[$0] }.first ?? origins
      issues += Set(named).map {
        TranslationIssue(
          $0, "spec", "\(refusal.part) is left out: \(refusal.error)", leftOut: .init(type: type, name: name))
      }
    }
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
  /// The resource in which something is missing because proxies would refuse it; nil for what is not carried out.
  package var leftOut: Place?

  package struct Place: Hashable, Sendable {
    package var type: ResourceType
    package var name: String
  }

  package init(_ origin: Origin, _ path: String, _ message: String, leftOut: Place? = nil) {
    self.origin = origin
    self.path = path
    self.message = message
    self.leftOut = leftOut
  }

  init(_ origin: Origin, _ feature: UnsupportedFeatures.Feature) {
    self.init(origin, feature.path, feature.message)
  }

  package static func < (a: TranslationIssue, b: TranslationIssue) -> Bool {
    (a.origin, a.path, a.message) < (b.origin, b.path, b.message)
  }

  package var description: String { "\(origin.key): \(path): \(message)" }
}
