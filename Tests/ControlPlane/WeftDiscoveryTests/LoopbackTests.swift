import Testing
import WeftBase
import WeftControlAPI
import WeftGRPC
import WeftProtobuf
import WeftService
import WeftTranslation
import WeftXDSMessages

@testable import WeftDiscovery

@Suite("discovery over gRPC on loopback", .timeLimit(.minutes(5)))
struct LoopbackTests {
  private func withDiscovery(
    _ source: ManualSource, _ body: @escaping @Sendable (DiscoveryServer, GRPCClient) async throws -> Void
  ) async throws {
    let discovery = DiscoveryServer(source: source)
    var routes = GRPCRoutes()
    discovery.addMethods(to: &routes)
    try await ServiceRuntime.with { [routes] runtime in
      let server = try await GRPCServer.bind(routes, GRPCServerConfiguration(), on: runtime)
      let client = GRPCClient(to: server.addresses[0], on: runtime)
      try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { await server.run() }
        group.addTask { await discovery.run() }
        group.addTask { try await body(discovery, client) }
        try await group.next()
        await client.close()
        await server.shutdown(grace: .zero)
        group.cancelAll()
      }
    }
  }

  @Test("state of the world: clusters and endpoints arrive, a change follows")
  func stateOfTheWorld() async throws {
    let source = ManualSource(ServerTests.snapshot(1))
    try await withDiscovery(source) { discovery, client in
      let node = LocalClient("a-1").node
      try await client.withStream(AggregatedDiscovery.stateOfTheWorld, GRPCCallOptions(timeout: nil)) { stream in
        var responses = stream.responses.makeAsyncIterator()
        func ask(_ type: ResourceType, _ names: [String] = [], nonce: String = "") async throws {
          var request = DiscoveryRequest()
          request.node = node
          request.typeUrl = type.typeURL
          request.resourceNames = names
          request.responseNonce = nonce
          try await stream.send(request)
        }
        try await ask(.cluster)
        var response = try #require(try await responses.next())
        let cluster = try Envoy_Config_Cluster_V3_Cluster(serialized: response.resources[0].value)
        #expect(cluster.name == ServerTests.cluster)
        #expect(response.controlPlane?.identifier == "weft-control")
        try await ask(.cluster, nonce: response.nonce)
        try await ask(.endpoint, [ServerTests.cluster])
        response = try #require(try await responses.next())
        #expect(response.typeUrl == ResourceType.endpoint.typeURL)
        try await ask(.endpoint, [ServerTests.cluster], nonce: response.nonce)
        source.publish(ServerTests.snapshot(2, instances: 3))
        response = try #require(try await responses.next())
        #expect(response.versionInfo == "2")
        let assignment = try Envoy_Config_Endpoint_V3_ClusterLoadAssignment(serialized: response.resources[0].value)
        #expect(assignment.endpoints.first?.lbEndpoints.count == 3)
      }
      while !discovery.proxies().isEmpty { await Task.yield() }
    }
  }

  @Test("delta: a reconnecting client is sent only what it does not have")
  func delta() async throws {
    let source = ManualSource(ServerTests.snapshot(1))
    try await withDiscovery(source) { discovery, client in
      let node = LocalClient("b-1").node
      for attempt in 1...2 {
        try await client.withStream(AggregatedDiscovery.delta, GRPCCallOptions(timeout: nil)) { stream in
          var responses = stream.responses.makeAsyncIterator()
          var request = DeltaDiscoveryRequest()
          request.node = node
          request.typeUrl = ResourceType.cluster.typeURL
          if attempt == 2 {
            let made =
              discovery.proxies().isEmpty
              ? Translator.translate(ServerTests.snapshot(1), for: ProxyIdentity(node: node)) : ProxyResources()
            request.initialResourceVersions = made.all(.cluster).mapValues(\.version)
          }
          try await stream.send(request)
          let response = try #require(try await responses.next())
          #expect(response.resources.map(\.name) == (attempt == 1 ? [ServerTests.cluster] : []))
          #expect(response.removedResources == [])
        }
        while !discovery.proxies().isEmpty { await Task.yield() }
      }
    }
  }

  @Test("a stream without a node ends with INVALID_ARGUMENT")
  func withoutNode() async throws {
    try await withDiscovery(ManualSource(ServerTests.snapshot(1))) { _, client in
      do {
        try await client.withStream(AggregatedDiscovery.delta, GRPCCallOptions(timeout: nil)) { stream in
          var request = DeltaDiscoveryRequest()
          request.typeUrl = ResourceType.cluster.typeURL
          try await stream.send(request)
          for try await _ in stream.responses {}
        }
        Issue.record("the stream went on")
      } catch let status as GRPCStatus {
        #expect(status.code == .invalidArgument)
        #expect(status.message.contains("node"))
      }
    }
  }
}
