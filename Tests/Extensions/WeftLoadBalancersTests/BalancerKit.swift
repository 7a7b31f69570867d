import Testing
import WeftBase
import WeftLoadBalancers
import WeftModel
import WeftProtobuf
import WeftProxyAPI
import WeftTelemetry
import WeftUpstream
import WeftXDSMessages

typealias RingHashMessage = Envoy_Extensions_LoadBalancingPolicies_RingHash_V3_RingHash
typealias MaglevMessage = Envoy_Extensions_LoadBalancingPolicies_Maglev_V3_Maglev
typealias HashingMessage = Envoy_Extensions_LoadBalancingPolicies_Common_V3_ConsistentHashingLbConfig

/// A policy under test, by its name.
struct TestedPolicy: CustomTestStringConvertible, Sendable {
  var name: String
  var config: ExtensionConfig
  var testDescription: String { name }

  init(_ policy: LoadBalancing.Policy, _ name: String) {
    guard case .balancer(let config) = policy else { fatalError("no policy") }
    (self.name, self.config) = (name, config)
  }

  init<M: Message>(_ message: M, _ name: String) {
    (self.name, config) = (name, ExtensionConfig(typeName: M.schema.name, message: message.serialized()))
  }

  static let roundRobin = TestedPolicy(.roundRobin, "round robin")
  static let leastRequest = TestedPolicy(.leastRequest, "least request")
  static let random = TestedPolicy(.random, "random")
  /// A large ring: shares are as near to the weights as its size allows.
  static let ringHash = TestedPolicy(ring(minimum: 1 << 16), "ring hash")
  static let maglev = TestedPolicy(.maglev, "Maglev")

  static let all = [roundRobin, leastRequest, random, ringHash, maglev]
  static let weighted = [roundRobin, leastRequest, ringHash, maglev]
  static let hashing = [ringHash, maglev]

  static func ring(
    minimum: UInt64? = nil, maximum: UInt64? = nil, factor: UInt32? = nil
  ) -> RingHashMessage {
    var message = RingHashMessage()
    message.minimumRingSize = minimum.map { Google_Protobuf_UInt64Value($0) }
    message.maximumRingSize = maximum.map { Google_Protobuf_UInt64Value($0) }
    if let factor {
      var hashing = HashingMessage()
      hashing.hashBalanceFactor = Google_Protobuf_UInt32Value(factor)
      message.consistentHashingLbConfig = hashing
    }
    return message
  }
}

/// A balancer with what keeps its configuration.
final class BalancerKit {
  let storage = SnapshotStorage()
  let metrics = MetricsRegistry(workers: 1)
  var balancer: LoadBalancer
  var random: RandomSource

  init(
    _ policy: TestedPolicy, panic: Double = 50, localityWeighted: Bool = false, seed: UInt64 = 1
  ) throws {
    var settings = LoadBalancing()
    settings.panicThresholdPercent = panic
    settings.localityWeighted = localityWeighted
    random = RandomSource(seed: seed)
    let context = BalancerContext(storage: storage, metrics: metrics, cluster: "c")
    balancer = LoadBalancer(settings, try LoadBalancers.registry.compile(policy.config, context))
  }

  /// Hosts by number: `10.0.0.1:80` and so on.
  func hosts(_ numbers: some Sequence<Int>, weight: (Int) -> UInt32 = { _ in 1 }) -> [BalancerHost] {
    numbers.map {
      BalancerHost(weight: weight($0), key: storage.text("10.\($0 >> 16).\($0 >> 8 & 255).\($0 & 255):80"))
    }
  }

  func set(_ hosts: [BalancerHost], localityWeights: [UInt32: UInt32] = [:]) {
    balancer.setHosts(hosts, localityWeights: localityWeights, random: &random)
  }

  func setAvailability(_ position: Int32, _ availability: HostAvailability) {
    balancer.setAvailability(position, availability, random: &random)
  }

  func pick(hash: UInt64? = nil, avoiding tried: TriedHosts = TriedHosts(), attempts: Int = 1) -> Int32? {
    guard
      case .host(let position, _) = balancer.pick(
        hash: hash, random: &random, avoiding: tried, attempts: attempts)
    else { return nil }
    return position
  }

  /// The hosts of the keys `0..<count`.
  func hosts(ofKeys count: Int) -> [Int32?] {
    (0..<count).map { pick(hash: Self.hash(ofKey: $0)) }
  }

  static func hash(ofKey key: Int) -> UInt64 { "key \(key)".withByteView { XXHash64.hash($0) } }

  /// Picks per host, requests ending at once.
  func counts(picks: Int) -> (hosts: [Int], none: Int, panicking: Int) {
    var hosts = Array(repeating: 0, count: balancer.hostCount)
    var (none, panicking) = (0, 0)
    for _ in 0..<picks {
      switch balancer.pick(random: &random) {
      case .host(let position, let panic):
        hosts[Int(position)] += 1
        if panic { panicking += 1 }
      case .none: none += 1
      }
    }
    return (hosts, none, panicking)
  }
}
