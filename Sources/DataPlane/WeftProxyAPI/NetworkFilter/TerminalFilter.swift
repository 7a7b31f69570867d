// TerminalFilter: what the author of a filter writes that ends a chain.
//
// A network filter like any other, and the last of its chain: it has the connection's bytes for itself and writes what goes back. It never sees
// a socket: what it sends leaves when the call returns, and while its peer does not take that, nothing is read for it. A worked example:
//
//     package struct Echo: TerminalFilter {
//       package static var name: StaticString { "envoy.filters.network.echo" }
//       package static var message: String { Envoy_Extensions_Filters_Network_Echo_V3_Echo.schema.name }
//       package struct Config: BitwiseCopyable {}
//       package static func compile(_ config: ExtensionConfig, _ context: NetworkFilterContext) throws(ConfigError) -> Config { Config() }
//       package init(_ config: Config) {}
//       package mutating func received(_ bytes: ByteView, _ x: borrowing TerminalCall<Config>) -> Int {
//         x.send(bytes)
//         return bytes.count
//       }
//     }

public import WeftBase

/// Ends a chain.
@usableFromInline
package protocol TerminalFilter: NetworkFilter {
  /// The connection is there; where it is secured, its handshake is done.
  mutating func began(_ x: borrowing TerminalCall<Config>)
  /// Bytes have come. *Returns*: how many were taken; the rest is shown again, with what follows it.
  mutating func received(_ bytes: ByteView, _ x: borrowing TerminalCall<Config>) -> Int
  /// The client sends no more. Unless somebody says otherwise, that ends the connection.
  mutating func inputEnded(_ x: borrowing TerminalCall<Config>)
  static func _began(_ at: NetworkSite)
  static func _received(_ at: NetworkSite, _ bytes: ByteView) -> Int
  static func _inputEnded(_ at: NetworkSite)
}

extension TerminalFilter {
  @inlinable package mutating func began(_ x: borrowing TerminalCall<Config>) {}
  @inlinable package mutating func inputEnded(_ x: borrowing TerminalCall<Config>) { x.close() }
  @inlinable package static func _began(_ at: NetworkSite) {
    unsafe at.state.assumingMemoryBound(to: Self.self).pointee.began(TerminalCall(at))
  }
  @inlinable package static func _received(_ at: NetworkSite, _ bytes: ByteView) -> Int {
    unsafe at.state.assumingMemoryBound(to: Self.self).pointee.received(bytes, TerminalCall(at))
  }
  @inlinable package static func _inputEnded(_ at: NetworkSite) {
    unsafe at.state.assumingMemoryBound(to: Self.self).pointee.inputEnded(TerminalCall(at))
  }
}

/// A call's surroundings.
@frozen @safe @usableFromInline
package struct TerminalCall<Config: BitwiseCopyable>: ~Copyable {
  @usableFromInline let site: NetworkSite
  @inlinable init(_ site: NetworkSite) { self.site = site }

  /// What the filter was configured with.
  @inlinable package var config: Config { unsafe site.config.assumingMemoryBound(to: Config.self).pointee }
  @inlinable package var now: MonotonicInstant { unsafe site.desk.pointee.now }
  /// Number of the worker: the place of its blocks in tables of statistics.
  @inlinable package var worker: Int { unsafe site.desk.pointee.worker }

  /// Sends bytes, behind those that were sent before. They may be what was just received. *Cost*: a copy.
  @inlinable package func send(_ bytes: ByteView) { unsafe site.desk.pointee.output.pointee.append(bytes) }
  /// Ends the connection when what was sent has left.
  @inlinable package func close() { unsafe site.desk.pointee.closes = true }
}
