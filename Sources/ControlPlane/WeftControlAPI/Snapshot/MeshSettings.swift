/// Settings of the whole mesh that translation needs.
package struct MeshSettings: Hashable, Sendable {
  package enum OutboundTrafficPolicy: String, Hashable, Sendable {
    case allowAny = "ALLOW_ANY"
    case registryOnly = "REGISTRY_ONLY"
  }

  /// The DNS domain under `svc`.
  package var domain: String
  /// Selector-less rules here hold for the whole mesh.
  package var rootNamespace: String
  package var trustDomain: String
  package var meshID: String
  package var outboundTrafficPolicy: OutboundTrafficPolicy
  /// *Units*: nanoseconds. Default 10 s.
  package var connectTimeout: Int64

  package init(
    domain: String = "cluster.local", rootNamespace: String = "istio-system", trustDomain: String = "cluster.local",
    meshID: String = "weft", outboundTrafficPolicy: OutboundTrafficPolicy = .allowAny,
    connectTimeout: Int64 = 10_000_000_000
  ) {
    self.domain = domain
    self.rootNamespace = rootNamespace
    self.trustDomain = trustDomain
    self.meshID = meshID
    self.outboundTrafficPolicy = outboundTrafficPolicy
    self.connectTimeout = connectTimeout
  }
}
