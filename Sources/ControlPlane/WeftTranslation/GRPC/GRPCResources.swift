import WeftBase
import WeftControlAPI
import WeftKinds
import WeftProtobuf
import WeftXDSMessages

/// Resources for gRPC's own xDS clients and servers: by name only, each step named by the one before
/// (listener → routes → clusters → endpoints).
struct GRPCResources {
  let scope: ProxyScope
  let interest: Interest

  func add(to resources: inout ProxyResources) {
    var sink = RouteSink()
    for name in interest.names(.listener).sorted() {
      if name.hasPrefix(ResourceName.grpcInboundPrefix) {
        addServer(name, to: &resources)
      } else {
        addTarget(name, to: &resources)
      }
    }
    for name in interest.names(.route).sorted() { addRoutes(name, &sink, to: &resources) }
    var hosts: Set<String> = []
    var clusters: [(port: UInt16, host: String)] = []
    for name in (interest.names(.cluster).union(interest.names(.endpoint))).sorted() {
      guard let (port, _, host) = ResourceName.parseOutbound(name) else { continue }
      hosts.insert(host)
      if !clusters.contains(where: { $0.port == port && $0.host == host }) { clusters.append((port, host)) }
    }
    for (number, host) in clusters {
      guard let visible = scope.destination(host), let port = visible.port(number) else { continue }
      let made = OutboundClusters(scope: scope, service: visible.service)
      resources.dependencies.considered.formUnion(made.policy.considered)
      made.add(port: port, to: &resources)
    }
    hosts.formUnion(sink.destinations.map(\.host))
    for name in interest.names(.listener).union(interest.names(.route)) {
      guard let place = HostPort(name) else { continue }
      let (full, alternatives) = scope.upstreamHost(place.host)
      hosts.insert(full)
      hosts.formUnion(alternatives)
    }
    resources.dependencies.hosts = .only(hosts)
    resources.dependencies.objects.formUnion(sink.origins.map(\.key))
    resources.dependencies.considered.formUnion(sink.considered)
    resources.issues += sink.issues
  }

  /// `host:port`, short hosts in the client's namespace.
  private func target(_ name: String) -> (host: String, port: UInt16)? {
    HostPort(name).map { (scope.upstreamHost($0.host).host, $0.port) }
  }

  /// The listener that an `xds:///host:port` client asks for; none when there is no such service.
  private func addTarget(_ name: String, to resources: inout ProxyResources) {
    guard let (host, port) = target(name), let visible = scope.service(host), visible.port(port) != nil else { return }
    let manager = HTTPConnectionManagers(side: .grpc, accessLogPath: "").message(
      statPrefix: name, routes: .named(ResourceName.virtualHost(host, port)))
    var api = Envoy_Config_Listener_V3_ApiListener()
    api.apiListener = Google_Protobuf_Any(packing: manager)
    var listener = Listener()
    listener.name = name
    listener.apiListener = api
    resources.add(.listener, name, listener, origins: visible.service.origins)
  }

  private func addRoutes(_ name: String, _ sink: inout RouteSink, to resources: inout ProxyResources) {
    guard let (host, port) = target(name), scope.service(host) != nil else { return }
    var own = RouteSink()
    var configuration = RouteConfigurations(scope: scope).upstream(host: host, port: port, authority: nil, sink: &own)
    for index in configuration.virtualHosts.indices {
      configuration.virtualHosts[index].routes = configuration.virtualHosts[index].routes.map(Self.plain)
    }
    resources.add(.route, name, configuration, origins: own.origins, makers: own.makers)
    sink.merge(own)
  }

  /// A gRPC library takes time limits from `max_stream_duration` and knows retries on a few statuses only.
  private static func plain(_ route: Route) -> Route {
    guard case .route(var action) = route.action else { return route }
    action.maxStreamDuration = nil
    action.maxGrpcTimeout = nil
    if let timeout = action.timeout, timeout.totalNanoseconds ?? 0 > 0 {
      var limits = RouteAction.MaxStreamDuration()
      limits.maxStreamDuration = timeout
      action.maxStreamDuration = limits
    }
    action.timeout = nil
    if let retry = action.retryPolicy {
      let known = ["cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"]
      let words = retry.retryOn.split(separator: ",").map(String.init).filter { known.contains($0) }
      if words.isEmpty {
        action.retryPolicy = nil
      } else {
        var policy = RetryPolicy()
        policy.retryOn = words.joined(separator: ",")
        policy.numRetries = retry.numRetries
        policy.retryBackOff = retry.retryBackOff
        action.retryPolicy = policy
      }
    }
    var route = route
    route.action = .route(action)
    return route
  }

  /// The listener of an xDS-enabled server: `xds.istio.io/grpc/lds/inbound/<address>:<port>`, everything to itself.
  private func addServer(_ name: String, to resources: inout ProxyResources) {
    guard let place = HostPort(name.dropFirst(ResourceName.grpcInboundPrefix.count)) else { return }
    var route = Route()
    route.match = .everything
    route.action = .nonForwardingAction(Envoy_Config_Route_V3_NonForwardingAction())
    var virtualHost = VirtualHost()
    virtualHost.name = "inbound|http|\(place.port)"
    virtualHost.domains = ["*"]
    virtualHost.routes = [route]
    var configuration = RouteConfiguration()
    configuration.name = ResourceName.inbound(port: place.port)
    configuration.virtualHosts = [virtualHost]
    let manager = HTTPConnectionManagers(side: .grpc, accessLogPath: "")
    var chain = FilterChain()
    chain.name = "inbound"
    chain.filters = [manager.filter(statPrefix: "inbound_\(place.port)", routes: .inline(configuration))]
    var listener = Listener()
    listener.name = name
    listener.address = .of(place.host, port: place.port)
    listener.trafficDirection = .inbound
    listener.filterChains = [chain]
    resources.add(.listener, name, listener, origins: [])
  }
}
