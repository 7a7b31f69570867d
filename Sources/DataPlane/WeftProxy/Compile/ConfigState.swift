package import WeftBase
package import WeftModel
package import WeftRuntime
package import WeftUpstream

/// All configuration in force, from wherever it came: what a snapshot is compiled from.
package struct ConfigState: Sendable {
  package var listeners: [Listener] = []
  package var clusters: [Cluster] = []
  /// Route configurations that connection managers name.
  package var routes: [String: RouteConfiguration] = [:]
  /// Endpoints of EDS clusters by service name.
  package var endpoints: [String: LoadAssignment] = [:]
  package var secrets: [String: Secret] = [:]
  /// What names of DNS clusters resolve to, in the order of the newest answer.
  package var addresses: [DNSQuestion: [IPAddress]] = [:]

  package init() {}
}

/// Makes TLS out of contexts and secrets. Lives beside WeftTLS; a compiler without one refuses resources that want TLS.
package protocol SecurityFactory: Sendable {
  func downstream(_ context: DownstreamTLSContext, secrets: [String: Secret]) throws(ConfigError)
    -> any DownstreamSecurity
  func upstream(_ context: UpstreamTLSContext, secrets: [String: Secret]) throws(ConfigError) -> any UpstreamSecurity
}

/// What a compilation came to.
package struct Compilation: Sendable {
  package var snapshot: Snapshot
  /// Resources that could not be taken; for each the last good form stays in force, if there was one.
  package var rejections: [ConfigError] = []
  /// Listeners that wait for a route configuration or a secret, by name.
  package var warming: [String] = []
}
