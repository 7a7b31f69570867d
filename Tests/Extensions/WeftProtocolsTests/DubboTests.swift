import Testing
import WeftBase
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTelemetry
import WeftTestKit

@testable import WeftCompile
@testable import WeftProxy
@testable import WeftProxyTestKit

@Suite("Dubbo through the proxy")
struct DubboTests {
  private func answers(_ client: Peer) -> [DubboAnswer] { client.frames().map(DubboAnswer.init) }

  // MARK: Exchange

  @Test(
    "a request passes byte for byte under a number of ours, its answer under the client's", arguments: [false, true])
  func passes(splits: Bool) {
    let world = ProtocolWorld.make(splits: splits)
    let servers = DubboServers(world)
    let client = world.connect()
    let request = DubboFrames.request(id: 0xfedc_ba98_7654_3210, arguments: [.text("中😀")])
    client.send(request)
    var answer: [[UInt8]] = []
    world.run {
      answer += client.frames()
      return !answer.isEmpty
    }
    #expect(answer == [DubboFrames.answer(id: 0xfedc_ba98_7654_3210)])
    let passed = servers.requests[0].frame
    #expect(passed[..<4] == request[..<4] && passed[12...] == request[12...])
    #expect(DubboFrames.id(passed) == 1)
    #expect(world.value(.downstreamRq2xx) == 1 && world.value(ClusterMetric.upstreamRq2xx) == 1)
    #expect(world.value(ClusterMetric.upstreamRqTotal) == 1 && world.value(.rqTotal) == 1)
    world.expectClean()
  }

  @Test("routes come by discovery: the listener waits for its table, and calls go where the newest says")
  func discoveredRoutes() {
    var table = RouteConfiguration(name: "routes")
    let world = ProtocolWorld.make(manager: { manager in
      if case .inline(let inline) = manager.routes { table = inline }
      manager.routes = .discovered(name: "routes", source: ConfigSource(.ads))
    })
    let servers = DubboServers(world)
    let early = world.connect()
    early.send(DubboFrames.request(id: 1))
    world.settle()
    #expect(early.isOver && servers.requests.isEmpty)
    world.config.routes["routes"] = table
    world.apply()
    let client = world.connect()
    func answer() -> DubboAnswer? {
      client.send(DubboFrames.request(id: 1))
      var seen: [DubboAnswer] = []
      world.run {
        seen += answers(client)
        return !seen.isEmpty
      }
      return seen.first
    }
    #expect(answer()?.status == 20 && servers.requests.count == 1)
    // The table names a method that is not this one any more.
    table.virtualHosts[0].routes[0].match = RouteMatch(.exact("/another"))
    world.config.routes["routes"] = table
    world.apply()
    #expect(answer()?.status != 20 && servers.requests.count == 1)
    table.virtualHosts[0].routes[0].match = RouteMatch(.prefix("/"))
    world.config.routes["routes"] = table
    world.apply()
    #expect(answer()?.status == 20 && servers.requests.count == 2)
    world.expectClean()
  }

  @Test("clients share one connection, and get their own answers in whatever order those come")
  func multiplexes() {
    let world = ProtocolWorld.make()
    let servers = DubboServers(world)
    servers.answer = { _, _ in [] }
    let clients = [world.connect(), world.connect()]
    for client in clients {
      for id in 1...3 {
        client.send(DubboFrames.request(id: UInt64(id), arguments: [.text("\(client.id.rawValue) \(id)")]))
      }
    }
    world.run { servers.requests.count == 6 }
    #expect(Set(servers.requests.map { DubboFrames.id($0.frame) }).count == 6)
    #expect(world.server.accepted.count == 1)
    for (peer, frame) in servers.requests.reversed() {
      let isFirst = frame.contains(Array("\(clients[0].id.rawValue) ".utf8))
      peer.send(DubboFrames.answer(id: DubboFrames.id(frame), .text(isFirst ? "first" : "second")))
    }
    var seen: [[DubboAnswer]] = [[], []]
    world.run {
      for i in 0..<2 { seen[i] += answers(clients[i]) }
      return seen.allSatisfy { $0.count == 3 }
    }
    #expect(seen[0].map(\.text) == ["first", "first", "first"] && seen[0].map(\.id) == [3, 2, 1])
    #expect(seen[1].map(\.text) == ["second", "second", "second"] && seen[1].map(\.id) == [3, 2, 1])
    world.expectClean()
  }

  @Test("a request without answer is passed on, counted, and waited for no longer")
  func oneWay() {
    let world = ProtocolWorld.make()
    let servers = DubboServers(world)
    servers.answer = { _, frame in frame[2] & 0x40 == 0 ? [] : DubboFrames.answer(id: DubboFrames.id(frame)) }
    let client = world.connect()
    client.send(DubboFrames.request(id: 1, isOneWay: true) + DubboFrames.request(id: 2))
    var seen: [DubboAnswer] = []
    world.run {
      seen += answers(client)
      return !seen.isEmpty
    }
    #expect(seen.map(\.id) == [2])
    #expect(servers.requests.map { $0.frame[2] } == [0x82, 0xc2])
    #expect(world.value(.downstreamRq2xx) == 2)
    world.expectClean()
  }

