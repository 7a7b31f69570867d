import WeftControlAPI
import WeftKinds
import WeftProtobuf
import WeftXDSMessages

/// Outbound listeners by port, as Istio makes them for captured traffic: `0.0.0.0_<port>` shared by the HTTP services of a
/// port, `<VIP>_<port>` per TCP service, and `virtualOutbound` that hands connections to them.
struct CapturedListeners {
  let scope: ProxyScope
  private var accessLogPath: String { scope.proxy.universal.accessLogPath }
  private var isBound: Bool { scope.proxy.interception == .none }

  static let outboundPort = UInt16(CapturePorts.outbound)
  static let inboundPort = UInt16(CapturePorts.inbound)

  private struct Key: Hashable, Comparable {
    var address: String
    var port: UInt16
    static func < (a: Key, b: Key) -> Bool { (a.address, a.port) < (b.address, b.port) }
  }

  /// What one address and port has to serve, collected over services.
  private struct Draft {
    var isHTTP = false
    /// TCP and TLS services; the first without a finer match takes the rest.
    var chains = FilterChainSet()
    var origins: [Origin] = []
    /// Who made a chain, by its statistics prefix.
    var makers: [String: [Origin]] = [:]
  }

  func addOutbound(services: [VisibleService], to resources: inout ProxyResources) -> RouteSink {
    var sink = RouteSink()
    var drafts: [Key: Draft] = [:]
    for visible in services {
      for port in visible.ports where port.protocol != .udp {
        // The listener that takes in everything stands there; traffic to the port would come back to it.
        if !isBound, port.number == Self.outboundPort || port.number == Self.inboundPort {
          sink.issues += visible.service.origins.prefix(1).map {
            TranslationIssue(
              $0, "spec.ports", "port \(port.number) is the port of proxies that capture traffic; it is left out")
          }
          continue
        }
        if port.protocol.isHTTP {
          drafts[Key(address: "0.0.0.0", port: port.number), default: Draft()].isHTTP = true
        } else {
          collectL4(visible, port, &drafts, &sink)
        }
        sink.destinations.insert(RouteSink.Destination(host: visible.host, port: port.number, subset: ""))
      }
    }
    let rules = RuleHosts(scope, services: services)
    for key in drafts.keys.sorted() {
      guard let draft = drafts[key] else { continue }
      if draft.isHTTP { addRoutes(port: key.port, services: services, rules, &sink, to: &resources) }
      addListener(key, draft, to: &resources)
    }
    if !isBound { addVirtualOutbound(to: &resources) }
    return sink
  }

  private func addRoutes(
    port: UInt16, services: [VisibleService], _ rules: RuleHosts, _ sink: inout RouteSink,
    to resources: inout ProxyResources
  ) {
    var own = RouteSink()
    let configuration = RouteConfigurations(scope: scope).port(port, services: services, rules: rules, sink: &own)
    resources.add(.route, configuration.name, configuration, origins: own.origins, makers: own.makers)
    sink.merge(own)
  }

  private func collectL4(
    _ visible: VisibleService, _ port: ServicePort, _ drafts: inout [Key: Draft], _ sink: inout RouteSink
  ) {
    let service = visible.service
    let cluster = ResourceName.outbound(port: port.number, host: service.host)
    var chains: [L4Routes.Chain] = []
    if let rule = scope.meshRule(for: service.host) {
      sink.considered.insert(rule.key)
      let routes = L4Routes(context: RouteContext(scope: scope, port: port.number, gateway: nil), rule: rule)
      chains = port.protocol.isTLS ? routes.tls(&sink) : routes.tcp(&sink)
    }
    let isRuled = !chains.isEmpty
    if !isRuled { chains = [L4Routes.Chain(shares: [scope.share(of: service.host, port: port.number)])] }
    let plain = service.addresses.filter { !$0.contains("/") }
    let networks = service.addresses.filter { $0.contains("/") }
    var places = plain.map { (Key(address: $0, port: port.number), [String]()) }
    if plain.isEmpty || !networks.isEmpty { places.append((Key(address: "0.0.0.0", port: port.number), networks)) }
    for (key, subnets) in places {
      var draft = drafts[key] ?? Draft()
      draft.origins += service.origins
      draft.makers[cluster] = service.origins
      for chain in chains {
        var built = FilterChain()
        built.filters = [TCPFilters.filter(chain.shares, statPrefix: cluster, accessLogPath: accessLogPath)]
        // A virtual address names the service already; elsewhere several share the port, and the server name tells.
        let tells = !isRuled && port.protocol.isTLS && key.address == "0.0.0.0"
        draft.chains.add(
          built, serverNames: tells ? [service.host] : chain.serverNames,
          networks: chain.subnets.isEmpty ? subnets : chain.subnets)
      }
      drafts[key] = draft
    }
  }

