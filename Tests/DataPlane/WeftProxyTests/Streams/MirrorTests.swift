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

@Suite("mirrors: copies of requests, whose answers nobody waits for")
struct MirrorTests {
  private static let copyPort: UInt16 = 8090
  private let ok = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

  /// A world whose requests are copied to cluster `copies`.
  private func mirrored(
    _ world: ProxyWorld, upstream: Version = .one, copies: Version = .one,
    policy change: (inout MirrorPolicy) -> Void = { _ in },
    listener changeListener: (inout Listener) -> Void = { _ in },
    manager changeManager: (inout HTTPConnectionManager) -> Void = { _ in },
    route changeRoute: (inout RouteAction) -> Void = { _ in }, cluster changeCopies: (inout Cluster) -> Void = { _ in }
  ) {
    var policy = MirrorPolicy(cluster: "copies")
    change(&policy)
    world.simple(
      upstream: upstream, manager: changeManager,
      route: {
        $0.mirrors = [policy]
        changeRoute(&$0)
      })
    var cluster = Cluster(name: "copies")
    var endpoints = LocalityEndpoints()
    endpoints.endpoints = [Endpoint(address: .socket(host: "127.0.0.1", port: Self.copyPort))]
    cluster.loadAssignment.localities = [endpoints]
    cluster.upstreamProtocol = copies == .two ? .http2 : .http1
    changeCopies(&cluster)
    world.config.clusters.append(cluster)
    changeListener(&world.config.listeners[0])
    world.server.listen(Self.copyPort)
    world.apply()
  }

  private func value(_ world: ProxyWorld, _ metric: ClusterMetric) -> UInt64 {
    world.registry.value(metric, world.registry.scope(ScopeKey(.cluster, "copies")))
  }

  private func copy(_ world: ProxyWorld) -> Peer? { world.server.accepted.first { $0.port == Self.copyPort } }
  private func original(_ world: ProxyWorld) -> Peer? { world.server.accepted.first { $0.port == 8080 } }

  private func expectClean(_ world: ProxyWorld) {
    world.settle()
    world.expectClean()
    #expect(value(world, .upstreamRqActive) == 0 && value(world, .upstreamRqPendingActive) == 0)
    #expect(world.engine.downstreams.count <= world.client.all.count)
  }

  @Test(
    "a copy has the request's method, path, fields, content and trailers, and its answer goes nowhere",
    arguments: Version.allCases, Version.allCases)
  func whole(client: Version, copies: Version) throws {
    let world = ProxyWorld(splits: true)
    mirrored(world, upstream: .one, copies: copies)
    var seen: [(port: UInt16, message: Seen)] = []
    world.server.onAccept = { peer in
      guard peer.port == Self.copyPort, copies == .two else { return }
      let h2 = H2Peer(.server, peer)
      h2.onRequest = { [unowned h2] id, message in
        seen.append(
          (
            Self.copyPort,
            Seen(
              method: message.method, path: message.path,
              fields: message.fields + [("host", message.authority)], body: message.body, trailers: message.trailers)
          ))
        h2.respond(id, 500, body: pattern(5_000))
      }
    }
    world.server.onBytes = { peer in
      guard peer.h2 == nil, let message = HTTP1Text(peer.received) else { return }
      peer.received = []
      let words = message.start.split(separator: " ")
      seen.append(
        (
          peer.port,
          Seen(
            method: String(words[0]), path: String(words[1]), fields: message.fields, body: message.body,
            trailers: message.trailers)
        ))
      peer.send(
        "HTTP/1.1 \(peer.port == 8080 ? 200 : 500) X\r\ncontent-length: 1\r\n\r\n\(peer.port == 8080 ? "o" : "c")")
    }
    let peer = world.connect()
    let body = pattern(60_000)
    if client == .two {
      let h2 = H2Peer(.client, peer)
      let id = h2.request(.post, "/x", fields: [("x-a", "1")], body: body, end: false)
      h2.sendTrailers(id, [("x-t", "2")])
      #expect(world.run { h2.messages[id]?.ended ?? false })
      #expect(h2.messages[id]?.status == 200 && h2.messages[id]?.text == "o")
    } else {
      peer.send(
        Array("POST /x HTTP/1.1\r\nhost: example.com\r\nx-a: 1\r\ntransfer-encoding: chunked\r\n\r\n".utf8)
          + HTTP1Text.chunked(body, size: 777, trailers: "x-t: 2\r\n"))
      #expect(world.run { peer.text.hasSuffix("\r\n\r\no") })
    }
    #expect(world.run { seen.count == 2 })
    let copied = try #require(seen.first { $0.port == Self.copyPort }).message
    #expect(copied.method == "POST" && copied.path == "/x" && same(copied.body, body))
    #expect(copied.first("host") == "example.com-shadow" && copied.first("x-a") == "1")
    #expect(copied.first("x-envoy-internal") == "true" && copied.trailer("x-t") == "2")
    #expect(try #require(seen.first { $0.port == 8080 }).message.first("host") == "example.com")
    world.advance(by: .milliseconds(100))
    #expect(value(world, .upstreamRqTotal) == 1 && value(world, .upstreamRq5xx) == 1)
    expectClean(world)
  }

