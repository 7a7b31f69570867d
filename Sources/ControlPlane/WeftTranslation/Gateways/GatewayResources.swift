import WeftControlAPI
import WeftKinds
import WeftProtobuf
import WeftXDSMessages

typealias GatewayServer = Istio_Networking_V1alpha3_Server

/// Listeners and routes of a gateway: the servers of all Gateway objects that select the proxy, by address and port.
struct GatewayResources {
  let scope: ProxyScope
  private var accessLogPath: String { scope.proxy.universal.accessLogPath }

  /// One server with the object it belongs to.
  private struct Entry {
    var server: GatewayServer
    var gateway: ConfigObject<GatewaySpec>
    /// Of the server in its gateway.
    var index: Int
    var qualifiedName: String { "\(gateway.namespace)/\(gateway.name)" }
    var spoken: String { (server.port?.protocol ?? "").uppercased() }
    var isPlainHTTP: Bool { ["HTTP", "HTTP2", "GRPC", "GRPC-WEB"].contains(spoken) }
  }

  private struct Key: Hashable, Comparable {
    var bind: String
    var port: UInt16
    static func < (a: Key, b: Key) -> Bool { (a.port, a.bind) < (b.port, b.bind) }
    /// Part of the names of route configurations; empty for the default.
    var suffix: String { bind == "0.0.0.0" ? "" : ".\(bind)" }
  }

  func add(to resources: inout ProxyResources) -> RouteSink {
    var sink = RouteSink()
    var groups: [Key: [Entry]] = [:]
    // Oldest first: in a conflict the oldest server wins.
    for gateway in scope.snapshot.gateways.all where scope.proxy.carries(gateway.spec.selector) {
      resources.dependencies.objects.insert(gateway.key)
      for (index, server) in gateway.spec.servers.enumerated() {
        guard let port = server.port.flatMap({ UInt16(exactly: $0.number) }),
          port > 0 || AddressRules.isUnixSocket(server.bind)
        else { continue }
        let key = Key(bind: server.bind.isEmpty ? "0.0.0.0" : AddressRules.canonical(server.bind), port: port)
        groups[key, default: []].append(Entry(server: server, gateway: gateway, index: index))
      }
    }
    for key in groups.keys.sorted() { add(key, groups[key] ?? [], &sink, to: &resources) }
    return sink
  }

  private func add(
    _ key: Key, _ entries: [Entry], _ sink: inout RouteSink, to resources: inout ProxyResources
  ) {
    guard let first = entries.first else { return }
    var listener = Listener()
    listener.name = ResourceName.listener(key.bind, key.port)
    listener.address = .of(key.bind, port: key.port)
    listener.trafficDirection = .outbound
    let usable = entries.filter { $0.isPlainHTTP == first.isPlainHTTP }
    for refused in entries where refused.isPlainHTTP != first.isPlainHTTP {
      sink.issues.append(
        TranslationIssue(
          refused.gateway.origin, "spec.servers.port",
          "port \(key.port) is \(first.spoken) in the older \(first.gateway.key); this server is left out"))
    }
    if first.isPlainHTTP {
      var own = RouteSink()
      let name = "http.\(key.port)\(key.suffix)"
      let configuration = routes(name, usable, key, isTLS: false, &own)
      resources.add(.route, name, configuration, origins: own.origins, makers: own.makers)
      var chain = FilterChain()
      chain.filters = [manager(key, name)]
      listener.filterChains = [chain]
      sink.merge(own)
    } else {
      for entry in usable {
        let before = listener.filterChains.count
        addL4(entry, key, &listener, &sink, to: &resources)
        for chain in listener.filterChains.dropFirst(before) {
          for name in chain.filterChainMatch?.serverNames ?? [] { sink.makers[name] = [entry.gateway.origin] }
        }
      }
      if listener.filterChains.contains(where: { !($0.filterChainMatch?.serverNames ?? []).isEmpty }) {
        listener.listenerFilters = [.tlsInspector]
      }
    }
    guard !listener.filterChains.isEmpty else { return }
    resources.add(
      .listener, listener.name, listener, origins: usable.map(\.gateway.origin), makers: sink.makers)
  }

