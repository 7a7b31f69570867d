package import WeftBase
package import WeftControlAPI

/// What discovery knows about connected proxies, as the API shows it.
package protocol ProxyStatusSource: Sendable {
  /// One object per connected proxy (docs/design/0003, `GET /api/v1/proxies`).
  func proxies() async -> [JSONValue]
  /// What the proxy would be sent now of a type (`CDS`, `EDS`, `LDS`, `RDS`); nil when it is not connected.
  func config(of node: String, type: String) async -> [JSONValue]?
  /// Returns true once every connected proxy has acknowledged what it has of `version`, false after `timeout`.
  func wait(for version: UInt64, timeout: Duration) async -> Bool
  /// How far an object has come with the proxies that it concerns.
  func status(of key: ObjectKey, generation: Int64) async -> JSONValue
  /// Lines of Prometheus' text format.
  func metrics() async -> String
}
