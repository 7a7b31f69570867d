import WeftBase
import WeftControlAPI
import WeftKinds
import WeftProtobuf
import WeftTranslation
import WeftXDSMessages

@testable import WeftDiscovery

// Sessions over resources made by hand: `c("a", 1)` is cluster `a` with content 1.

func c(_ name: String, _ content: Int = 1) -> Resource {
  var cluster = Envoy_Config_Cluster_V3_Cluster()
  cluster.name = name
  cluster.altStatName = String(content)
  return Resource(.cluster, name, cluster, origins: [origin("rule-of-\(name)")])
}

func e(_ name: String, _ content: Int = 1) -> Resource {
  var assignment = Envoy_Config_Endpoint_V3_ClusterLoadAssignment()
  assignment.clusterName = name
  var group = Envoy_Config_Endpoint_V3_LocalityLbEndpoints()
  group.priority = UInt32(content)
  assignment.endpoints = [group]
  return Resource(.endpoint, name, assignment, origins: [])
}

func l(_ name: String, _ content: Int = 1) -> Resource {
  var listener = Envoy_Config_Listener_V3_Listener()
  listener.name = name
  listener.statPrefix = String(content)
  return Resource(.listener, name, listener, origins: [])
}

func r(_ name: String, _ content: Int = 1) -> Resource {
  var route = Envoy_Config_Route_V3_RouteConfiguration()
  route.name = name
  route.internalOnlyHeaders = [String(content)]
  return Resource(.route, name, route, origins: [origin("rule-of-\(name)")])
}

func origin(_ name: String) -> Origin { Origin(kind: .virtualService, namespace: "default", name: name, generation: 1) }

func resources(_ version: UInt64, _ list: [Resource]) -> ProxyResources {
  var all = ProxyResources(version: version)
  for resource in list { all.add(resource) }
  return all
}

/// A session with a client at the other end that acknowledges when told to.
struct Conversation {
  var session: Session
  var now = MonotonicInstant(nanoseconds: 1)
  private var sentNonces: [ResourceType: [String]] = [:]

  init(_ form: DiscoveryForm, _ list: [Resource], isGRPC: Bool = false) {
    session = Session(
      form: form, proxy: ProxyIdentity(nodeID: "sidecar~1.1.1.1~a.b~b.svc.cluster.local", isGRPC: isGRPC),
      resources: resources(1, list))
  }

  @discardableResult
  mutating func ask(
    _ type: ResourceType, _ names: [String] = [], unsubscribe: [String] = [], held: [String: String] = [:],
    nonce: String = "", refusal: String? = nil
  ) -> [DiscoveryResponseEvent] {
    let current = session.resources
    return take(
      session.receive(
        DiscoveryRequestEvent(
          type: type, names: names, unsubscribed: unsubscribe, held: held, nonce: nonce, refusal: refusal),
        now: now
      ) { _ in current })
  }

  /// Acknowledges the last response of a type, repeating `names` as state of the world wants it.
  @discardableResult
  mutating func acknowledge(_ type: ResourceType, _ names: [String] = []) -> [DiscoveryResponseEvent] {
    ask(type, names, nonce: nonces(type).last ?? "")
  }

  @discardableResult
  mutating func refuse(_ type: ResourceType, _ names: [String] = [], _ text: String) -> [DiscoveryResponseEvent] {
    ask(type, names, nonce: nonces(type).last ?? "", refusal: text)
  }

  @discardableResult
  mutating func change(_ version: UInt64, _ list: [Resource]) -> [DiscoveryResponseEvent] {
    change(resources(version, list))
  }

  @discardableResult
  mutating func change(_ new: ProxyResources) -> [DiscoveryResponseEvent] { take(session.update(new, now: now)) }

  @discardableResult
  mutating func pass(_ time: Duration) -> [DiscoveryResponseEvent] {
    now = now + time
    return take(session.wake(now: now))
  }

  private mutating func take(_ responses: [DiscoveryResponseEvent]) -> [DiscoveryResponseEvent] {
    for response in responses { sentNonces[response.type, default: []].append(response.nonce) }
    return responses
  }

  /// Of all responses of a type so far, oldest first.
  func nonces(_ type: ResourceType) -> [String] { sentNonces[type] ?? [] }

  func status(_ type: ResourceType) -> TypeStatus.State { session.typeStatuses[type]?.state ?? .ignored }
}

extension [DiscoveryResponseEvent] {
  /// `CDS[a b] EDS[a -gone]`, for readable expectations.
  var text: String {
    map { response in
      let names = response.names + response.removed.map { "-" + $0 }
      return "\(response.type.shortName)[\(names.joined(separator: " "))]"
    }.joined(separator: " ")
  }
}
