import WeftBase
import WeftConfig
import WeftControlAPI
import WeftKinds
import WeftTranslation

/// What is odd about a rule in the mesh as it stands: parts that have no effect yet, names that lead nowhere, rules in each
/// other's way. Never a reason to refuse: the other half may come a moment later, from somebody else.
///
/// *Shape*: a pure function of a snapshot. Codes are those of istioctl's analysers where there is one.
struct RuleAnalysis {
  let snapshot: WeftSnapshot

  init(_ snapshot: WeftSnapshot) { self.snapshot = snapshot }

  /// In the order of the fields; nothing for an object that the snapshot does not hold.
  func warnings(about key: ObjectKey) -> [Problem] {
    // What proxies do is no news to whoever applies the rule; a gRPC client's status tells.
    var found = features(of: key).filter { $0.scope != .libraries }.map(Self.problem)
    switch key.kind {
    case .virtualService:
      guard let rule = snapshot.virtualServices[key] else { return [] }
      found += VirtualServiceAnalysis(snapshot: snapshot, rule: rule).warnings()
    case .destinationRule:
      guard let rule = snapshot.destinationRules[key] else { return [] }
      found += DestinationRuleAnalysis(snapshot: snapshot, rule: rule).warnings()
    default: break
    }
    return found
  }

  /// What the rule asks for and nobody, or not everybody, does yet.
  func features(of key: ObjectKey) -> [UnsupportedFeatures.Feature] {
    UnsupportedFeatures.of(key, in: snapshot)?.features ?? []
  }

  private static func problem(_ feature: UnsupportedFeatures.Feature) -> Problem {
    Problem(.warning, at: FieldPath.root.field(feature.path), feature.message, code: "WEFT0001")
  }
}

extension WeftSnapshot {
  /// `; did you mean "reviews.default.svc.cluster.local"?` for a host that is no service; nothing once `found` warnings are enough, so
  /// that a long list of unknown hosts costs no more than a short one.
  func question(_ host: String, after found: Int) -> String {
    found < 8 ? Suggestion.question(host, among: services.all.lazy.map(\.host)) : ""
  }

  /// The service that a rule of `namespace` means by a full host name, wildcard entries included.
  func service(named host: String, from namespace: String) -> Service? {
    if let service = services.service(host, seenFrom: namespace) { return service }
    for wildcard in Hostname.wildcards(covering: host) {
      if let service = services.service(wildcard, seenFrom: namespace) { return service }
    }
    return nil
  }

  /// Names of the subsets that rules define for calls from `namespace` to a service.
  func subsets(of service: Service, from namespace: String) -> [String] {
    destinationRules(for: service.host, serviceNamespace: service.namespace, seenFrom: namespace)
      .flatMap { $0.spec.subsets.map(\.name) }
  }
}

extension Service {
  /// `9080, 9090`, for messages.
  var portList: String { ports.isEmpty ? "none" : ports.map { "\($0.number)" }.joined(separator: ", ") }
}
