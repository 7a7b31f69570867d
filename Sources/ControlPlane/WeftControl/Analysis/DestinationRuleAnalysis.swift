import WeftBase
import WeftConfig
import WeftControlAPI
import WeftKinds

/// Warnings about one DestinationRule: its host, its subsets, and rules that rely on it or rival it.
struct DestinationRuleAnalysis {
  let snapshot: WeftSnapshot
  let rule: ConfigObject<DestinationRuleSpec>
  private var spec: FieldPath { FieldPath.root.field("spec") }

  func warnings() -> [Problem] {
    var found: [Problem] = []
    guard let host = rule.hosts.first, !Hostname.isWildcard(host) else { return found }
    guard let service = snapshot.service(named: host, from: rule.namespace) else {
      found.append(
        Problem(
          .warning, at: spec.field("host"),
          "no service is known as \(host); the rule has no effect\(snapshot.question(host, after: found.count))",
          code: "IST0174"))
      return found
    }
    checkRivals(host, &found)
    checkSubsets(service, &found)
    checkUsers(service, &found)
    return found
  }

  /// Of several rules for a host in one namespace, the oldest policy and the first subset of a name are in force.
  private func checkRivals(_ host: String, _ found: inout [Problem]) {
    guard (rule.spec.workloadSelector?.matchLabels ?? [:]).isEmpty else { return }
    let older = snapshot.destinationRules.objects(naming: host).prefix { $0.key != rule.key }.filter {
      $0.namespace == rule.namespace && ($0.spec.workloadSelector?.matchLabels ?? [:]).isEmpty
    }
    if rule.spec.trafficPolicy != nil, let winner = older.first(where: { $0.spec.trafficPolicy != nil }) {
      found.append(
        Problem(
          .warning, at: spec.field("trafficPolicy"),
          "\(winner.key) is older and its policy is in force for \(host); this one has no effect", code: "WEFT0002"))
    }
    for (index, subset) in rule.spec.subsets.enumerated() {
      guard let winner = older.first(where: { $0.spec.subsets.contains { $0.name == subset.name } }) else { continue }
      found.append(
        Problem(
          .warning, at: spec.field("subsets").index(index).field("name"),
          "\(winner.key) is older and defines subset \(subset.name) of \(host); this one has no effect",
          code: "WEFT0002"))
    }
  }

  private func checkSubsets(_ service: Service, _ found: inout [Problem]) {
    guard service.resolution == .static, !service.instances.isEmpty else { return }
    for (index, subset) in rule.spec.subsets.enumerated() {
      guard !service.instances.contains(where: { $0.carries(subset.labels) }) else { continue }
      let labels = subset.labels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: ", ")
      found.append(
        Problem(
          .warning, at: spec.field("subsets").index(index).field("labels"),
          "no instance of \(service.host) carries \(labels); requests sent to subset \(subset.name) are answered with 503",
          code: "IST0173"))
    }
  }

  /// Rules that route to a subset which is no longer there.
  private func checkUsers(_ service: Service, _ found: inout [Problem]) {
    for user in snapshot.virtualServices.all {
      let known = snapshot.subsets(of: service, from: user.namespace)
      var missing: [String] = []
      for (_, destination) in VirtualServiceAnalysis.destinations(of: user.spec) {
        let host = Hostname.resolve(
          destination.host, namespace: user.namespace, domain: snapshot.mesh.domain)
        if host == service.host, !destination.subset.isEmpty, !known.contains(destination.subset),
          !missing.contains(destination.subset)
        {
          missing.append(destination.subset)
        }
      }
      guard !missing.isEmpty else { continue }
      found.append(
        Problem(
          .warning, at: spec.field("subsets"),
          "\(user.key) routes to subset \(missing.joined(separator: ", ")), which no rule defines", code: "IST0101"))
    }
  }
}
