import WeftControlAPI
import WeftKinds
import WeftProtobuf
import WeftXDSMessages

/// Route configurations for mesh traffic.
struct RouteConfigurations {
  /// What a rule may answer by itself.
  static let bodyLimit = Google_Protobuf_UInt32Value(1 << 20)

  let scope: ProxyScope
  private var hosts: VirtualHosts { VirtualHosts(scope: scope) }

  /// `9080`: all HTTP services on that port, by name.
  func port(
    _ number: UInt16, services: [VisibleService], rules: RuleHosts, sink: inout RouteSink
  ) -> RouteConfiguration {
    var list: [VirtualHost] = []
    var known: Set<String> = []
    for visible in services {
      guard let port = visible.port(number), port.protocol.isHTTP else { continue }
      known.insert(visible.host)
      list.append(hosts.service(visible, port: port, sink: &sink))
    }
    for host in rules.hosts(on: number) { ruleHost(host, port: number, &list, &sink) }
    return configuration(String(number), list, fallback: fallback(sink: &sink))
  }

  /// `reviews.default.svc.cluster.local:9080`: one host, whatever name the client uses.
  func upstream(host: String, port: UInt16, authority: String?, sink: inout RouteSink) -> RouteConfiguration {
    var virtualHost = hosts.host(host, port: port, authority: authority, clusterHost: host, sink: &sink)
    if let service = scope.destination(host) { sink.origins += service.service.origins }
    virtualHost.domains = ["*"]
    return configuration(ResourceName.virtualHost(host, port), [virtualHost], fallback: nil)
  }

  /// `http_proxy`: every HTTP service by `name:port`, and by name alone on port 80; all others by CONNECT.
  func forwardProxy(services: [VisibleService], sink: inout RouteSink) -> RouteConfiguration {
    var list: [VirtualHost] = []
    for visible in services {
      let names = hosts.names(of: visible.service)
      for port in visible.ports where port.protocol != .udp {
        var domains = names.map { "\($0):\(port.number)" }
        guard port.protocol.isHTTP else {
          list.append(ConnectRoutes(scope: scope).host(visible, port: port, domains: domains, sink: &sink))
          continue
        }
        if port.number == 80 { domains += names }
        list.append(hosts.service(visible, port: port, domains: domains, sink: &sink))
      }
    }
    // A name alone means port 80.
    let rules = RuleHosts(scope, services: services)
    for port in rules.ports.union([80]).sorted() {
      for host in port == 80 ? rules.all : rules.hosts(on: port) {
        let before = list.count
        ruleHost(host, port: port, &list, &sink)
        guard list.count > before else { continue }
        let named = Hostname.isWildcard(host) ? [] : ["\(host):\(port)"]
        list[before].domains = port == 80 ? [host] + named : named
      }
    }
    list.removeAll { $0.domains.isEmpty }
    // There is no original destination to pass through to: what nobody knows is refused.
    var configuration = configuration(ResourceName.httpProxyRoutes, list, fallback: Self.blockAll)
    configuration.ignorePortInHostMatching = false
    return configuration
  }

  /// Adds a host that a rule has and no visible service.
  private func ruleHost(_ host: String, port: UInt16, _ list: inout [VirtualHost], _ sink: inout RouteSink) {
    var virtualHost = VirtualHost()
    virtualHost.name = ResourceName.virtualHost(host, port)
    virtualHost.includeRequestAttemptCount = true
    virtualHost.domains = [host]
    virtualHost.routes = hosts.ruleRoutes(host, port: port, sink: &sink)
    // Nothing for this proxy and port: the host stays unknown here.
    if !virtualHost.routes.isEmpty { list.append(virtualHost) }
  }

  /// A table that answers every request with 502.
  static func refusingAll(_ name: String) -> RouteConfiguration {
    var configuration = RouteConfiguration()
    configuration.name = name
    configuration.virtualHosts = [blockAll]
    configuration.validateClusters = Google_Protobuf_BoolValue(false)
    return configuration
  }

  private func configuration(
    _ name: String, _ hosts: [VirtualHost], fallback: VirtualHost?
  ) -> RouteConfiguration {
    var configuration = RouteConfiguration()
    configuration.name = name
    // Services that are older come first and keep a domain that two have; then names decide the order.
    configuration.virtualHosts = VirtualHosts.deduplicated(hosts).sorted { $0.name < $1.name }
    if let fallback { configuration.virtualHosts.append(fallback) }
    configuration.validateClusters = Google_Protobuf_BoolValue(false)
    configuration.ignorePortInHostMatching = true
    configuration.maxDirectResponseBodySizeBytes = Self.bodyLimit
    return configuration
  }

  /// What happens to hosts that nobody knows.
  private func fallback(sink: inout RouteSink) -> VirtualHost {
    guard scope.allowsUnknownHosts else { return Self.blockAll }
    var action = RouteAction()
    action.clusterSpecifier = .cluster(ResourceName.passthrough)
    action.setTimeout(Google_Protobuf_Duration.none)
    var route = Route()
    route.name = "allow_any"
    route.match = .everything
    route.action = .route(action)
    var host = VirtualHost()
    host.name = "allow_any"
    host.domains = ["*"]
    host.routes = [route]
    host.includeRequestAttemptCount = true
    return host
  }

  private static var blockAll: VirtualHost {
    var action = Envoy_Config_Route_V3_DirectResponseAction()
    action.status = 502
    var route = Route()
    route.name = "block_all"
    route.match = .everything
    route.action = .directResponse(action)
    var host = VirtualHost()
    host.name = "block_all"
    host.domains = ["*"]
    host.routes = [route]
    host.includeRequestAttemptCount = true
    return host
  }

  /// The inline routes of an inbound listener: everything to the application, without time-outs of its own.
  static func inbound(cluster: String, service: Service?, port: UInt16) -> RouteConfiguration {
    var limits = RouteAction.MaxStreamDuration()
    limits.maxStreamDuration = Google_Protobuf_Duration.none
    limits.grpcTimeoutHeaderMax = Google_Protobuf_Duration.none
    var action = RouteAction()
    action.clusterSpecifier = .cluster(cluster)
    action.timeout = Google_Protobuf_Duration.none
    action.maxStreamDuration = limits
    // The keep-alive race with the application: nothing was sent, so it may be sent again.
    var retry = RetryPolicy()
    retry.retryOn = "reset-before-request"
    retry.numRetries = Google_Protobuf_UInt32Value(2)
    action.retryPolicy = retry
    var route = Route()
    route.name = "default"
    route.match = .everything
    route.action = .route(action)
    if let service {
      var decorator = Envoy_Config_Route_V3_Decorator()
      decorator.operation = "\(service.host):\(port)/*"
      route.decorator = decorator
    }
    var host = VirtualHost()
    host.name = "inbound|http|\(port)"
    host.domains = ["*"]
    host.routes = [route]
    var configuration = RouteConfiguration()
    configuration.name = cluster
    configuration.virtualHosts = [host]
    configuration.validateClusters = Google_Protobuf_BoolValue(false)
    return configuration
  }
}
