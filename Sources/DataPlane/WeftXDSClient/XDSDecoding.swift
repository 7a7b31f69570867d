// Packed resources into models, through the one converter that knows Envoy's messages.
import WeftBase
package import WeftModel
import WeftProtobuf
import WeftXDS
import WeftXDSMessages

extension XDSModel {
  /// Decodes and converts one resource. *Errors*: the field's path and what is allowed there, with the resource's name once it is known.
  package static let decode = decoder(extensions: .none)

  /// As `decode`, where `extensions` may be configured and clusters without a resolver ask `dnsResolver`.
  package static func decoder(extensions: KnownExtensions, dnsResolver: DNSResolver? = nil) -> XDSDecoder {
    { (type, resource, warnings) throws(ConfigError) in
      let converter = Converter(extensions: extensions, dnsResolver: dnsResolver)
      let model = try decode(type, resource, converter)
      warnings += converter.warnings
      return model
    }
  }

  private static func decode(
    _ type: XDSType, _ resource: XDSResource, _ converter: Converter
  ) throws(ConfigError) -> XDSModel {
    switch type {
    case .clusters:
      let message = try parse(Envoy_Config_Cluster_V3_Cluster.self, resource)
      return .cluster(try only(converter.clusters([message])))
    case .endpoints:
      let message = try parse(Envoy_Config_Endpoint_V3_ClusterLoadAssignment.self, resource)
      return .endpoints(try only(converter.loadAssignments([message])))
    case .listeners:
      let message = try parse(Envoy_Config_Listener_V3_Listener.self, resource)
      return .listener(try only(converter.listeners([message])))
    case .routes:
      let message = try parse(Envoy_Config_Route_V3_RouteConfiguration.self, resource)
      return .routes(try only(converter.routeConfigurations([message])))
    case .secrets:
      let message = try parse(Envoy_Extensions_TransportSockets_Tls_V3_Secret.self, resource)
      return .secret(try only(converter.secrets([message])))
    }
  }

  private static func parse<M: Message>(_: M.Type, _ resource: XDSResource) throws(ConfigError) -> M {
    do throws(ProtobufError) { return try M(serialized: resource.value) } catch {
      throw ConfigError(name: resource.name, path: error.path, error.message)
    }
  }

  private static func only<Value>(_ converted: Converted<Value>) throws(ConfigError) -> Value {
    if let rejection = converted.rejections.first { throw rejection }
    guard let value = converted.values.first else { throw ConfigError("the resource has no name") }
    return value
  }
}