  private func addListener(_ key: Key, _ draft: Draft, to resources: inout ProxyResources) {
    var listener = Listener()
    listener.name = ResourceName.listener(key.address, key.port)
    listener.address = .of(key.address, port: key.port)
    listener.trafficDirection = .outbound
    if !isBound { listener.bindToPort = Google_Protobuf_BoolValue(false) }
    let shared = draft.chains
    if shared.looksAtServerNames { listener.listenerFilters.append(.tlsInspector) }
    listener.filterChains = shared.chains
    if draft.isHTTP {
      var http = FilterChain()
      http.filters = [
        HTTPConnectionManagers(side: .outbound, accessLogPath: accessLogPath).filter(
          statPrefix: "outbound_\(listener.name)", routes: .named(String(key.port)))
      ]
      if !shared.isEmpty {
        // HTTP and TCP on one port: the first bytes decide.
        var match = FilterChainMatch()
        match.transportProtocol = "raw_buffer"
        match.applicationProtocols = ["http/1.0", "http/1.1", "h2c"]
        http.filterChainMatch = match
        listener.listenerFilters.append(.httpInspector)
        listener.listenerFiltersTimeout = Google_Protobuf_Duration(seconds: 5)
        listener.continueOnListenerFiltersTimeout = true
      }
      listener.filterChains.append(http)
    }
    if listener.filterChains.isEmpty, let only = shared.fallback {
      listener.filterChains = [only]
    } else if !shared.isEmpty {
      // What no chain asks for goes where it would go without this listener.
      listener.defaultFilterChain = shared.fallback ?? fallbackChain(name: "PassthroughFilterChain")
    }
    resources.add(.listener, listener.name, listener, origins: draft.origins, makers: draft.makers)
  }

  private func fallbackChain(name: String) -> FilterChain {
    var chain = FilterChain()
    chain.name = name
    let cluster = scope.allowsUnknownHosts ? ResourceName.passthrough : ResourceName.blackHole
    chain.filters = [TCPFilters.filter(cluster: cluster, accessLogPath: accessLogPath)]
    return chain
  }

  private func addVirtualOutbound(to resources: inout ProxyResources) {
    var loop = FilterChain()
    loop.name = "virtualOutbound-blackhole"
    var match = FilterChainMatch()
    match.destinationPort = Google_Protobuf_UInt32Value(UInt32(Self.outboundPort))
    loop.filterChainMatch = match
    loop.filters = [TCPFilters.filter(cluster: ResourceName.blackHole, accessLogPath: "")]
    var listener = Listener()
    listener.name = "virtualOutbound"
    listener.address = .of("0.0.0.0", port: Self.outboundPort)
    listener.trafficDirection = .outbound
    listener.useOriginalDst = Google_Protobuf_BoolValue(true)
    listener.filterChains = [loop, fallbackChain(name: "virtualOutbound-catchall-tcp")]
    resources.add(.listener, listener.name, listener, origins: [])
  }

  static func range(_ text: String) -> Envoy_Config_Core_V3_CidrRange? {
    var range = Envoy_Config_Core_V3_CidrRange()
    let parts = text.split(separator: "/", maxSplits: 1).map(String.init)
    guard let address = parts.first else { return nil }
    range.addressPrefix = address
    let full: UInt32 = address.contains(":") ? 128 : 32
    if parts.count == 2 {
      guard let length = UInt32(parts[1]), length <= full else { return nil }
      range.prefixLen = Google_Protobuf_UInt32Value(length)
    } else {
      range.prefixLen = Google_Protobuf_UInt32Value(full)
    }
    return range
  }
}
