// A connection's listener filters as the engine holds them.

import WeftBase
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTables
import WeftTelemetry
import WeftUpstream

/// What a connection's listener filters are at.
struct Inspection {
  /// The listener as it was when the connection came; kept by the snapshot that the connection holds.
  let listener: ConfigRef<CompiledListener>
  var position = 0
  var facts: ConnectionFacts
}

/// What connections to endpoints take from a client's.
struct ConnectionOrigin {
  /// Where they come from; nil: from an address of ours.
  var source: SourceBinding?
  /// Extensions of the client's PROXY protocol header that theirs may carry.
  var extensions: [UInt8] = []
}

/// The values that listener filters found for others, in the form that formats ask: as long as their connection.
final class ConnectionMetadata {
  let values: ConstantTable<MetadataValue>
  private let arena = ConstantArena()

  init(_ found: [ConnectionValue]) {
    values = arena.table(
      found.map { [arena] value in
        // What is no text does not spoil a line: as Envoy's, each place that is none becomes a mark.
        let text = String(decoding: value.value, as: UTF8.self).map { $0 == "\u{FFFD}" ? "!" : $0 }
        return MetadataValue(path: arena.text("\(value.space):\(value.key)"), text: arena.text(String(text)))
      })
  }
}
