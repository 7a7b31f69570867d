/// The endpoints of a cluster, grouped by locality and priority.
package struct LoadAssignment: Hashable, Sendable {
  package var clusterName: String
  package var localities: [LocalityEndpoints] = []
  /// 140 spreads load as if every host could take 1.4 times its share.
  package var overprovisioningPercent: UInt32 = 140
  package var dropOverloads: [DropOverload] = []
  /// Without an update for this long the endpoints are taken as unhealthy; `nil` never.
  package var endpointStaleAfter: Duration?
  package init(clusterName: String) { self.clusterName = clusterName }
}

/// A share of the requests to a cluster that is refused for a stated reason.
package struct DropOverload: Hashable, Sendable {
  package var category: String
  package var fraction: FractionalPercent
  package init(category: String, fraction: FractionalPercent) {
    self.category = category
    self.fraction = fraction
  }
}

package struct Locality: Hashable, Sendable {
  package var region: String
  package var zone: String
  package var subZone: String
  package init(region: String = "", zone: String = "", subZone: String = "") {
    self.region = region
    self.zone = zone
    self.subZone = subZone
  }
}

package struct LocalityEndpoints: Hashable, Sendable {
  package var locality = Locality()
  package var endpoints: [Endpoint] = []
  /// Share of the priority's load; used by locality-weighted balancing only. `nil` receives none there.
  package var weight: UInt32?
  /// 0 is the highest.
  package var priority: UInt32 = 0
  package init() {}
}

package struct Endpoint: Hashable, Sendable {
  package var address: Address
  /// The name for automatic host rewrite.
  package var hostname = ""
  package var health: HealthStatus = .unknown
  package var weight: UInt32 = 1
  package var canary = false
  /// What policies hash instead of its address or name (`envoy.lb` metadata `hash_key`).
  package var hashKey = ""
  package init(address: Address) { self.address = address }
}

/// What the control plane says about an endpoint's health.
package enum HealthStatus: UInt8, Hashable, Sendable, CaseIterable {
  case unknown, healthy, unhealthy, draining, timeout, degraded

  /// Whether new requests may go there in normal operation.
  package var isAvailable: Bool { self == .unknown || self == .healthy || self == .degraded }
}
