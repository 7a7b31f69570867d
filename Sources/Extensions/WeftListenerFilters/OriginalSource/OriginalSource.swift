package import WeftBase
package import WeftModel
package import WeftProxyAPI
import WeftProtobuf
import WeftRuntime
import WeftXDS
import WeftXDSMessages

/// Connections to endpoints come from the address of the client they are made for, as the filters before this one know it.
package final class OriginalSource: ListenerFilter {
  package static var name: StaticString { "envoy.filters.listener.original_src" }
  package static var message: String { Envoy_Extensions_Filters_Listener_OriginalSrc_V3_OriginalSrc.schema.name }
  package static var bindsUpstreams: Bool { true }
  package var limit: Int { 0 }
  private let mark: UInt32

  package init(_ config: ExtensionConfig, _ context: ListenerFilterContext) throws(ConfigError) {
    mark = try ExtensionReader().originalSource(config).mark
  }

  package func inspect(_ bytes: ByteView, _ facts: inout ConnectionFacts) -> ListenerFilterVerdict {
    if !facts.source.isUnix {
      facts.upstreamSource = SourceBinding(address: SocketAddress(facts.source.ip.unmapped, port: 0), mark: mark)
    }
    return .done(taking: 0)
  }
}