  @Test("a thousand of them that waited for one connection leave one after the other")
  func oneWayQueue() {
    let world = ProtocolWorld.make(cluster: { $0.circuitBreakers.standard.maxConnections = 1 })
    let servers = DubboServers(world)
    servers.answer = { _, _ in [] }
    let client = world.connect()
    client.send((1...1000).flatMap { DubboFrames.request(id: UInt64($0), isOneWay: true) })
    world.run { servers.requests.count == 1000 }
    #expect(servers.requests.count == 1000 && world.server.accepted.count == 1)
    world.expectClean()
  }

  @Test("nobody is told of a request without answer that could not be passed on")
  func oneWayRefused() {
    let world = ProtocolWorld.make(route: { $0.cluster = .cluster("nobody") })
    let client = world.connect()
    client.send(DubboFrames.request(id: 1, isOneWay: true) + DubboFrames.request(id: 2))
    var seen: [DubboAnswer] = []
    world.run {
      seen += answers(client)
      return !seen.isEmpty
    }
    #expect(seen.map(\.id) == [2])
    #expect(world.value(.downstreamRq5xx) == 2)
    world.expectClean()
  }

  @Test("a large message passes whole while small ones go by")
  func large() {
    let world = ProtocolWorld.make(splits: true)
    let servers = DubboServers(world)
    servers.answer = { _, frame in
      DubboFrames.answer(id: DubboFrames.id(frame), .bytes(Array(frame.suffix(60_000))))
    }
    let clients = [world.connect(), world.connect()]
    let blob = (0..<40).map { _ in HessianValue.bytes([UInt8](repeating: 7, count: 60_000)) }
    let big = DubboFrames.request(id: 1, types: "Ljava/util/List;", arguments: [.list(blob)])
    clients[0].send(big)
    clients[1].send(DubboFrames.request(id: 2))
    var seen: [Int] = [0, 0]
    world.run {
      for i in 0..<2 { seen[i] += clients[i].frames().count }
      return seen == [1, 1]
    }
    #expect(seen == [1, 1])
    #expect(servers.requests.contains { $0.frame.count == big.count && $0.frame[12...] == big[12...] })
    world.expectClean()
  }

  // MARK: Routing

  @Test(
    "interface, method, group, version and attachments choose the route",
    arguments: [
      ("demo.Greeter", "hello", [], 8081), ("demo.Greeter", "bye", [], 8082), ("demo.Other", "hello", [], 8083),
      ("demo.Greeter", "bye", [("group", "blue")], 8084), ("demo.Greeter", "bye", [("tenant", "a")], 8085),
    ] as [(String, String, [(String, String)], UInt16)])
  func routes(service: String, method: String, attachments: [(String, String)], port: UInt16) {
    let world = ProtocolWorld.make(manager: { manager in
      RouteConfiguration.of(&manager) { table in
        func route(_ cluster: String, _ path: RouteMatch.Path, _ header: String? = nil, _ value: String = "") -> Route {
          var match = RouteMatch(path)
          if let header { match.headers = [HeaderMatcher(name: header, .string(StringMatcher(.exact(value))))] }
          return Route(match: match, action: .forward(RouteAction(cluster: .cluster(cluster))))
        }
        var greeter = VirtualHost(name: "greeter", domains: ["demo.Greeter"])
        greeter.routes = [
          route("8084", .prefix("/"), "group", "blue"), route("8085", .prefix("/"), "dubbo-attachment-tenant", "a"),
          route("8081", .exact("/demo.Greeter/hello")), route("8082", .prefix("/")),
        ]
        var rest = VirtualHost(name: "rest", domains: ["*"])
        rest.routes = [route("8083", .prefix("/"))]
        table.virtualHosts = [greeter, rest]
      }
    })
    for port: UInt16 in 8081...8085 {
      var cluster = Cluster(name: "\(port)")
      var endpoints = LocalityEndpoints()
      endpoints.endpoints = [Endpoint(address: .socket(host: "127.0.0.1", port: port))]
      cluster.loadAssignment.localities = [endpoints]
      world.config.clusters.append(cluster)
      world.server.listen(port)
    }
    world.apply()
    let servers = DubboServers(world)
    let client = world.connect()
    client.send(
      DubboFrames.request(id: 1, service: service, method: method, attachments: [("interface", service)] + attachments))
    world.run { !servers.requests.isEmpty }
    #expect(servers.requests.first?.peer.port == port)
  }

  @Test("weights divide requests of one connection")
  func weights() {
    let world = ProtocolWorld.make(route: { action in
      action.cluster = .weighted(
        WeightedClusters([.init(name: "backend", weight: 90), .init(name: "canary", weight: 10)]))
    })
    var canary = world.config.clusters[0]
    canary.name = "canary"
    canary.loadAssignment.localities[0].endpoints[0].address = .socket(host: "127.0.0.1", port: 8081)
    world.config.clusters.append(canary)
    world.server.listen(8081)
    world.apply()
    let servers = DubboServers(world)
    let client = world.connect()
    for id in 1...400 { client.send(DubboFrames.request(id: UInt64(id))) }
    var seen = 0
    world.run {
      seen += client.frames().count
      return seen == 400
    }
    let share = servers.requests.count { $0.peer.port == 8081 }
    #expect((20...65).contains(share), "\(share) of 400")
    world.expectClean()
  }

