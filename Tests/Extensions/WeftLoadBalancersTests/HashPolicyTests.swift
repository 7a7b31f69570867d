import Testing
import WeftBase
import WeftHTTP
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTelemetry

@testable import WeftCompile
@testable import WeftProxy
@testable import WeftProxyTestKit

/// Requests through a worker, over the simulated network: what of them decides which host they get.
@Suite("hash policies")
struct HashPolicyTests {
  static let ports: [UInt16] = Array(8080...8089)

  static func world(
    _ policies: [HashPolicy], _ balancing: LoadBalancing.Policy = .ringHash, upstream: Version = .one,
    manager: (inout HTTPConnectionManager) -> Void = { _ in }
  ) -> ProxyWorld {
    let world = ProxyWorld()
    world.simple(
      ports: ports, manager: manager, route: { $0.hashPolicies = policies },
      cluster: {
        $0.loadBalancing.policy = balancing
        $0.upstreamProtocol = upstream == .two ? .http2 : .http1
      })
    return world
  }

  /// Hosts say which they are.
  static func answer(_ world: ProxyWorld) {
    world.server.onBytes = { peer in
      let text = peer.take()
      guard text.hasSuffix("\r\n\r\n") else { return }
      peer.send("HTTP/1.1 200 OK\r\nx-port: \(peer.port)\r\ncontent-length: 0\r\n\r\n")
    }
  }

  /// The answer to one request on a connection of its own, or on `peer`.
  static func ask(_ world: ProxyWorld, _ target: String = "/", _ fields: String = "", on peer: Peer? = nil) -> String {
    let client = peer ?? world.connect()
    client.send("GET \(target) HTTP/1.1\r\nHost: a.test\r\n\(fields)\r\n")
    world.run { client.text.contains("\r\n\r\n") }
    return client.take()
  }

  static func port(_ answer: String) -> String? { field("x-port", answer) }

  static func field(_ name: String, _ answer: String) -> String? {
    for line in answer.split(separator: "\r\n") where line.lowercased().hasPrefix(name + ": ") {
      return String(line.dropFirst(name.count + 2))
    }
    return nil
  }

  @Test("a cookie is found or not, whatever a client sends in its place")
  func anyCookies() throws {
    let storage = SnapshotStorage()
    let policy = try CompiledHashPolicy(
      HashPolicy(.cookie(name: "id", path: "", ttl: nil, attributes: [])), storage)
    func expected(_ text: String) -> String? {
      for pair in text.split(separator: ";") {
        guard let equals = pair.firstIndex(of: "="), pair[..<equals].drop(while: { $0 == " " }) == "id" else {
          continue
        }
        let value = pair[pair.index(after: equals)...]
        let isQuoted = value.count >= 2 && value.first == "\"" && value.last == "\""
        let bare = isQuoted ? value.dropFirst().dropLast() : value
        return bare.isEmpty ? nil : String(bare)
      }
      return nil
    }
    // Every text of up to five of these.
    let pieces = ["id", "=", ";", " ", "\"", "x"]
    var texts = [""]
    var longest = texts
    for _ in 1...5 {
      longest = longest.flatMap { text in pieces.map { text + $0 } }
      texts += longest
    }
    let scratch = HeadScratch()
    var wrong: [String] = []
    for text in texts {
      Array(text.utf8).withByteView { value in
        scratch.head.startRequest(.get, scheme: ByteView("http"), authority: ByteView("a"), path: ByteView("/"))
        scratch.head.append(named: ByteView("cookie"), value)
        if policy.cookie(in: scratch.head)?.string != expected(text) { wrong.append(text) }
      }
    }
    #expect(wrong == [])
  }

  static func header(_ name: String, terminal: Bool = false) -> HashPolicy {
    HashPolicy(.header(name: name, rewrite: nil), terminal: terminal)
  }

