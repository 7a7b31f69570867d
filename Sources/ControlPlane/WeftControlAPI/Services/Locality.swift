/// Where an instance runs: region, zone, sub-zone (`r/z/s`).
package struct Locality: Hashable, Sendable, Comparable, CustomStringConvertible {
  package var region: String
  package var zone: String
  package var subZone: String

  package init(region: String = "", zone: String = "", subZone: String = "") {
    self.region = region
    self.zone = zone
    self.subZone = subZone
  }

  /// Reads `region[/zone[/subzone]]`.
  package init(_ text: String) {
    let parts = text.split(separator: "/", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
    self.init(
      region: parts.first ?? "", zone: parts.count > 1 ? parts[1] : "", subZone: parts.count > 2 ? parts[2] : "")
  }

  package var isEmpty: Bool { region.isEmpty && zone.isEmpty && subZone.isEmpty }

  package static func < (a: Locality, b: Locality) -> Bool {
    (a.region, a.zone, a.subZone) < (b.region, b.zone, b.subZone)
  }

  package var description: String {
    if !subZone.isEmpty { return "\(region)/\(zone)/\(subZone)" }
    return zone.isEmpty ? region : "\(region)/\(zone)"
  }
}
