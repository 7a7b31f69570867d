package import WeftBase
package import WeftControlAPI
package import WeftDiscovery

/// What discovery knows about connected proxies, as the API shows it.
package protocol ProxyStatusSource: Sendable {
  /// One object per connected proxy (docs/design/0003, `GET /api/v1/proxies`).
  func proxies() async -> [JSONValue]
  /// What the proxy would be sent now of a type (`CDS`, `EDS`, `LDS`, `RDS`); nil when it is not connected.
  func config(of node: String, type: String) async -> [JSONValue]?
  /// How far rules have come with the proxies that they concern; every rule asked for has an entry.
  func status(of targets: [ObjectKey: RuleTarget]) async -> [ObjectKey: RuleStatus]
  /// The same, once every proxy concerned has the rules or has refused them, or `timeout` has passed.
  func wait(for targets: [ObjectKey: RuleTarget], timeout: Duration) async -> [ObjectKey: RuleStatus]
  /// Lines of Prometheus' text format.
  func metrics() async -> String
}
