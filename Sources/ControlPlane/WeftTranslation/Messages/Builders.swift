import WeftKinds
import WeftProtobuf
import WeftXDSMessages

// Small messages that everything else is made of.

extension Google_Protobuf_Duration {
  init(nanoseconds: Int64) {
    self.init(seconds: nanoseconds / 1_000_000_000, nanos: Int32(nanoseconds % 1_000_000_000))
  }

  static var none: Google_Protobuf_Duration { Google_Protobuf_Duration(seconds: 0) }
}

extension Address {
  /// An IP address (or, for DNS clusters, a name) with a port; or a Unix socket for an absolute path or an abstract name
  /// (`@name`), with or without `unix://` before it.
  static func of(_ host: String, port: UInt16) -> Address {
    var address = Address()
    let scheme = "unix://"
    let path = host.hasPrefix(scheme) ? host.dropFirst(scheme.count) : host[...]
    if path.utf8.first == UInt8(ascii: "/") || path.utf8.first == UInt8(ascii: "@") {
      var pipe = Envoy_Config_Core_V3_Pipe()
      pipe.path = String(path)
      address.address = .pipe(pipe)
    } else {
      var socket = Envoy_Config_Core_V3_SocketAddress()
      socket.address = host
      socket.portSpecifier = .portValue(UInt32(port))
      address.address = .socketAddress(socket)
    }
    return address
  }
}

extension ConfigSource {
  /// The aggregated stream this resource itself came by; the proxy waits for the first answer as long as it takes.
  static var aggregated: ConfigSource {
    var source = ConfigSource()
    source.configSourceSpecifier = .ads(Envoy_Config_Core_V3_AggregatedConfigSource())
    source.initialFetchTimeout = Google_Protobuf_Duration.none
    source.resourceApiVersion = .v3
    return source
  }
}

extension RouteAction {
  /// The time for a whole answer, zero for no limit; what a gRPC client asks for in `grpc-timeout` holds within it.
  mutating func setTimeout(_ timeout: Google_Protobuf_Duration) {
    self.timeout = timeout
    // Beside `max_stream_duration` Envoy looks at no `timeout`: the older field bounds `grpc-timeout` without that.
    if timeout.totalNanoseconds ?? 0 > 0 {
      maxGrpcTimeout = timeout
      return
    }
    var limits = RouteAction.MaxStreamDuration()
    limits.grpcTimeoutHeaderMax = timeout
    maxStreamDuration = limits
  }
}

extension StringMatcher {
  static func exact(_ text: String) -> StringMatcher {
    var matcher = StringMatcher()
    matcher.matchPattern = .exact(text)
    return matcher
  }

  /// Nil for an empty StringMatch, which asks for presence only, and for the regular expression `*`, which users write for that.
  init?(_ match: Istio_Networking_V1alpha3_StringMatch) {
    self.init()
    switch match.matchType {
    case .exact(let text): matchPattern = .exact(text)
    case .prefix(let text): matchPattern = .prefix(text)
    case .regex(StringMatchRules.anything), nil: return nil
    case .regex(let text): matchPattern = .safeRegex(.init(pattern: text))
    }
  }
}

extension Envoy_Type_Matcher_V3_RegexMatcher {
  init(pattern: String) {
    self.init()
    regex = pattern
  }
}

extension Google_Protobuf_Value {
  static func text(_ text: String) -> Google_Protobuf_Value {
    var value = Google_Protobuf_Value()
    value.kind = .stringValue(text)
    return value
  }

  static func object(_ fields: [String: Google_Protobuf_Value]) -> Google_Protobuf_Value {
    var value = Google_Protobuf_Value()
    value.kind = .structValue(Google_Protobuf_Struct(fields: fields))
    return value
  }

  static func list(_ items: [Google_Protobuf_Value]) -> Google_Protobuf_Value {
    var value = Google_Protobuf_Value()
    value.kind = .listValue(Google_Protobuf_ListValue(items))
    return value
  }
}

extension Google_Protobuf_Struct {
  init(fields: [String: Google_Protobuf_Value]) {
    self.init()
    self.fields = fields
  }
}

extension Envoy_Config_Core_V3_Metadata {
  /// Metadata of the namespace `istio`, which tools read.
  static func istio(_ fields: [String: Google_Protobuf_Value]) -> Envoy_Config_Core_V3_Metadata {
    var metadata = Envoy_Config_Core_V3_Metadata()
    metadata.filterMetadata = ["istio": Google_Protobuf_Struct(fields: fields)]
    return metadata
  }
}

extension NetworkFilter {
  init(_ name: String, _ config: some Message) {
    self.init()
    self.name = name
    configType = .typedConfig(Google_Protobuf_Any(packing: config))
  }
}

extension ListenerFilter {
  init(_ name: String, _ config: some Message) {
    self.init()
    self.name = name
    configType = .typedConfig(Google_Protobuf_Any(packing: config))
  }

  static var originalDestination: ListenerFilter {
    ListenerFilter(
      "envoy.filters.listener.original_dst", Envoy_Extensions_Filters_Listener_OriginalDst_V3_OriginalDst())
  }

  static var tlsInspector: ListenerFilter {
    ListenerFilter(
      "envoy.filters.listener.tls_inspector", Envoy_Extensions_Filters_Listener_TlsInspector_V3_TlsInspector())
  }

  static var httpInspector: ListenerFilter {
    ListenerFilter(
      "envoy.filters.listener.http_inspector", Envoy_Extensions_Filters_Listener_HttpInspector_V3_HttpInspector())
  }
}

extension Envoy_Config_Core_V3_TransportSocket {
  init(_ name: String, _ config: some Message) {
    self.init()
    self.name = name
    configType = .typedConfig(Google_Protobuf_Any(packing: config))
  }
}

extension Envoy_Config_Core_V3_DataSource {
  static func file(_ path: String) -> Envoy_Config_Core_V3_DataSource {
    var source = Envoy_Config_Core_V3_DataSource()
    source.specifier = .filename(path)
    return source
  }

  static func text(_ text: String) -> Envoy_Config_Core_V3_DataSource {
    var source = Envoy_Config_Core_V3_DataSource()
    source.specifier = .inlineString(text)
    return source
  }
}

extension Envoy_Config_Core_V3_Locality {
  init(region: String, zone: String, subZone: String) {
    self.init()
    self.region = region
    self.zone = zone
    self.subZone = subZone
  }
}
