package import WeftBase
package import WeftModel
import WeftProtobuf
package import WeftProxyAPI
import WeftTLS
import WeftTelemetry
import WeftXDS
import WeftXDSMessages

/// Finds out whether a connection begins TLS, for which name and with which protocols. Takes nothing.
package final class TLSInspector: ListenerFilter {
  package static var name: StaticString { "envoy.filters.listener.tls_inspector" }
  package static var message: String { Envoy_Extensions_Filters_Listener_TlsInspector_V3_TlsInspector.schema.name }
  package static var findsTLS: Bool { true }

  private let metrics: MetricsRegistry
  private let scope: ScopeID
  private let settings: TLSInspectorSettings
  /// A ClientHello may come in many records, each with a head of its own.
  package var limit: Int { 2 * settings.maximumClientHelloBytes + (1 << 10) }

  package init(_ config: ExtensionConfig, _ context: ListenerFilterContext) throws(ConfigError) {
    settings = try ExtensionReader().tlsInspector(config)
    metrics = context.metrics
    scope = metrics.scope(ScopeKey(.tlsInspector))
  }

  package func inspect(_ bytes: ByteView, _ facts: inout ConnectionFacts) -> ListenerFilterVerdict {
    let reading = ClientHello.read(bytes, limit: settings.maximumClientHelloBytes)
    if reading == .needMore { return .needMore }
    let stats = metrics.block(TLSInspectorMetric.self, scope, worker: facts.worker)
    switch reading {
    case .needMore: return .needMore
    case .tooLarge:
      stats.add(.clientHelloTooLarge)
      return .refuse
    case .notTLS:
      stats.add(.tlsNotFound)
      // What begins as a handshake and is none.
      return settings.closesOnErrors && bytes.first == 22 ? .refuse : .done(taking: 0)
    case .hello(let hello):
      stats.add(.tlsFound)
      stats.add(hello.serverName.isEmpty ? .sniNotFound : .sniFound)
      stats.add(hello.protocols.isEmpty ? .alpnNotFound : .alpnFound)
      facts.isTLS = true
      facts.serverName = hello.serverName
      facts.applicationProtocols = hello.protocols
      return .done(taking: 0)
    }
  }
}
