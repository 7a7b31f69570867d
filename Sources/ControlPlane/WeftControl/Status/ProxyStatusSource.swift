package import WeftBase

/// What discovery knows about connected proxies, as the API shows it.
package protocol ProxyStatusSource: Sendable {
  /// One object per connected proxy (docs/design/0003, `GET /api/v1/proxies`).
  func proxies() async -> [JSONValue]
  /// What the proxy would be sent now of a type (`CDS`, `EDS`, `LDS`, `RDS`); nil when it is not connected.
  func config(of node: String, type: String) async -> [JSONValue]?
  /// Returns true once every connected proxy has acknowledged what it has of `version`, false after `timeout`.
  func wait(for version: UInt64, timeout: Duration) async -> Bool
  /// Lines of Prometheus' text format.
  func metrics() async -> String
}
