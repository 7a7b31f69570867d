import Synchronization
import Testing
import WeftBase
import WeftControlAPI
import WeftGRPC
import WeftKinds
import WeftProtobuf
import WeftTranslation
import WeftXDSMessages

@testable import WeftDiscovery

/// Snapshots that a test publishes by hand.
final class ManualSource: SnapshotSource {
  private let newest: Mutex<WeftSnapshot>
  private let stream: AsyncStream<WeftSnapshot>
  private let continuation: AsyncStream<WeftSnapshot>.Continuation

  init(_ first: WeftSnapshot) {
    newest = Mutex(first)
    (stream, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    continuation.yield(first)
  }

  func publish(_ snapshot: WeftSnapshot) {
    newest.withLock { $0 = snapshot }
    continuation.yield(snapshot)
  }

  func current() async -> WeftSnapshot { newest.withLock { $0 } }
  func snapshots() async -> AsyncStream<WeftSnapshot> { stream }
}

/// A client at the other end of `DiscoveryServer.serve`, without a network.
final class LocalClient: Sendable {
  let requests: AsyncStream<DeltaDiscoveryRequest>
  private let requestsIn: AsyncStream<DeltaDiscoveryRequest>.Continuation
  let responses: AsyncStream<DiscoveryResponseEvent>
  private let responsesIn: AsyncStream<DiscoveryResponseEvent>.Continuation
  let node: Envoy_Config_Core_V3_Node

  init(_ name: String, upstream: String = "reviews") {
    (requests, requestsIn) = AsyncStream.makeStream()
    (responses, responsesIn) = AsyncStream.makeStream()
    var node = Envoy_Config_Core_V3_Node()
    node.id = "sidecar~127.0.0.1~\(name).default~default.svc.cluster.local"
    let upstreams: JSONValue = [["host": .string(upstream), "port": 9080, "listen": "127.0.0.1:19080"]]
    node.metadata = Google_Protobuf_Struct(["WEFT_UPSTREAMS": upstreams])
    self.node = node
  }

  func run(on server: DiscoveryServer) async {
    let sink = responsesIn
    try? await server.serve(
      requests, from: "test", .delta, node: { $0.node }, event: { DiscoveryRequestEvent($0) },
      send: { sink.yield($0) })
    sink.finish()
  }

  func ask(_ type: ResourceType, _ names: [String] = [], nonce: String = "", refusal: String? = nil) {
    var request = DeltaDiscoveryRequest()
    request.node = node
    request.typeUrl = type.typeURL
    request.resourceNamesSubscribe = names
    request.responseNonce = nonce
    if let refusal { request.errorDetail = Google_Rpc_Status(code: 13, message: refusal) }
    requestsIn.yield(request)
  }

  func acknowledge(_ response: DiscoveryResponseEvent) { ask(response.type, nonce: response.nonce) }
  func hangUp() { requestsIn.finish() }
}

@Suite("discovery server", .timeLimit(.minutes(5)))
struct ServerTests {
  static let host = "reviews.default.svc.cluster.local"
  static let cluster = "outbound|9080||reviews.default.svc.cluster.local"

  static func snapshot(_ version: UInt64, instances: Int = 1, other: Int = 1, route: String? = nil) -> WeftSnapshot {
    func service(_ name: String, _ count: Int) -> Service {
      let origin = Origin(kind: .service, namespace: "default", name: name, generation: 1)
      return Service(
        host: "\(name).default.svc.cluster.local", name: name, namespace: "default",
        ports: [ServicePort(number: 9080, name: "http", protocol: .http)],
        instances: (0..<count).map {
          ServiceInstance(
            id: "\($0)", address: "10.0.0.\($0 + 1)", ports: [9080: 9080], namespace: "default", origin: origin)
        }, origins: [origin])
    }
    var rules: [ConfigObject<VirtualServiceSpec>] = []
    if let route {
      var match = Istio_Networking_V1alpha3_HTTPRoute()
      match.name = route
      var destination = Istio_Networking_V1alpha3_Destination()
      destination.host = "reviews"
      var share = Istio_Networking_V1alpha3_HTTPRouteDestination()
      share.destination = destination
      match.route = [share]
      var spec = VirtualServiceSpec()
      spec.hosts = ["reviews"]
      spec.http = [match]
      rules = [
        ConfigObject(
          kind: .virtualService,
          metadata: ObjectMetadata(name: "reviews", namespace: "default", generation: Int64(version)), spec: spec,
          hosts: [host])
      ]
    }
    return WeftSnapshot(
      version: version, services: ServiceIndex([service("reviews", instances), service("ratings", other)]),
      virtualServices: ConfigIndex(rules))
  }

