// ConvertDubboProxy: Envoy's Dubbo filter as a connection manager that speaks Dubbo.
//
// Its tables are tried in order and fall through to the next, which virtual hosts do not: so all of them become routes of one virtual host.

import WeftBase
import WeftModel
import WeftProtobuf
import WeftXDSMessages

extension Converter {
  private typealias Proxy = Envoy_Extensions_Filters_Network_DubboProxy_V3_DubboProxy
  private typealias Table = Envoy_Extensions_Filters_Network_DubboProxy_V3_RouteConfiguration

  /// The message by which the codec of Dubbo is configured.
  private static var dubboCodec: String {
    Envoy_Extensions_Filters_Network_GenericProxy_Codecs_Dubbo_V3_DubboCodecConfig.schema.name
  }

  func dubboProxy(
    _ value: Envoy_Extensions_Filters_Network_DubboProxy_V3_DubboProxy, _ at: FieldPath
  ) throws(ConfigError) -> HTTPConnectionManager {
    guard extensions.hasProtocol(Self.dubboCodec) else {
      throw unregistered("envoy.filters.network.dubbo_proxy", Proxy.schema.name, at)
    }
    let prefix = try required(value.statPrefix, at.field("stat_prefix"))
    guard value.protocolType == .dubbo else { throw fail(at.field("protocol_type"), "must be Dubbo") }
    guard value.serializationType == .hessian2 else { throw fail(at.field("serialization_type"), "must be Hessian2") }
    for (i, filter) in value.dubboFilters.enumerated() {
      let path = at.field("dubbo_filters").index(i)
      guard filter.name == "envoy.filters.dubbo.router" else {
        throw fail(path, "is \(filter.name), must be envoy.filters.dubbo.router; other filters are HTTP's")
      }
      if let any = filter.config { nameOnly(any, path.field("config")) }
    }
    var tables = (value.routeConfig, at.field("route_config"))
    var name = prefix
    switch value.routeSpecifier {
    case .drds:
      throw fail(at.field("drds"), "is not supported; use a protocol in front of a connection manager with rds")
    case .multipleRouteConfig(let several):
      tables = (several.routeConfig, at.field("multiple_route_config").field("route_config"))
      name = several.name.isEmpty ? prefix : several.name
    case nil: break
    }
    var host = VirtualHost(name: "dubbo", domains: ["*"])
    for (i, table) in tables.0.enumerated() {
      let path = tables.1.index(i)
      let conditions = try conditions(table, path)
      for (r, route) in table.routes.enumerated() {
        host.routes.append(try dubboRoute(route, conditions, path.field("routes").index(r)))
      }
    }
    var routes = RouteConfiguration(name: name)
    routes.virtualHosts = [host]
    var out = HTTPConnectionManager(statPrefix: prefix, routes: .inline(routes))
    out.protocolCodec = ExtensionConfig(typeName: Self.dubboCodec, message: [])
    out.filters = [ConfiguredFilter(name: "router", .router(RouterOptions()))]
    // Envoy's filter has no time-outs. A call that nobody answers ends all the same, by the connection manager's own default for streams.
    out.idleTimeout = nil
    return out
  }

  /// What a table is for. Empty and `*` are for all; one `*` at either end of an interface stands for anything.
  private func conditions(_ table: Table, _ at: FieldPath) throws(ConfigError) -> [HeaderMatcher] {
    var out: [HeaderMatcher] = []
    let interface = table.interface
    guard !interface.contains("/") else {
      throw fail(at.field("interface"), "has a slash; what stands in front of the last one is told as group")
    }
    if interface.count > 1, interface.hasSuffix("*") {
      out.append(
        HeaderMatcher(name: ":authority", .string(StringMatcher(.prefix(Self.authority(interface.dropLast()))))))
    } else if interface.count > 1, interface.hasPrefix("*") {
      out.append(
        HeaderMatcher(name: ":authority", .string(StringMatcher(.suffix(Self.authority(interface.dropFirst()))))))
    } else if interface != "*", !interface.isEmpty {
      out.append(HeaderMatcher(name: ":authority", .string(StringMatcher(.exact(Self.authority(interface))))))
    }
    var version = table.version
    if version == "0.0.0" {
      // The name of no version.
      version = ""
      out.append(HeaderMatcher(name: "version", .present(false)))
    }
    for (name, text) in [("group", table.group), ("version", version)] where !text.isEmpty && text != "*" {
      out.append(HeaderMatcher(name: name, .string(StringMatcher(.exact(text)))))
    }
    return out
  }

  private func dubboRoute(
    _ value: Envoy_Extensions_Filters_Network_DubboProxy_V3_Route, _ conditions: [HeaderMatcher], _ at: FieldPath
  ) throws(ConfigError) -> Route {
    let match = value.match ?? Envoy_Extensions_Filters_Network_DubboProxy_V3_RouteMatch()
    var out = RouteMatch(.prefix("/"))
    if let method = match.method {
      let path = at.field("match").field("method")
      guard method.paramsMatch.isEmpty else {
        throw fail(path.field("params_match"), "is not supported: arguments are not decoded")
      }
      if let name = method.name { out.path = try methodPath(try string(name, path.field("name"))) }
    }
    out.headers = conditions
    for var header in try headers(match.headers, at.field("match").field("headers")) {
      header.name = "dubbo-attachment-" + header.name
      out.headers.append(header)
    }
    guard let target = value.route else { throw fail(at.field("route"), "is required") }
    let path = at.field("route")
    var action: RouteAction
    switch target.clusterSpecifier {
    case .cluster(let name): action = RouteAction(cluster: .cluster(try required(name, path.field("cluster"))))
    case .weightedClusters(let split):
      action = RouteAction(cluster: .weighted(try weighted(split, path.field("weighted_clusters"))))
    case nil: throw fail(path, "needs one of cluster, weighted_clusters")
    }
    unsupported(target.metadataMatch != nil, path, "metadata_match")
    action.timeout = .zero
    return Route(match: out, action: .forward(action))
  }

  /// A method by what its name must be like: the last segment of the path, the first being any service's.
  private func methodPath(_ name: StringMatcher) throws(ConfigError) -> RouteMatch.Path {
    let pattern: String =
      switch name.pattern {
      case .exact(let text): Self.quoted(text)
      case .prefix(let text): Self.quoted(text) + "[^/]*"
      case .suffix(let text): "[^/]*" + Self.quoted(text)
      case .contains(let text): "[^/]*" + Self.quoted(text) + "[^/]*"
      case .regex(let text): "(?:" + text + ")"
      }
    return .regex((name.ignoreCase ? "(?i)" : "") + "/[^/]*/" + pattern)
  }

  private static func escaped(_ byte: UInt8) -> String {
    "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
  }

  /// An interface in the form in which it stands as authority.
  private static func authority(_ text: some StringProtocol) -> String {
    var out = ""
    for byte in text.utf8 {
      switch Unicode.Scalar(byte) {
      case "a"..."z", "A"..."Z", "0"..."9", "_", ".", "-", "$": out.unicodeScalars.append(Unicode.Scalar(byte))
      default: out += escaped(byte)
      }
    }
    return out
  }

  /// A text as an expression that matches it and nothing else, in the form in which it stands in a path.
  private static func quoted(_ text: String) -> String {
    var out = ""
    for byte in text.utf8 {
      let scalar = Unicode.Scalar(byte)
      switch scalar {
      case "a"..."z", "A"..."Z", "0"..."9", "_": out.unicodeScalars.append(scalar)
      case ".", "-", "$": out += "\\\(scalar)"
      default: out += escaped(byte)
      }
    }
    return out
  }
}
