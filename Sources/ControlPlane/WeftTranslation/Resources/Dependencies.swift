package import WeftControlAPI
import WeftKinds

/// What the resources of one proxy were made from, and what would have mattered if it had existed: enough to tell
/// whether a change concerns the proxy. Errs towards yes.
package struct Dependencies: Sendable, Hashable {
  package enum Hosts: Sendable, Hashable {
    /// Every visible service.
    case all
    /// These hosts, known or not yet.
    case only(Set<String>)

    /// These, too.
    mutating func formUnion(_ others: Set<String>) {
      if case .only(let known) = self { self = .only(known.union(others)) }
    }
  }

  package var hosts: Hosts = .only([])
  /// The proxy's namespace, for Sidecars.
  package var namespace = ""
  package var isGateway = false
  /// The proxy's own workload.
  package var workload: ObjectKey?
  /// Rules that were used.
  package var objects: Set<ObjectKey> = []
  /// Rules that were looked at and had no effect, but kept others from having one: their end matters.
  package var considered: Set<ObjectKey> = []
  /// The addresses of a proxy whose inbound listener follows from the instances at them, and the hosts of those.
  package var inboundAddresses: Set<String> = []
  package var inboundHosts: Set<String> = []

  package init() {}

  /// Adds what a part depends on.
  mutating func merge(_ part: Dependencies) {
    switch part.hosts {
    case .all: hosts = .all
    case .only(let names): hosts.formUnion(names)
    }
    objects.formUnion(part.objects)
    considered.formUnion(part.considered)
  }

  /// Whether `changes`, which led to `snapshot`, can change what the proxy is given.
  package func areTouched(by changes: SnapshotChanges, in snapshot: WeftSnapshot) -> Bool {
    if changes.mesh { return true }
    if hostsAreTouched(by: changes.services) || hostsAreTouched(by: changes.endpoints) { return true }
    for (kind, keys) in changes.objects {
      for key in keys where isTouched(by: key, kind: kind, in: snapshot) { return true }
    }
    return false
  }

  /// Whether only endpoints of hosts in use changed, so that EDS alone has to be made anew.
  package func onlyEndpointsAreTouched(by changes: SnapshotChanges, in snapshot: WeftSnapshot) -> Bool {
    if changes.mesh || hostsAreTouched(by: changes.services) { return false }
    if inboundIsTouched(by: changes.endpoints, in: snapshot) { return false }
    for (kind, keys) in changes.objects {
      // Instances come and go with their entries; their effect is in `endpoints`.
      if kind == .workloadEntry || (kind == .workload && !keys.contains { $0 == workload }) { continue }
      for key in keys where isTouched(by: key, kind: kind, in: snapshot) { return false }
    }
    return true
  }

  /// Whether resources can come from the object. Rules that were used are listed; what services are made of is not.
  package func mayInclude(_ key: ObjectKey) -> Bool {
    switch key.kind {
    case .virtualService, .destinationRule, .gateway, .sidecar: objects.isEmpty || objects.contains(key)
    default: true
    }
  }

  /// Whether a change of the object can change what the proxy is given.
  package func areTouched(by key: ObjectKey, in snapshot: WeftSnapshot) -> Bool {
    switch key.kind {
    // What they make is compared service by service; from here it cannot be told.
    case .serviceEntry, .workloadEntry, .service: true
    default: isTouched(by: key, kind: key.kind, in: snapshot)
    }
  }

  private func hostsAreTouched(by changed: Set<String>) -> Bool {
    switch hosts {
    case .all: !changed.isEmpty
    case .only(let used):
      // The smaller set is walked.
      changed.count < used.count ? changed.contains { used.contains($0) } : used.contains { changed.contains($0) }
    }
  }

  /// Whether the proxy became or ceased to be an instance of a service, or may have.
  private func inboundIsTouched(by changed: Set<String>, in snapshot: WeftSnapshot) -> Bool {
    guard !inboundAddresses.isEmpty else { return false }
    return changed.contains { host in
      inboundHosts.contains(host)
        || snapshot.services.services(withHost: host).contains { service in
          service.namespace == namespace && service.instances.contains { inboundAddresses.contains($0.address) }
        }
    }
  }

  private func isTouched(by key: ObjectKey, kind: KindName, in snapshot: WeftSnapshot) -> Bool {
    if objects.contains(key) || considered.contains(key) { return true }
    switch kind {
    case .gateway: return isGateway
    case .sidecar: return !isGateway && (key.namespace == namespace || key.namespace == snapshot.mesh.rootNamespace)
    case .workload: return key == workload
    // Any rule may bind itself to a gateway, whatever its hosts.
    case .virtualService: return isGateway || covers(snapshot.virtualServices[key]?.hosts ?? [])
    case .destinationRule: return covers(snapshot.destinationRules[key]?.hosts ?? [])
    // Services and endpoints that entries make are compared themselves.
    case .serviceEntry, .workloadEntry, .service: return false
    default: return true
    }
  }

  /// Whether a rule for `patterns` could speak about a host in use. A rule that is gone and was not used could not.
  private func covers(_ patterns: [String]) -> Bool {
    switch hosts {
    case .all: !patterns.isEmpty
    case .only(let used):
      patterns.contains { pattern in
        Hostname.isWildcard(pattern)
          ? used.contains { Hostname.matches(pattern: pattern, $0) } : used.contains(pattern)
      }
    }
  }
}

extension SnapshotChanges {
  /// Whether an object says anew what gateways serve.
  package var concernGateways: Bool { objects[.gateway] != nil }
}
