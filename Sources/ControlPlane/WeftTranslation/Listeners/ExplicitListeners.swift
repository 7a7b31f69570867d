import WeftControlAPI
import WeftKinds
import WeftProtobuf
import WeftXDS

/// The listeners an agent asks for: one per port of the application, one per upstream, one forward proxy.
struct ExplicitListeners {
  let scope: ProxyScope
  private var bindings: UniversalBindings { scope.proxy.universal }

  // MARK: Inbound

  func addInbound(to resources: inout ProxyResources) {
    let workload = scope.snapshot.workload(id: scope.proxy.workload, namespace: scope.namespace)
    resources.dependencies.workload = scope.proxy.workloadKey
    for entry in bindings.inbound {
      let registered = workload?.ports.first { $0.number == entry.port }
      let spoken = entry.protocol != .unknown ? entry.protocol : registered?.protocol ?? .http
      let service = workload.flatMap {
        scope.snapshot.services.service($0.host(domain: scope.domain), seenFrom: $0.namespace)
      }
      let cluster = InboundCluster(
        port: entry.port, target: .fixed(address: entry.application.address, port: entry.application.port),
        spoken: spoken, service: service)
      let origins = workload.map { [$0.origin] } ?? []
      let name = ResourceName.inbound(port: entry.port)
      resources.add(.cluster, name, cluster.message(scope.snapshot.mesh), origins: origins)
      var chain = FilterChain()
      if spoken.isHTTP {
        let manager = HTTPConnectionManagers(side: .inbound, accessLogPath: bindings.accessLogPath)
        let routes = RouteConfigurations.inbound(cluster: name, service: service, port: entry.port)
        chain.filters = [
          manager.filter(statPrefix: "inbound_\(entry.listen.listenerName)", routes: .inline(routes))
        ]
      } else {
        chain.filters = [TCPFilters.filter(cluster: name, accessLogPath: bindings.accessLogPath)]
      }
      add(entry.listen, direction: .inbound, chains: [chain], origins: origins, to: &resources)
    }
  }

  // MARK: Outbound

  /// *Returns* what the routes lead to.
  func addUpstreams(to resources: inout ProxyResources) -> RouteSink {
    var all = RouteSink()
    for upstream in bindings.upstreams {
      var sink = RouteSink()
      let host = Hostname.resolve(upstream.host, namespace: scope.namespace, domain: scope.domain)
      // A service that nobody knows yet is taken for HTTP: the listener is there before its upstream.
      let port = scope.service(host)?.port(upstream.port)
      let spoken = port?.protocol ?? .http
      var chain = FilterChain()
      if spoken.isHTTP {
        let name = ResourceName.virtualHost(host, upstream.port)
        let configuration = RouteConfigurations(scope: scope).upstream(
          host: host, port: upstream.port, authority: "\(host):\(upstream.port)", sink: &sink)
        resources.add(.route, name, configuration, origins: sink.origins)
        chain.filters = [
          HTTPConnectionManagers(side: .outbound, accessLogPath: bindings.accessLogPath).filter(
            statPrefix: "outbound_\(upstream.listen.listenerName)", routes: .named(name))
        ]
      } else {
        var shares: [TCPFilters.Share] = []
        if let rule = scope.meshRule(for: host) {
          let routes = L4Routes(
            context: RouteContext(scope: scope, port: upstream.port, gateway: nil), rule: rule)
          shares = (routes.tcp(&sink) + routes.tls(&sink)).first?.shares ?? []
        }
        let name = ResourceName.outbound(port: upstream.port, host: host)
        if shares.isEmpty {
          sink.destinations.insert(RouteSink.Destination(host: host, port: upstream.port, subset: ""))
          shares = [TCPFilters.Share(cluster: name, weight: 1)]
        }
        chain.filters = [
          TCPFilters.filter(shares, statPrefix: name, accessLogPath: bindings.accessLogPath)
        ]
      }
      add(upstream.listen, direction: .outbound, chains: [chain], origins: sink.origins, to: &resources)
      all.origins += sink.origins
      all.destinations.formUnion(sink.destinations)
      all.destinations.insert(RouteSink.Destination(host: host, port: upstream.port, subset: ""))
      all.issues += sink.issues
    }
    return all
  }

  func addForwardProxy(services: [VisibleService], to resources: inout ProxyResources) -> RouteSink {
    var sink = RouteSink()
    guard let binding = bindings.httpProxy else { return sink }
    let configuration = RouteConfigurations(scope: scope).forwardProxy(services: services, sink: &sink)
    resources.add(.route, ResourceName.httpProxyRoutes, configuration, origins: sink.origins)
    var chain = FilterChain()
    chain.filters = [
      HTTPConnectionManagers(side: .outbound, accessLogPath: bindings.accessLogPath).filter(
        statPrefix: ResourceName.httpProxyRoutes, routes: .named(ResourceName.httpProxyRoutes))
    ]
    add(binding, direction: .outbound, chains: [chain], origins: [], to: &resources)
    return sink
  }

  private func add(
    _ binding: UniversalBindings.Binding, direction: Envoy_Config_Core_V3_TrafficDirection, chains: [FilterChain],
    origins: [Origin], to resources: inout ProxyResources
  ) {
    var listener = Listener()
    listener.name = binding.listenerName
    listener.address = .of(binding.address, port: binding.port)
    listener.trafficDirection = direction
    listener.filterChains = chains
    resources.add(.listener, listener.name, listener, origins: origins)
  }
}
