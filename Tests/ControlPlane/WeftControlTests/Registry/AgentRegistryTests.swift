import Dispatch
import Testing
import WeftBase
import WeftControlAPI
import WeftKinds
import WeftTestKit

@testable import WeftConfig
@testable import WeftControl

@Suite("agent registry")
struct AgentRegistryTests {
  private typealias W = ControlWorld

  @Test("a registration makes a service with an endpoint at its proxy")
  func register() async throws {
    let world = try await ControlWorld()
    try await world.following {
      let answer = await world.call("POST", "/api/v1/workloads", W.registration("r1", inbound: 31001))
      #expect(answer.status == 200)
      #expect(answer.json["host"] == "reviews.default.svc.cluster.local")
      #expect(answer.json["leaseSeconds"] == 15)
      let snapshot = try await world.settled()
      let service = try #require(snapshot.services.service("reviews.default.svc.cluster.local", seenFrom: "x"))
      #expect(service.ports == [ServicePort(number: 9080, name: "http", protocol: .http)])
      let instance = try #require(service.instances.first)
      #expect(instance.ports == [9080: 31001])
      #expect(instance.labels == ["version": "v1", "app": "reviews"])
      #expect(snapshot.workload(id: "r1", namespace: "default")?.ports.first?.appPort == 9080)
    }
  }

  @Test("a workload is read and taken out by the path of an object, too")
  func path() async throws {
    let world = try await ControlWorld()
    await world.call("POST", "/api/v1/workloads", W.registration("r1"))
    let path = "/api/v1/namespaces/default/workloads/r1"
    #expect(await world.call("GET", path).json["id"] == "r1")
    #expect(await world.call("PUT", path, "{}").status == 405)
    #expect(await world.call("DELETE", path).status == 200)
    #expect(await world.call("GET", path).status == 404)
  }

  @Test("heartbeats and health write nothing to the store; only a change is told")
  func heartbeat() async throws {
    let world = try await ControlWorld()
    await world.call("POST", "/api/v1/workloads", W.registration("r1", health: "UNHEALTHY"))
    let before = world.registry.version
    for _ in 0..<50 { await world.call("POST", "/api/v1/workloads", W.registration("r1", health: "UNHEALTHY")) }
    #expect(world.registry.version == before)
    #expect(world.registry.counts().renewals == 50)
    await world.call("POST", "/api/v1/workloads", W.registration("r1", health: "DRAINING"))
    #expect(world.registry.version == before + 1)
    #expect(try await world.store.perform { $0.revision } == 0)
    try await world.following {
      let snapshot = try await world.settled()
      #expect(snapshot.workload(id: "r1", namespace: "default")?.health == .draining)
    }
  }

  @Test("a lease that ran out twice removes the workload, a renewed one does not; the service stays known")
  func leases() async throws {
    let world = try await ControlWorld()
    await world.call("POST", "/api/v1/workloads", W.registration("gone"))
    await world.call("POST", "/api/v1/workloads", W.registration("stays"))
    world.time.advance(20)
    await world.call("POST", "/api/v1/workloads", W.registration("stays"))
    #expect(world.registry.expire() == 0)
    world.time.advance(11)
    #expect(world.registry.expire() == 1)
    #expect(world.registry.records().map(\.record.workload.id) == ["stays"])
    world.time.advance(100)
    #expect(world.registry.expire() == 1)
    try await world.following {
      let snapshot = try await world.settled()
      let service = try #require(snapshot.services.service("reviews.default.svc.cluster.local", seenFrom: "x"))
      #expect(service.instances.isEmpty)
      #expect(service.ports.map(\.number) == [9080])
    }
  }

  @Test("a workload whose lease was ended is whole again with its next heartbeat")
  func heartbeatAfterExpiry() async throws {
    let world = try await ControlWorld()
    await world.call("POST", "/api/v1/workloads", W.registration("r1"))
    world.time.advance(31)
    #expect(world.registry.expire() == 1)
    await world.call("POST", "/api/v1/workloads", W.registration("r1"))
    try await world.following {
      let snapshot = try await world.settled()
      #expect(snapshot.services.all.first?.instances.map(\.id) == ["r1"])
    }
  }

