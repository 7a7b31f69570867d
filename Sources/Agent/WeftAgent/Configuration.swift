// Everything the agent is told about its workload.
package import WeftBase

/// An upstream the application reaches through a local address.
package struct Upstream: Sendable, Hashable {
  package var host: String
  package var port: UInt16
  /// Where the proxy listens for it; port 0 lets the agent choose.
  package var listenHost: String
  package var listenPort: UInt16

  package init(host: String, port: UInt16, listenHost: String = "127.0.0.1", listenPort: UInt16 = 0) {
    self.host = host
    self.port = port
    self.listenHost = listenHost
    self.listenPort = listenPort
  }

  /// Reads `HOST:PORT` or `HOST:PORT=LISTEN_HOST:LISTEN_PORT`; nil when it is neither.
  package init?(_ text: String) {
    let sides = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    guard let service = HostPort(sides[0]) else { return nil }
    self.init(host: service.host, port: service.port)
    if sides.count == 2 {
      guard let listen = HostPort(sides[1]) else { return nil }
      (listenHost, listenPort) = (listen.host, listen.port)
    }
  }

  /// The stem of the variables the application sees: `reviews.default` → `REVIEWS_DEFAULT`.
  package var variableStem: String {
    String(
      host.uppercased().map { $0.isLetter || $0.isNumber ? $0 : "_" })
  }
}

/// What kind of proxy stands where.
package enum ProxyRole: Sendable, Hashable {
  case sidecar
  /// The name Gateway objects select by their label `istio`.
  case gateway(String)
}

/// The agent's orders.
package struct AgentConfiguration: Sendable {
  package var role = ProxyRole.sidecar
  package var service: String
  package var version = ""
  package var namespace = "default"
  package var labels: [String: String] = [:]
  /// Unique in its namespace.
  package var instance: String
  /// The application's port; nil when it serves nothing.
  package var port: UInt16?
  /// The port clients of the service use; nil: the application's own.
  package var servicePort: UInt16?
  /// How the application speaks: an Istio protocol name (`HTTP`, `HTTP2`, `GRPC`, `TCP`).
  package var applicationProtocol = "HTTP"
  /// The address other proxies reach this workload by.
  package var address = "127.0.0.1"
  /// Where the proxy accepts traffic for the application; nil lets the agent choose.
  package var inboundPort: UInt16?
  package var upstreams: [Upstream] = []
  /// Whether the application gets an HTTP_PROXY; nil: exactly when it lists no upstreams.
  package var offersHTTPProxy: Bool?
  /// `host:port` of the control plane's API and of its xDS server.
  package var control = "127.0.0.1:15080"
  package var discovery = "127.0.0.1:15010"
  package var usesDelta = true
  /// The proxy's admin page; nil lets the agent choose a port.
  package var adminPort: UInt16?
  package var proxyProgram = "weft-proxy"
  package var concurrency = 1
  package var stateDirectory: String
  package var logLevel = "warning"
  /// The application; empty for a gateway.
  package var command: [String] = []
  package var environment: [String: String] = [:]
  package var leaseSeconds = 15
  package var drainTime = Duration.seconds(5)
  /// How long the proxy may take to become ready before the agent gives up.
  package var readyTimeout = Duration.seconds(60)
  /// How long the proxy may take before it is told what it waits for.
  package var patience = Duration.seconds(2)
  /// How long the application may take to stop after SIGTERM.
  package var stopTimeout = Duration.seconds(10)

  package init(service: String, instance: String, stateDirectory: String) {
    self.service = service
    self.instance = instance
    self.stateDirectory = stateDirectory
  }
}

/// The ports a run of the agent has settled on.
package struct AgentPorts: Sendable, Hashable {
  package var admin: UInt16
  package var inbound: UInt16?
  package var httpProxy: UInt16?
  /// In the order of `AgentConfiguration.upstreams`.
  package var upstreams: [UInt16]

  /// Takes the ports the configuration names; of the others those the instance before had, as far as they are free, and asks
  /// the kernel for the rest. Nil when it has none left.
  package static func settle(_ configuration: AgentConfiguration, before: JSONValue? = nil) -> AgentPorts? {
    let wantsProxy =
      configuration.role == .sidecar && (configuration.offersHTTPProxy ?? configuration.upstreams.isEmpty)
    guard var free = Ports.free(3 + configuration.upstreams.count) else { return nil }
    var taken = Set(
      [configuration.port, configuration.adminPort, configuration.inboundPort].compactMap { $0 }
        + configuration.upstreams.map(\.listenPort))
    func next(_ former: JSONValue?) -> UInt16 {
      if let port = former?.intValue.flatMap({ UInt16(exactly: $0) }), port > 0, !taken.contains(port),
        Ports.isFree(port)
      {
        taken.insert(port)
        return port
      }
      let port = free.removeLast()
      taken.insert(port)
      return port
    }
    return AgentPorts(
      admin: configuration.adminPort ?? next(before?["admin"]),
      inbound: configuration.port == nil ? nil : configuration.inboundPort ?? next(before?["inbound"]),
      httpProxy: wantsProxy ? next(before?["httpProxy"]) : nil,
      upstreams: configuration.upstreams.map {
        $0.listenPort == 0 ? next(before?["upstreams"]?["\($0.host):\($0.port)"]) : $0.listenPort
      })
  }

  /// What the next instance is told.
  func json(_ configuration: AgentConfiguration) -> JSONValue {
    var object: JSONObject = ["admin": .int(admin)]
    if let inbound { object["inbound"] = .int(inbound) }
    if let httpProxy { object["httpProxy"] = .int(httpProxy) }
    object["upstreams"] = .object(
      JSONObject(
        zip(configuration.upstreams, upstreams).map { JSONMember("\($0.host):\($0.port)", .int($1)) }))
    return .object(object)
  }
}
