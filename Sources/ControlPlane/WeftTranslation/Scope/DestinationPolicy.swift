import WeftControlAPI
import WeftKinds

typealias TrafficPolicy = Istio_Networking_V1alpha3_TrafficPolicy
typealias Subset = Istio_Networking_V1alpha3_Subset

/// The DestinationRules of one host, merged as Istio does: same host in the same namespace, subsets concatenated (the
/// first of a name wins), the oldest rule's policy for all.
struct DestinationPolicy {
  let rules: [ConfigObject<DestinationRuleSpec>]
  /// All rules of the place that governs, also those that select other workloads.
  let considered: [ObjectKey]
  let subsets: [(subset: Subset, origin: Origin)]
  private let base: TrafficPolicy?

  init(rules: [ConfigObject<DestinationRuleSpec>], proxy: ProxyIdentity) {
    considered = rules.map(\.key)
    let usable = rules.filter { rule in
      guard let selector = rule.spec.workloadSelector?.matchLabels, !selector.isEmpty else { return true }
      return rule.namespace == proxy.namespace && proxy.carries(selector)
    }
    // A rule that selects this very workload comes before one for everybody.
    let selected = usable.filter { !($0.spec.workloadSelector?.matchLabels ?? [:]).isEmpty }
    self.rules =
      selected.isEmpty ? usable : selected + usable.filter { ($0.spec.workloadSelector?.matchLabels ?? [:]).isEmpty }
    var subsets: [(Subset, Origin)] = []
    var names: Set<String> = []
    for rule in self.rules {
      for subset in rule.spec.subsets where names.insert(subset.name).inserted { subsets.append((subset, rule.origin)) }
    }
    self.subsets = subsets
    base = self.rules.first { $0.spec.trafficPolicy != nil }?.spec.trafficPolicy
  }

  var origins: [Origin] { rules.map(\.origin) }

  func subset(_ name: String) -> Subset? { subsets.first { $0.subset.name == name }?.subset }

  /// The policy in force for a port, of a subset or of the service as a whole.
  func effective(port: UInt16, subset: Subset?) -> EffectivePolicy {
    var policy = EffectivePolicy()
    if let base { policy.apply(base, port: port) }
    if let own = subset?.trafficPolicy { policy.apply(own, port: port) }
    return policy
  }
}

/// A traffic policy for one port, with levels resolved.
struct EffectivePolicy {
  var loadBalancer: Istio_Networking_V1alpha3_LoadBalancerSettings?
  var connectionPool: Istio_Networking_V1alpha3_ConnectionPoolSettings?
  var outlierDetection: Istio_Networking_V1alpha3_OutlierDetection?
  var tls: Istio_Networking_V1alpha3_ClientTLSSettings?
  var retryBudget: TrafficPolicy.RetryBudget?
  var proxyProtocol: TrafficPolicy.ProxyProtocol?

  /// Blocks that are set replace those of the level above. A port's own settings replace everything: what they leave
  /// out falls back to defaults, not to the level above.
  mutating func apply(_ policy: TrafficPolicy, port: UInt16) {
    if let own = policy.portLevelSettings.first(where: { $0.port?.number == UInt32(port) }) {
      loadBalancer = own.loadBalancer
      connectionPool = own.connectionPool
      outlierDetection = own.outlierDetection
      tls = own.tls
      retryBudget = nil
      // Which is not a port's to say, so it goes for all of them.
      proxyProtocol = policy.proxyProtocol ?? proxyProtocol
      return
    }
    loadBalancer = policy.loadBalancer ?? loadBalancer
    connectionPool = policy.connectionPool ?? connectionPool
    outlierDetection = policy.outlierDetection ?? outlierDetection
    tls = policy.tls ?? tls
    retryBudget = policy.retryBudget ?? retryBudget
    proxyProtocol = policy.proxyProtocol ?? proxyProtocol
  }
}