  @Test("a body in another serialization reaches nobody, and its client is told why")
  func otherSerialization() {
    let world = ProtocolWorld.make()
    let servers = DubboServers(world)
    let client = world.connect()
    client.send(DubboFrames.frame(flags: 0xd7, id: 5, [1, 2, 3]))
    var seen: [DubboAnswer] = []
    world.run {
      seen += answers(client)
      return !seen.isEmpty
    }
    #expect(seen == [DubboAnswer(id: 5, 40, "dubbo.unknown_serialization")])
    #expect(servers.requests.isEmpty)
  }

  // MARK: Answers made here

  @Test(
    "what the proxy answers itself is an exception to Dubbo",
    arguments: [
      ("no route", 60, "route_not_found"), ("no cluster", 80, "cluster_not_found"),
      ("no host", 80, "no healthy upstream"), ("time", 31, "upstream request timeout"),
      ("full", 100, "upstream connect error or disconnect/reset before headers. reset reason: overflow"),
      (
        "refused", 80,
        "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure"
      ),
      ("respond", 20, "from here"), ("deny", 70, "not you"),
    ] as [(String, UInt8, String)])
  func localReplies(story: String, status: UInt8, text: String) {
    let world = ProtocolWorld.make(
      manager: { manager in
        RouteConfiguration.of(&manager) { table in
          if story == "no route" { table.virtualHosts[0].domains = ["other"] }
          if story == "respond" || story == "deny" {
            table.virtualHosts[0].routes[0].action = .respond(
              DirectResponse(status: story == "deny" ? 403 : 200, body: .inline(Array(text.utf8))))
          }
        }
      },
      route: { action in
        action.timeout = .seconds(1)
        if story == "no cluster" { action.cluster = .cluster("nobody") }
      },
      cluster: { cluster in
        if story == "no host" { cluster.loadAssignment.localities = [] }
        if story == "full" { cluster.circuitBreakers.standard.maxRequests = 0 }
      })
    if story == "refused" { world.server.stopListening(8080) }
    let servers = DubboServers(world)
    servers.answer = { _, _ in [] }
    let client = world.connect()
    client.send(DubboFrames.request(id: 77))
    var seen: [DubboAnswer] = []
    world.run {
      seen += answers(client)
      return !seen.isEmpty
    }
    #expect(seen == [DubboAnswer(id: 77, status, text)])
    #expect(!client.isOver)
    world.expectClean()
  }

  @Test("an answer that comes after its time is nobody's, and the connection serves on")
  func late() {
    let world = ProtocolWorld.make(route: { $0.timeout = .seconds(1) })
    let servers = DubboServers(world)
    servers.answer = { _, _ in [] }
    let client = world.connect()
    client.send(DubboFrames.request(id: 1))
    var seen: [DubboAnswer] = []
    world.run {
      seen += answers(client)
      return !seen.isEmpty
    }
    #expect(seen.map(\.status) == [31])
    let (peer, frame) = servers.requests[0]
    peer.send(DubboFrames.answer(id: DubboFrames.id(frame)))
    servers.answer = { _, frame in DubboFrames.answer(id: DubboFrames.id(frame), .text("second")) }
    client.send(DubboFrames.request(id: 2))
    seen = []
    world.run {
      seen += answers(client)
      return !seen.isEmpty
    }
    #expect(seen.map(\.id) == [2] && world.server.accepted.count == 1)
    world.expectClean()
  }

  // MARK: Retries and outliers

  @Test("a lost connection sends its requests to another host, as the policy says")
  func retryAfterLoss() {
    var policy = RetryPolicy(retryOn: [.reset, .connectFailure])
    policy.maxRetries = 2
    let world = ProtocolWorld.make(ports: [8080, 8081], route: { $0.retryPolicy = policy })
    let servers = DubboServers(world)
    var lost = 0
    servers.answer = { peer, frame in
      if lost == 0 {
        lost += 1
        peer.reset()
        return []
      }
      return DubboFrames.answer(id: DubboFrames.id(frame), .text("saved"))
    }
    let client = world.connect()
    for id in 1...4 { client.send(DubboFrames.request(id: UInt64(id))) }
    var seen: [DubboAnswer] = []
    world.run {
      seen += answers(client)
      return seen.count == 4
    }
    #expect(Set(seen.map(\.id)) == [1, 2, 3, 4] && seen.allSatisfy { $0.status == 20 })
    #expect(world.value(ClusterMetric.upstreamRqRetry) >= 1)
    world.expectClean()
  }

  @Test("an endpoint's own failure is tried again, an exception of the service is not", arguments: [true, false])
  func retryOfAnswers(isFailure: Bool) {
    var policy = RetryPolicy(retryOn: [.serverError])
    policy.maxRetries = 3
    let world = ProtocolWorld.make(route: { $0.retryPolicy = policy })
    let servers = DubboServers(world)
    servers.answer = { _, frame in
      let id = DubboFrames.id(frame)
      if servers.requests.count > 1 { return DubboFrames.answer(id: id, .text("better")) }
      return isFailure
        ? DubboFrames.answer(id: id, .text("bad"), status: 80) : DubboFrames.answer(id: id, .text("thrown"), kind: 0x90)
    }
    let client = world.connect()
    client.send(DubboFrames.request(id: 1))
    var seen: [DubboAnswer] = []
    world.run {
      seen += answers(client)
      return !seen.isEmpty
    }
    #expect(servers.requests.count == (isFailure ? 2 : 1))
    #expect(seen.map(\.text) == [isFailure ? "better" : "thrown"])
    #expect(world.server.accepted.count == 1)
    world.expectClean()
  }

