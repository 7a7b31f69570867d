/// The services of a snapshot, found by host and namespace; every list is oldest first.
package struct ServiceIndex: Sendable {
  /// Names one service: a host can exist in several namespaces (ServiceEntry).
  package struct ID: Hashable, Sendable, Comparable {
    package var host: String
    package var namespace: String

    package init(host: String, namespace: String) {
      self.host = host
      self.namespace = namespace
    }

    package static func < (a: ID, b: ID) -> Bool { (a.host, a.namespace) < (b.host, b.namespace) }
  }

  package private(set) var all: [Service] = []
  private var byID: [ID: Service] = [:]
  private var byHost: [String: [Service]] = [:]
  private var byNamespace: [String: [Service]] = [:]

  package init(_ services: [Service] = []) {
    all = services.sorted(by: Service.precedes)
    for service in all {
      byID[service.id] = service
      byHost[service.host, default: []].append(service)
      byNamespace[service.namespace, default: []].append(service)
    }
  }

  package var count: Int { all.count }
  package subscript(id: ID) -> Service? { byID[id] }

  package func services(in namespace: String) -> [Service] { byNamespace[namespace] ?? [] }
  package func services(withHost host: String) -> [Service] { byHost[host] ?? [] }

  /// The service that a client in `namespace` means by `host`: the one of its own namespace, else the oldest, among those
  /// that are visible to it and that it imports.
  package func service(
    _ host: String, seenFrom namespace: String, where isImported: (Service) -> Bool = { _ in true }
  ) -> Service? {
    guard let candidates = byHost[host] else { return nil }
    var oldest: Service?
    for service in candidates where service.isVisible(to: namespace) && isImported(service) {
      if service.namespace == namespace { return service }
      if oldest == nil { oldest = service }
    }
    return oldest
  }

  /// One service per host: what clients in `namespace` see and import, oldest first.
  package func services(
    visibleTo namespace: String, where isImported: (Service) -> Bool = { _ in true }
  ) -> [Service] {
    all.filter { service in
      guard service.isVisible(to: namespace), isImported(service) else { return false }
      let sharing = byHost[service.host] ?? []
      return sharing.count == 1 || self.service(service.host, seenFrom: namespace, where: isImported) === service
    }
  }

  package mutating func update(_ service: Service) {
    remove(service.id)
    byID[service.id] = service
    Self.insert(service, into: &all)
    Self.insert(service, into: &byHost[service.host, default: []])
    Self.insert(service, into: &byNamespace[service.namespace, default: []])
  }

  package mutating func remove(_ id: ID) {
    guard let old = byID.removeValue(forKey: id) else { return }
    all.removeAll { $0 === old }
    byHost[old.host]?.removeAll { $0 === old }
    if byHost[old.host]?.isEmpty == true { byHost[old.host] = nil }
    byNamespace[old.namespace]?.removeAll { $0 === old }
    if byNamespace[old.namespace]?.isEmpty == true { byNamespace[old.namespace] = nil }
  }

  /// What changed since `old`: hosts whose definition did, and hosts of which only the instances did.
  func changes(since old: ServiceIndex) -> (definitions: Set<String>, endpoints: Set<String>) {
    var definitions: Set<String> = []
    var endpoints: Set<String> = []
    for (id, service) in byID {
      guard let before = old.byID[id] else {
        definitions.insert(id.host)
        continue
      }
      if before === service { continue }
      if !before.hasSameDefinition(as: service) {
        definitions.insert(id.host)
      } else if before.instances != service.instances {
        endpoints.insert(id.host)
      }
    }
    for id in old.byID.keys where byID[id] == nil { definitions.insert(id.host) }
    return (definitions, endpoints.subtracting(definitions))
  }

  private static func insert(_ service: Service, into list: inout [Service]) {
    var low = 0
    var high = list.count
    while low < high {
      let middle = (low + high) / 2
      if Service.precedes(list[middle], service) { low = middle + 1 } else { high = middle }
    }
    list.insert(service, at: low)
  }
}

extension Service {
  package var id: ServiceIndex.ID { ServiceIndex.ID(host: host, namespace: namespace) }
}
