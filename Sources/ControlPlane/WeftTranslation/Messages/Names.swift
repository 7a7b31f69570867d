package import WeftControlAPI

/// Names of resources, as Istio gives them: tools, dashboards and metrics depend on them.
package enum ResourceName {
  package static let blackHole = "BlackHoleCluster"
  package static let passthrough = "PassthroughCluster"
  package static let inboundPassthrough = "InboundPassthroughCluster"
  package static let httpProxyRoutes = "http_proxy"
  package static let grpcInboundPrefix = "xds.istio.io/grpc/lds/inbound/"

  package static func outbound(port: UInt16, subset: String = "", host: String) -> String {
    "outbound|\(port)|\(subset)|\(host)"
  }

  package static func inbound(port: UInt16) -> String { "inbound|\(port)||" }

  /// A listener's name, `_` between address and port.
  package static func listener(_ address: String, _ port: UInt16) -> String { "\(address)_\(port)" }

  package static func virtualHost(_ host: String, _ port: UInt16) -> String { "\(host):\(port)" }

  /// The path of an object as Kubernetes' API spells it, for the metadata of generated resources.
  package static func apiPath(_ origin: Origin, plural: String) -> String {
    "/apis/networking.istio.io/v1/namespaces/\(origin.namespace)/\(plural)/\(origin.name)"
  }

  /// The parts of `outbound|port|subset|host`; nil for other names.
  package static func parseOutbound(_ name: String) -> (port: UInt16, subset: String, host: String)? {
    let parts = name.split(separator: "|", maxSplits: 3, omittingEmptySubsequences: false)
    guard parts.count == 4, parts[0] == "outbound", let port = UInt16(parts[1]), !parts[3].isEmpty else { return nil }
    return (port, String(parts[2]), String(parts[3]))
  }
}