  private func manager(_ key: Key, _ routes: String) -> NetworkFilter {
    HTTPConnectionManagers(side: .gateway, accessLogPath: accessLogPath).filter(
      statPrefix: "outbound_\(ResourceName.listener(key.bind, key.port))", routes: .named(routes))
  }

  // MARK: HTTP

  /// One virtual host per host of a rule that one of the servers serves.
  private func routes(
    _ name: String, _ entries: [Entry], _ key: Key, isTLS: Bool, _ sink: inout RouteSink
  ) -> RouteConfiguration {
    var hosts: [String: VirtualHost] = [:]
    for entry in entries {
      sink.origins.append(entry.gateway.origin)
      var context = RouteContext(scope: scope, port: key.port, gateway: entry.qualifiedName)
      context.isTLS = isTLS
      for rule in rules(for: entry) where !rule.spec.http.isEmpty {
        for host in self.hosts(of: rule, on: entry) {
          let hashing = VirtualHosts(scope: scope).hashPolicies
          let made = HTTPRoutes(context: context, rule: rule, hashing: hashing).make(&sink)
          // Nothing in the rule is for this gateway or port: it does not make the host known.
          if made.isEmpty { continue }
          var virtualHost = hosts[host] ?? VirtualHost()
          virtualHost.name = ResourceName.virtualHost(host, key.port)
          virtualHost.domains = [host]
          sink.makers[virtualHost.name, default: []].append(rule.origin)
          virtualHost.includeRequestAttemptCount = true
          if entry.server.tls?.httpsRedirect == true { virtualHost.requireTls = .all }
          virtualHost.routes = Self.catchAllsLast(virtualHost.routes + made)
          hosts[host] = virtualHost
        }
      }
      if entry.server.tls?.httpsRedirect == true {
        for host in entry.server.hosts.map(Self.dnsPart) where hosts[host] == nil {
          var virtualHost = VirtualHost()
          virtualHost.name = ResourceName.virtualHost(host, key.port)
          virtualHost.domains = [host]
          virtualHost.requireTls = .all
          hosts[host] = virtualHost
        }
      }
    }
    var configuration = RouteConfiguration()
    configuration.name = name
    configuration.virtualHosts = hosts.values.sorted { $0.name < $1.name }
    if configuration.virtualHosts.isEmpty {
      var nothing = VirtualHost()
      nothing.name = "blackhole:\(key.port)"
      nothing.domains = ["*"]
      configuration.virtualHosts = [nothing]
    }
    configuration.validateClusters = Google_Protobuf_BoolValue(false)
    configuration.ignorePortInHostMatching = true
    configuration.maxDirectResponseBodySizeBytes = RouteConfigurations.bodyLimit
    return configuration
  }

  /// Several rules may serve one host: each in its order, the older rule first, but what matches everything comes last.
  private static func catchAllsLast(_ routes: [Route]) -> [Route] {
    routes.filter { !HTTPRoutes.isCatchAll($0.match ?? RouteMatch()) }
      + routes.filter { HTTPRoutes.isCatchAll($0.match ?? RouteMatch()) }
  }

  /// Rules bound to the gateway, oldest first.
  private func rules(for entry: Entry) -> [ConfigObject<VirtualServiceSpec>] {
    scope.snapshot.virtualServices.all.filter { rule in
      rule.isVisible(to: scope.namespace)
        && rule.spec.gateways.contains { RouteContext.qualified($0, rule.namespace) == entry.qualifiedName }
    }
  }

  /// The hosts of `rule` that the server admits; where one covers the other, the more specific.
  private func hosts(of rule: ConfigObject<VirtualServiceSpec>, on entry: Entry) -> [String] {
    var result: [String] = []
    var seen: Set<String> = []
    for pattern in entry.server.hosts {
      let dns = Self.dnsPart(pattern)
      var namespace = "*"
      if let slash = pattern.firstIndex(of: "/") { namespace = String(pattern[..<slash]) }
      if namespace == "." { namespace = entry.gateway.namespace }
      guard namespace == "*" || namespace == rule.namespace else { continue }
      for host in rule.hosts {
        let narrower: String
        if Hostname.matches(pattern: dns, host) {
          narrower = host
        } else if Hostname.matches(pattern: host, dns) {
          narrower = dns
        } else {
          continue
        }
        if seen.insert(narrower).inserted { result.append(narrower) }
      }
    }
    return result
  }

