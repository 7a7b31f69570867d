package import WeftBase
package import WeftModel
package import WeftProxyAPI
import WeftProtobuf
import WeftXDSMessages

/// Sends back what comes. Who does not read it is not read from.
package struct Echo: TerminalFilter {
  package static var name: StaticString { "envoy.filters.network.echo" }
  package static var message: String { Envoy_Extensions_Filters_Network_Echo_V3_Echo.schema.name }
  package struct Config: BitwiseCopyable {}

  package static func compile(_ config: ExtensionConfig, _ context: NetworkFilterContext) throws(ConfigError) -> Config
  {
    Config()
  }

  package init(_ config: Config) {}

  package mutating func received(_ bytes: ByteView, _ x: borrowing TerminalCall<Config>) -> Int {
    x.send(bytes)
    return bytes.count
  }
}