  @Test(
    "requests of one key go to one host, over whichever connection they come",
    arguments: [LoadBalancing.Policy.ringHash, .maglev])
  func sticky(policy: LoadBalancing.Policy) throws {
    let world = Self.world([Self.header("X-User")], policy)
    Self.answer(world)
    var ports: Set<String> = []
    for user in 0..<20 {
      let first = try #require(Self.port(Self.ask(world, "/", "x-user: \(user)\r\n")))
      #expect(Self.port(Self.ask(world, "/other", "x-user: \(user)\r\n")) == first)
      ports.insert(first)
    }
    #expect(ports.count > 4)
    world.expectClean()
  }

  @Test("a request without any of it is spread at random")
  func none() {
    let world = Self.world([Self.header("x-user")])
    Self.answer(world)
    let ports = Set((0..<20).map { _ in Self.port(Self.ask(world)) })
    #expect(ports.count > 3 && !ports.contains(nil))
  }

  /// Two requests each, and whether both get the same host.
  static let cases: [(policies: [HashPolicy], one: (String, String), other: (String, String), same: Bool)] = [
    // Values of a repeated field count in any order.
    ([header("x-a")], ("/", "x-a: 1\r\nx-a: 2\r\n"), ("/", "x-a: 2\r\nx-a: 1\r\n"), true),
    ([header("x-a")], ("/", "x-a: 1\r\nx-a: 2\r\n"), ("/", "x-a: 1\r\n"), false),
    // Pseudo-fields.
    ([header(":path")], ("/one", ""), ("/three", ""), false),
    ([header(":authority")], ("/one", ""), ("/two", ""), true),
    // A pattern takes out what does not matter.
    (
      [HashPolicy(.header(name: "x-a", rewrite: RegexRewrite(pattern: "-.*", substitution: "")))],
      ("/", "x-a: user-1\r\n"), ("/", "x-a: user-2\r\n"), true
    ),
    ([HashPolicy(.queryParameter("k"))], ("/?k=1&z=1", ""), ("/?z=2&k=1", ""), true),
    ([HashPolicy(.queryParameter("k"))], ("/?k=1", ""), ("/?k=23", ""), false),
    (
      [HashPolicy(.cookie(name: "id", path: "", ttl: nil, attributes: []))],
      ("/", "cookie: a=b; id=7\r\n"), ("/", "cookie: id=\"7\"; a=c\r\n"), true
    ),
    ([HashPolicy(.sourceIP)], ("/one", ""), ("/two", ""), true),
    // All together; up to a terminal one that found something.
    ([header("x-a"), header("x-b")], ("/", "x-a: 1\r\nx-b: 1\r\n"), ("/", "x-a: 1\r\nx-b: 2\r\n"), false),
    (
      [header("x-a", terminal: true), header("x-b")], ("/", "x-a: 1\r\nx-b: 1\r\n"), ("/", "x-a: 1\r\nx-b: 2\r\n"), true
    ),
    ([header("x-z", terminal: true), header("x-b")], ("/", "x-b: 1\r\n"), ("/", "x-b: 2\r\n"), false),
  ]

  @Test("which host it is depends on what the policies name, and on nothing else", arguments: cases.indices)
  func named(index: Int) throws {
    let (policies, one, other, same) = Self.cases[index]
    let world = Self.world(policies)
    Self.answer(world)
    let first = try #require(Self.port(Self.ask(world, one.0, one.1)))
    let second = try #require(Self.port(Self.ask(world, other.0, other.1)))
    #expect((first == second) == same, "\(first) \(second)")
    // And again, so that it was no accident.
    #expect(Self.port(Self.ask(world, one.0, one.1)) == first)
  }