  @Test(
    "a call whose answer is late is sent once more, and the first good answer is the client's",
    arguments: [1, 2], [0, 1])
  func backup(hosts: Int, winner: Int) {
    var policy = RetryPolicy(retryOn: [.serverError])
    policy.perTryTimeout = .milliseconds(100)
    policy.backoffBase = .milliseconds(1)
    let world = ProtocolWorld.make(
      ports: Array(([8080, 8081] as [UInt16]).prefix(hosts)),
      route: {
        $0.retryPolicy = policy
        $0.hedgesOnPerTryTimeout = true
      })
    let servers = DubboServers(world)
    servers.answer = { _, _ in [] }
    let client = world.connect()
    client.send(DubboFrames.request(id: 7))
    #expect(world.run { servers.requests.count == 2 })
    #expect(world.server.accepted.count == hosts)
    var seen: [DubboAnswer] = []
    for attempt in [winner, 1 - winner] {
      let (peer, frame) = servers.requests[attempt]
      peer.send(DubboFrames.answer(id: DubboFrames.id(frame), .text("\(attempt)")))
      world.advance(by: .milliseconds(300))
      seen += answers(client)
    }
    #expect(seen == [DubboAnswer(id: 7, 20, "\(winner)")])
    // Neither connection was lost for it.
    servers.answer = { _, frame in DubboFrames.answer(id: DubboFrames.id(frame), .text("next")) }
    client.send(DubboFrames.request(id: 8))
    world.run {
      seen += answers(client)
      return seen.count == 2
    }
    #expect(seen.last == DubboAnswer(id: 8, 20, "next") && world.server.accepted.count == hosts)
    world.expectClean()
  }

  @Test("a call without answer has no backup, however long its connection takes nothing")
  func oneWayBackup() {
    var policy = RetryPolicy(retryOn: [.serverError])
    policy.perTryTimeout = .milliseconds(100)
    let world = ProtocolWorld.make(
      ports: [8080, 8081], window: 2_048,
      route: {
        $0.retryPolicy = policy
        $0.hedgesOnPerTryTimeout = true
      })
    let servers = DubboServers(world)
    world.server.onAccept = { $0.pause() }
    let client = world.connect()
    for id in 1...4 as ClosedRange<UInt64> {
      client.send(
        DubboFrames.request(
          id: id, types: "[B", arguments: [.bytes([UInt8](repeating: 1, count: 20_000))], isOneWay: true))
    }
    world.advance(by: .milliseconds(500))
    for peer in world.server.accepted { peer.resume() }
    world.advance(by: .seconds(1))
    #expect(servers.requests.count <= 4)
    client.reset()
    world.advance(by: .seconds(20))
    world.expectClean()
  }

  @Test("a host that answers with server errors is ejected")
  func outlier() {
    let world = ProtocolWorld.make(
      ports: [8080, 8081],
      cluster: { cluster in
        var outlier = OutlierDetection()
        outlier.consecutive5xx = 3
        outlier.maxEjectionPercent = 100
        cluster.outlierDetection = outlier
      })
    let servers = DubboServers(world)
    servers.answer = { peer, frame in
      DubboFrames.answer(id: DubboFrames.id(frame), .text("x"), status: peer.port == 8080 ? 80 : 20)
    }
    let client = world.connect()
    var seen = 0
    for id in 1...40 {
      client.send(DubboFrames.request(id: UInt64(id)))
      world.run {
        seen += client.frames().count
        return seen == id
      }
    }
    #expect(world.value(ClusterMetric.outlierEjectionsEnforcedTotal) == 1)
    #expect(servers.requests.count { $0.peer.port == 8080 } == 3)
  }

  // MARK: The connection's own business

  @Test("a client's heartbeat is answered here")
  func heartbeat() {
    let world = ProtocolWorld.make()
    let servers = DubboServers(world)
    let client = world.connect()
    client.send(DubboFrames.heartbeat(id: 42) + DubboFrames.heartbeatAnswer(id: 43))
    var seen: [[UInt8]] = []
    world.run {
      seen += client.frames()
      return !seen.isEmpty
    }
    #expect(seen == [DubboFrames.heartbeatAnswer(id: 42)])
    #expect(servers.requests.isEmpty && world.server.accepted.isEmpty && world.value(.downstreamRqTotal) == 0)
  }

  @Test("a silent endpoint is asked for a sign of life; one that gives none loses its requests to another connection")
  func endpointHeartbeats() {
    let world = ProtocolWorld.make(
      manager: { $0.streamIdleTimeout = nil },
      route: { action in
        action.timeout = .zero
        action.idleTimeout = .zero
      },
      cluster: { $0.idleTimeout = nil })
    let servers = DubboServers(world)
    let client = world.connect()
    client.send(DubboFrames.request(id: 1))
    world.run { !client.received.isEmpty }
    client.received = []
    world.advance(by: .seconds(310))
    #expect(servers.events.count >= 2 && servers.events.allSatisfy { $0[2] == 0xe2 })
    #expect(!world.server.accepted[0].isOver)
    servers.answersHeartbeats = false
    servers.answer = { _, _ in [] }
    client.send(DubboFrames.request(id: 2))
    var seen: [DubboAnswer] = []
    world.run(for: .seconds(400)) {
      seen += answers(client)
      return !seen.isEmpty
    }
    #expect(seen.map(\.id) == [2] && seen.map(\.status) == [80])
    #expect(world.server.accepted[0].isOver)
    world.expectClean()
  }

