package import WeftBase
package import WeftModel
package import WeftProxyAPI
import WeftProtobuf
import WeftXDS
import WeftXDSMessages

/// Says something to whoever connects, and ends the connection.
package struct DirectResponse: TerminalFilter {
  package static var name: StaticString { "envoy.filters.network.direct_response" }
  package static var message: String { Envoy_Extensions_Filters_Network_DirectResponse_V3_Config.schema.name }
  package struct Config: BitwiseCopyable { var response: ByteView }

  package static func compile(_ config: ExtensionConfig, _ context: NetworkFilterContext) throws(ConfigError) -> Config
  {
    let reader = ExtensionReader()
    let message = try reader.message(config, as: Envoy_Extensions_Filters_Network_DirectResponse_V3_Config.self)
    guard let response = message.response else { return Config(response: .empty) }
    let at = FieldPath().field("response")
    let source = try reader.data(response, at)
    do throws(ConfigError) { return Config(response: try context.bytes(of: source)) } catch { throw error.inside(at) }
  }

  package init(_ config: Config) {}

  package mutating func began(_ x: borrowing TerminalCall<Config>) {
    x.send(x.config.response)
    x.close()
  }

  package mutating func received(_ bytes: ByteView, _ x: borrowing TerminalCall<Config>) -> Int { bytes.count }
}