  /// Runs `body` against a server that follows `source`, and stops both.
  func withServer(
    _ source: ManualSource, limits: DiscoveryLimits = DiscoveryLimits(),
    _ body: @Sendable @escaping (DiscoveryServer) async throws -> Void
  ) async throws {
    let server = DiscoveryServer(source: source, limits: limits)
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { await server.run() }
      group.addTask { try await body(server) }
      // The body is the one that ends first.
      try await group.next()
      group.cancelAll()
    }
  }

  @Test("serves a stream, follows changes that concern it, and none other")
  func follows() async throws {
    let source = ManualSource(Self.snapshot(1))
    try await withServer(source) { server in
      let client = LocalClient("a-1")
      async let running: Void = client.run(on: server)
      var responses = client.responses.makeAsyncIterator()
      client.ask(.cluster)
      var response = try #require(await responses.next())
      #expect(response.names == [Self.cluster])
      client.acknowledge(response)
      client.ask(.endpoint, [Self.cluster])
      response = try #require(await responses.next())
      #expect(response.names == [Self.cluster])
      client.acknowledge(response)
      // A change elsewhere, then one that matters: only the latter arrives, endpoints alone.
      source.publish(Self.snapshot(2, other: 2))
      while server.counters.unconcerned == 0 { await Task.yield() }
      source.publish(Self.snapshot(3, instances: 2, other: 2))
      response = try #require(await responses.next())
      #expect(response.type == .endpoint)
      #expect(response.version == 3)
      client.acknowledge(response)
      while !server.isDelivered(3) { await Task.yield() }
      #expect(server.proxies().map(\.id) == [client.node.id])
      #expect(server.proxies().first?.isSynced == true)
      client.hangUp()
      await running
      #expect(server.proxies().isEmpty)
    }
  }

  @Test("a rule's way is told per proxy, with the text of refusals")
  func ruleStatus() async throws {
    let source = ManualSource(Self.snapshot(1, route: "one"))
    try await withServer(source) { server in
      let key = ObjectKey(kind: .virtualService, namespace: "default", name: "reviews")
      let routes = "\(Self.host):9080"
      let good = LocalClient("good-1")
      let bad = LocalClient("bad-1")
      let elsewhere = LocalClient("elsewhere-1", upstream: "ratings")
      await withTaskGroup(of: Void.self) { group in
        for client in [good, bad, elsewhere] { group.addTask { await client.run(on: server) } }
        good.ask(.route, [routes])
        bad.ask(.route, [routes])
        elsewhere.ask(.route, ["ratings.default.svc.cluster.local:9080"])
        var goods = good.responses.makeAsyncIterator()
        var bads = bad.responses.makeAsyncIterator()
        if let response = await goods.next() { good.acknowledge(response) }
        if let response = await bads.next() { bad.ask(.route, nonce: response.nonce, refusal: "no: \(routes) is bad") }
        while server.counters.refusals[.route] == nil || server.status(of: key).count(.active) == 0 {
          await Task.yield()
        }
        while server.status(of: key).refusals.isEmpty { await Task.yield() }
        let status = server.status(of: key)
        #expect(status.relevant == 2)
        #expect(status.count(.active) == 1)
        #expect(status.refusals.map(\.message) == ["no: \(routes) is bad"])
        #expect(status.refusals.map(\.resource) == [routes])
        #expect(!status.isComplete)
        for client in [good, bad, elsewhere] { client.hangUp() }
      }
    }
  }

