import Synchronization
import Testing
import WeftBase
import WeftControlAPI
import WeftDiscovery
import WeftGRPC
import WeftProtobuf
import WeftService
import WeftTranslation
import WeftXDSMessages

@testable import WeftControl

/// A proxy over the network that takes all it is sent, or refuses routes.
private final class SimulatedProxy: Sendable {
  let id: String
  private let refusal: String?
  private let upstream: String

  init(_ name: String, upstream: String, refusing refusal: String? = nil) {
    id = "sidecar~127.0.0.1~\(name).default~default.svc.cluster.local"
    self.upstream = upstream
    self.refusal = refusal
  }

  /// Subscribes to the routes of its upstream and answers everything until the stream ends.
  func run(_ client: GRPCClient) async throws {
    try await client.withStream(AggregatedDiscovery.delta, GRPCCallOptions(timeout: nil)) { stream in
      var request = DeltaDiscoveryRequest()
      var node = Envoy_Config_Core_V3_Node()
      node.id = id
      let upstreams: JSONValue = [["host": .string(upstream), "port": 9080, "listen": "127.0.0.1:19080"]]
      node.metadata = Google_Protobuf_Struct(["WEFT_UPSTREAMS": upstreams])
      request.node = node
      request.typeUrl = ResourceType.route.typeURL
      request.resourceNamesSubscribe = ["\(upstream).default.svc.cluster.local:9080"]
      try await stream.send(request)
      for try await response in stream.responses {
        var answer = DeltaDiscoveryRequest()
        answer.typeUrl = response.typeUrl
        answer.responseNonce = response.nonce
        if let refusal, !response.resources.isEmpty {
          answer.errorDetail = Google_Rpc_Status(code: 3, message: refusal)
        }
        try await stream.send(answer)
      }
    }
  }
}

@Suite("delivery of rules", .timeLimit(.minutes(5)))
struct DeliveryTests {
  @Test("an apply waits for the proxies it concerns, and tells who refused and why")
  func waits() async throws {
    try await ServiceRuntime.with { runtime in
      var configuration = ControlConfiguration()
      configuration.apiAddress = .loopback()
      configuration.xdsAddress = .loopback()
      configuration.grace = .zero
      let server = try await ControlServer.start(configuration, on: runtime)
      let proxies = [
        SimulatedProxy("good-1", upstream: "reviews"), SimulatedProxy("good-2", upstream: "reviews"),
        SimulatedProxy("elsewhere-1", upstream: "ratings", refusing: "never mind"),
        SimulatedProxy("bad-1", upstream: "details", refusing: "details: I will not"),
      ]
      let url = "http://\(try #require(server.apiAddresses.first))"
      let client = ControlWorld.client(on: runtime)
      let streams = GRPCClient(to: try #require(server.xdsAddresses.first), on: runtime)
      func post(_ path: String, _ body: String) async throws -> JSONValue {
        try JSONValue(parsing: try await client.send("POST", url + path, body: Array(body.utf8)).body)
      }
      try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await server.run() }
        for proxy in proxies { group.addTask { try? await proxy.run(streams) } }
        while try await client.get(url + "/api/v1/proxies").text.split(separator: "connectedSince").count < 5 {
          await Task.yield()
        }
        // Three of four hear nothing of it; that one of them refuses everything does not matter.
        let taken = try await post("/api/v1/apply?wait=30s", ControlWorld.rule("reviews"))
        #expect(taken["settled"] == true)
        let delivery = taken["results"]?[0]?["delivery"]
        #expect(delivery?["relevant"] == 2)
        #expect(delivery?["active"] == 2)
        // Refused: answered at once, not after thirty seconds.
        let refused = try await post("/api/v1/apply?wait=30s", ControlWorld.rule("details"))
        #expect(refused["settled"] == false)
        #expect(refused["results"]?[0]?["delivery"]?["refusals"]?[0]?["message"] == "details: I will not")
        #expect(refused["results"]?[0]?["delivery"]?["refusals"]?[0]?["proxy"] == .string(proxies[3].id))
        // Concerns nobody.
        let unused = try await post("/api/v1/apply?wait=30s", ControlWorld.rule("nobody"))
        #expect(unused["settled"] == true)
        let list = try JSONValue(parsing: try await client.get(url + "/api/v1/objects/vs?status").body)["items"]
        #expect(list?.arrayValue?.map { $0["status"]?["phase"] } == ["refused", "unused", "active"])
        await streams.close()
        await client.close()
        await server.shutdown()
        try await group.waitForAll()
      }
    }
  }
}