  @Test("values of a field beyond the first 128 do not count, and cost nothing")
  func manyValues() throws {
    let storage = SnapshotStorage()
    let policy = try CompiledHashPolicy(Self.header("x-a"), storage)
    let scratch = HeadScratch()
    func hash(_ count: Int) throws -> UInt64 {
      let head = scratch.head
      head.startRequest(.get, authority: ByteView("a"), path: ByteView("/"))
      for i in 0..<count { head.append(named: ByteView("x-a"), storage.text("\(i * 7 % 1000)")) }
      return try #require(policy.hash(header: head))
    }
    #expect(try hash(127) != hash(128))
    #expect(try hash(128) == hash(900))
  }

  @Test("the hash is that of Envoy: parts turned left by one and combined")
  func combined() {
    var hash = CombinedHash()
    #expect(hash.value == nil)
    let first: UInt64 = 1 << 63 | 5
    hash.add(first)
    #expect(hash.value == first)
    hash.add(1)
    #expect(hash.value == 11 ^ 1)
  }

  @Test("who has no cookie is given one, and with it keeps the host")
  func newCookie() throws {
    let attributes = [
      HashPolicy.CookieAttribute(name: "SameSite", value: "Strict"),
      HashPolicy.CookieAttribute(name: "Secure", value: ""),
    ]
    let world = Self.world([
      HashPolicy(.cookie(name: "id", path: "/shop", ttl: .seconds(90), attributes: attributes))
    ])
    Self.answer(world)
    let first = Self.ask(world)
    let cookie = try #require(Self.field("set-cookie", first))
    #expect(cookie.hasPrefix("id=\""))
    #expect(cookie.hasSuffix("\"; Max-Age=90; Path=/shop; SameSite=Strict; Secure; HttpOnly"), "\(cookie)")
    let value = cookie.dropFirst(4).prefix(16)
    let isHex = value.allSatisfy { $0.isHexDigit }
    #expect(isHex)
    let again = Self.ask(world, "/", "cookie: id=\(value)\r\n")
    #expect(Self.port(again) == Self.port(first) && Self.field("set-cookie", again) == nil)
    world.expectClean()
  }

  @Test("requests of one connection are given the same cookie; a session cookie has no age")
  func sessionCookie() throws {
    let world = Self.world([HashPolicy(.cookie(name: "id", path: "", ttl: .zero, attributes: []))])
    Self.answer(world)
    let client = world.connect()
    let first = try #require(Self.field("set-cookie", Self.ask(world, on: client)))
    #expect(first.hasSuffix("\"; HttpOnly") && !first.contains("Max-Age"))
    #expect(Self.field("set-cookie", Self.ask(world, on: client)) == first)
    #expect(Self.field("set-cookie", Self.ask(world)) != first)
  }

  @Test("an answer made here sets no cookie, and neither does one of a cluster that does not hash")
  func noCookie() {
    let policy = HashPolicy(.cookie(name: "id", path: "", ttl: .seconds(1), attributes: []))
    let broken = Self.world([policy])
    broken.server.onBytes = { $0.reset() }
    let answer = Self.ask(broken)
    #expect(answer.contains(" 503 ") && Self.field("set-cookie", answer) == nil)
    let plain = Self.world([policy], .roundRobin)
    Self.answer(plain)
    #expect(Self.field("set-cookie", Self.ask(plain)) == nil)
  }

  @Test("the client that is hashed is the one that can be believed")
  func forwarded() throws {
    let world = Self.world([HashPolicy(.sourceIP)], manager: { $0.useRemoteAddress = false })
    Self.answer(world)
    let ports = Set((1...20).map { Self.port(Self.ask(world, "/", "x-forwarded-for: 10.0.0.\($0)\r\n")) })
    #expect(ports.count > 3)
    let edge = Self.world([HashPolicy(.sourceIP)], manager: { $0.useRemoteAddress = true })
    Self.answer(edge)
    #expect(Set((1...20).map { Self.port(Self.ask(edge, "/", "x-forwarded-for: 10.0.0.\($0)\r\n")) }).count == 1)
  }

