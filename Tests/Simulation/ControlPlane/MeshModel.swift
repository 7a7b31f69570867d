// MeshModel: services, instances and rules that change at random, as the snapshots that translation reads.

import WeftBase
import WeftControlAPI
import WeftKinds
import WeftProtobuf
import WeftTestKit

/// The neutral model of a small mesh, one change at a time.
final class MeshModel {
  static let namespaces = ["default", "shop"]
  static let names = ["reviews", "ratings", "details", "page", "cart"]

  private let world: SimWorld
  private let probes: SimProbes
  private var version: UInt64 = 1
  private var services = ServiceIndex()
  private var virtualServices = ConfigIndex<VirtualServiceSpec>()
  private var destinationRules = ConfigIndex<DestinationRuleSpec>()
  private var generation: Int64 = 0
  private(set) var snapshot: WeftSnapshot

  init(_ world: SimWorld, _ probes: SimProbes) {
    self.world = world
    self.probes = probes
    snapshot = WeftSnapshot(version: 1)
    for namespace in Self.namespaces {
      for name in Self.names where world.chance(2, in: 3) { services.update(service(name, namespace)) }
    }
    publish()
  }

  /// Makes one to three changes and publishes them.
  func change() {
    for _ in 0..<world.pick(1...3) {
      let name = world.pick(Self.names)
      let namespace = world.pick(Self.namespaces)
      switch world.pick(0...9) {
      case 0...3: changeInstances(name, namespace)
      case 4:
        if let old = services.service(Self.host(name, namespace), seenFrom: namespace) {
          services.remove(old.id)
          probes.reached("service removed")
        } else {
          services.update(service(name, namespace))
        }
      case 5, 6: virtualServices.update(virtualService(name, namespace))
      case 7: virtualServices.remove(ObjectKey(kind: .virtualService, namespace: namespace, name: name))
      case 8: destinationRules.update(destinationRule(name, namespace))
      default: destinationRules.remove(ObjectKey(kind: .destinationRule, namespace: namespace, name: name))
      }
    }
    publish()
  }

  private func publish() {
    version += 1
    snapshot = WeftSnapshot(
      version: version, services: services, destinationRules: destinationRules, virtualServices: virtualServices)
  }

  static func host(_ name: String, _ namespace: String) -> String { "\(name).\(namespace).svc.cluster.local" }

  private func service(_ name: String, _ namespace: String) -> Service {
    let origin = Origin(kind: .service, namespace: namespace, name: name, generation: 1)
    var ports = [ServicePort(number: 9080, name: "http", protocol: .http)]
    if world.chance(1, in: 4) { ports.append(ServicePort(number: 9090, name: "grpc", protocol: .grpc)) }
    return Service(
      host: Self.host(name, namespace), name: name, namespace: namespace, ports: ports,
      instances: instances(name, namespace, origin), origins: [origin])
  }

  private func instances(_ name: String, _ namespace: String, _ origin: Origin) -> [ServiceInstance] {
    (0..<world.pick(0...4)).map { index in
      ServiceInstance(
        id: "\(name)-\(index)", address: "10.0.\(world.pick(0...1)).\(index + 1)", ports: [9080: 9080, 9090: 9090],
        labels: ["version": world.pick(["v1", "v2"])], weight: UInt32(world.pick(1...3)),
        health: world.pick([.healthy, .healthy, .unhealthy]), namespace: namespace, origin: origin)
    }
  }

  private func changeInstances(_ name: String, _ namespace: String) {
    guard let old = services[ServiceIndex.ID(host: Self.host(name, namespace), namespace: namespace)] else { return }
    services.update(
      Service(
        host: old.host, name: old.name, namespace: old.namespace, ports: old.ports,
        creationTimestamp: old.creationTimestamp, instances: instances(name, namespace, old.origins[0]),
        origins: old.origins))
  }

  private func metadata(_ name: String, _ namespace: String) -> ObjectMetadata {
    generation += 1
    return ObjectMetadata(name: name, namespace: namespace, generation: generation)
  }

  private func virtualService(_ name: String, _ namespace: String) -> ConfigObject<VirtualServiceSpec> {
    var spec = VirtualServiceSpec()
    spec.hosts = [name]
    for index in 0..<world.pick(1...3) {
      var route = Istio_Networking_V1alpha3_HTTPRoute()
      route.name = "route-\(index)-\(generation)"
      for _ in 0..<world.pick(1...2) {
        var destination = Istio_Networking_V1alpha3_Destination()
        destination.host =
          world.chance(1, in: 2) ? name : Self.host(world.pick(Self.names), world.pick(Self.namespaces))
        if world.chance(1, in: 3) { destination.subset = world.pick(["v1", "v2"]) }
        var share = Istio_Networking_V1alpha3_HTTPRouteDestination()
        share.destination = destination
        share.weight = 50
        route.route.append(share)
      }
      spec.http.append(route)
    }
    return ConfigObject(
      kind: .virtualService, metadata: metadata(name, namespace), spec: spec, hosts: [Self.host(name, namespace)])
  }

  private func destinationRule(_ name: String, _ namespace: String) -> ConfigObject<DestinationRuleSpec> {
    var spec = DestinationRuleSpec()
    spec.host = name
    for version in ["v1", "v2"] where world.chance(2, in: 3) {
      var subset = Istio_Networking_V1alpha3_Subset()
      subset.name = version
      subset.labels = ["version": version]
      spec.subsets.append(subset)
    }
    return ConfigObject(
      kind: .destinationRule, metadata: metadata(name, namespace), spec: spec, hosts: [Self.host(name, namespace)])
  }
}
