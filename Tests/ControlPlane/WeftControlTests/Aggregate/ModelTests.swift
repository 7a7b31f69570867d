import Testing
import WeftBase
import WeftControlAPI
import WeftKinds
import WeftTestKit

@testable import WeftConfig
@testable import WeftControl

@Suite("aggregated model")
struct ModelTests {
  private func object(
    _ kind: KindName, _ name: String, _ spec: JSONValue, namespace: String = "shop", age: Int64 = 1,
    revision: UInt64 = 1, labels: [String: String] = [:]
  ) -> Envelope {
    Envelope(
      apiVersion: "networking.istio.io/v1", kind: kind,
      metadata: ObjectMetadata(
        name: name, namespace: namespace, labels: labels, creationTimestamp: WallTime(nanoseconds: age),
        resourceVersion: revision), spec: spec)
  }

  private func model(_ objects: [Envelope]) -> Model {
    var model = Model(mesh: MeshSettings())
    for object in objects { model.put(object) }
    return model
  }

  private let entry: JSONValue = [
    "hosts": ["legacy"], "resolution": "STATIC", "location": "MESH_INTERNAL",
    "workloadSelector": ["labels": ["app": "legacy"]],
    "ports": [["number": 80, "name": "http", "protocol": "HTTP", "targetPort": 8080]],
  ]

  @Test("a ServiceEntry that selects by label follows WorkloadEntry objects and registrations as they come and go")
  func selection() throws {
    var model = model([
      object(.serviceEntry, "legacy", entry),
      object(
        .workloadEntry, "vm1",
        ["address": "10.0.0.1", "labels": ["app": "legacy"], "ports": ["http": 9999], "locality": "eu/z1"]),
      object(.workloadEntry, "vm2", ["address": "10.0.0.2", "labels": ["app": "legacy"], "weight": 3]),
      object(.workloadEntry, "other", ["address": "10.0.0.3", "labels": ["app": "x"]]),
      object(.workloadEntry, "far", ["address": "10.0.0.4", "labels": ["app": "legacy"]], namespace: "else"),
    ])
    let id = ServiceIndex.ID(host: "legacy.shop.svc.cluster.local", namespace: "shop")
    let first = model.snapshot()
    let service = try #require(first.services[id])
    #expect(service.instances.map(\.id) == ["vm1", "vm2"])
    #expect(service.instances.map(\.ports) == [[80: 9999], [80: 8080]])
    #expect(service.instances[0].locality == Locality(region: "eu", zone: "z1"))
    #expect(service.instances[1].weight == 3)

    let workload = Workload(
      id: "w1", namespace: "shop", service: "other", labels: ["app": "legacy"],
      ports: [WorkloadPort(number: 80, name: "http", protocol: .http, appPort: 1, inboundPort: 31000)])
    model.apply(
      SourceBatch(upserts: [workload.key: .workload(workload)], version: 1), from: SourceOrigin("agents"))
    let second = model.snapshot()
    #expect(second.services[id]?.instances.map(\.id) == ["vm1", "vm2", "w1"])
    #expect(second.services[id]?.instances.last?.ports == [80: 31000])
    let changes = second.changes(since: first)
    #expect(changes.endpoints == ["legacy.shop.svc.cluster.local"])
    #expect(changes.services == ["other.shop.svc.cluster.local"])

    model.remove(ObjectKey(kind: .workloadEntry, namespace: "shop", name: "vm1"), revision: 9)
    #expect(model.snapshot().services[id]?.instances.map(\.id) == ["vm2", "w1"])
    model.remove(ObjectKey(kind: .serviceEntry, namespace: "shop", name: "legacy"), revision: 10)
    #expect(model.snapshot().services[id] == nil)
  }

