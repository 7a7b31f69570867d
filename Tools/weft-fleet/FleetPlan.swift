import WeftBase
import WeftService

/// What is set up and changed.
struct FleetPlan: Sendable {
  var api: String
  var xds: ServiceAddress
  var proxies: Int
  var services: Int
  var rounds: Int
  var isCaptured: Bool
  /// Proxies beside the others that ask for the whole mesh and read nothing of it.
  var stuck = 0

  static let port = 9080
  static let instances = 4
  /// Everybody's upstream.
  static let hub = "hub"
  /// An upstream of few.
  static let rare = "svc-0"

  var names: [String] { (0..<services).map { "svc-\($0)" } + [Self.hub] }

  static func host(_ service: String) -> String { "\(service).default.svc.cluster.local" }
  static func cluster(_ service: String) -> String { "outbound|\(port)||\(host(service))" }

  /// What proxy `index` calls: three neighbours and the hub, or everything.
  func upstreams(of index: Int) -> [String] {
    isCaptured ? names : (0..<3).map { "svc-\((index + $0) % services)" } + [Self.hub]
  }

  /// Names of the route configurations of a proxy.
  func routes(of index: Int) -> [String] {
    isCaptured ? ["\(Self.port)"] : upstreams(of: index).map { "\(Self.host($0)):\(Self.port)" }
  }

  func concerned(by service: String) -> Set<Int> {
    Set((0..<proxies).filter { upstreams(of: $0).contains(service) })
  }

  func registration(_ service: String, _ instance: Int, weight: Int) -> JSONValue {
    [
      "id": .string("\(service)-\(instance)"), "namespace": "default", "service": .string(service),
      "labels": ["version": "v1"], "address": "127.0.0.1", "inboundAddress": "127.0.0.1",
      "ports": [
        [
          "number": .int(Self.port), "name": "http", "protocol": "HTTP", "appPort": 9080,
          "inboundPort": .int(20000 + instance),
        ]
      ],
      "health": "HEALTHY", "weight": .int(weight), "locality": ["region": "", "zone": "", "subzone": ""],
      "leaseSeconds": 3600,
    ]
  }

  func rule(_ service: String, round: Int) -> String {
    """
    apiVersion: networking.istio.io/v1
    kind: VirtualService
    metadata: {name: \(service)}
    spec:
      hosts: [\(service)]
      http:
      - timeout: \(round + 1)s
        route: [{destination: {host: \(service)}}]
    """
  }
}
