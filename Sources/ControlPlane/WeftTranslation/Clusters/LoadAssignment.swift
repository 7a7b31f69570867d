import WeftControlAPI
import WeftProtobuf
import WeftXDSMessages

/// The endpoints of one cluster, by locality.
struct LoadAssignment {
  /// Who finds out where an endpoint is.
  enum Reach {
    /// Nobody has to: it has an address.
    case addressed
    /// The proxy, by name.
    case resolved

    /// Why nobody can connect to the instance; nil when somebody can. One such endpoint makes a proxy refuse all that
    /// come with it.
    func objection(to instance: ServiceInstance) -> String? {
      switch (self, instance.addressForm) {
      case (_, .none): "it has no address, and instances behind another network's gateway are not reached"
      case (.addressed, .name):
        "\"\(instance.address)\" is not an IP address; a name needs a service with resolution DNS"
      case (_, .unixSocket) where !ResourceGuard.isSocketPath(instance.address):
        "\"\(instance.address)\" is no path of a socket: it is a directory, or longer than a socket's address"
      case (.resolved, .unixSocket):
        "\"\(instance.address)\" is not a name; a socket needs a service with resolution STATIC"
      default: nil
      }
    }
  }

  let name: String
  let port: ServicePort
  let instances: [ServiceInstance]
  var reach = Reach.addressed

  var message: ClusterLoadAssignment {
    var groups: [Locality: [Envoy_Config_Endpoint_V3_LbEndpoint]] = [:]
    for instance in instances where instance.health != .unhealthy && reach.objection(to: instance) == nil {
      guard let number = instance.ports[port.number] ?? (instance.isUnixSocket ? 0 : nil) else { continue }
      groups[instance.locality, default: []].append(Self.endpoint(instance, port: number))
    }
    var assignment = ClusterLoadAssignment()
    assignment.clusterName = name
    let sum = groups.values.joined().reduce(UInt64(0)) { $0 + UInt64($1.loadBalancingWeight?.value ?? 1) }
    for locality in groups.keys.sorted() {
      guard var endpoints = groups[locality] else { continue }
      if sum > UInt64(UInt32.max) { endpoints = endpoints.map { Self.scaled($0, sum: sum) } }
      var group = Envoy_Config_Endpoint_V3_LocalityLbEndpoints()
      group.locality = Envoy_Config_Core_V3_Locality(
        region: locality.region, zone: locality.zone, subZone: locality.subZone)
      group.lbEndpoints = endpoints
      let total = endpoints.reduce(UInt64(0)) { $0 + UInt64($1.loadBalancingWeight?.value ?? 1) }
      group.loadBalancingWeight = Google_Protobuf_UInt32Value(UInt32(clamping: total))
      assignment.endpoints.append(group)
    }
    return assignment
  }

  /// Proxies add the weights up in 32 bits: with larger sums every share shrinks alike.
  private static func scaled(
    _ endpoint: Envoy_Config_Endpoint_V3_LbEndpoint, sum: UInt64
  ) -> Envoy_Config_Endpoint_V3_LbEndpoint {
    var endpoint = endpoint
    // Room for those that would shrink to nothing and stay at 1.
    let weight = UInt64(endpoint.loadBalancingWeight?.value ?? 1) * (UInt64(UInt32.max) >> 1) / sum
    endpoint.loadBalancingWeight = Google_Protobuf_UInt32Value(UInt32(clamping: max(weight, 1)))
    return endpoint
  }

  private static func endpoint(_ instance: ServiceInstance, port: UInt16) -> Envoy_Config_Endpoint_V3_LbEndpoint {
    var target = Envoy_Config_Endpoint_V3_Endpoint()
    target.address = .of(instance.address, port: port)
    var endpoint = Envoy_Config_Endpoint_V3_LbEndpoint()
    endpoint.hostIdentifier = .endpoint(target)
    endpoint.healthStatus = instance.health == .draining ? .draining : .healthy
    endpoint.loadBalancingWeight = Google_Protobuf_UInt32Value(max(instance.weight, 1))
    if !instance.workloadName.isEmpty {
      let app = instance.labels["app"] ?? ""
      let version = instance.labels["version"] ?? ""
      endpoint.metadata = .istio([
        "workload": .text("\(instance.workloadName);\(instance.namespace);\(app);\(version);\(instance.network)")
      ])
    }
    return endpoint
  }
}
