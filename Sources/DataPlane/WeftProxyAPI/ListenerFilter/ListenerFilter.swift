// ListenerFilter: what looks at the first bytes of a connection before its filter chain is chosen.

package import WeftBase
package import WeftModel
package import WeftTelemetry

/// A listener filter, compiled. Shared by all connections of a listener, on all workers: what it has found lies in `ConnectionFacts`.
///
/// A filter is a pull parser. It is shown the bytes that have come and not been taken, from the first of them, and says what it wants:
///
///     func inspect(_ bytes: ByteView, _ facts: inout ConnectionFacts) -> ListenerFilterVerdict {
///       guard bytes.count >= 4 else { return .needMore }
///       facts.serverName = ...
///       return .done(taking: 4)          // what it does not take the next filter sees, and in the end the filter chain
///     }
///
/// It is called again when more has come, at first with nothing at all: one that needs no bytes is done then. Filters run in the order of the
/// configuration, each when the one before is done. While they run `listener_filters_timeout` does, too.
package protocol ListenerFilter: AnyObject, Sendable {
  /// Envoy's canonical name: `envoy.filters.listener.tls_inspector`.
  static var name: StaticString { get }
  /// Full name of the message that configures it.
  static var message: String { get }
  /// Cold: checks and compiles what was configured. *Errors*: the field's path inside the message that is wrong, and what is allowed there.
  init(_ config: ExtensionConfig, _ context: ListenerFilterContext) throws(ConfigError)
  /// Whether the kernel is to be asked, when the connection is accepted, where its client meant to go: the answer decides which listener has it.
  static var asksForDestination: Bool { get }
  /// Whether connections to endpoints may get a source that is not the machine's, which takes a right that the process may lack.
  static var bindsUpstreams: Bool { get }
  /// Whether it finds out what chains match of a TLS client's first bytes. A listener that names none and has such chains gets one.
  static var findsTLS: Bool { get }
  /// The most bytes it may ask for; a connection that has sent that many and is not understood yet is refused.
  var limit: Int { get }
  func inspect(_ bytes: ByteView, _ facts: inout ConnectionFacts) -> ListenerFilterVerdict
}

extension ListenerFilter {
  package static var asksForDestination: Bool { false }
  package static var bindsUpstreams: Bool { false }
  package static var findsTLS: Bool { false }
}

/// What a listener filter is compiled with.
package struct ListenerFilterContext {
  package let metrics: MetricsRegistry

  package init(metrics: MetricsRegistry) { self.metrics = metrics }
}

package enum ListenerFilterVerdict: Equatable {
  case needMore
  /// It knows what it wanted to know; so many bytes were meant for it alone.
  case done(taking: Int)
  /// The connection is closed.
  case refuse
}
