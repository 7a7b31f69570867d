import WeftControlAPI
import WeftKinds
import WeftProtobuf
import WeftXDSMessages

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
      var chains = FilterChainSet()
      chains.add(chain, serverNames: [], networks: [])
      add(entry.listen, direction: .inbound, chains, origins: origins, to: &resources)
    }
  }

  // MARK: Outbound

  /// The listener and routes of one upstream. *Returns* what the routes lead to.
  func add(_ upstream: UniversalBindings.Upstream, to resources: inout ProxyResources) -> RouteSink {
    var sink = RouteSink()
    let (host, alternatives) = scope.upstreamHost(upstream.host)
    sink.awaited = alternatives
    // A service that nobody knows yet is taken for HTTP: the listener is there before its upstream.
    let spoken = scope.destination(host)?.port(upstream.port)?.protocol ?? .http
    var chains = FilterChainSet()
    if scope.isHidden(host, port: upstream.port) {
      addHidden(host, upstream, spoken, &sink, to: &resources)
      return sink
    }
    if spoken.isHTTP {
      let name = ResourceName.virtualHost(host, upstream.port)
      let configuration = RouteConfigurations(scope: scope).upstream(
        host: host, port: upstream.port, authority: "\(host):\(upstream.port)", sink: &sink)
      resources.add(.route, name, configuration, origins: sink.origins, makers: sink.makers)
      var chain = FilterChain()
      chain.filters = [
        HTTPConnectionManagers(side: .outbound, accessLogPath: bindings.accessLogPath).filter(
          statPrefix: "outbound_\(upstream.listen.listenerName)", routes: .named(name))
      ]
      chains.add(chain, serverNames: [], networks: [])
    } else {
      addL4(host, upstream.port, isTLS: spoken.isTLS, &chains, &sink)
    }
    add(upstream.listen, direction: .outbound, chains, origins: sink.origins, to: &resources)
    sink.destinations.insert(RouteSink.Destination(host: host, port: upstream.port, subset: ""))
    return sink
  }

  /// An upstream that the proxy's Sidecar does not import: its port is there, and leads nowhere.
  private func addHidden(
    _ host: String, _ upstream: UniversalBindings.Upstream, _ spoken: PortProtocol, _ sink: inout RouteSink,
    to resources: inout ProxyResources
  ) {
    // The service, once it is imported.
    sink.awaited.insert(host)
    var chain = FilterChain()
    if spoken.isHTTP {
      let name = ResourceName.virtualHost(host, upstream.port)
      resources.add(.route, name, RouteConfigurations.refusingAll(name), origins: [])
      chain.filters = [
        HTTPConnectionManagers(side: .outbound, accessLogPath: bindings.accessLogPath).filter(
          statPrefix: "outbound_\(upstream.listen.listenerName)", routes: .named(name))
      ]
    } else {
      resources.add(.cluster, ResourceName.blackHole, FixedClusters.blackHole(scope.snapshot.mesh), origins: [])
      chain.filters = [
        TCPFilters.filter(cluster: ResourceName.blackHole, accessLogPath: bindings.accessLogPath)
      ]
    }
    var chains = FilterChainSet()
    chains.add(chain, serverNames: [], networks: [])
    add(upstream.listen, direction: .outbound, chains, origins: [], to: &resources)
    guard let sidecar = scope.sidecar else { return }
    sink.issues.append(
      TranslationIssue(
        sidecar.origin, "spec.egress",
        "does not import port \(upstream.port) of \(host), which the proxy has as an upstream; it leads nowhere"))
  }

  /// The chains of the rule that governs the host; its own cluster for what they leave over.
  private func addL4(
    _ host: String, _ port: UInt16, isTLS: Bool, _ chains: inout FilterChainSet, _ sink: inout RouteSink
  ) {
    let cluster = ResourceName.outbound(port: port, host: host)
    func chain(_ shares: [TCPFilters.Share]) -> FilterChain {
      var chain = FilterChain()
      chain.filters = [TCPFilters.filter(shares, statPrefix: cluster, accessLogPath: bindings.accessLogPath)]
      return chain
    }
    if let rule = scope.meshRule(for: host) {
      sink.considered.insert(rule.key)
      let routes = L4Routes(context: RouteContext(scope: scope, port: port, gateway: nil), rule: rule)
      // The application calls a local address: routes for some destination networks do not concern it.
      for route in isTLS ? routes.tls(&sink) : routes.tcp(&sink) where route.subnets.isEmpty {
        chains.add(chain(route.shares), serverNames: route.serverNames, networks: [])
      }
    }
    chains.add(chain([scope.share(of: host, port: port)]), serverNames: [], networks: [])
  }

  func addForwardProxy(
    _ binding: UniversalBindings.Binding, services: [VisibleService], to resources: inout ProxyResources
  ) -> RouteSink {
    var sink = RouteSink()
    let configuration = RouteConfigurations(scope: scope).forwardProxy(services: services, sink: &sink)
    resources.add(
      .route, ResourceName.httpProxyRoutes, configuration, origins: sink.origins, makers: sink.makers)
    var chain = FilterChain()
    chain.filters = [
      HTTPConnectionManagers(side: .outbound, accessLogPath: bindings.accessLogPath).filter(
        statPrefix: ResourceName.httpProxyRoutes, routes: .named(ResourceName.httpProxyRoutes))
    ]
    var chains = FilterChainSet()
    chains.add(chain, serverNames: [], networks: [])
    add(binding, direction: .outbound, chains, origins: [], to: &resources)
    return sink
  }

  private func add(
    _ binding: UniversalBindings.Binding, direction: Envoy_Config_Core_V3_TrafficDirection, _ chains: FilterChainSet,
    origins: [Origin], to resources: inout ProxyResources
  ) {
    var listener = Listener()
    listener.name = binding.listenerName
    listener.address = .of(binding.address, port: binding.port)
    listener.trafficDirection = direction
    if chains.looksAtServerNames { listener.listenerFilters = [.tlsInspector] }
    listener.filterChains = chains.chains
    if chains.chains.isEmpty, let only = chains.fallback {
      listener.filterChains = [only]
    } else {
      listener.defaultFilterChain = chains.fallback
    }
    resources.add(.listener, listener.name, listener, origins: origins)
  }
}
