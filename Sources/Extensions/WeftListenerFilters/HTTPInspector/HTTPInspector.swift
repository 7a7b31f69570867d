package import WeftBase
import WeftHTTP
package import WeftModel
package import WeftProxyAPI
import WeftTelemetry

/// Finds out whether a connection in plain text begins HTTP, and which: `http/1.0`, `http/1.1` or `h2c` become its application protocol.
/// Takes nothing. What a TLS inspector before it found to be TLS is not looked at.
package final class HTTPInspector: ListenerFilter {
  package static var name: StaticString { "envoy.filters.listener.http_inspector" }
  package static var message: String { "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector" }

  private let metrics: MetricsRegistry
  private let scope: ScopeID
  package var limit: Int { HTTPPreamble.maximumBytes }

  package init(_ config: ExtensionConfig, _ context: ListenerFilterContext) throws(ConfigError) {
    metrics = context.metrics
    scope = metrics.scope(ScopeKey(.httpInspector))
  }

  package func inspect(_ bytes: ByteView, _ facts: inout ConnectionFacts) -> ListenerFilterVerdict {
    if facts.isTLS { return .done(taking: 0) }
    let preamble = HTTPPreamble.read(bytes, seen: facts.seen)
    if preamble == .needMore { return .needMore }
    let stats = metrics.block(HTTPInspectorMetric.self, scope, worker: facts.worker)
    switch preamble {
    case .needMore: return .needMore
    case .tooLong:
      stats.add(.readError)
      return .refuse
    case .none: stats.add(.httpNotFound)
    case .http10:
      stats.add(.http10Found)
      facts.applicationProtocols = ["http/1.0"]
    case .http11:
      stats.add(.http11Found)
      facts.applicationProtocols = ["http/1.1"]
    case .http2:
      stats.add(.http2Found)
      facts.applicationProtocols = ["h2c"]
    }
    return .done(taking: 0)
  }
}