  @Test("waits for the proxies a rule concerns, and for no other, however long that one is silent")
  func waits() async throws {
    let source = ManualSource(Self.snapshot(1))
    try await withServer(source) { server in
      let key = ObjectKey(kind: .virtualService, namespace: "default", name: "reviews")
      let routes = "\(Self.host):9080"
      let concerned = LocalClient("concerned-1")
      let elsewhere = LocalClient("elsewhere-1", upstream: "ratings")
      await withTaskGroup(of: Void.self) { group in
        for client in [concerned, elsewhere] { group.addTask { await client.run(on: server) } }
        concerned.ask(.route, [routes])
        var responses = concerned.responses.makeAsyncIterator()
        if let response = await responses.next() { concerned.acknowledge(response) }
        // This one never acknowledges anything.
        elsewhere.ask(.route, ["ratings.default.svc.cluster.local:9080"])
        var others = elsewhere.responses.makeAsyncIterator()
        _ = await others.next()
        source.publish(Self.snapshot(2, route: "one"))
        if let response = await responses.next() { concerned.acknowledge(response) }
        let target = RuleTarget(generation: 2, revision: 2)
        let status = await server.wait(for: [key: target], until: .now + .seconds(30))[key]
        #expect(status?.proxies == [concerned.node.id: .active])
        #expect(status?.isComplete == true)
        // The rule goes: the proxy that had it is waited for.
        source.publish(Self.snapshot(3))
        while await responses.next()?.version != 3 {}
        let gone = RuleTarget(generation: 2, revision: 3)
        let early = await server.wait(for: [key: gone], until: .now)[key]
        #expect(early?.proxies == [concerned.node.id: .sent])
        #expect(early?.isAnswered == false)
        // A revision that discovery has not seen is not there yet, whoever it concerns.
        let future = await server.wait(for: [key: RuleTarget(revision: 9)], until: .now)[key]
        #expect(future?.isAhead == true)
        #expect(future?.isComplete == false)
        for client in [concerned, elsewhere] { client.hangUp() }
      }
    }
  }

  @Test("a burst of changes ends with the last one on every proxy")
  func burst() async throws {
    let source = ManualSource(Self.snapshot(1))
    try await withServer(source) { server in
      let clients = (0..<20).map { LocalClient("burst-\($0)") }
      await withTaskGroup(of: Void.self) { group in
        for client in clients {
          group.addTask { await client.run(on: server) }
          group.addTask {
            client.ask(.cluster)
            client.ask(.endpoint, [Self.cluster])
            for await response in client.responses {
              client.acknowledge(response)
              if response.version == 60 { break }
            }
            client.hangUp()
          }
        }
        for version in UInt64(2)...60 {
          source.publish(Self.snapshot(version, instances: Int(version)))
          await Task.yield()
        }
      }
    }
  }