  @Test("an endpoint that says READONLY gets no further request, and answers those it has")
  func readOnly() {
    let world = ProtocolWorld.make()
    let servers = DubboServers(world)
    servers.answer = { _, _ in [] }
    let client = world.connect()
    client.send(DubboFrames.request(id: 1))
    world.run { servers.requests.count == 1 }
    let (first, frame) = servers.requests[0]
    first.send(DubboFrames.lastCall(id: 1))
    world.settle()
    client.send(DubboFrames.request(id: 2))
    world.run { servers.requests.count == 2 }
    #expect(servers.requests[1].peer !== first)
    first.send(DubboFrames.answer(id: DubboFrames.id(frame)))
    var seen: [DubboAnswer] = []
    world.run {
      seen += answers(client)
      return !seen.isEmpty && first.isOver
    }
    #expect(seen.map(\.id) == [1] && first.isOver)
    #expect(world.value(ClusterMetric.upstreamCxCloseNotify) == 1)
  }

  @Test("a client that has to go is told so by READONLY, and served until it has heard")
  func drain() {
    let world = ProtocolWorld.make()
    let servers = DubboServers(world)
    let client = world.connect()
    client.send(DubboFrames.request(id: 1))
    world.run { servers.requests.count == 1 && !client.received.isEmpty }
    client.received = []
    var isDrained = false
    world.engine.drain(until: world.proxyLoop.now.advanced(nanoseconds: 5_000_000_000)) { isDrained = true }
    // On its way before the client knew.
    client.send(DubboFrames.request(id: 2))
    var seen: [[UInt8]] = []
    world.run {
      seen += client.frames()
      return client.isOver && isDrained
    }
    #expect(seen.map { $0[2] } == [0xa2, 0x02])
    #expect(seen.first.map { Array($0.suffix(2)) } == [0x01, 0x52])
  }

  // MARK: Bad input

  @Test("a request that cannot be read is refused alone")
  func refusesOne() {
    let world = ProtocolWorld.make()
    let servers = DubboServers(world)
    let client = world.connect()
    client.send(DubboFrames.frame(flags: 0xc2, id: 8, [1, 2, 3]) + DubboFrames.request(id: 9))
    var seen: [DubboAnswer] = []
    world.run {
      seen += answers(client)
      return seen.count == 2
    }
    #expect(seen == [DubboAnswer(id: 8, 40, "dubbo.malformed_request"), DubboAnswer(id: 9, 20, "hi")])
    #expect(servers.requests.count == 1)
    world.expectClean()
  }

  @Test(
    "what is no frame, has no length, or answers what nobody asked ends the client's connection",
    arguments: [
      Array("GET / HTTP/1.1\r\n".utf8), DubboFrames.frame(flags: 0xc2, id: 1, [], length: 1 << 31),
      DubboFrames.frame(flags: 0xe2, id: 1, [], length: 9 << 20),
      DubboFrames.answer(id: 1),
    ] as [[UInt8]])
  func endsClient(bytes: [UInt8]) {
    let world = ProtocolWorld.make()
    let servers = DubboServers(world)
    servers.answer = { _, _ in [] }
    let client = world.connect()
    client.send(DubboFrames.request(id: 1))
    world.run { servers.requests.count == 1 }
    client.send(bytes)
    world.run { client.isOver }
    #expect(client.isOver && world.value(.downstreamCxProtocolError) == 1)
    world.expectClean()
  }

  @Test(
    "an endpoint that breaks the protocol is a bad gateway to all that wait for it",
    arguments: [Array("HTTP/1.1 200 OK\r\n".utf8), DubboFrames.frame(flags: 0x02, status: 20, id: 1, [], length: .max)]
      as [[UInt8]])
  func endsEndpoint(bytes: [UInt8]) {
    let world = ProtocolWorld.make()
    let servers = DubboServers(world)
    servers.answer = { peer, _ in servers.requests.count == 2 ? bytes : [] }
    let client = world.connect()
    client.send(DubboFrames.request(id: 1) + DubboFrames.request(id: 2))
    var seen: [DubboAnswer] = []
    world.run {
      seen += answers(client)
      return seen.count == 2
    }
    #expect(seen.map(\.status) == [50, 50])
    #expect(world.value(ClusterMetric.upstreamCxProtocolError) == 1)
    world.expectClean()
  }

  private static let oversize = [UInt8](repeating: 0xda, count: 8 << 20 + 100)