  @Test(
    "the authority of a copy says that it is one, where it is a name",
    arguments: [
      ("a", "a-shadow"), ("a:80", "a-shadow:80"), ("[::1]", "[::1]"), ("[::1]:8", "[::1]:8"),
    ])
  func suffix(host: String, copied: String) {
    let world = ProxyWorld()
    mirrored(world)
    world.connect().send("GET / HTTP/1.1\r\nhost: \(host)\r\n\r\n")
    #expect(world.run { copy(world)?.text.contains("host: \(copied)\r\n") ?? false })
  }

  @Test("a policy may leave the authority as it is, or say another one")
  func authority() {
    for (literal, expected) in [("", "host: a\r\n"), ("other:1", "host: other:1\r\n")] {
      let world = ProxyWorld()
      mirrored(
        world,
        policy: {
          $0.disableShadowHostSuffix = literal.isEmpty
          $0.hostRewriteLiteral = literal
        })
      world.connect().send("GET / HTTP/1.1\r\nhost: a\r\n\r\n")
      #expect(world.run { copy(world)?.text.contains(expected) ?? false })
    }
  }

  @Test("a request header may name the cluster of the copy; without it, and for an unknown one, there is none")
  func byHeader() {
    let world = ProxyWorld()
    mirrored(
      world,
      policy: {
        $0.cluster = ""
        $0.clusterHeader = "X-Copy"
      })
    let ok = ok
    world.server.onBytes = { $0.send(ok) }
    for (line, copies) in [("", 0), ("x-copy: nobody\r\n", 0), ("x-copy: copies\r\n", 1)] as [(String, UInt64)] {
      let client = world.connect()
      client.send("GET / HTTP/1.1\r\nhost: a\r\n\(line)\r\n")
      #expect(world.run { client.text.hasSuffix("ok") })
      world.settle()
      #expect(value(world, .upstreamRqTotal) == copies)
    }
    expectClean(world)
  }

  @Test("a share of the requests is copied")
  func share() {
    let world = ProxyWorld()
    mirrored(world, policy: { $0.fraction = RuntimeFraction(FractionalPercent(25)) })
    let ok = ok
    world.server.onBytes = { $0.send(ok) }
    let client = world.connect()
    for _ in 0..<400 {
      client.received = []
      client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n")
      #expect(world.run { client.text.hasSuffix("ok") })
    }
    #expect((60...140).contains(value(world, .upstreamRqTotal)))
  }

