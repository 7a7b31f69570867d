/// Policies for traffic to a host, after routing has chosen it.
package enum DestinationRuleKind: ConfigKind {
  package typealias Spec = DestinationRuleSpec

  package static let name = KindName.destinationRule
  package static let plural = "destinationrules"
  package static let shortNames = ["dr"]
  package static let documentation = KindDocumentation(
    summary: "How clients treat a service: balancing, connection limits, ejection of failing instances, TLS, subsets.",
    fields: [
      ("host", "The service; a short name is of the rule's namespace."),
      ("trafficPolicy", "Policy for all ports; portLevelSettings replace it for a port, without inheriting."),
      ("subsets", "Named groups of instances by label, each with a policy of its own on top."),
      ("exportTo", "Namespaces that see the rule: `.`, `*` (the default), or names."),
      ("workloadSelector", "Only clients with these labels, in the rule's namespace."),
    ])

  package static func hosts(_ spec: Spec) -> [String] { [spec.host] }
  package static func exportTo(_ spec: Spec) -> [String] { spec.exportTo }

  package static func validate(_ spec: Spec, _ found: inout FindingCollector) {
    found.at("host") { $0.checkWildcardHost(spec.host) }
    if let policy = spec.trafficPolicy {
      found.at("trafficPolicy") { TrafficPolicyValidation.check(policy, &$0) }
    }
    var names: Set<String> = []
    found.each("subsets", spec.subsets) { item, subset, _ in
      if subset.name.isEmpty {
        item.error("name", "must not be empty")
      } else if !NameRules.isDNSLabel(subset.name) {
        item.error("name", "\"\(subset.name)\" is not a subset name (lower-case letters, digits and \"-\")")
      } else if !names.insert(subset.name).inserted {
        item.error("name", "duplicate subset \"\(subset.name)\"")
      }
      item.checkLabels("labels", subset.labels)
      if let policy = subset.trafficPolicy {
        item.at("trafficPolicy") { TrafficPolicyValidation.check(policy, &$0) }
      }
    }
    found.checkExportTo(spec.exportTo)
    if let selector = spec.workloadSelector {
      found.at("workloadSelector") { $0.checkSelector("matchLabels", selector.matchLabels) }
      if !spec.exportTo.isEmpty, spec.exportTo != ["."] {
        found.error(
          "exportTo", "must be empty or [\".\"] beside a workloadSelector, which looks in its own namespace only")
      }
    }
  }
}
