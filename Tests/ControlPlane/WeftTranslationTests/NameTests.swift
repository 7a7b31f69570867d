import Testing
import WeftBase
import WeftControlAPI
import WeftKinds
import WeftProtobuf
import WeftXDSMessages

@testable import WeftTranslation

/// Names and addresses have one meaning in every spelling: a table with two spellings of one is refused by every proxy.
@Suite("names in translation")
struct NameTests {
  @Test("a host is covered by a pattern in whatever case either is written")
  func patterns() {
    #expect(Hostname.matches(pattern: "*.Example.com", "a.EXAMPLE.COM"))
    #expect(Hostname.matches(pattern: "A.example.com", "a.Example.com"))
    #expect(!Hostname.matches(pattern: "A.example.com", "b.example.com"))
    #expect(!Hostname.matches(pattern: "*.example.com", "example.com"))
    #expect(Hostname.resolve("Reviews", namespace: "shop", domain: "Cluster.Local") == "reviews.shop.svc.cluster.local")
  }

  @Test(
    "addresses and blocks have one spelling",
    arguments: [
      ("10.1.2.3/8", "10.0.0.0/8"), ("10.1.2.3", "10.1.2.3"), ("FD00:0::1", "fd00::1"), ("fd00::0:1/64", "fd00::/64"),
      ("0:0:0:1:0:0:0:0", "0:0:0:1::"), ("2001:db8::1:0:0:1", "2001:db8::1:0:0:1"), ("::", "::"), ("::/0", "::/0"),
      ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"), ("::ffff:10.0.0.1", "::ffff:a00:1"), ("10.0.0.1/33", "10.0.0.1/33"),
      ("10.0.0.1/+8", "10.0.0.1/+8"), ("not an address", "not an address"), ("1::2::3", "1::2::3"), (":::", ":::"),
    ])
  func spelling(_ text: String, _ canonical: String) {
    #expect(AddressRules.canonical(text) == canonical)
    #expect(AddressRules.canonical(canonical) == canonical)
  }

  @Test(
    "every domain of a table, and every server name and network of a listener, stands there once",
    arguments: ["letter-case", "letter-case-gateway"])
  func unique(_ name: String) throws {
    let made = try TranslationCase(name).translate()
    for name in made.names(.route) {
      let routes: RouteConfiguration = try made.message(.route, name)
      let domains = routes.virtualHosts.flatMap(\.domains).map { $0.lowercased() }
      #expect(Set(domains).count == domains.count, "\(name): \(domains)")
    }
    for name in made.names(.listener) {
      let listener: Listener = try made.message(.listener, name)
      let claims = listener.filterChains.compactMap(\.filterChainMatch).flatMap { match in
        match.serverNames.map { $0.lowercased() }
          + match.prefixRanges.map { AddressRules.canonical("\($0.addressPrefix)/\($0.prefixLen?.value ?? 0)") }
      }
      #expect(Set(claims).count == claims.count, "\(name): \(claims)")
    }
    let addresses = try made.names(.listener).map { name in
      let listener: Listener = try made.message(.listener, name)
      return try listener.address?.json().text() ?? ""
    }
    #expect(Set(addresses).count == addresses.count)
  }

  @Test("a rule governs its host however either spells it")
  func governed() throws {
    let made = try TranslationCase("letter-case").translate()
    let routes: RouteConfiguration = try made.message(.route, "80")
    let host = try #require(routes.virtualHosts.first { $0.name == "api.example.com:80" })
    #expect(host.routes.count == 2)
    #expect(made[.cluster, "outbound|80|v1|api.example.com"] != nil)
    #expect(!made.names(.cluster).contains { $0 != $0.lowercased() && $0.hasPrefix("outbound") })
  }

  @Test("two rules that spell one host of a gateway differently are merged, the older first")
  func gateway() throws {
    let made = try TranslationCase("letter-case-gateway").translate()
    let routes: RouteConfiguration = try made.message(.route, "http.80")
    #expect(routes.virtualHosts.map(\.name) == ["good.example:80", "other.example:80"])
    #expect(routes.virtualHosts[0].routes.count == 2)
    for port in [443, 444] {
      let listener: Listener = try made.message(.listener, "0.0.0.0_\(port)")
      #expect(listener.filterChains.map { $0.filterChainMatch?.serverNames } == [["other.example"]])
    }
    #expect(made.names(.listener).filter { $0.contains("fd00") } == ["fd00::1_8080"])
    let socket: Listener = try made.message(.listener, "unix:///run/edge.sock_0")
    #expect(try socket.address?.json().text() == Address.of("/run/edge.sock", port: 0).json().text())
  }

  @Test("a service on the ports of capture costs nobody the listener that captures")
  func capturePorts() throws {
    let made = try TranslationCase("letter-case").translate()
    #expect(made[.listener, "0.0.0.0_15001"] == nil)
    #expect(made[.listener, "0.0.0.0_15006"] == nil)
    #expect(made[.listener, "0.0.0.0_81"] != nil)
    #expect(made.issues.map(\.path) == ["spec.ports", "spec.ports"])
  }

  @Test("`*` as a regular expression asks for any value")
  func anyValue() throws {
    let routes: RouteConfiguration = try TranslationCase("istio-meanings").translate().message(.route, "80")
    let host = try #require(routes.virtualHosts.first { $0.name == "api.example.com:80" })
    let without = try #require(host.routes[0].match?.headers.first)
    #expect(Self.asksForPresence(without))
    #expect(without.invertMatch && !without.treatMissingHeaderAsEmpty)
    #expect(try Self.asksForPresence(#require(host.routes[1].match?.headers.first)))
    guard case .presentMatch(true)? = host.routes[1].match?.queryParameters.first?.queryParameterMatchSpecifier else {
      Issue.record("the query parameter is not asked for by presence")
      return
    }
    guard case .prefix("/")? = host.routes[2].match?.pathSpecifier else {
      Issue.record("the path is not any")
      return
    }
  }

  private static func asksForPresence(_ matcher: HeaderMatcher) -> Bool {
    if case .presentMatch(true)? = matcher.headerMatchSpecifier { true } else { false }
  }

  @Test("weights of endpoints beyond 32 bits keep their proportion")
  func heavyEndpoints() throws {
    let origin = Origin(kind: .serviceEntry, namespace: "default", name: "a", generation: 1)
    let weights: [UInt32] = [.max, .max, 1, UInt32.max / 2]
    let instances = weights.enumerated().map { index, weight in
      ServiceInstance(
        id: "\(index)", address: "10.0.0.\(index)", ports: [80: 80], locality: Locality("r\(index % 2)"),
        weight: weight,
        namespace: "default", origin: origin)
    }
    let port = ServicePort(number: 80, name: "http", protocol: .http)
    let message = LoadAssignment(name: "a", port: port, instances: instances).message
    let made = message.endpoints.flatMap(\.lbEndpoints).compactMap { $0.loadBalancingWeight?.value }
    #expect(made.reduce(UInt64(0)) { $0 + UInt64($1) } <= UInt64(UInt32.max))
    #expect(
      message.endpoints.reduce(UInt64(0)) { $0 + UInt64($1.loadBalancingWeight?.value ?? 0) } <= UInt64(UInt32.max))
    #expect(made.allSatisfy { $0 >= 1 })
    #expect(made.max().map { $0 / 2 } == made.sorted().dropFirst().first)
  }
}