  @Test("services that a change does not touch are the same objects in the next snapshot")
  func identity() throws {
    var model = model([
      object(
        .serviceEntry, "a",
        ["hosts": ["a.example.com"], "resolution": "DNS", "ports": [["number": 80, "name": "http"]]]),
      object(
        .serviceEntry, "b",
        ["hosts": ["b.example.com"], "resolution": "DNS", "ports": [["number": 80, "name": "http"]]]),
    ])
    let first = model.snapshot()
    model.put(
      object(
        .serviceEntry, "a",
        ["hosts": ["a.example.com"], "resolution": "NONE", "ports": [["number": 80, "name": "http"]]], revision: 5))
    let second = model.snapshot()
    let b = ServiceIndex.ID(host: "b.example.com", namespace: "shop")
    #expect(first.services[b] === second.services[b])
    #expect(second.changes(since: first).services == ["a.example.com"])
    #expect(second.version == 5)
  }

  @Test("of two ServiceEntry objects for one host in a namespace the older defines it, the younger adds names")
  func oldestWins() throws {
    func entry(_ resolution: String, _ name: String) -> JSONValue {
      [
        "hosts": ["x.example.com"], "resolution": .string(resolution), "subjectAltNames": [.string(name)],
        "ports": [["number": 80, "name": "http"]],
      ]
    }
    var model = model([
      object(.serviceEntry, "a-young", entry("NONE", "young"), age: 2),
      object(.serviceEntry, "z-old", entry("DNS", "old"), age: 1),
    ])
    let service = try #require(model.snapshot().services.all.first)
    #expect(service.resolution == .dns)
    #expect(service.subjectAltNames == ["old", "young"])
    #expect(service.origins.map(\.name) == ["z-old", "a-young"])
  }

  @Test("a second ServiceEntry for a host of the namespace keeps its ports and instances")
  func merged() throws {
    func entry(_ ports: JSONValue, _ address: String, vip: String) -> JSONValue {
      [
        "hosts": ["x.example.com"], "resolution": "STATIC", "addresses": [.string(vip)], "ports": ports,
        "endpoints": [["address": .string(address)]],
      ]
    }
    let older: JSONValue = [
      ["number": 80, "name": "http", "protocol": "HTTP"], ["number": 443, "name": "tls", "protocol": "TLS"],
    ]
    let younger: JSONValue = [
      ["number": 80, "name": "tcp", "protocol": "TCP", "targetPort": 8080],
      ["number": 81, "name": "http", "protocol": "HTTP"],
    ]
    var model = model([
      object(.serviceEntry, "young", entry(younger, "10.0.0.2", vip: "10.9.0.2"), age: 2),
      object(.serviceEntry, "old", entry(older, "10.0.0.1", vip: "10.9.0.1"), age: 1),
    ])
    let service = try #require(model.snapshot().services.all.first)
    #expect(service.ports.map(\.number) == [80, 81, 443])
    #expect(service.ports.map(\.name) == ["http", "http-81", "tls"])
    #expect(service.ports.first?.protocol == .http)
    #expect(service.instances.map(\.address) == ["10.0.0.1", "10.0.0.2"])
    #expect(service.instances.map(\.ports) == [[80: 80, 443: 443], [80: 8080, 81: 81]])
    #expect(service.addresses == ["10.9.0.1", "10.9.0.2"])
    #expect(service.origins.map(\.name) == ["old", "young"])
  }

  @Test("a workload that two entries of a host select serves the ports of both")
  func selectedTwice() throws {
    func entry(_ number: Int64) -> JSONValue {
      [
        "hosts": ["x.example.com"], "resolution": "STATIC", "workloadSelector": ["labels": ["app": "x"]],
        "ports": [["number": .int(number), "name": .string("http-\(number)"), "protocol": "HTTP"]],
      ]
    }
    var model = model([
      object(.serviceEntry, "a", entry(80), age: 1), object(.serviceEntry, "b", entry(81), age: 2),
      object(.workloadEntry, "vm", ["address": "10.0.0.1", "labels": ["app": "x"]]),
    ])
    let service = try #require(model.snapshot().services.all.first)
    #expect(service.instances.map(\.ports) == [[80: 80, 81: 81]])
  }

