import Testing
import WeftBase
import WeftModel
import WeftProtobuf
import WeftProxyAPI
import WeftTelemetry
import WeftUpstream
import WeftXDSMessages

@testable import WeftLoadBalancers

@Suite("the registry of balancing policies")
struct RegistryTests {
  @Test("the control plane knows what weft-proxy comes with")
  func shipped() { #expect(LoadBalancers.registry.known == KnownExtensions.shipped.loadBalancers) }

  @Test("policies are sorted by name, and each has a message of its own")
  func sorted() {
    #expect(LoadBalancers.registry.known.count == LoadBalancers.all.count)
    var names: [String] = []
    for policy in LoadBalancers.all { names.append(policy.name.description) }
    #expect(names == names.sorted())
  }

  static func refusal(_ type: any Message.Type, _ json: String) throws -> String {
    func bytes<M: Message>(_: M.Type) throws -> ExtensionConfig {
      let value = try JSONValue(parsing: Array(json.utf8))
      let message = try M(json: value, options: JSONDecodingOptions(registry: TypeRegistry(EnvoyTypes.all)))
      return ExtensionConfig(typeName: M.schema.name, message: message.serialized())
    }
    let config = try bytes(type)
    let context = BalancerContext(
      storage: SnapshotStorage(), metrics: MetricsRegistry(workers: 1), cluster: "c")
    do throws(ConfigError) {
      _ = try LoadBalancers.registry.compile(config, context)
      return ""
    } catch { return "\(error.path): \(error.message)" }
  }

  @Test(
    "what a ring cannot be is refused by the field's path",
    arguments: [
      (#"{"minimum_ring_size": "8388609"}"#, "minimum_ring_size: must be 1 to 8388608, is 8388609"),
      (#"{"minimum_ring_size": "0"}"#, "minimum_ring_size: must be 1 to 8388608, is 0"),
      (#"{"maximum_ring_size": "100"}"#, "minimum_ring_size: must be at most maximum_ring_size (100), is 1024"),
      (#"{"hash_balance_factor": 99}"#, ""),
      (#"{"consistent_hashing_lb_config": {"hash_balance_factor": 1}}"#, ""),
      (
        #"{"consistent_hashing_lb_config": {"hash_policy": [{"header": {"header_name": "a"}}]}}"#,
        "consistent_hashing_lb_config.hash_policy: is not supported; give routes a hash_policy"
      ),
      (#"{"minimum_ring_size": "1", "maximum_ring_size": "1", "hash_function": "MURMUR_HASH_2"}"#, ""),
    ])
  func ring(json: String, refusal: String) throws {
    #expect(try Self.refusal(RingHashMessage.self, json) == refusal)
  }

  @Test(
    "a Maglev table has a prime size",
    arguments: [
      (#"{"table_size": "65536"}"#, "table_size: must be a prime number of at most 5000011, is 65536"),
      (#"{"table_size": "1"}"#, "table_size: must be a prime number of at most 5000011, is 1"),
      (#"{"table_size": "5000077"}"#, "table_size: must be a prime number of at most 5000011, is 5000077"),
      (#"{"table_size": "2"}"#, ""), (#"{"table_size": "5000011"}"#, ""), ("{}", ""),
    ])
  func maglev(json: String, refusal: String) throws {
    #expect(try Self.refusal(MaglevMessage.self, json) == refusal)
  }

  @Test("more draws than hosts by far are one look at each: the least busy is found, at no more cost")
  func manyChoices() throws {
    var message = Envoy_Extensions_LoadBalancingPolicies_LeastRequest_V3_LeastRequest()
    message.choiceCount = Google_Protobuf_UInt32Value(.max)
    let kit = try BalancerKit(TestedPolicy(message, "all"))
    kit.set(kit.hosts(1...5))
    for position in [0, 1, 2, 4] as [Int32] { kit.balancer.started(position) }
    #expect((0..<50).allSatisfy { _ in kit.pick() == 3 })
  }

  @Test(
    "what the others do not do is refused by the field's path",
    arguments: [
      (#"{"choice_count": 0}"#, "choice_count: must be 1 or more, is 0"),
      (#"{"choice_count": 1}"#, ""),
      (#"{"selection_method": "FULL_SCAN"}"#, "selection_method: must be N_CHOICES; FULL_SCAN is not supported"),
      (#"{"slow_start_config": {"slow_start_window": "10s"}}"#, "slow_start_config: is not supported"),
      (
        #"{"active_request_bias": {"default_value": -1}}"#,
        "active_request_bias.default_value: must be 0 or more, is -1.0"
      ),
      (
        #"{"locality_lb_config": {"zone_aware_lb_config": {}}}"#,
        "locality_lb_config.zone_aware_lb_config: is not supported"
      ),
      (#"{"locality_lb_config": {"locality_weighted_lb_config": {}}}"#, ""),
    ])
  func leastRequest(json: String, refusal: String) throws {
    #expect(
      try Self.refusal(Envoy_Extensions_LoadBalancingPolicies_LeastRequest_V3_LeastRequest.self, json) == refusal)
  }

  @Test("a message that configures no policy is refused with the list of those that are known")
  func unknown() throws {
    let refusal = try Self.refusal(Envoy_Config_Core_V3_Node.self, "{}")
    #expect(refusal.contains("known are envoy.load_balancing_policies.least_request"), "\(refusal)")
  }
}