  @Test("a request over the limit is refused alone, and its bytes are nobody's", arguments: [true, false])
  func oversizeRequest(isOneWay: Bool) {
    let world = ProtocolWorld.make()
    let servers = DubboServers(world)
    let client = world.connect()
    client.send(
      DubboFrames.request(id: 1) + DubboFrames.frame(flags: isOneWay ? 0x82 : 0xc2, id: 2, Self.oversize)
        + DubboFrames.request(id: 3))
    var seen: [DubboAnswer] = []
    world.run {
      seen += answers(client)
      return seen.contains { $0.id == 3 }
    }
    let refused = seen.filter { $0.id == 2 }
    #expect(refused == (isOneWay ? [] : [DubboAnswer(id: 2, 40, "dubbo.frame_too_large")]))
    #expect(seen.count == (isOneWay ? 2 : 3) && servers.requests.count == 2 && world.value(.downstreamRq4xx) == 1)
    world.expectClean()
  }

  @Test("a request over the limit whose bytes do not come has the time of a head")
  func oversizeStalls() {
    let world = ProtocolWorld.make(manager: { $0.requestHeadersTimeout = .seconds(5) })
    let client = world.connect()
    client.send(DubboFrames.frame(flags: 0xc2, id: 2, [1, 2, 3], length: 9 << 20))
    world.run { client.frames().map { $0[3] } == [40] }
    world.run(for: .seconds(10)) { client.isOver }
    #expect(client.isOver && world.value(.downstreamRqHeaderTimeout) == 1)
    world.expectClean()
  }

  @Test(
    "an answer over the limit costs its own request its answer, and nobody else's",
    arguments: [0x02, 0x22, 0xc2] as [UInt8])
  func oversizeAnswer(flags: UInt8) {
    let world = ProtocolWorld.make()
    let servers = DubboServers(world)
    servers.answer = { _, _ in [] }
    let client = world.connect()
    client.send(DubboFrames.request(id: 1) + DubboFrames.request(id: 2))
    world.run { servers.requests.count == 2 }
    let ids = servers.requests.map { DubboFrames.id($0.frame) }
    servers.requests[0].peer.send(
      DubboFrames.frame(flags: flags, status: 20, id: ids[0], Self.oversize) + DubboFrames.answer(id: ids[1]))
    var seen: [DubboAnswer] = []
    world.run {
      seen += answers(client)
      return seen.contains { $0.id == 2 }
    }
    // Neither a heartbeat nor a request of the endpoint's is the answer to one of ours, whatever its number.
    #expect(seen.map(\.status) == (flags == 0x02 ? [50, 20] : [20]) && seen.last?.id == 2)
    #expect(world.server.accepted.count == 1 && !world.server.accepted[0].isOver)
    #expect(world.value(ClusterMetric.upstreamCxProtocolError) == 0)
    client.reset()
    world.settle()
    world.expectClean()
  }

  @Test("behind an answer over the limit whose bytes do not come nobody waits who has not been sent yet")
  func oversizeAnswerStalls() {
    let world = ProtocolWorld.make()
    let servers = DubboServers(world)
    servers.answer = { peer, frame in
      servers.requests.count > 1
        ? DubboFrames.answer(id: DubboFrames.id(frame))
        : DubboFrames.frame(flags: 0x02, status: 20, id: DubboFrames.id(frame), [1, 2, 3], length: 9 << 20)
    }
    let client = world.connect()
    var seen: [DubboAnswer] = []
    func ask(_ id: UInt64) {
      client.send(DubboFrames.request(id: id))
      world.run {
        seen += answers(client)
        return seen.count == Int(id)
      }
    }
    for id in 1...3 { ask(UInt64(id)) }
    #expect(seen.map(\.status) == [50, 20, 20] && world.server.accepted.count == 2)
    // The rest comes after all: the connection serves again.
    world.server.accepted[0].send([UInt8](repeating: 1, count: 9 << 20))
    world.advance(by: .seconds(1))
    ask(4)
    #expect(seen.last?.status == 20 && world.server.accepted.count == 2)
    client.reset()
    world.settle()
    world.expectClean()
  }

  /// A frame that needs this many bytes more than there are.
  private func half(_ bytes: Int, flags: UInt8 = 0xc2, id: UInt64 = 1) -> [UInt8] {
    DubboFrames.frame(flags: flags, status: 20, id: id, [UInt8](repeating: 1, count: bytes - 16), length: 4 << 20)
  }

  @Test("clients' half messages have a sum: the large one that passes it ends its connection, usual ones have room")
  func halfRequests() {
    var limits = WorkerEngine.Limits()
    limits.halfMessageBytes = 100_000
    let world = ProtocolWorld.make(limits: limits)
    let servers = DubboServers(world)
    let clients = (0..<3).map { _ in world.connect() }
    clients[0].send(half(60_000))
    world.settle()
    clients[1].send(half(60_000))
    world.settle()
    #expect(!clients[0].isOver && clients[1].isOver && world.value(.downstreamCxHalfMessageOverflow) == 1)
    clients[0].send([UInt8](repeating: 1, count: 39_000))
    world.settle()
    let whole = DubboFrames.request(id: 7, arguments: [.text(String(repeating: "x", count: 2000))])
    clients[2].send(Array(whole.prefix(1500)))
    world.settle()
    clients[2].send(Array(whole.dropFirst(1500)))
    world.run { !clients[2].received.isEmpty }
    #expect(answers(clients[2]).map(\.status) == [20] && servers.requests.count == 1)
    clients[0].reset()
    world.settle()
    let last = world.connect()
    last.send(half(90_000))
    world.settle()
    #expect(!last.isOver, "what ended counts no more")
    world.expectClean()
  }

