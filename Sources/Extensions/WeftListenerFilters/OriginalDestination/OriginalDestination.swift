package import WeftBase
package import WeftModel
package import WeftProxyAPI

/// The address that the client of a redirected connection meant becomes that of the connection. The kernel knows it: the engine asks when it
/// accepts, and no byte is looked at.
package final class OriginalDestination: ListenerFilter {
  package static var name: StaticString { "envoy.filters.listener.original_dst" }
  package static var message: String { "envoy.extensions.filters.listener.original_dst.v3.OriginalDst" }
  package static var asksForDestination: Bool { true }
  package var limit: Int { 0 }

  package init(_ config: ExtensionConfig, _ context: ListenerFilterContext) throws(ConfigError) {}

  package func inspect(_ bytes: ByteView, _ facts: inout ConnectionFacts) -> ListenerFilterVerdict { .done(taking: 0) }
}
