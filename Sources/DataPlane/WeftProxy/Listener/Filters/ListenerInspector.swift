// The seam of listener filters: what looks at the first bytes of a connection before its filter chain is chosen.

import WeftBase
import WeftModel
import WeftRuntime
import WeftTelemetry
import WeftUpstream

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
protocol ListenerInspector: AnyObject, Sendable {
  /// The most bytes it may ask for; a connection that has sent that many and is not understood yet is refused.
  var limit: Int { get }
  func inspect(_ bytes: ByteView, _ facts: inout ConnectionFacts) -> ListenerFilterVerdict
}

enum ListenerFilterVerdict: Equatable {
  case needMore
  /// It knows what it wanted to know; so many bytes were meant for it alone.
  case done(taking: Int)
  /// The connection is closed.
  case refuse
}

/// A filter in its place in a listener.
struct CompiledListenerFilter {
  let filter: any ListenerInspector
  /// Connections it has no part in.
  let disabled: ListenerFilter.Predicate?

  func isDisabled(for facts: ConnectionFacts) -> Bool { disabled?.matches(port: facts.destination.port) ?? false }
}

/// What a connection's listener filters are at.
struct Inspection {
  /// The listener as it was when the connection came; kept by the snapshot that the connection holds.
  let listener: ConfigRef<CompiledListener>
  var position = 0
  var facts: ConnectionFacts
}

/// A value that a listener filter found for others to use (`rules` of proxy_protocol).
package struct ConnectionValue: Hashable, Sendable {
  /// Metadata namespace, or the name of a filter state object.
  package var space: String
  package var key: String
  package var value: [UInt8]
}

extension ListenerFilter.Predicate {
  func matches(port: UInt16) -> Bool {
    switch self {
    case .any: true
    case .destinationPorts(let range): range.contains(Int32(port))
    case .not(let inner): !inner.matches(port: port)
    case .all(let inner): inner.allSatisfy { $0.matches(port: port) }
    case .anyOf(let inner): inner.contains { $0.matches(port: port) }
    }
  }
}