  @Test("the most specific level that names mirrors has all the say; the cluster's own come before all")
  func levels() {
    func copies(_ names: [String?]) -> [String] {
      let world = ProxyWorld()
      mirrored(world, route: { $0.mirrors = names[2].map { [MirrorPolicy(cluster: $0)] } ?? [] })
      let base = world.config.clusters[1]
      world.config.clusters = [world.config.clusters[0]]
      let all = ["of-table", "of-host", "of-route", "of-cluster"]
      for name in all {
        var cluster = base
        cluster.name = name
        world.config.clusters.append(cluster)
      }
      world.config.clusters[0].mirrors = names[3].map { [MirrorPolicy(cluster: $0)] } ?? []
      guard case .httpConnectionManager(var manager) = world.config.listeners[0].filterChains[0].filters[0],
        case .inline(var table) = manager.routes
      else { return [] }
      table.mirrors = names[0].map { [MirrorPolicy(cluster: $0)] } ?? []
      table.virtualHosts[0].mirrors = names[1].map { [MirrorPolicy(cluster: $0)] } ?? []
      manager.routes = .inline(table)
      world.listen([.httpConnectionManager(manager)])
      world.apply()
      world.connect().send("GET / HTTP/1.1\r\nhost: a\r\n\r\n")
      world.settle()
      return all.filter {
        world.registry.value(ClusterMetric.upstreamRqTotal, world.registry.scope(ScopeKey(.cluster, $0))) == 1
      }
    }
    #expect(copies([nil, nil, nil, nil]) == [])
    #expect(copies(["of-table", nil, nil, nil]) == ["of-table"])
    #expect(copies(["of-table", "of-host", nil, nil]) == ["of-host"])
    #expect(copies(["of-table", "of-host", "of-route", nil]) == ["of-route"])
    #expect(copies(["of-table", "of-host", "of-route", "of-cluster"]) == ["of-cluster"])
  }

  @Test("a copy whose endpoint reads nothing is cut and counted; its original never waits", arguments: Version.allCases)
  func slowCopy(copies: Version) {
    let world = ProxyWorld(window: 4_000)
    mirrored(
      world, copies: copies, listener: { $0.perConnectionBufferLimitBytes = 20_000 },
      cluster: { $0.perConnectionBufferLimitBytes = 20_000 })
    world.server.onAccept = { peer in
      guard peer.port == Self.copyPort else { return }
      guard copies == .two else { return peer.pause() }
      var limits = HTTPLimits()
      limits.http2.initialStreamWindow = 65_535
      H2Peer(.server, peer, limits: limits).credits = false
    }
    let ok = ok
    let body = pattern(400_000)
    world.server.onBytes = { peer in
      if peer.h2 == nil, let message = HTTP1Text(peer.received), same(message.body, body) { peer.send(ok) }
    }
    let client = world.connect()
    client.send(Array("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: \(body.count)\r\n\r\n".utf8) + body)
    #expect(world.run(for: .seconds(2)) { client.text.hasSuffix("ok") })
    #expect(value(world, .retryOrShadowAbandoned) == 1)
    #expect(world.value(ClusterMetric.retryOrShadowAbandoned) <= 1)
    expectClean(world)
  }

  @Test("a copy that gets no answer ends at the route's time-out; without one, when it has been silent too long")
  func silent() {
    for timeout in [Duration.seconds(2), .zero] {
      let world = ProxyWorld()
      mirrored(
        world, manager: { $0.streamIdleTimeout = .seconds(4) },
        route: { $0.timeout = timeout })
      let ok = ok
      world.server.onBytes = { if $0.port == 8080 { $0.send(ok) } }
      let client = world.connect()
      client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n")
      #expect(world.run { client.text.hasSuffix("ok") })
      world.advance(by: .milliseconds(1_900))
      #expect(world.engine.streams.count == 1)
      world.advance(by: .milliseconds(2_200))
      #expect(value(world, .upstreamRqTimeout) == (timeout == .zero ? 0 : 1))
      #expect(world.value(ClusterMetric.upstreamRqTimeout) == 0)
      expectClean(world)
    }
  }

  @Test("a copy that cannot be sent is none: nobody listens, no host, its own breakers", arguments: 0...2)
  func nowhere(kind: Int) {
    let world = ProxyWorld()
    mirrored(
      world,
      cluster: {
        if kind == 1 { $0.loadAssignment.localities = [] }
        if kind == 2 { $0.circuitBreakers.standard.maxRequests = 0 }
      })
    if kind == 0 { world.server.stopListening(Self.copyPort) }
    let ok = ok
    world.server.onBytes = { if $0.port == 8080 { $0.send(ok) } }
    let client = world.connect()
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nab")
    #expect(world.run { client.text.hasSuffix("ok") })
    expectClean(world)
    let metric: ClusterMetric = [.upstreamCxConnectFail, .upstreamCxNoneHealthy, .upstreamRqPendingOverflow][kind]
    #expect(value(world, metric) == 1)
    #expect(world.value(metric) == 0)
  }