  @Test("the order in which objects arrive does not matter", arguments: [1, 2, 3, 4, 5])
  func order(seed: UInt64) throws {
    var random = RandomSource(seed: seed)
    let objects = [
      object(.serviceEntry, "legacy", entry, age: 3),
      object(.serviceEntry, "legacy2", entry, age: 2),
      object(.workloadEntry, "vm1", ["address": "10.0.0.1", "labels": ["app": "legacy"]]),
      object(
        .virtualService, "a", ["hosts": ["legacy"], "http": [["route": [["destination": ["host": "legacy"]]]]]], age: 1),
      object(
        .virtualService, "b", ["hosts": ["legacy"], "http": [["route": [["destination": ["host": "legacy"]]]]]], age: 1),
      object(.destinationRule, "d", ["host": "*.example.com"]),
      object(.sidecar, "s", ["egress": [["hosts": ["./*"]]]]),
      object(
        .gateway, "g", ["servers": [["port": ["number": 80, "name": "http", "protocol": "HTTP"], "hosts": ["*"]]]]),
    ]
    var straight = model(objects)
    var shuffled = model(objects.shuffled(using: &random))
    let one = straight.snapshot()
    let other = shuffled.snapshot()
    #expect(other.changes(since: one).isEmpty)
    #expect(other.virtualServices.all.map(\.name) == ["a", "b"])
    #expect(other.services.all.map(\.origins) == one.services.all.map(\.origins))
  }

  @Test("short hosts belong to the rule's namespace, and visibility follows exportTo")
  func hosts() throws {
    var model = model([
      object(
        .virtualService, "a",
        [
          "hosts": ["reviews", "x.example.com"], "exportTo": ["."],
          "http": [["route": [["destination": ["host": "r"]]]]],
        ])
    ])
    let snapshot = model.snapshot()
    let host = "reviews.shop.svc.cluster.local"
    #expect(snapshot.virtualServices(for: host, seenFrom: "shop").count == 1)
    #expect(snapshot.virtualServices(for: host, seenFrom: "else").isEmpty)
  }

  @Test("letter case does not tell hosts apart: two spellings are one service, and a rule for either finds it")
  func letterCase() throws {
    let ports: JSONValue = [["number": 80, "name": "http", "protocol": "HTTP"]]
    func entry(_ hosts: JSONValue, _ address: String) -> JSONValue {
      ["hosts": hosts, "resolution": "STATIC", "ports": ports, "endpoints": [["address": .string(address)]]]
    }
    var model = model([
      object(.serviceEntry, "first", entry(["API.example.com", "api.example.com"], "10.0.0.1"), age: 1),
      object(.serviceEntry, "second", entry(["Api.Example.Com"], "10.0.0.2"), age: 2),
      object(.destinationRule, "policy", ["host": "API.EXAMPLE.COM"]),
      object(
        .virtualService, "short", ["hosts": ["Reviews"], "http": [["route": [["destination": ["host": "Reviews"]]]]]]),
    ])
    let snapshot = model.snapshot()
    let service = try #require(snapshot.services.all.first)
    #expect(snapshot.services.count == 1)
    #expect(service.host == "api.example.com")
    #expect(service.instances.map(\.address) == ["10.0.0.1", "10.0.0.2"])
    #expect(
      snapshot.destinationRules(for: service.host, serviceNamespace: "shop", seenFrom: "shop").map(\.name) == ["policy"]
    )
    #expect(snapshot.virtualServices(for: "reviews.shop.svc.cluster.local", seenFrom: "shop").count == 1)
  }

  @Test("an object that cannot be read is left out and reported; the others stand")
  func unreadable() throws {
    var model = model([
      object(.destinationRule, "bad", ["host": ["not", "text"]]), object(.destinationRule, "good", ["host": "a"]),
    ])
    #expect(model.snapshot().destinationRules.all.map(\.name) == ["good"])
    #expect(model.unreadable.keys.map(\.name) == ["bad"])
  }
}