  @Test("a first request without a node ends the stream")
  func withoutNode() async throws {
    try await withServer(ManualSource(Self.snapshot(1))) { server in
      let (requests, requestsIn) = AsyncStream.makeStream(of: DeltaDiscoveryRequest.self)
      var request = DeltaDiscoveryRequest()
      request.typeUrl = ResourceType.cluster.typeURL
      requestsIn.yield(request)
      await #expect(throws: (any Error).self) {
        try await server.serve(
          requests, from: "test", .delta, node: { $0.node }, event: { DiscoveryRequestEvent($0) }, send: { _ in })
      }
    }
  }

  @Test("streams beyond the limit are refused, and the room of one that ended is used again")
  func limit() async throws {
    var limits = DiscoveryLimits()
    limits.streams = 1
    try await withServer(ManualSource(Self.snapshot(1)), limits: limits) { server in
      let first = LocalClient("a-1")
      async let running: Void = first.run(on: server)
      first.ask(.cluster)
      var responses = first.responses.makeAsyncIterator()
      _ = await responses.next()
      let second = LocalClient("b-1")
      await second.run(on: server)
      #expect(server.counters.refusedStreams == 1)
      first.hangUp()
      await running
      let third = LocalClient("c-1")
      async let again: Void = third.run(on: server)
      third.ask(.cluster)
      var more = third.responses.makeAsyncIterator()
      #expect(await more.next() != nil)
      third.hangUp()
      await again
    }
  }

  @Test("a change wakes only the streams that it concerns, and counts as delivered to the others")
  func wakes() async throws {
    let source = ManualSource(Self.snapshot(1))
    try await withServer(source) { server in
      let concerned = LocalClient("concerned-1")
      let elsewhere = LocalClient("elsewhere-1", upstream: "ratings")
      await withTaskGroup(of: Void.self) { group in
        for client in [concerned, elsewhere] {
          group.addTask { await client.run(on: server) }
          client.ask(.cluster)
        }
        var responses = concerned.responses.makeAsyncIterator()
        var others = elsewhere.responses.makeAsyncIterator()
        for client in [concerned, elsewhere] {
          let response = client === concerned ? await responses.next() : await others.next()
          if let response { client.acknowledge(response) }
        }
        while !server.isDelivered(1) { await Task.yield() }
        let told = server.counters.told
        source.publish(Self.snapshot(2, route: "one"))
        while !server.isDelivered(2) { await Task.yield() }
        #expect(server.counters.told == told + 1)
        #expect(server.counters.unconcerned == 1)
        for client in [concerned, elsewhere] { client.hangUp() }
      }
    }
  }

  /// Serves a client that asks for clusters and takes no answer: `progress` tells how it reads.
  private func serveSilent(_ server: DiscoveryServer, progress: @escaping @Sendable () -> UInt64) async throws {
    let (requests, requestsIn) = AsyncStream.makeStream(of: DeltaDiscoveryRequest.self)
    var request = DeltaDiscoveryRequest()
    request.node = LocalClient("silent-1").node
    request.typeUrl = ResourceType.cluster.typeURL
    requestsIn.yield(request)
    var peer = DiscoveryServer.Peer()
    peer.progress = progress
    try await server.serve(
      requests, from: "test", .delta, node: { $0.node }, event: { DiscoveryRequestEvent($0) }, peer: peer,
      send: { _ in try await Task.sleep(for: .seconds(3600)) })
    requestsIn.finish()
  }

  @Test("a client that reads nothing is cut and counted; the others are served meanwhile")
  func stuck() async throws {
    var limits = DiscoveryLimits()
    limits.tick = .milliseconds(2)
    limits.readTimeout = .milliseconds(40)
    let source = ManualSource(Self.snapshot(1))
    try await withServer(source, limits: limits) { server in
      let client = LocalClient("a-1")
      async let running: Void = client.run(on: server)
      async let silent = await #expect(throws: GRPCStatus.self) { try await self.serveSilent(server) { 0 } }
      client.ask(.endpoint, [Self.cluster])
      var responses = client.responses.makeAsyncIterator()
      for version in UInt64(1)...3 {
        if version > 1 { source.publish(Self.snapshot(version, instances: Int(version))) }
        let response = try #require(await responses.next())
        #expect(response.version == version)
        client.acknowledge(response)
      }
      #expect(await silent?.code == .unavailable)
      #expect(server.counters.stuckStreams == 1)
      client.hangUp()
      await running
    }
  }

  /// A client that takes one byte between two looks.
  private final class SlowReader: Sendable {
    private let bytes = Atomic<UInt64>(0)
    var looks: UInt64 { bytes.load(ordering: .relaxed) }
    func progress() -> UInt64 { bytes.add(1, ordering: .relaxed).newValue }
  }

  @Test("a client that reads slowly is not cut")
  func slow() async throws {
    var limits = DiscoveryLimits()
    limits.tick = .milliseconds(1)
    limits.readTimeout = .milliseconds(20)
    let patience = limits.readTimeout * 3
    try await withServer(ManualSource(Self.snapshot(1)), limits: limits) { server in
      let reader = SlowReader()
      let serving = Task { try await self.serveSilent(server) { reader.progress() } }
      let start = ContinuousClock.now
      while reader.looks < 10 || ContinuousClock.now - start < patience { await Task.yield() }
      #expect(server.counters.stuckStreams == 0)
      serving.cancel()
      _ = await serving.result
    }
  }

  @Test("proxies that are alike share their resources")
  func sharing() {
    let pool = ResourcePool()
    var first = resources(1, [c("a"), e("a")])
    var second = resources(1, [c("a"), e("a", 2)])
    pool.share(&first)
    pool.share(&second)
    #expect(first[.cluster, "a"] === second[.cluster, "a"])
    #expect(first[.endpoint, "a"] !== second[.endpoint, "a"])
    #expect(pool.count == 3)
  }
}
