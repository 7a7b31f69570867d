import WeftBase
import WeftGRPC
import WeftProtobuf
import WeftService
import WeftXDSMessages

/// One proxy that acknowledges all it is sent.
struct SimulatedProxy: Sendable {
  let index: Int
  let plan: FleetPlan
  let arrivals: Arrivals

  static let types = [
    "cluster.v3.Cluster", "endpoint.v3.ClusterLoadAssignment", "listener.v3.Listener", "route.v3.RouteConfiguration",
  ]
  .map { "type.googleapis.com/envoy.config.\($0)" }

  private static let service = "/envoy.service.discovery.v3.AggregatedDiscoveryService/"
  private static let stateOfTheWorld = GRPCMethod<
    Envoy_Service_Discovery_V3_DiscoveryRequest, Envoy_Service_Discovery_V3_DiscoveryResponse
  >(service + "StreamAggregatedResources")
  private static let delta = GRPCMethod<
    Envoy_Service_Discovery_V3_DeltaDiscoveryRequest, Envoy_Service_Discovery_V3_DeltaDiscoveryResponse
  >(service + "DeltaAggregatedResources")

  private var node: Envoy_Config_Core_V3_Node {
    var node = Envoy_Config_Core_V3_Node()
    node.id =
      "sidecar~10.\(index >> 16 & 255).\(index >> 8 & 255).\(index & 255)~app-\(index).default~default.svc.cluster.local"
    if !plan.isCaptured {
      let upstreams = plan.upstreams(of: index).enumerated().map { place, name -> JSONValue in
        ["host": .string(name), "port": .int(FleetPlan.port), "listen": .string("127.0.0.1:\(19000 + place)")]
      }
      node.metadata = Google_Protobuf_Struct(["WEFT_UPSTREAMS": .array(upstreams)])
    }
    return node
  }

  private func names(_ type: Int) -> [String] {
    switch type {
    case 1: plan.upstreams(of: index).map(FleetPlan.cluster)
    case 3: plan.routes(of: index)
    default: []
    }
  }

  /// Asks for the whole mesh and reads nothing, until the stream ends.
  func standStill(_ client: GRPCClient) async throws {
    try await client.withStream(Self.delta, GRPCCallOptions(timeout: nil, waitForReady: true)) { stream in
      for (place, type) in Self.types.enumerated() {
        var request = Envoy_Service_Discovery_V3_DeltaDiscoveryRequest()
        if place == 0 {
          request.node = node
          request.node?.metadata = nil
        }
        request.typeUrl = type
        request.resourceNamesSubscribe =
          place == 0 || place == 2 ? [] : plan.names.map(place == 1 ? FleetPlan.cluster : FleetPlan.host)
        try await stream.send(request)
      }
      try await Task.sleep(for: .seconds(3600))
    }
  }

  /// Asks for everything and answers until the stream ends. *Parameter* `isReady`: called once each type has come.
  func run(_ client: GRPCClient, isReady: @Sendable @escaping () -> Void) async throws {
    var missing = Set(Self.types)
    func took(_ type: String) {
      arrivals.note(index, type)
      if missing.remove(type) != nil, missing.isEmpty { isReady() }
    }
    let options = GRPCCallOptions(timeout: nil, waitForReady: true)
    if index.isMultiple(of: 2) {
      try await client.withStream(Self.delta, options) { stream in
        for (place, type) in Self.types.enumerated() {
          var request = Envoy_Service_Discovery_V3_DeltaDiscoveryRequest()
          if place == 0 { request.node = node }
          request.typeUrl = type
          request.resourceNamesSubscribe = names(place)
          try await stream.send(request)
        }
        for try await response in stream.responses {
          took(response.typeUrl)
          var answer = Envoy_Service_Discovery_V3_DeltaDiscoveryRequest()
          answer.typeUrl = response.typeUrl
          answer.responseNonce = response.nonce
          try await stream.send(answer)
        }
      }
    } else {
      try await client.withStream(Self.stateOfTheWorld, options) { stream in
        for (place, type) in Self.types.enumerated() {
          var request = Envoy_Service_Discovery_V3_DiscoveryRequest()
          if place == 0 { request.node = node }
          request.typeUrl = type
          request.resourceNames = names(place)
          try await stream.send(request)
        }
        for try await response in stream.responses {
          took(response.typeUrl)
          var answer = Envoy_Service_Discovery_V3_DiscoveryRequest()
          answer.typeUrl = response.typeUrl
          answer.versionInfo = response.versionInfo
          answer.responseNonce = response.nonce
          answer.resourceNames = names(Self.types.firstIndex(of: response.typeUrl) ?? 0)
          try await stream.send(answer)
        }
      }
    }
  }
}
