import WeftControlAPI
import WeftProtobuf
import WeftXDSMessages

/// The cluster of the application itself, behind its own proxy.
struct InboundCluster {
  enum Target {
    /// A fixed address of the application.
    case fixed(address: String, port: UInt16)
    /// Where the captured connection was going.
    case original
  }

  let port: UInt16
  let target: Target
  let spoken: PortProtocol
  let service: Service?

  func message(_ mesh: MeshSettings) -> Cluster {
    var cluster = Cluster()
    cluster.name = ResourceName.inbound(port: port)
    cluster.connectTimeout = Google_Protobuf_Duration(nanoseconds: mesh.connectTimeout)
    switch target {
    case .fixed(let address, let number):
      cluster.clusterDiscoveryType = .type(.static)
      var target = Envoy_Config_Endpoint_V3_Endpoint()
      target.address = .of(address, port: number)
      var endpoint = Envoy_Config_Endpoint_V3_LbEndpoint()
      endpoint.hostIdentifier = .endpoint(target)
      var group = Envoy_Config_Endpoint_V3_LocalityLbEndpoints()
      group.lbEndpoints = [endpoint]
      var assignment = ClusterLoadAssignment()
      assignment.clusterName = cluster.name
      assignment.endpoints = [group]
      cluster.loadAssignment = assignment
    case .original:
      cluster.clusterDiscoveryType = .type(.originalDst)
      cluster.lbPolicy = .clusterProvided
      cluster.cleanupInterval = Google_Protobuf_Duration(seconds: 60)
      cluster.upstreamBindConfig = FixedClusters.captureSource
    }
    cluster.circuitBreakers = FixedClusters.unlimitedBreakers
    if spoken.isHTTP2 { cluster.typedExtensionProtocolOptions = HTTPProtocolOptions.http2().asExtension }
    if let service {
      cluster.metadata = .istio([
        "services": .list([
          .object(["host": .text(service.host), "name": .text(service.name), "namespace": .text(service.namespace)])
        ])
      ])
    }
    return cluster
  }
}
