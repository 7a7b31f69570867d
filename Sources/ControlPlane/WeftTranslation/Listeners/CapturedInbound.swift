import WeftBase
import WeftControlAPI
import WeftKinds
import WeftProtobuf
import WeftXDSMessages

/// `virtualInbound` and what a Sidecar's ingress asks for.
struct CapturedInbound {
  let scope: ProxyScope
  private var accessLogPath: String { scope.proxy.universal.accessLogPath }

  private struct Port {
    var number: UInt16
    var spoken: PortProtocol
    var target: InboundCluster.Target
    var service: Service?
    var origins: [Origin]
    var security = Security.none
  }

  /// What a client must do before anything is read.
  private enum Security {
    case none
    case tls(Envoy_Config_Core_V3_TransportSocket)
    /// TLS is asked for and cannot be given: nothing is let in.
    case closed
  }

  func add(to resources: inout ProxyResources) {
    let ingress = scope.sidecar?.spec.ingress ?? []
    if !ingress.isEmpty, let sidecar = scope.sidecar {
      addIngress(ingress, sidecar.origin, to: &resources)
    } else if scope.proxy.interception != .none {
      let ports = ports()
      resources.dependencies.inboundAddresses = Set(scope.proxy.addresses)
      resources.dependencies.inboundHosts = Set(ports.compactMap(\.service?.host))
      addVirtualInbound(ports, to: &resources)
    }
  }

  /// The ports of services of which this proxy is an instance, by its addresses.
  private func ports() -> [Port] {
    var result: [UInt16: Port] = [:]
    for service in scope.snapshot.services.services(in: scope.namespace) {
      for instance in service.instances where scope.proxy.addresses.contains(instance.address) {
        for port in service.ports {
          guard let number = instance.ports[port.number], number != CapturedListeners.inboundPort, result[number] == nil
          else { continue }
          result[number] = Port(
            number: number, spoken: port.protocol, target: .original, service: service, origins: service.origins)
        }
      }
    }
    return result.values.sorted { $0.number < $1.number }
  }

  private func addVirtualInbound(_ ports: [Port], to resources: inout ProxyResources) {
    let mesh = scope.snapshot.mesh
    resources.add(
      .cluster, ResourceName.inboundPassthrough, FixedClusters.inboundPassthrough(mesh), origins: [])
    var loop = FilterChain()
    loop.name = "virtualInbound-blackhole"
    loop.filterChainMatch = Self.match(port: CapturedListeners.inboundPort)
    loop.filters = [TCPFilters.filter(cluster: ResourceName.blackHole, accessLogPath: "")]
    var chains = [loop]
    for port in ports {
      var chain = chain(port, to: &resources)
      chain.name = "0.0.0.0_\(port.number)"
      chain.filterChainMatch = Self.match(port: port.number)
      chains.append(chain)
    }
    var rest = FilterChain()
    rest.name = "virtualInbound"
    rest.filters = [TCPFilters.filter(cluster: ResourceName.inboundPassthrough, accessLogPath: accessLogPath)]
    chains.append(rest)
    var listener = Listener()
    listener.name = "virtualInbound"
    listener.address = .of("0.0.0.0", port: CapturedListeners.inboundPort)
    listener.trafficDirection = .inbound
    listener.listenerFilters = [.originalDestination]
    listener.filterChains = chains
    resources.add(.listener, listener.name, listener, origins: ports.flatMap(\.origins))
  }

  private func addIngress(
    _ ingress: [Istio_Networking_V1alpha3_IstioIngressListener], _ origin: Origin, to resources: inout ProxyResources
  ) {
    var captured: [Port] = []
    for entry in ingress {
      guard let number = entry.port.flatMap({ UInt16(exactly: $0.number) }), number > 0 else { continue }
      let spoken = PortProtocol(field: entry.port?.protocol ?? "") ?? .unknown
      var port = Port(
        number: number, spoken: spoken, target: Self.target(entry.defaultEndpoint, number), service: nil,
        origins: [origin])
      if let tls = entry.tls {
        port.security = ServerTLS.transportSocket(tls).map(Security.tls) ?? .closed
      }
      let isCaptured = entry.captureMode != .none && entry.bind.isEmpty && scope.proxy.interception != .none
      if isCaptured {
        // The chain against loops claims that port; validation has warned.
        if number != CapturedListeners.inboundPort, !captured.contains(where: { $0.number == number }) {
          captured.append(port)
        }
        continue
      }
      if case .closed = port.security { continue }
      var listener = Listener()
      let bind = AddressRules.canonical(
        entry.bind.isEmpty ? scope.proxy.addresses.first ?? "0.0.0.0" : entry.bind)
      listener.name = ResourceName.listener(bind, number)
      listener.address = .of(bind, port: number)
      listener.trafficDirection = .inbound
      listener.filterChains = [chain(port, to: &resources)]
      resources.add(.listener, listener.name, listener, origins: [origin])
    }
    if scope.proxy.interception != .none { addVirtualInbound(captured, to: &resources) }
  }

  private func chain(_ port: Port, to resources: inout ProxyResources) -> FilterChain {
    if case .closed = port.security {
      // Without a chain of its own the port's traffic would pass through in plaintext.
      var chain = FilterChain()
      chain.filters = [TCPFilters.filter(cluster: ResourceName.blackHole, accessLogPath: accessLogPath)]
      return chain
    }
    let name = ResourceName.inbound(port: port.number)
    let cluster = InboundCluster(port: port.number, target: port.target, spoken: port.spoken, service: port.service)
    resources.add(.cluster, name, cluster.message(scope.snapshot.mesh), origins: port.origins)
    var chain = FilterChain()
    if case .tls(let socket) = port.security { chain.transportSocket = socket }
    if port.spoken.isHTTP {
      let routes = RouteConfigurations.inbound(cluster: name, service: port.service, port: port.number)
      chain.filters = [
        HTTPConnectionManagers(side: .inbound, accessLogPath: accessLogPath).filter(
          statPrefix: "inbound_0.0.0.0_\(port.number)", routes: .inline(routes))
      ]
    } else {
      chain.filters = [TCPFilters.filter(cluster: name, accessLogPath: accessLogPath)]
    }
    return chain
  }

  private static func match(port: UInt16) -> FilterChainMatch {
    var match = FilterChainMatch()
    match.destinationPort = Google_Protobuf_UInt32Value(UInt32(port))
    return match
  }

  /// `127.0.0.1:8080`, `0.0.0.0:8080` (the proxy's own address), `unix:///path`; nothing means the same port on loopback.
  private static func target(_ text: String, _ port: UInt16) -> InboundCluster.Target {
    if text.hasPrefix("unix://") { return .fixed(address: String(text.dropFirst(7)), port: 0) }
    guard let place = HostPort(text) else { return .fixed(address: "127.0.0.1", port: port) }
    let own = ["0.0.0.0": "127.0.0.1", "::": "::1"]
    return .fixed(address: own[place.host] ?? place.host, port: place.port)
  }
}