  @Test("agents are answered while the store is busy, or its disk is full")
  func withoutDisk() async throws {
    let world = try await ControlWorld()
    let gate = BusyStore(world.store)
    try await gate.isBusy()
    let answer = await world.call("POST", "/api/v1/workloads", W.registration("a", port: 80))
    #expect(answer.status == 200)
    let second = W.registration("b", port: 81).replacing("\"http\"", with: "\"http-b\"")
    #expect(await world.call("POST", "/api/v1/workloads", second).status == 200)
    #expect(await world.call("DELETE", "/api/v1/workloads/default/b").status == 200)
    try await gate.release()
    try await world.following {
      let service = try #require(try await world.settled().services.all.first)
      #expect(service.instances.map(\.id) == ["a"])
    }
  }

  @Test("a service without instances is forgotten after its retention")
  func retention() async throws {
    let world = try await ControlWorld()
    await world.call("POST", "/api/v1/workloads", W.registration("r1"))
    #expect(await world.call("DELETE", "/api/v1/workloads/default/r1").status == 200)
    world.registry.expire()
    world.time.advance(3_599)
    world.registry.expire()
    #expect(world.registry.counts().services == 1)
    world.time.advance(2)
    world.registry.expire()
    #expect(world.registry.counts().services == 0)
    try await world.following {
      let snapshot = try await world.settled()
      #expect(snapshot.services.all.isEmpty)
    }
  }

  @Test("after a restart the same endpoints are served, and every lease begins anew")
  func restart() async throws {
    let directory = TemporaryDirectory()
    let time = ControlWorld.VirtualTime()
    let before = try await registered(directory, time)
    time.advance(10_000)
    let again = try await ControlWorld(directory, time: time)
    let after = await again.aggregate.current()
    #expect(after.version == before.version)
    #expect(after.changes(since: before).isEmpty)
    #expect(again.registry.expire() == 0)
    time.advance(31)
    #expect(again.registry.expire() == 2)
  }

  /// What a control plane serves that two workloads have registered with; it is gone when this returns.
  private func registered(_ directory: TemporaryDirectory, _ time: ControlWorld.VirtualTime) async throws
    -> WeftSnapshot
  {
    let world = try await ControlWorld(directory, time: time)
    await world.call("POST", "/api/v1/workloads", W.registration("r1"))
    await world.call("POST", "/api/v1/workloads", W.registration("r2", version: "v2", inbound: 31081))
    try await world.following { _ = try await world.settled() }
    await world.registry.flush()
    return await world.aggregate.current()
  }

  @Test("registrations that an earlier release kept in the store are taken over, and no longer kept there")
  func adoption() async throws {
    let world = try await ControlWorld()
    let context = WriteContext(source: Envelope.registrySource, now: WallTime(nanoseconds: 7_000_000_000))
    let body = try JSONValue(parsing: W.registration("old"))
    var spec = try #require(body.objectValue)
    spec["id"] = nil
    spec["namespace"] = nil
    let object = Envelope(
      apiVersion: "registry.weft.dev/v1", kind: .workload, metadata: ObjectMetadata(name: "old", namespace: "default"),
      spec: .object(spec), source: Envelope.registrySource)
    _ = try await world.store.perform { try $0.put(object, context) }
    try await world.registry.adopt(from: world.store, context)
    #expect(try await world.store.perform { try $0.list().objects.isEmpty })
    try await world.following {
      let service = try #require(try await world.settled().services.all.first)
      #expect(service.instances.map(\.id) == ["old"])
      #expect(service.creationTimestamp == WallTime(nanoseconds: 7_000_000_000))
    }
  }