  private static func dnsPart(_ pattern: String) -> String {
    guard let slash = pattern.firstIndex(of: "/") else { return Hostname.canonical(pattern) }
    return Hostname.canonical(String(pattern[pattern.index(after: slash)...]))
  }

  // MARK: TLS and TCP

  private func addL4(
    _ entry: Entry, _ key: Key, _ listener: inout Listener, _ sink: inout RouteSink, to resources: inout ProxyResources
  ) {
    let tls = entry.server.tls
    let isTerminated = tls.map { $0.mode != .passthrough && $0.mode != .autoPassthrough } ?? false
    // One file that is not there would cost the servers of everybody on the port.
    if isTerminated, let tls, let file = ServerTLS.files(tls).first(where: scope.proxy.unreadableFiles.contains) {
      sink.issues.append(
        TranslationIssue(
          entry.gateway.origin, "spec.servers[\(entry.index)].tls",
          "the proxy cannot use \(file); the server is left out",
          leftOut: .init(type: .listener, name: listener.name)))
      return
    }
    if entry.spoken == "HTTPS" && isTerminated, let tls {
      guard let socket = ServerTLS.transportSocket(tls) else { return }
      var own = RouteSink()
      let portName = entry.server.port?.name ?? ""
      let name = "https.\(key.port).\(portName).\(entry.gateway.name).\(entry.gateway.namespace)\(key.suffix)"
      // Validation refuses this; an object that was stored before may still have it.
      guard resources[.route, name] == nil else {
        sink.issues.append(
          TranslationIssue(
            entry.gateway.origin, "spec.servers.port.name",
            "\"\(portName)\" is the name of another server's port; this server is left out"))
        return
      }
      let configuration = routes(name, [entry], key, isTLS: true, &own)
      resources.add(.route, name, configuration, origins: own.origins, makers: own.makers)
      sink.merge(own)
      var chain = FilterChain()
      chain.filters = [manager(key, name)]
      chain.transportSocket = socket
      append(chain, names: entry.server.hosts.map(Self.dnsPart), to: &listener)
      return
    }
    if tls?.mode == .autoPassthrough { return }
    let context = RouteContext(scope: scope, port: key.port, gateway: entry.qualifiedName)
    for rule in rules(for: entry) where !hosts(of: rule, on: entry).isEmpty {
      let routes = L4Routes(context: context, rule: rule)
      if entry.spoken == "TCP" || isTerminated {
        guard let shares = routes.tcp(&sink).first?.shares else { continue }
        var chain = FilterChain()
        chain.filters = [TCPFilters.filter(shares, statPrefix: shares[0].cluster, accessLogPath: accessLogPath)]
        if isTerminated, let tls {
          guard let socket = ServerTLS.transportSocket(tls) else { return }
          chain.transportSocket = socket
        }
        append(chain, names: isTerminated ? entry.server.hosts.map(Self.dnsPart) : [], to: &listener)
      } else {
        for made in routes.tls(&sink) {
          var chain = FilterChain()
          chain.filters = [
            TCPFilters.filter(made.shares, statPrefix: made.shares[0].cluster, accessLogPath: accessLogPath)
          ]
          append(chain, names: made.serverNames, to: &listener)
        }
      }
    }
  }

  /// Server names decide between chains; the first that claims a name keeps it.
  private func append(_ chain: FilterChain, names: [String], to listener: inout Listener) {
    let taken = Set(listener.filterChains.flatMap { $0.filterChainMatch?.serverNames ?? [] })
    let isOpen = names.isEmpty || names.contains("*")
    if isOpen {
      guard !listener.filterChains.contains(where: { $0.filterChainMatch == nil }) else { return }
      listener.filterChains.append(chain)
      return
    }
    let free = names.filter { !taken.contains($0) }
    guard !free.isEmpty else { return }
    var match = FilterChainMatch()
    match.serverNames = free
    var chain = chain
    chain.filterChainMatch = match
    listener.filterChains.append(chain)
  }
}