  @Test("a key whose host has gone moves; nearly all others stay")
  func hostGone() throws {
    let world = Self.world([Self.header("x-user")])
    Self.answer(world)
    let before = (0..<30).map { Self.port(Self.ask(world, "/", "x-user: \($0)\r\n")) }
    let gone = try #require(before[0].flatMap { UInt16($0) })
    world.config.clusters[0].loadAssignment.localities[0].endpoints.removeAll {
      $0.address == .socket(host: "127.0.0.1", port: gone)
    }
    world.apply()
    let after = (0..<30).map { Self.port(Self.ask(world, "/", "x-user: \($0)\r\n")) }
    #expect(!after.contains("\(gone)") && !after.contains(nil))
    #expect(zip(before, after).count { $0 != $1 && $0 != "\(gone)" } <= 6)
    world.expectClean()
  }

  @Test("TCP connections of one client go to one host")
  func tcp() throws {
    let world = ProxyWorld()
    world.simple(ports: Self.ports, cluster: { $0.loadBalancing.policy = .maglev })
    var proxy = TCPProxy(statPrefix: "tcp", cluster: .single("backend"))
    proxy.hashesSource = true
    world.listen([.tcpProxy(proxy)])
    world.apply()
    for _ in 0..<8 {
      let client = world.connect()
      client.send("x")
      world.run { !world.server.accepted.isEmpty && client.isConnected }
      world.settle()
    }
    #expect(Set(world.server.accepted.map(\.port)).count == 1 && world.server.accepted.count == 8)
  }

  @Test(
    "weights that cannot be summed are refused for policies that make shares of them",
    arguments: [
      (
        LoadBalancing.Policy.ringHash, [[4_294_967_295, 1]], [nil],
        ".endpoints[0].lb_endpoints: make the weights of hosts 4294967296"
      ),
      (
        .maglev, [[1], [4_294_967_295, 1]], [nil, nil],
        ".endpoints[1].lb_endpoints: make the weights of hosts 4294967297"
      ),
      (.maglev, [[4_294_967_294, 1]], [nil], ""),
      (
        // Weights of localities that nobody asks for divide nothing.
        .ringHash, [[4_294_967_295], [4_294_967_295]], [1, 1],
        ".endpoints[1].lb_endpoints: make the weights of hosts 8589934590"
      ),
      (
        .ringHash, [[4_294_967_295], [1]], [nil, nil],
        ".endpoints[1].lb_endpoints: make the weights of hosts 4294967296"
      ),
      (
        .ringHash, [[1], [1]], [4_294_967_295, 1],
        ".endpoints[1].load_balancing_weight: makes the weights of priority 0 4294967296"
      ),
      (.roundRobin, [[4_294_967_295, 1]], [nil], ""),
    ] as [(LoadBalancing.Policy, [[UInt32]], [UInt32?], String)])
  func weights(policy: LoadBalancing.Policy, hosts: [[UInt32]], localities: [UInt32?], words: String) {
    var cluster = Cluster(name: "c")
    cluster.loadBalancing.policy = policy
    for (weights, own) in zip(hosts, localities) {
      var group = LocalityEndpoints()
      group.weight = own
      for (i, weight) in weights.enumerated() {
        var endpoint = Endpoint(address: .socket(host: "127.0.0.1", port: UInt16(1 + i)))
        endpoint.weight = weight
        group.endpoints.append(endpoint)
      }
      cluster.loadAssignment.localities.append(group)
    }
    var state = ConfigState()
    state.clusters = [cluster]
    let compiler = SnapshotCompiler(
      metrics: MetricsRegistry(workers: 1), logs: AccessLogFiles(workers: 1), random: RandomSource(seed: 1),
      extensions: .basics)
    let refused = compiler.compile(state).rejections.map(\.description)
    #expect(refused.isEmpty == words.isEmpty)
    #expect(refused.allSatisfy { $0.contains(": load_assignment" + words) }, "\(refused)")
  }
}