  @Test("endpoints' half answers have a sum of their own")
  func halfAnswers() {
    var limits = WorkerEngine.Limits()
    limits.halfMessageBytes = 100_000
    let world = ProtocolWorld.make(limits: limits, cluster: { $0.maxRequestsPerConnection = 1 })
    let servers = DubboServers(world)
    servers.answer = { [self] _, frame in half(60_000, flags: 0x02, id: DubboFrames.id(frame)) }
    let client = world.connect()
    client.send(half(60_000))
    let other = world.connect()
    other.send(DubboFrames.request(id: 1))
    world.settle()
    #expect(answers(other).isEmpty && world.value(ClusterMetric.upstreamCxHalfMessageOverflow) == 0)
    other.send(DubboFrames.request(id: 2))
    var seen: [DubboAnswer] = []
    world.run {
      seen += answers(other)
      return !seen.isEmpty
    }
    #expect(seen.map(\.id) == [2] && seen.map(\.status) == [100])
    #expect(world.value(ClusterMetric.upstreamCxHalfMessageOverflow) == 1 && !client.isOver)
    other.reset()
    world.settle()
    world.expectClean()
  }

  @Test("a client that was told to go and goes on sending is ended when its time is over and its calls are answered")
  func drainsBusy() {
    let world = ProtocolWorld.make(manager: { $0.drainTimeout = .seconds(2) })
    let servers = DubboServers(world)
    servers.answer = { _, _ in [] }
    let client = world.connect()
    client.send(DubboFrames.request(id: 1))
    world.run { servers.requests.count == 1 }
    var isDrained = false
    world.engine.drain(until: world.proxyLoop.now.advanced(nanoseconds: 60_000_000_000)) { isDrained = true }
    for id: UInt64 in 2...20 {
      world.advance(by: .milliseconds(200))
      // There is always one under way.
      if let (peer, frame) = servers.requests.dropLast().last {
        peer.send(DubboFrames.answer(id: DubboFrames.id(frame)))
      }
      if client.isOver { break }
      client.send(DubboFrames.request(id: id))
    }
    for (peer, frame) in servers.requests where !peer.isOver {
      peer.send(DubboFrames.answer(id: DubboFrames.id(frame)))
    }
    world.run(for: .seconds(5)) { client.isOver && isDrained }
    #expect(client.isOver && isDrained && servers.requests.count < 20)
    world.expectClean()
  }

  @Test("a client that is held back thinks nobody dead: its heartbeats are answered when it is read again")
  func heartbeatsHeldBack() {
    var limits = WorkerEngine.Limits()
    limits.messagesUnderWay = 1
    let world = ProtocolWorld.make(limits: limits, route: { $0.timeout = .seconds(100) })
    let servers = DubboServers(world)
    servers.answer = { _, _ in [] }
    let client = world.connect()
    client.send(DubboFrames.request(id: 1) + DubboFrames.heartbeat(id: 42))
    world.advance(by: .seconds(90))
    #expect(!client.isOver && client.received.isEmpty)
    var seen: [[UInt8]] = []
    world.run(for: .seconds(30)) {
      seen += client.frames()
      return seen.count == 2
    }
    #expect(seen.map { DubboFrames.id($0) } == [1, 42] && !client.isOver)
    world.expectClean()
  }

  @Test("an endpoint's own request is told that nobody takes it")
  func callback() {
    let world = ProtocolWorld.make()
    let servers = DubboServers(world)
    servers.answer = { _, frame in
      DubboFrames.request(id: 99) + DubboFrames.answer(id: DubboFrames.id(frame))
    }
    let client = world.connect()
    client.send(DubboFrames.request(id: 1))
    world.run { !client.received.isEmpty && servers.requests.count == 2 }
    #expect(servers.requests[1].frame[3] == 40 && DubboFrames.id(servers.requests[1].frame) == 99)
    #expect(answers(client).map(\.id) == [1])
  }

  @Test("half a frame has the time of a head, then its connection ends")
  func slowFrame() {
    let world = ProtocolWorld.make(manager: { $0.requestHeadersTimeout = .seconds(5) })
    let client = world.connect()
    client.send(Array(DubboFrames.request(id: 1).prefix(30)))
    world.run(for: .seconds(4)) { client.isOver }
    #expect(!client.isOver)
    world.run(for: .seconds(10)) { client.isOver }
    #expect(client.isOver && world.value(.downstreamRqHeaderTimeout) == 1)
    world.expectClean()
  }

  @Test("half a frame whose client is not read from has more time, and its neighbours have not")
  func heldBackFrame() {
    let world = ProtocolWorld.make(
      manager: { $0.requestHeadersTimeout = .seconds(5) }, route: { $0.timeout = .seconds(8) })
    let servers = DubboServers(world)
    servers.answer = { _, _ in [] }
    let client = world.connect()
    client.pause()
    let half = Array(DubboFrames.request(id: 72).prefix(30))
    for id in 1...71 { client.send(DubboFrames.request(id: UInt64(id))) }
    client.send(Array(half.prefix(20)))
    world.run { servers.requests.count == 71 }
    let large = [UInt8](repeating: 1, count: 60_000)
    for (peer, frame) in servers.requests.dropLast() {
      peer.send(DubboFrames.answer(id: DubboFrames.id(frame), .bytes(large)))
    }
    world.advance(by: .seconds(1))
    client.send(Array(half.suffix(10).prefix(5)))
    world.advance(by: .milliseconds(6_500))
    // The head's time has passed and was put off; the other call's has not yet.
    #expect(world.value(.downstreamRqHeaderTimeout) == 0 && world.value(ClusterMetric.upstreamRqTimeout) == 0)
    world.advance(by: .seconds(1))
    #expect(world.value(ClusterMetric.upstreamRqTimeout) == 1)
    client.reset()
    world.settle()
    world.expectClean()
  }

