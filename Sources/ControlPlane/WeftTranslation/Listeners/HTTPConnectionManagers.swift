import WeftControlAPI
import WeftProtobuf
import WeftXDSMessages

/// Connection managers, alike except for where their routes come from.
struct HTTPConnectionManagers {
  enum Routes {
    /// By name, over the aggregated stream.
    case named(String)
    case inline(RouteConfiguration)
  }

  enum Side {
    case outbound
    case inbound
    case gateway
    /// Read by a gRPC library, which knows only the essentials.
    case grpc
  }

  let side: Side
  let accessLogPath: String

  func filter(statPrefix: String, routes: Routes) -> NetworkFilter {
    NetworkFilter("envoy.filters.network.http_connection_manager", message(statPrefix: statPrefix, routes: routes))
  }

  func message(statPrefix: String, routes: Routes) -> HTTPConnectionManager {
    var manager = HTTPConnectionManager()
    manager.statPrefix = statPrefix
    switch routes {
    case .named(let name):
      var rds = Envoy_Extensions_Filters_Network_HttpConnectionManager_V3_Rds()
      rds.routeConfigName = name
      rds.configSource = .aggregated
      manager.routeSpecifier = .rds(rds)
    case .inline(let configuration):
      manager.routeSpecifier = .routeConfig(configuration)
    }
    manager.httpFilters = side == .outbound || side == .gateway ? Self.ruleFilters + [Self.router] : [Self.router]
    guard side != .grpc else { return manager }
    manager.codecType = .auto
    // Streams may be idle: time-outs are the rules' business.
    manager.streamIdleTimeout = Google_Protobuf_Duration.none
    manager.normalizePath = Google_Protobuf_BoolValue(true)
    manager.useRemoteAddress = Google_Protobuf_BoolValue(side == .gateway)
    var http1 = Envoy_Config_Core_V3_Http1ProtocolOptions()
    http1.acceptHttp10 = true
    http1.defaultHostForHttp10 = "localhost"
    manager.httpProtocolOptions = http1
    var upgrade = HTTPConnectionManager.UpgradeConfig()
    upgrade.upgradeType = "websocket"
    manager.upgradeConfigs = [upgrade]
    manager.serverName = "istio-envoy"
    manager.accessLog = AccessLogs.entries(path: accessLogPath)
    return manager
  }

  /// The filters that rules configure route by route. They are always there, so that the first rule that needs one does
  /// not change a listener; and optional, so that a proxy without them leaves them out.
  private static let ruleFilters: [ConfiguredFilter] = [
    optional(RouteFilters.fault, Google_Protobuf_Any(packing: Envoy_Extensions_Filters_Http_Fault_V3_HTTPFault())),
    optional(RouteFilters.cors, Google_Protobuf_Any(packing: Envoy_Extensions_Filters_Http_Cors_V3_Cors())),
  ]

  private static func optional(_ name: String, _ configuration: Google_Protobuf_Any) -> ConfiguredFilter {
    var filter = ConfiguredFilter()
    filter.name = name
    filter.configType = .typedConfig(configuration)
    filter.isOptional = true
    return filter
  }

  static var router: ConfiguredFilter {
    var filter = ConfiguredFilter()
    filter.name = "envoy.filters.http.router"
    filter.configType = .typedConfig(
      Google_Protobuf_Any(packing: Envoy_Extensions_Filters_Http_Router_V3_Router()))
    return filter
  }
}

/// The access log that the agent asks for.
enum AccessLogs {
  static func entries(path: String) -> [Envoy_Config_Accesslog_V3_AccessLog] {
    guard !path.isEmpty else { return [] }
    var file = Envoy_Extensions_AccessLoggers_File_V3_FileAccessLog()
    file.path = path
    var log = Envoy_Config_Accesslog_V3_AccessLog()
    log.name = "envoy.access_loggers.file"
    log.configType = .typedConfig(Google_Protobuf_Any(packing: file))
    return [log]
  }
}
