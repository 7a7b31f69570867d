import WeftControlAPI
import WeftProtobuf
import WeftXDSMessages

/// Clusters that do not come from services.
enum FixedClusters {
  /// Where nothing answers: STATIC without endpoints.
  static func blackHole(_ mesh: MeshSettings) -> Cluster { closed(ResourceName.blackHole, mesh) }

  /// A destination that is there and has no endpoint, now or later.
  static func closed(_ name: String, _ mesh: MeshSettings) -> Cluster {
    var cluster = Cluster()
    cluster.name = name
    cluster.clusterDiscoveryType = .type(.static)
    cluster.connectTimeout = Google_Protobuf_Duration(nanoseconds: mesh.connectTimeout)
    return cluster
  }

  /// A destination that nobody knows yet.
  static func unknown(_ name: String, _ mesh: MeshSettings) -> Cluster {
    var cluster = Cluster()
    cluster.name = name
    cluster.setAggregatedEndpoints()
    cluster.connectTimeout = Google_Protobuf_Duration(nanoseconds: mesh.connectTimeout)
    return cluster
  }

  /// Wherever the application meant to go.
  static func passthrough(_ mesh: MeshSettings, name: String = ResourceName.passthrough) -> Cluster {
    var cluster = Cluster()
    cluster.name = name
    cluster.clusterDiscoveryType = .type(.originalDst)
    cluster.lbPolicy = .clusterProvided
    cluster.cleanupInterval = Google_Protobuf_Duration(seconds: 5)
    cluster.connectTimeout = Google_Protobuf_Duration(nanoseconds: mesh.connectTimeout)
    cluster.circuitBreakers = unlimitedBreakers
    var options = HTTPProtocolOptions()
    options.upstreamProtocolOptions = .useDownstreamProtocolConfig(.init())
    cluster.typedExtensionProtocolOptions = options.asExtension
    return cluster
  }

  /// Captured inbound traffic on its way to the application; the source address tells it apart from the application's own.
  static func inboundPassthrough(_ mesh: MeshSettings) -> Cluster {
    var cluster = passthrough(mesh, name: ResourceName.inboundPassthrough)
    cluster.upstreamBindConfig = captureSource
    return cluster
  }

  /// What is already here is not refused; the levels are shown.
  static var unlimitedBreakers: Envoy_Config_Cluster_V3_CircuitBreakers {
    let unlimited = Google_Protobuf_UInt32Value(UInt32.max)
    var thresholds = Envoy_Config_Cluster_V3_CircuitBreakers.Thresholds()
    thresholds.maxConnections = unlimited
    thresholds.maxPendingRequests = unlimited
    thresholds.maxRequests = unlimited
    thresholds.maxRetries = unlimited
    thresholds.trackRemaining = true
    var breakers = Envoy_Config_Cluster_V3_CircuitBreakers()
    breakers.thresholds = [thresholds]
    return breakers
  }

  static var captureSource: Envoy_Config_Core_V3_BindConfig {
    var socket = Envoy_Config_Core_V3_SocketAddress()
    socket.address = "127.0.0.6"
    socket.portSpecifier = .portValue(0)
    var bind = Envoy_Config_Core_V3_BindConfig()
    bind.sourceAddress = socket
    return bind
  }
}

extension Cluster {
  /// Endpoints come over the aggregated stream, under the cluster's own name.
  mutating func setAggregatedEndpoints() {
    clusterDiscoveryType = .type(.eds)
    var eds = Cluster.EdsClusterConfig()
    eds.edsConfig = .aggregated
    eds.serviceName = name
    edsClusterConfig = eds
  }
}
