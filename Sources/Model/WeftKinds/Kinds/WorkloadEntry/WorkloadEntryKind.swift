/// One instance of a service, written by hand.
package enum WorkloadEntryKind: ConfigKind {
  package typealias Spec = WorkloadEntrySpec

  package static let name = KindName.workloadEntry
  package static let plural = "workloadentries"
  package static let shortNames = ["we"]
  package static let documentation = KindDocumentation(
    summary: "One instance (a machine, a process) that a ServiceEntry selects by its labels.",
    fields: [
      ("address", "An IP address, a domain name (with DNS resolution), or `unix:///path`."),
      ("ports", "By the service's port name, the port here if it differs."),
      ("labels", "What selectors and subsets look at."),
      ("network", "Instances of one network reach each other directly."),
      ("locality", "`region/zone/subzone`."),
      ("weight", "Share of the traffic; 0 counts as 1."),
      ("serviceAccount", "The identity that the instance proves."),
    ])

  package static func validate(_ spec: Spec, _ found: inout FindingCollector) {
    check(spec, allowsName: true, &found)
  }

  static func check(_ entry: Istio.WorkloadEntry, allowsName: Bool, _ found: inout FindingCollector) {
    found.at("address") { here in
      let address = entry.address
      if address.isEmpty {
        if entry.network.isEmpty { here.error("must be set unless network is") }
      } else if address.hasPrefix("unix://") {
        here.checkUnixSocket(address)
      } else if !AddressRules.isIP(address) {
        if !allowsName {
          here.error("\"\(address)\" is not an IP address; a domain name needs DNS resolution")
        } else {
          here.checkHost(address)
        }
      }
    }
    if entry.address.hasPrefix("unix://"), !entry.ports.isEmpty {
      found.error("ports", "must be empty for a Unix socket")
    }
    found.entries("ports", entry.ports) { item, name, number in
      if !NameRules.isDNSLabel(name.lowercased()) { item.error("\"\(name)\" is not a port name") }
      item.checkPort(number)
    }
    found.checkLabels("labels", entry.labels)
    if !entry.locality.isEmpty {
      let parts = entry.locality.split(separator: "/", omittingEmptySubsequences: false)
      if parts.count > 3 || parts.contains(where: \.isEmpty) {
        found.error("locality", "\"\(entry.locality)\" is not a locality; allowed is region/zone/subzone")
      }
    }
  }
}
