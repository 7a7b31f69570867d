import Testing
import WeftBase
import WeftControlAPI
import WeftKinds
import struct WeftModel.KnownExtensions
import WeftProtobuf
import WeftXDSMessages

@testable import WeftTranslation

/// One team's rule never blocks another's: whatever validation let through is left out alone, and its object is told.
@Suite("the last guard")
struct GuardTests {
  /// A rule with something that no proxy takes, which validation did not see.
  struct Bad: Sendable, CustomStringConvertible {
    var description: String
    var kind = "VirtualService"
    var spec: String

    init(_ description: String, http: String) {
      self.description = description
      spec = #"{"hosts": ["bad.example.com"], "gateways": ["mesh", "edge"], "http": [\#(http)]}"#
    }

    init(kind: String, spec: String) {
      description = kind
      self.kind = kind
      self.spec = spec
    }
  }

  private static let route = #""route": [{"destination": {"host": "good.example.com"}}]"#
  private static let heavy = ["a", "b", "c"].map {
    #"{"destination": {"host": "\#($0)"}, "weight": 2147483647}"#
  }.joined(separator: ",")

  static let bad: [Bad] = [
    Bad("a percent sign in a header", http: #"{"headers": {"request": {"set": {"x-off": "100%"}}}, \#(route)}"#),
    Bad("a line break in a header", http: #"{"headers": {"response": {"add": {"x-a": "a\r\nb"}}}, \#(route)}"#),
    Bad("a header that is none", http: #"{"headers": {"request": {"set": {"x y": "1"}}}, \#(route)}"#),
    Bad("an empty prefix", http: #"{"match": [{"headers": {"x-a": {"prefix": ""}}}], \#(route)}"#),
    Bad("a bad expression", http: #"{"match": [{"uri": {"regex": "("}}], \#(route)}"#),
    Bad("weights beyond 2^32", http: #"{"route": [\#(heavy)]}"#),
    Bad("a line break in a redirect", http: #"{"redirect": {"uri": "/a\r\nb"}}"#),
    Bad("a line break in an authority", http: #"{"redirect": {"authority": "a\nb"}}"#),
    Bad("a line break in a rewritten path", http: #"{"rewrite": {"uri": "/a\nb"}, \#(route)}"#),
    Bad("a line break in a rewritten authority", http: #"{"rewrite": {"authority": "a\nb"}, \#(route)}"#),
    Bad("a status that is none", http: #"{"directResponse": {"status": 700}}"#),
    Bad(
      "a body that is too large",
      http:
        #"{"directResponse": {"status": 200, "body": {"string": "\#(String(repeating: "x", count: (1 << 20) + 1))"}}}"#),
    Bad(
      "a fault's status that is none",
      http: #"{"fault": {"abort": {"httpStatus": 700, "percentage": {"value": 1}}}, \#(route)}"#),
    Bad(
      "a fault's gRPC status that is none",
      http: #"{"fault": {"abort": {"grpcStatus": "99", "percentage": {"value": 1}}}, \#(route)}"#),
    Bad(
      "a fault's delay that is none",
      http: #"{"fault": {"delay": {"fixedDelay": "0s", "percentage": {"value": 1}}}, \#(route)}"#),
    Bad(
      "a bad expression for origins",
      http: #"{"corsPolicy": {"allowOrigins": [{"exact": "a"}, {"regex": "("}]}, \#(route)}"#),
    Bad(
      "a line break in an answer to other origins",
      http: #"{"corsPolicy": {"allowOrigins": [{"exact": "a"}], "exposeHeaders": ["a\r\nb"]}, \#(route)}"#),
    Bad("a negative time", http: #"{"timeout": "-1s", \#(route)}"#),
  ]

  // MARK: A small mesh

  private static func service(_ name: String, _ number: Int) -> String {
    #"""
    {"name": "\#(name)", "host": "\#(name).example.com", "created": \#(number), "addresses": ["10.96.0.\#(number)"],
     "ports": [{"number": 80, "protocol": "HTTP"}, {"number": 5432, "protocol": "TCP"}],
     "instances": [{"address": "10.0.1.\#(number)"}]}
    """#
  }

  private static func object(_ kind: String, _ name: String, _ spec: String, _ created: Int) -> String {
    #"{"kind": "\#(kind)", "metadata": {"name": "\#(name)", "created": \#(created)}, "spec": \#(spec)}"#
  }

  private static func made(role: String, with bad: [Bad]) throws -> ProxyResources {
    try example(role: role, with: bad).translate()
  }

  private static func example(role: String, with bad: [Bad]) throws -> TranslationCase {
    let server = #"{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}"#
    var objects = [object("Gateway", "edge", #"{"selector": {"istio": "edge"}, "servers": [\#(server)]}"#, 1)]
    for (index, host) in ["good", "also"].enumerated() {
      let spec =
        #"{"hosts": ["\#(host).example.com"], "gateways": ["mesh", "edge"], "http": [{\#(route)}]}"#
      objects.append(object("VirtualService", host, spec, 2 + index))
    }
    for (index, entry) in bad.enumerated() {
      objects.append(object(entry.kind, "bad-\(index)", entry.spec, 10 + index))
    }
    let services = ["good", "also", "bad"].enumerated().map { service($1, $0 + 1) }
    let json = #"""
      {"node": {"id": "\#(role)~10.0.0.1~p.default~default.svc.cluster.local", "metadata": {"LABELS": {"istio": "edge"}}},
       "services": [\#(services.joined(separator: ","))], "objects": [\#(objects.joined(separator: ","))]}
      """#
    return try TranslationCase("guard", JSONValue(parsing: Array(json.utf8)))
  }

  private static func hosts(_ made: ProxyResources, _ table: String) throws -> Set<String> {
    let routes: RouteConfiguration = try made.message(.route, table)
    return Set(routes.virtualHosts.map(\.name))
  }

  // MARK: Rules

  @Test(
    "a rule that a proxy would refuse costs its own host alone, and its object is told the field",
    arguments: bad, ["sidecar", "router"])
  func alone(_ bad: Bad, _ role: String) throws {
    let clean = try Self.made(role: role, with: [])
    let made = try Self.made(role: role, with: [bad])
    #expect(try made.refusals() == [])
    let table = role == "router" ? "http.80" : "80"
    let others = try Self.hosts(clean, table).subtracting(["bad.example.com:80"])
    #expect(others.isSuperset(of: ["good.example.com:80", "also.example.com:80"]))
    #expect(try Self.hosts(made, table) == others)
    for name in clean.names(.listener) { #expect(made[.listener, name]?.body == clean[.listener, name]?.body) }
    let told = made.issues.filter { $0.leftOut != nil }
    #expect(Set(told.map(\.origin.key)) == [ObjectKey(kind: .virtualService, namespace: "default", name: "bad-0")])
    #expect(told.allSatisfy { $0.path == "spec.http[0]" && $0.message.contains("left out") })
  }

  @Test("any number of bad rules together leave the good ones standing", arguments: Array(UInt64(0)..<20))
  func together(seed: UInt64) throws {
    var random = RandomSource(seed: seed)
    let some = Self.bad.filter { _ in Bool.random(using: &random) }.shuffled(using: &random)
    for (role, table) in [("sidecar", "80"), ("router", "http.80")] {
      let made = try Self.made(role: role, with: some)
      #expect(try made.refusals() == [], "seed \(seed)")
      #expect(
        try Self.hosts(made, table).isSuperset(of: ["good.example.com:80", "also.example.com:80"]), "seed \(seed)")
    }
  }

  @Test("a cluster that a proxy would refuse is one without endpoints, and the others stand")
  func clusters() throws {
    let name = String(repeating: "x", count: 256)
    let spec = #"{"host": "bad.example.com", "trafficPolicy": {"tls": {"mode": "SIMPLE", "sni": "\#(name)"}}}"#
    let example = try Self.example(role: "sidecar", with: [Bad(kind: "DestinationRule", spec: spec)])
    let made = example.translate()
    #expect(try made.refusals() == [])
    let cluster: Cluster = try made.message(.cluster, "outbound|80||bad.example.com")
    guard case .type(.static)? = cluster.clusterDiscoveryType, cluster.loadAssignment == nil else {
      Issue.record("the cluster may have endpoints")
      return
    }
    #expect(made[.endpoint, "outbound|80||bad.example.com"] == nil)
    // Nor does it get any when the instances change: the rule asked for TLS, and this cluster knows of none.
    let later = Translator.refreshEndpoints(
      of: made, hosts: ["bad.example.com"], in: example.snapshot, for: example.proxy)
    #expect(later?[.endpoint, "outbound|80||bad.example.com"] == nil)
    #expect(later?[.endpoint, "outbound|80||good.example.com"] != nil)
    let good: ClusterLoadAssignment = try made.message(.endpoint, "outbound|80||good.example.com")
    #expect(!good.endpoints.isEmpty)
    #expect(
      made.issues.contains {
        $0.origin.key.kind == .destinationRule && $0.leftOut?.name == "outbound|80||bad.example.com"
      })
  }

  // MARK: Resources as such

  @Test("of virtual hosts that share a domain or a name the first stays")
  func domains() {
    func host(_ name: String, _ domains: String...) -> VirtualHost {
      var host = VirtualHost()
      host.name = name
      host.domains = domains
      return host
    }
    var routes = RouteConfiguration()
    routes.name = "80"
    routes.virtualHosts = [
      host("first", "a.example.com"), host("second", "b.example.com", "A.example.com"), host("first", "c.example.com"),
      host("fourth", "b.example.com"), host("fifth", "d.*.com"), host("sixth", "e\r\n"),
    ]
    let (kept, refusals) = ResourceGuard.kept(routes, for: .any)
    #expect(kept.virtualHosts.map(\.name) == ["first", "fourth"])
    #expect(refusals.map(\.names) == [["second"], ["first"], ["fifth"], ["sixth"]])
  }

  @Test("of filter chains that overlap the first stays; a listener without an address is left out")
  func chains() {
    func chain(_ names: [String], _ ranges: [String] = []) -> FilterChain {
      var match = FilterChainMatch()
      match.serverNames = names
      match.prefixRanges = ranges.compactMap(CapturedListeners.range)
      var chain = FilterChain()
      chain.filterChainMatch = match
      chain.filters = [TCPFilters.filter(cluster: names.first ?? "none", accessLogPath: "")]
      return chain
    }
    var listener = Listener()
    listener.name = "l"
    listener.address = .of("0.0.0.0", port: 443)
    listener.filterChains = [
      chain(["a", "b"]), chain(["c", "B"]), chain(["c"]), chain([], ["10.1.0.0/8"]), chain([], ["10.2.0.0/8"]),
    ]
    let (kept, refusals) = ResourceGuard.kept(listener, for: .any)
    #expect(kept?.filterChains.map { $0.filterChainMatch?.serverNames } == [["a", "b"], ["c"], []])
    #expect(refusals.count == 2)
    for address in ["not an address", "/" + String(repeating: "x", count: 108)] {
      listener.address = .of(address, port: 443)
      #expect(ResourceGuard.kept(listener, for: .any).message == nil)
    }
  }
}
