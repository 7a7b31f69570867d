/// The objects of one kind, found by key, namespace and host; every list is oldest first.
///
/// *Cost*: `update` and `remove` touch the lists concerned: O(log n) comparisons and O(n) moves for each object.
package struct ConfigIndex<Spec: Sendable & Equatable>: Sendable {
  package typealias Object = ConfigObject<Spec>

  package private(set) var all: [Object] = []
  private var byKey: [ObjectKey: Object] = [:]
  private var byNamespace: [String: [Object]] = [:]
  private var byHost: [String: [Object]] = [:]

  package init(_ objects: [Object] = []) {
    all = objects.sorted(by: Object.precedes)
    for object in all {
      byKey[object.key] = object
      byNamespace[object.namespace, default: []].append(object)
      for host in Set(object.hosts) { byHost[host, default: []].append(object) }
    }
  }

  package var count: Int { all.count }
  package var isEmpty: Bool { all.isEmpty }
  package subscript(key: ObjectKey) -> Object? { byKey[key] }

  package func objects(in namespace: String) -> [Object] { byNamespace[namespace] ?? [] }

  /// Objects that name exactly `host` (a full name or a wildcard).
  package func objects(naming host: String) -> [Object] { byHost[host] ?? [] }

  /// The hosts that objects name, in no order.
  package var hosts: [String] { Array(byHost.keys) }

  /// Objects whose host is `host` or the most specific wildcard that covers it, among those that `isIncluded` admits.
  package func objects(mostSpecificFor host: String, where isIncluded: (Object) -> Bool) -> [Object] {
    let exact = objects(naming: host).filter(isIncluded)
    if !exact.isEmpty { return exact }
    for wildcard in Hostname.wildcards(covering: host) where wildcard != host {
      let found = objects(naming: wildcard).filter(isIncluded)
      if !found.isEmpty { return found }
    }
    return []
  }

  /// Puts `object` in place of the one with its key.
  package mutating func update(_ object: Object) {
    remove(object.key)
    byKey[object.key] = object
    Self.insert(object, into: &all)
    Self.insert(object, into: &byNamespace[object.namespace, default: []])
    for host in Set(object.hosts) { Self.insert(object, into: &byHost[host, default: []]) }
  }

  package mutating func remove(_ key: ObjectKey) {
    guard let old = byKey.removeValue(forKey: key) else { return }
    all.removeAll { $0 === old }
    byNamespace[old.namespace]?.removeAll { $0 === old }
    if byNamespace[old.namespace]?.isEmpty == true { byNamespace[old.namespace] = nil }
    for host in Set(old.hosts) {
      byHost[host]?.removeAll { $0 === old }
      if byHost[host]?.isEmpty == true { byHost[host] = nil }
    }
  }

  /// Keys of objects that are new, gone, or different from those in `old`.
  func changedKeys(since old: ConfigIndex) -> Set<ObjectKey> {
    var changed: Set<ObjectKey> = []
    for (key, object) in byKey {
      if let before = old.byKey[key], before.hasSameContent(as: object) { continue }
      changed.insert(key)
    }
    for key in old.byKey.keys where byKey[key] == nil { changed.insert(key) }
    return changed
  }

  private static func insert(_ object: Object, into list: inout [Object]) {
    var low = 0
    var high = list.count
    while low < high {
      let middle = (low + high) / 2
      if Object.precedes(list[middle], object) { low = middle + 1 } else { high = middle }
    }
    list.insert(object, at: low)
  }
}