  @Test("half a frame has an end also where no time-out is set")
  func slowFrameWithoutTimeouts() {
    let world = ProtocolWorld.make(manager: {
      $0.requestHeadersTimeout = nil
      $0.requestTimeout = nil
      $0.streamIdleTimeout = nil
      $0.idleTimeout = nil
    })
    let client = world.connect()
    client.send(Array(DubboFrames.request(id: 1).prefix(30)))
    world.run(for: .seconds(59)) { client.isOver }
    #expect(!client.isOver)
    world.run(for: .seconds(10)) { client.isOver }
    #expect(client.isOver && world.value(.downstreamRqHeaderTimeout) == 1)
    world.expectClean()
  }

  @Test("a client that asks and never reads is not read from any more, and ends when too much waits for it")
  func neverReads() {
    var limits = WorkerEngine.Limits()
    limits.queuedAnswerBytes = 1 << 20
    let world = ProtocolWorld.make(limits: limits)
    let servers = DubboServers(world)
    servers.answer = { _, frame in
      DubboFrames.answer(id: DubboFrames.id(frame), .bytes([UInt8](repeating: 1, count: 60_000)))
    }
    let other = world.connect()
    let client = world.connect()
    client.pause()
    for id in 1...900 { client.send(DubboFrames.request(id: UInt64(id))) }
    world.run { servers.requests.count == 900 }
    world.advance(by: .seconds(1))
    #expect(world.value(.downstreamRqOverloadClose) == 1 && world.engine.downstreams.count == 1)
    world.expectClean()
    other.send(DubboFrames.request(id: 1))
    world.run { !other.received.isEmpty }
    #expect(!other.received.isEmpty)
  }

  @Test("requests that wait for a connection hold the client back, and go when it is there")
  func holdsBack() {
    let world = ProtocolWorld.make(
      manager: { manager in manager.streamIdleTimeout = nil }, route: { $0.timeout = .zero },
      cluster: { $0.circuitBreakers.standard.maxPendingRequests = 2000 })
    let servers = DubboServers(world)
    let client = world.connect()
    let blob = HessianValue.bytes([UInt8](repeating: 1, count: 50_000))
    for id in 1...100 { client.send(DubboFrames.request(id: UInt64(id), types: "[B", arguments: [blob])) }
    var seen = 0
    world.run {
      seen += client.frames().count
      return seen == 100
    }
    #expect(seen == 100 && servers.requests.count == 100)
    world.expectClean()
  }

  @Test("a client that goes takes its requests along; their late answers reach nobody")
  func clientGoes() {
    let world = ProtocolWorld.make()
    let servers = DubboServers(world)
    servers.answer = { _, _ in [] }
    let client = world.connect()
    for id in 1...3 { client.send(DubboFrames.request(id: UInt64(id))) }
    world.run { servers.requests.count == 3 }
    client.reset()
    world.settle()
    world.expectClean()
    for (peer, frame) in servers.requests { peer.send(DubboFrames.answer(id: DubboFrames.id(frame))) }
    servers.answer = { _, frame in DubboFrames.answer(id: DubboFrames.id(frame)) }
    let next = world.connect()
    next.send(DubboFrames.request(id: 1))
    world.run { !next.received.isEmpty }
    #expect(next.frames().count == 1 && world.server.accepted.count == 1)
    world.expectClean()
  }

  // MARK: Configuration

  @Test("a listener that speaks another protocol now lets its Dubbo clients go")
  func protocolChanges() {
    let world = ProtocolWorld.make()
    let servers = DubboServers(world)
    let client = world.connect()
    client.send(DubboFrames.request(id: 1))
    world.run { !client.received.isEmpty }
    client.received = []
    guard case .httpConnectionManager(var manager) = world.config.listeners[0].filterChains[0].filters[0] else {
      return
    }
    manager.protocolCodec = ProtocolWorld.lines
    world.config.listeners[0].filterChains[0].filters = [.httpConnectionManager(manager)]
    world.apply()
    world.run(for: .seconds(20)) { client.isOver }
    #expect(client.isOver)
    #expect(client.frames().map { $0[2] } == [0xa2])
    #expect(servers.requests.count == 1)
  }

  @Test("a protocol that nobody brings along is refused by name")
  func unknown() {
    let world = ProtocolWorld.make()
    guard case .httpConnectionManager(var manager) = world.config.listeners[0].filterChains[0].filters[0] else {
      return
    }
    manager.protocolCodec = ExtensionConfig(typeName: "example.Nope", message: [])
    world.config.listeners[0].filterChains[0].filters = [.httpConnectionManager(manager)]
    #expect(world.rejections().map(\.message) == ["no protocol is configured by example.Nope"])
  }
}
