import Testing
import WeftBase
import WeftControlAPI
import WeftProtobuf
import WeftXDSMessages

@testable import WeftTranslation

/// Things users saw go wrong; each is a golden case, too, so that both proxies are asked whether they take it.
@Suite("translation, symptoms")
struct SymptomTests {
  private static func translate(_ name: String) throws -> ProxyResources { try TranslationCase(name).translate() }

  private static func clusters(_ resources: ProxyResources, _ routes: String, domain: String) throws -> [String]? {
    let configuration: RouteConfiguration = try resources.message(.route, routes)
    return configuration.virtualHosts.first { $0.domains.contains(domain) }?.routes.map { route in
      if case .route(let action) = route.action, case .cluster(let name) = action.clusterSpecifier { return name }
      return ""
    }
  }

  // MARK: Routes

  @Test("a service whose rule has nothing for this port or caller answers, instead of 404 for every request")
  func rulesForOthers() throws {
    let made = try Self.translate("rules-not-for-this-proxy")
    for name in ["reviews", "ratings"] {
      let host = "\(name).default.svc.cluster.local"
      #expect(try Self.clusters(made, "9080", domain: host) == ["outbound|9080||\(host)"])
    }
    let onPort80: RouteConfiguration = try made.message(.route, "80")
    #expect(
      onPort80.virtualHosts.map(\.name) == ["front.example.com:80", "web.default.svc.cluster.local:80", "allow_any"])
  }

  @Test("a rule is bound to its gateway however it writes the name")
  func gatewayNames() throws {
    let routes: RouteConfiguration = try Self.translate("gateway-references").message(.route, "http.80")
    let hosts = Set(routes.virtualHosts.flatMap(\.domains))
    #expect(hosts.isSuperset(of: ["short.example.com", "dot.example.com", "old.example.com", "older.example.com"]))
    #expect(!hosts.contains("elsewhere.example.com"))
    // Its only match is for another port: the gateway does not know the host.
    #expect(!hosts.contains("other-port.example.com"))
  }

  @Test("two servers with one port name do not serve each other's routes")
  func samePortNames() throws {
    let made = try Self.translate("gateway-references")
    let listener: Listener = try made.message(.listener, "0.0.0.0_443")
    #expect(listener.filterChains.map { $0.filterChainMatch?.serverNames } == [["one.example.com"]])
    #expect(made.issues.map(\.path) == ["spec.servers.port.name"])
  }

  @Test("a rule's second host that is no service is reached on the HTTP ports of the rule's other hosts")
  func secondHosts() throws {
    let made = try Self.translate("second-hosts")
    let shop = "outbound|9080||shop.default.svc.cluster.local"
    for port in ["9080", "9081"] { #expect(try Self.clusters(made, port, domain: "web.example.org") == [shop]) }
    #expect(try Self.clusters(made, "80", domain: "web.example.org") == nil)
    #expect(try Self.clusters(made, "80", domain: "alone.example.org")?.count == 1)
    let proxied = try Self.translate("second-hosts-http-proxy")
    for domain in ["web.example.org", "web.example.org:80", "web.example.org:9080", "web.example.org:9081"] {
      #expect(try Self.clusters(proxied, "http_proxy", domain: domain) == [shop], "\(domain)")
    }
  }

  @Test("a rule about an imported host imports no other of its hosts")
  func importedHosts() throws {
    let made = try Self.translate("second-hosts-sidecar")
    let shop = "outbound|9080||shop.default.svc.cluster.local"
    #expect(try Self.clusters(made, "9080", domain: "shop") == [shop])
    #expect(try Self.clusters(made, "9080", domain: "web.example.org") == nil)
  }

  // MARK: Endpoints

  private static func addresses(_ assignment: ClusterLoadAssignment?) -> Set<String> {
    Set(
      (assignment?.endpoints ?? []).flatMap(\.lbEndpoints).compactMap { endpoint in
        guard case .endpoint(let target) = endpoint.hostIdentifier else { return nil }
        return switch target.address?.address {
        case .socketAddress(let socket): socket.address
        case .pipe(let pipe): pipe.path
        default: nil
        }
      })
  }

  @Test("an instance with an address that no proxy takes is left out and named, instead of all its peers being refused")
  func badAddresses() throws {
    let made = try Self.translate("unreachable-instances")
    let assignment: ClusterLoadAssignment = try made.message(
      .endpoint, "outbound|9080||machines.default.svc.cluster.local")
    #expect(Self.addresses(assignment) == ["10.0.1.1", "fd00::1", "/run/app.sock", "@app"])
    let named: Cluster = try made.message(.cluster, "outbound|443||named.example.com")
    #expect(Self.addresses(named.loadAssignment) == ["a.example.com", "192.0.2.1"])
    #expect(made.issues.count == 4)
    #expect(made.issues.allSatisfy { $0.path == "spec.endpoints" && $0.message.contains("is left out") })
  }

  @Test("a name cluster without a name to resolve has no endpoints, instead of every cluster being refused")
  func wildcards() throws {
    let made = try Self.translate("names-to-resolve")
    for name in ["outbound|443||*.wild.example.com", "outbound|80||ill.example.com"] {
      let cluster: Cluster = try made.message(.cluster, name)
      #expect(Self.type(cluster) == .eds)
      #expect(cluster.loadAssignment == nil)
      let assignment: ClusterLoadAssignment = try made.message(.endpoint, name)
      #expect(assignment.endpoints.isEmpty)
    }
    #expect(made.issues.map(\.path) == ["spec.resolution"])
  }

  @Test("a subset that selects no instance of a DNS service sends nothing to the others")
  func emptySubsets() throws {
    let made = try Self.translate("names-to-resolve")
    let two: Cluster = try made.message(.cluster, "outbound|80|two|split.example.com")
    #expect(Self.type(two) == .eds)
    #expect(two.loadAssignment == nil)
    // A service without instances is its own instance, in every subset.
    let one: Cluster = try made.message(.cluster, "outbound|80|one|whole.example.com")
    #expect(Self.addresses(one.loadAssignment) == ["whole.example.com"])
  }

  private static func type(_ cluster: Cluster) -> Cluster.DiscoveryType? {
    if case .type(let type) = cluster.clusterDiscoveryType { return type }
    return nil
  }

  // MARK: Listeners

  private static func tcpCluster(_ chain: FilterChain) throws -> String? {
    guard case .typedConfig(let any) = try #require(chain.filters.first).configType,
      case .cluster(let name) = try TCPProxy(serialized: any.value).clusterSpecifier
    else { return nil }
    return name
  }

  @Test("a port of a Sidecar that asks for TLS takes no plaintext, whether or not the certificate can be given")
  func ingressTLS() throws {
    let made = try Self.translate("sidecar-ingress-tls")
    let captured: Listener = try made.message(.listener, "virtualInbound")
    func chain(_ port: UInt32) throws -> FilterChain {
      try #require(captured.filterChains.first { $0.filterChainMatch?.destinationPort?.value == port })
    }
    #expect(try chain(9443).transportSocket != nil)
    let closed = try chain(9444)
    #expect(closed.filters.count == 1)
    #expect(try Self.tcpCluster(closed) == ResourceName.blackHole)
    let bound: Listener = try made.message(.listener, "127.0.0.1_9445")
    #expect(bound.filterChains.allSatisfy { $0.transportSocket != nil })
    #expect(made[.listener, "127.0.0.1_9446"] == nil)
    #expect(made.issues.map(\.path) == ["spec.ingress[1].tls", "spec.ingress[3].tls"])
  }

  @Test("TLS without a server name reaches a service that has an address of its own")
  func virtualAddress() throws {
    let made = try Self.translate("captured-server-names")
    let listener: Listener = try made.message(.listener, "10.96.0.1_443")
    #expect(listener.filterChains.count == 1)
    #expect(listener.filterChains[0].filterChainMatch == nil)
  }

  @Test("a server name that two rules claim stays with the older; the younger keeps its others")
  func sharedServerNames() throws {
    let listener: Listener = try Self.translate("captured-server-names").message(.listener, "0.0.0.0_8443")
    #expect(
      listener.filterChains.map { $0.filterChainMatch?.serverNames } == [
        ["one.example.com", "shared.example.com"], ["two.example.com"],
      ])
    #expect(listener.defaultFilterChain != nil)
  }

  @Test(
    "what no chain of a captured listener asks for passes through, instead of being cut",
    arguments: ["10.96.0.2_443", "0.0.0.0_443"])
  func passthrough(listener name: String) throws {
    let listener: Listener = try Self.translate("captured-server-names").message(.listener, name)
    #expect(listener.defaultFilterChain?.name == "PassthroughFilterChain")
  }

  @Test("an upstream may be named service.namespace, and one that the Sidecar does not import leads nowhere")
  func upstreamNames() throws {
    let made = try Self.translate("universal-upstream-names")
    let reviews = "reviews.prod.svc.cluster.local"
    #expect(try Self.clusters(made, "\(reviews):9080", domain: "*") == ["outbound|9080||\(reviews)"])
    let hidden = "hidden.default.svc.cluster.local"
    #expect(made[.cluster, "outbound|9080||\(hidden)"] == nil)
    let refusing: RouteConfiguration = try made.message(.route, "\(hidden):9080")
    #expect(refusing.virtualHosts.map(\.name) == ["block_all"])
    #expect(made.issues.map(\.path) == ["spec.egress"])
    // What is not known yet may come under either name.
    var hosts: Set<String> = []
    if case .only(let known) = made.dependencies.hosts { hosts = known }
    #expect(hosts.isSuperset(of: ["later.prod.svc", "later.prod.svc.cluster.local", hidden]))
  }

  @Test("a route for some destination networks does not take an upstream's listener over")
  func upstreamNetworks() throws {
    let made = try Self.translate("universal-upstream-names")
    let listener: Listener = try made.message(.listener, "127.0.0.1_15432")
    let chain = try #require(listener.filterChains.first)
    #expect(try Self.tcpCluster(chain) == "outbound|5432||db.default.svc.cluster.local")
    let mail: Listener = try made.message(.listener, "127.0.0.1_10465")
    #expect(mail.filterChains.map { $0.filterChainMatch?.serverNames } == [["old.example.com"]])
    #expect(mail.defaultFilterChain != nil)
  }
}

extension ProxyResources {
  /// A resource as the message it was made of.
  func message<M: Message>(_ type: ResourceType, _ name: String) throws -> M {
    try M(serialized: try #require(self[type, name], "\(type.shortName) has no \(name)").body)
  }
}