  @Test("a copy goes with its original as long as that is not whole, and lives on after that")
  func clientGone() {
    for isWhole in [false, true] {
      let world = ProxyWorld()
      mirrored(world)
      let client = world.connect()
      client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nab" + (isWhole ? "cd" : ""))
      #expect(
        world.run { (copy(world)?.text.hasSuffix("ab") ?? false) || copy(world)?.text.hasSuffix("abcd") ?? false })
      client.reset()
      world.settle()
      #expect(original(world)?.isClosed ?? false)
      #expect(copy(world)?.isClosed == !isWhole)
      #expect(world.engine.streams.count == (isWhole ? 1 : 0))
      copy(world)?.send(ok)
      expectClean(world)
    }
  }

  @Test("an answer before the end of the request cuts the copy, which would never be whole")
  func earlyAnswer() {
    let world = ProxyWorld()
    mirrored(world)
    let client = world.connect()
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nab")
    #expect(world.run { copy(world)?.text.hasSuffix("ab") ?? false })
    original(world)?.send("HTTP/1.1 413 No\r\ncontent-length: 0\r\n\r\n")
    #expect(world.run { client.text.hasPrefix("HTTP/1.1 413") })
    client.send("cd")
    world.settle()
    #expect(copy(world)?.isClosed ?? false)
    #expect(!(copy(world)?.text.hasSuffix("cd") ?? true))
    expectClean(world)
  }

  @Test("a copy that is answered or reset while its request still comes in is over", arguments: [false, true])
  func earlyCopy(resets: Bool) {
    let world = ProxyWorld()
    mirrored(world)
    let client = world.connect()
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nab")
    #expect(world.run { copy(world)?.text.hasSuffix("ab") ?? false })
    if resets { copy(world)?.reset() } else { copy(world)?.send(ok) }
    world.settle()
    #expect(world.engine.streams.count == 1)
    client.send("cd")
    #expect(world.run { original(world)?.text.hasSuffix("abcd") ?? false })
    original(world)?.send(ok)
    #expect(world.run { client.text.hasSuffix("ok") })
    expectClean(world)
  }

  @Test("a retry of the original is not copied again")
  func retried() {
    let world = ProxyWorld()
    mirrored(world, route: { $0.retryPolicy = RetryPolicy(retryOn: [.serverError]) })
    let ok = ok
    var asked = 0
    world.server.onBytes = { peer in
      guard peer.port == 8080 else { return peer.send(ok) }
      asked += 1
      peer.send(asked == 1 ? "HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n" : ok)
    }
    let client = world.connect()
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    #expect(world.run { client.text.hasSuffix("ok") })
    expectClean(world)
    #expect(asked == 2 && value(world, .upstreamRqTotal) == 1)
  }

  @Test("tunnels are not copied, and a request that finds no host is none to copy")
  func none() {
    let world = ProxyWorld()
    mirrored(world, manager: { $0.upgrades = [UpgradeConfiguration(type: "websocket")] })
    let client = world.connect()
    client.send("GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
    #expect(world.run { original(world)?.text.hasSuffix("\r\n\r\n") ?? false })
    world.config.clusters[0].loadAssignment.localities = []
    world.apply()
    let other = world.connect()
    other.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n")
    #expect(world.run { other.text.hasPrefix("HTTP/1.1 503") })
    world.settle()
    #expect(value(world, .upstreamRqTotal) == 0)
  }

  @Test("a copy is hashed for its own cluster: one key has one host there, too")
  func hashed() {
    let ports: [UInt16] = Array(8090...8097)
    let world = ProxyWorld()
    mirrored(
      world, route: { $0.hashPolicies = [HashPolicy(.header(name: "x-user", rewrite: nil), terminal: false)] },
      cluster: {
        $0.loadBalancing.policy = .ringHash
        $0.loadAssignment.localities[0].endpoints = ports.map {
          Endpoint(address: .socket(host: "127.0.0.1", port: $0))
        }
      })
    for port in ports where port != Self.copyPort { world.server.listen(port) }
    let ok = ok
    var copied: [UInt16] = []
    world.server.onBytes = { peer in
      if ports.contains(peer.port) { copied.append(peer.port) }
      _ = peer.take()
      peer.send(ok)
    }
    var first: Set<UInt16> = []
    for user in 0..<12 {
      copied = []
      for _ in 0..<4 {
        let client = world.connect()
        client.send("GET / HTTP/1.1\r\nhost: a\r\nx-user: \(user)\r\n\r\n")
        #expect(world.run { client.text.hasSuffix("ok") })
        world.settle()
      }
      #expect(copied.count == 4 && Set(copied).count == 1)
      first.formUnion(copied)
    }
    #expect(first.count > 2)
    expectClean(world)
  }

  // MARK: Where it meets something else

  @Test(
    "a copy may share its original's cluster and connection; whichever is reset, the other goes on",
    arguments: [true, false])
  func sameConnection(resetsOriginal: Bool) throws {
    let world = ProxyWorld()
    mirrored(world, upstream: .two, policy: { $0.cluster = "backend" })
    var heads: [(id: H2StreamID, isCopy: Bool)] = []
    var wholes: [H2StreamID: String] = [:]
    var server: H2Peer?
    world.server.onAccept = { peer in
      let h2 = H2Peer(.server, peer)
      server = h2
      h2.onHead = { heads.append(($0, $1.first("x-envoy-internal") != nil)) }
      h2.onRequest = { [unowned h2] id, message in
        wholes[id] = message.text
        h2.respond(id, 200)
      }
    }
    let client = world.connect()
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nab")
    #expect(world.run { heads.count == 2 })
    #expect(world.server.accepted.count == 1)
    let copy = try #require(heads.first { $0.isCopy }?.id)
    let original = try #require(heads.first { !$0.isCopy }?.id)
    server?.reset(resetsOriginal ? original : copy, .internalError)
    world.settle()
    client.send("cd")
    #expect(world.run { client.text.hasPrefix(resetsOriginal ? "HTTP/1.1 503" : "HTTP/1.1 200") })
    world.settle()
    // The original's end is the copy's, which was not whole.
    #expect(wholes[copy] == nil && wholes[original] == (resetsOriginal ? nil : "abcd"))
    expectClean(world)
  }

  @Test("an original that is sent again keeps its copies, which get its content once", arguments: Version.allCases)
  func retriedInBetween(version: Version) {
    let world = ProxyWorld()
    mirrored(
      world, upstream: version, copies: version, route: { $0.retryPolicy = RetryPolicy(retryOn: [.reset]) })
    let ok = ok
    var attempts = 0
    var bodies: [UInt16: [String]] = [:]
    world.server.onAccept = { peer in
      guard version == .two else { return }
      let h2 = H2Peer(.server, peer)
      h2.onHead = { [unowned h2] id, _ in
        guard peer.port == 8080 else { return }
        attempts += 1
        if attempts == 1 { h2.reset(id, .internalError) }
      }
      h2.onRequest = { [unowned h2] id, message in
        bodies[peer.port, default: []].append(message.text)
        h2.respond(id, 200, body: Array("ok".utf8))
      }
    }
    world.server.onBytes = { peer in
      guard version == .one else { return }
      if peer.port == 8080, peer.text.hasSuffix("ab"), attempts == 0 {
        attempts = 1
        return peer.reset()
      }
      guard let message = HTTP1Text(peer.received), message.body.count == 4 else { return }
      if peer.port == 8080 { attempts += 1 }
      bodies[peer.port, default: []].append(message.text)
      peer.received = []
      peer.send(ok)
    }
    let client = world.connect()
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nab")
    #expect(world.run { attempts >= 1 })
    world.settle()
    client.send("cd")
    #expect(world.run { client.text.hasPrefix("HTTP/1.1 200") })
    world.settle()
    #expect(bodies[8080] == ["abcd"] && bodies[Self.copyPort] == ["abcd"])
    expectClean(world)
  }

  @Test(
    "a request answered here before it is whole ends its copies, whoever goes on sending", arguments: Version.allCases)
  func answeredHere(client version: Version) {
    let world = ProxyWorld()
    mirrored(world, manager: { $0.requestTimeout = .seconds(1) })
    let peer = world.connect()
    var h2: H2Peer?
    var id: H2StreamID = 0
    if version == .two {
      let client = H2Peer(.client, peer)
      id = client.request(.post, "/", body: Array("ab".utf8), end: false)
      h2 = client
    } else {
      peer.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n")
    }
    #expect(world.run { copy(world)?.text.contains("ab") ?? false })
    world.advance(by: .seconds(2))
    if let h2 {
      #expect(h2.messages[id]?.status == 408)
      h2.send(id, Array("cd".utf8), end: true)
    } else {
      #expect(peer.text.hasPrefix("HTTP/1.1 408"))
      peer.send("2\r\ncd\r\n0\r\n\r\n")
    }
    world.settle()
    #expect(copy(world)?.isClosed ?? false)
    #expect(!(copy(world)?.text.contains("cd") ?? true))
    expectClean(world)
  }

  @Test("a copy under way ends well after its cluster, its host and its route have left", arguments: Version.allCases)
  func configurationLeaves(version: Version) {
    let world = ProxyWorld()
    mirrored(world, copies: version)
    let ok = ok
    var whole = ""
    world.server.onAccept = { peer in
      guard peer.port == Self.copyPort, version == .two else { return }
      let h2 = H2Peer(.server, peer)
      h2.onRequest = { [unowned h2] id, message in
        whole = message.text
        h2.respond(id, 200)
      }
    }
    world.server.onBytes = { peer in
      guard peer.h2 == nil, let message = HTTP1Text(peer.received), message.body.count == 4 else { return }
      if peer.port == Self.copyPort { whole = message.text }
      peer.send(ok)
    }
    let client = world.connect()
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nab")
    #expect(world.run { original(world)?.text.hasSuffix("ab") ?? false })
    world.settle()
    world.config.clusters.removeLast()
    world.config.listeners = []
    world.apply()
    world.settle()
    client.send("cd")
    #expect(world.run { client.text.hasSuffix("ok") && whole == "abcd" })
    expectClean(world)
  }

  // Found by reading: the copy was counted at a host whose place in the new list another one had, and the process ended.
  @Test("a request that waits at one host, and its copy that waits at another, end when all hosts leave together")
  func hostsLeaveTogether() {
    let world = ProxyWorld()
    world.simple(
      ports: [8080, 8081, 8082],
      route: {
        $0.mirrors = [MirrorPolicy(cluster: "backend")]
        $0.timeout = .zero
      },
      cluster: {
        $0.loadBalancing.panicThresholdPercent = 0
        $0.circuitBreakers.standard.maxConnections = 1
      })
    // Each host gets the one connection that it may always have, and never answers. Of three hosts by turns, each has requests whose copies are at
    // another, so it does not matter which is removed first.
    let clients = (0..<12).map { _ in world.connect() }
    for client in clients {
      client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nab")
      world.settle()
    }
    #expect(world.engine.hosts.count == 3)
    var gone = LocalityEndpoints()
    gone.endpoints = [Endpoint(address: .socket(host: "127.0.0.1", port: 8083))]
    gone.endpoints[0].health = .unhealthy
    world.config.clusters[0].loadAssignment.localities = [gone]
    world.apply()
    world.settle()
    // Those that waited are told; those that were sent go on.
    #expect(clients.count { $0.text.hasPrefix("HTTP/1.1 503") } >= 9)
    for client in clients { client.close() }
    for peer in world.server.accepted { peer.close() }
    world.settle()
    world.checkInvariants()
    #expect(world.engine.streams.count == 0)
  }
}
