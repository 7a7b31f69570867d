import WeftControlAPI
import WeftKinds

/// Where routes are being made for: who asks, and on which port.
struct RouteContext {
  let scope: ProxyScope
  /// The port that requests are addressed to.
  let port: UInt16
  /// `namespace/name` of the gateway that is served, or nil for mesh traffic.
  let gateway: String?
  /// Whether clients come over TLS (for redirects to the default port).
  var isTLS = false
  /// The authority to send when a rule does not say: explicit listeners, whose clients use a local address.
  var authority: String?

  var proxy: ProxyIdentity { scope.proxy }

  /// Whether a rule's gateway list, as written in `namespace`, names what is served here.
  func isAmong(_ gateways: [String], ruleNamespace: String, whenEmpty: Bool) -> Bool {
    if gateways.isEmpty { return whenEmpty }
    guard let gateway else { return gateways.contains("mesh") }
    return gateways.contains { Self.qualified($0, ruleNamespace) == gateway }
  }

  /// `namespace/name` of a gateway as a rule of `namespace` writes it: `name`, `./name`, `namespace/name`, or the old form
  /// `name.namespace[.svc.domain]`.
  static func qualified(_ gateway: String, _ namespace: String) -> String {
    if let slash = gateway.firstIndex(of: "/") {
      return gateway[..<slash] == "." ? "\(namespace)\(gateway[slash...])" : gateway
    }
    let parts = gateway.split(separator: ".", maxSplits: 2, omittingEmptySubsequences: false)
    return parts.count > 1 ? "\(parts[1])/\(parts[0])" : "\(namespace)/\(gateway)"
  }
}

/// What route making leaves behind besides routes.
struct RouteSink {
  /// Rules that were used.
  var origins: [Origin] = []
  /// Hosts that routes lead to, with the ports used.
  var destinations: Set<Destination> = []
  /// Rules that were looked at, whether or not they had an effect: they may have kept another from having one.
  var considered: Set<ObjectKey> = []
  /// Hosts that routes would lead to if somebody knew them.
  var awaited: Set<String> = []
  var issues: [TranslationIssue] = []
  /// What virtual hosts and filter chains were made from, by what they can be found by.
  var makers: [String: [Origin]] = [:]

  mutating func merge(_ other: RouteSink) {
    origins += other.origins
    destinations.formUnion(other.destinations)
    considered.formUnion(other.considered)
    awaited.formUnion(other.awaited)
    issues += other.issues
    makers.merge(other.makers) { $0 + $1 }
  }

  struct Destination: Hashable {
    var host: String
    var port: UInt16
    var subset: String
  }
}
