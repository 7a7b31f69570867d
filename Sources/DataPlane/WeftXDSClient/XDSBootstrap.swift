// What the bootstrap says about discovery, as the client wants it.
package import WeftBase
package import WeftModel
import WeftProtobuf
import WeftService
import WeftXDSMessages

extension XDSClientConfiguration {
  /// The configuration for a bootstrap that asks for aggregated discovery; nil for one that does not.
  ///
  /// *Parameter* `document`: the bootstrap as it was read, for the node with all of its metadata.
  /// *Errors*: a discovery cluster that is not there or has no endpoint to connect to.
  package init?(_ bootstrap: Bootstrap, document: JSONValue) throws(ConfigError) {
    guard let ads = bootstrap.ads else { return nil }
    let at = FieldPath().field("dynamic_resources").field("ads_config").field("grpc_services").index(0)
      .field("envoy_grpc").field("cluster_name")
    guard let cluster = bootstrap.clusters.first(where: { $0.name == ads.cluster }) else {
      throw ConfigError(path: at, "names \"\(ads.cluster)\", which is none of static_resources.clusters")
    }
    let addresses = cluster.loadAssignment.localities.flatMap(\.endpoints).compactMap { endpoint -> ServiceAddress? in
      switch endpoint.address {
      case .socket(let host, let port): .tcp(host: host, port: port)
      case .pipe(let path): .unix(path: path)
      case .internalListener: nil
      }
    }
    guard !addresses.isEmpty else { throw ConfigError(path: at, "cluster \"\(ads.cluster)\" has no endpoint") }
    var wildcards: [XDSType: Duration?] = [:]
    if bootstrap.clustersFromADS { wildcards.updateValue(bootstrap.clustersFetchTimeout, forKey: .clusters) }
    if bootstrap.listenersFromADS { wildcards.updateValue(bootstrap.listenersFetchTimeout, forKey: .listeners) }
    self.init(
      form: ads.delta ? .delta : .stateOfTheWorld, node: try Self.node(document["node"]), addresses: addresses,
      wildcards: wildcards)
    authority = ads.authority.isEmpty ? nil : ads.authority
    requestRate = ads.requestRate
    metadata = ads.initialMetadata.map { ($0.name, $0.value) }
    // Nothing else tells that the control plane's host is gone without a word.
    if let pings = cluster.http2.keepalive, let interval = pings.interval { keepAlive = (interval, pings.timeout) }
  }

  private static func node(_ document: JSONValue?) throws(ConfigError) -> Envoy_Config_Core_V3_Node {
    var node = Envoy_Config_Core_V3_Node()
    if let document {
      var unknown: [FieldPath] = []
      let options = JSONDecodingOptions(unknownFields: .collect, registry: TypeRegistry(EnvoyTypes.all))
      do throws(ProtobufError) {
        node = try Envoy_Config_Core_V3_Node(json: document, options: options, unknown: &unknown)
      } catch {
        throw ConfigError(path: FieldPath().field("node").appending(error.path), error.message)
      }
    }
    node.userAgentName = "weft-proxy"
    node.clientFeatures = ["xds.config.resource-in-sotw"]
    return node
  }
}
