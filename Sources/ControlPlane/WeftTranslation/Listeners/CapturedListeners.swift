import WeftControlAPI
import WeftKinds
import WeftProtobuf
import WeftXDS

/// Outbound listeners by port, as Istio makes them for captured traffic: `0.0.0.0_<port>` shared by the HTTP services of a
/// port, `<VIP>_<port>` per TCP service, and `virtualOutbound` that hands connections to them.
struct CapturedListeners {
  let scope: ProxyScope
  private var accessLogPath: String { scope.proxy.universal.accessLogPath }
  private var isBound: Bool { scope.proxy.interception == .none }

  static let outboundPort: UInt16 = 15001
  static let inboundPort: UInt16 = 15006

  private struct Key: Hashable, Comparable {
    var address: String
    var port: UInt16
    static func < (a: Key, b: Key) -> Bool { (a.address, a.port) < (b.address, b.port) }
  }

  /// What one address and port has to serve, collected over services.
  private struct Draft {
    var isHTTP = false
    var tlsChains: [FilterChain] = []
    var tcpChains: [FilterChain] = []
    /// The first TCP service without a finer match.
    var tcpDefault: FilterChain?
    var origins: [Origin] = []
  }

  func addOutbound(services: [VisibleService], to resources: inout ProxyResources) -> RouteSink {
    var sink = RouteSink()
    var drafts: [Key: Draft] = [:]
    for visible in services {
      for port in visible.ports where port.protocol != .udp {
        if port.protocol.isHTTP {
          drafts[Key(address: "0.0.0.0", port: port.number), default: Draft()].isHTTP = true
        } else {
          collectL4(visible, port, &drafts, &sink)
        }
        sink.destinations.insert(RouteSink.Destination(host: visible.host, port: port.number, subset: ""))
      }
    }
    for key in drafts.keys.sorted() {
      guard let draft = drafts[key] else { continue }
      if draft.isHTTP { addRoutes(port: key.port, services: services, &sink, to: &resources) }
      addListener(key, draft, to: &resources)
    }
    if !isBound { addVirtualOutbound(to: &resources) }
    return sink
  }

  private func addRoutes(
    port: UInt16, services: [VisibleService], _ sink: inout RouteSink, to resources: inout ProxyResources
  ) {
    var own = RouteSink()
    let configuration = RouteConfigurations(scope: scope).port(port, services: services, sink: &own)
    resources.add(.route, configuration.name, configuration, origins: own.origins)
    sink.origins += own.origins
    sink.destinations.formUnion(own.destinations)
    sink.issues += own.issues
  }

  private func collectL4(
    _ visible: VisibleService, _ port: ServicePort, _ drafts: inout [Key: Draft], _ sink: inout RouteSink
  ) {
    let service = visible.service
    let cluster = ResourceName.outbound(port: port.number, host: service.host)
    var chains: [L4Routes.Chain] = []
    if let rule = scope.meshRule(for: service.host) {
      let routes = L4Routes(context: RouteContext(scope: scope, port: port.number, gateway: nil), rule: rule)
      chains = port.protocol.isTLS ? routes.tls(&sink) : routes.tcp(&sink)
    }
    if chains.isEmpty {
      chains = [L4Routes.Chain(shares: [TCPFilters.Share(cluster: cluster, weight: 1)])]
      if port.protocol.isTLS { chains[0].serverNames = [service.host] }
    }
    let plain = service.addresses.filter { !$0.contains("/") }
    let networks = service.addresses.filter { $0.contains("/") }
    var places = plain.map { (Key(address: $0, port: port.number), [String]()) }
    if plain.isEmpty || !networks.isEmpty { places.append((Key(address: "0.0.0.0", port: port.number), networks)) }
    for (key, subnets) in places {
      var draft = drafts[key] ?? Draft()
      draft.origins += service.origins
      for chain in chains {
        var built = FilterChain()
        built.filters = [TCPFilters.filter(chain.shares, statPrefix: cluster, accessLogPath: accessLogPath)]
        var match = FilterChainMatch()
        match.serverNames = chain.serverNames.filter { $0 != "*" }
        match.prefixRanges = (chain.subnets.isEmpty ? subnets : chain.subnets).compactMap { Self.range($0) }
        if !match.serverNames.isEmpty {
          match.transportProtocol = "tls"
          built.filterChainMatch = match
          draft.tlsChains.append(built)
        } else if !match.prefixRanges.isEmpty {
          built.filterChainMatch = match
          draft.tcpChains.append(built)
        } else if draft.tcpDefault == nil {
          draft.tcpDefault = built
        }
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
    let tcpChains = Self.unique(draft.tlsChains + draft.tcpChains)
    if !draft.tlsChains.isEmpty { listener.listenerFilters.append(.tlsInspector) }
    if draft.isHTTP {
      var http = FilterChain()
      http.filters = [
        HTTPConnectionManagers(side: .outbound, accessLogPath: accessLogPath).filter(
          statPrefix: "outbound_\(listener.name)", routes: .named(String(key.port)))
      ]
      if !tcpChains.isEmpty || draft.tcpDefault != nil {
        // HTTP and TCP on one port: the first bytes decide.
        var match = FilterChainMatch()
        match.transportProtocol = "raw_buffer"
        match.applicationProtocols = ["http/1.0", "http/1.1", "h2c"]
        http.filterChainMatch = match
        listener.listenerFilters.append(.httpInspector)
        listener.listenerFiltersTimeout = Google_Protobuf_Duration(seconds: 5)
        listener.continueOnListenerFiltersTimeout = true
      }
      listener.filterChains = tcpChains + [http]
      listener.defaultFilterChain = draft.tcpDefault
    } else {
      listener.filterChains = tcpChains
      if let only = draft.tcpDefault {
        if tcpChains.isEmpty { listener.filterChains = [only] } else { listener.defaultFilterChain = only }
      } else if key.address == "0.0.0.0" {
        listener.defaultFilterChain = fallbackChain(name: "PassthroughFilterChain")
      }
    }
    resources.add(.listener, listener.name, listener, origins: draft.origins)
  }

  /// Two services that ask for the same match cannot both have it: the older keeps it.
  private static func unique(_ chains: [FilterChain]) -> [FilterChain] {
    var seen: Set<[UInt8]> = []
    return chains.filter { seen.insert($0.filterChainMatch?.serialized() ?? []).inserted }
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