  @Test("an id that is live elsewhere is refused with 409, and free again when its lease is over")
  func conflict() async throws {
    let world = try await ControlWorld()
    await world.call("POST", "/api/v1/workloads", W.registration("r1", address: "10.0.0.1"))
    let answer = await world.call("POST", "/api/v1/workloads", W.registration("r1", address: "10.0.0.2"))
    #expect(answer.status == 409)
    #expect(answer.json["errors"]?[0]?["path"] == "id")
    world.time.advance(31)
    #expect(await world.call("POST", "/api/v1/workloads", W.registration("r1", address: "10.0.0.2")).status == 200)
  }

  @Test("of two instances that define a port differently, the older one's definition holds")
  func oldestPorts() async throws {
    let world = try await ControlWorld()
    await world.call("POST", "/api/v1/workloads", W.registration("a"))
    world.time.advance(1)
    let other = W.registration("0-younger").replacing("\"HTTP\"", with: "\"TCP\"").replacing(
      "\"http\"", with: "\"tcp\"")
    await world.call("POST", "/api/v1/workloads", other)
    try await world.following {
      let snapshot = try await world.settled()
      let service = try #require(snapshot.services.all.first)
      #expect(service.ports == [ServicePort(number: 9080, name: "http", protocol: .http)])
      #expect(service.instances.count == 2)
    }
  }

  @Test("a second instance on another port is reached there, and its agent is told that the two differ")
  func otherPort() async throws {
    let world = try await ControlWorld()
    let quiet = await world.call("POST", "/api/v1/workloads", W.registration("a"))
    #expect(quiet.json["warnings"] == nil)
    world.time.advance(1)
    let answer = await world.call("POST", "/api/v1/workloads", W.registration("b", port: 9090))
    #expect(answer.status == 200)
    #expect(answer.json["warnings"]?[0]?.stringValue?.contains("this one 9090") == true)
    try await world.following {
      let service = try #require(try await world.settled().services.all.first)
      #expect(service.ports.map(\.number) == [9080, 9090])
      #expect(service.ports.map(\.name) == ["http", "http-9090"])
      #expect(service.instances.map { Set($0.ports.keys) } == [[9080], [9090]])
    }
  }

  @Test(
    "a bad registration is refused with every path",
    arguments: [
      ("[]", [""]), ("{}", ["id", "service", "ports"]),
      (#"{"id": "A_b", "service": "x y", "ports": []}"#, ["id", "service", "ports"]),
      (#"{"id": "a", "service": "s", "ports": [{"number": 0}]}"#, ["ports[0].number", "ports[0].inboundPort"]),
      (
        #"{"id": "a", "service": "s", "ports": [{"number": 1, "inboundPort": 2, "protocol": "X"}]}"#,
        ["ports[0].protocol"]
      ),
      (
        #"{"id": "a", "service": "s", "inboundAddress": "host", "health": "OK", "weight": 0, "leaseSeconds": 0, "labels": {"-": "a"}, "x": 1, "ports": [{"number": 1, "inboundPort": 2}, {"number": 1, "inboundPort": 2, "name": "b"}]}"#,
        ["x", "labels[\"-\"]", "inboundAddress", "ports[1].number", "health", "weight", "leaseSeconds"]
      ),
    ])
  func refusals(body: String, paths: [String]) async throws {
    let world = try await ControlWorld()
    let answer = await world.call("POST", "/api/v1/workloads", body)
    #expect(answer.status == 400)
    let found = answer.json["errors"]?.arrayValue?.map { $0["path"]?.stringValue ?? "" }
    #expect(found == paths)
    #expect(world.registry.counts().workloads == 0)
  }
}

/// A store that is held up until it is released: what comes meanwhile waits in its queue, as behind a slow disk.
private final class BusyStore: Sendable {
  private let gate = DispatchSemaphore(value: 0)
  private let began: AsyncStream<Void>
  private let work: Task<Void, any Error>

  init(_ store: StoreService) {
    let (began, beginning) = AsyncStream.makeStream(of: Void.self)
    self.began = began
    work = Task { [gate] in
      try await store.perform { _ in
        beginning.finish()
        gate.wait()
      }
    }
  }

  func isBusy() async throws { for await _ in began {} }

  func release() async throws {
    gate.signal()
    try await work.value
  }
}
