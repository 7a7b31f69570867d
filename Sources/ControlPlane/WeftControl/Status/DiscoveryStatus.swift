import WeftBase
import WeftControlAPI
import WeftDiscovery
import WeftKinds
import WeftTranslation

/// What discovery knows, in the forms of the API.
struct DiscoveryStatus: ProxyStatusSource {
  let discovery: DiscoveryServer
  let aggregate: Aggregate

  func proxies() async -> [JSONValue] {
    discovery.proxies().map { status in
      .object([
        "id": .string(status.id), "address": .string(status.address), "form": .string(status.form.rawValue),
        "connectedSince": .string(status.connectedSince.description),
        "synced": .bool(status.isSynced),
        "types": .object(
          JSONObject(
            status.types.sorted { $0.key < $1.key }.map { JSONMember(Self.name($0.key), Self.json($0.value)) })),
        "issues": .array(status.issues.map(Self.issue)),
      ])
    }
  }

  /// A part of a rule that this proxy cannot be given.
  private static func issue(_ issue: TranslationIssue) -> JSONValue {
    .object([
      "kind": .string(issue.origin.kind.rawValue), "namespace": .string(issue.origin.namespace),
      "name": .string(issue.origin.name), "path": .string(issue.path), "message": .string(issue.message),
    ])
  }

  private static func json(_ status: TypeStatus) -> JSONValue {
    var object: JSONObject = [
      "status": .string(status.state.rawValue), "sent": .string(String(status.sent)),
      "acked": .string(String(status.acknowledged)),
    ]
    if let error = status.error { object["error"] = .string(error) }
    object["resources"] = .int(status.resources)
    object["refusals"] = .int(status.refusals)
    return .object(object)
  }

  /// `CDS`, `EDS`, `LDS`, `RDS`.
  static func name(_ type: ResourceType) -> String { type.shortName }

  func config(of node: String, type: String) async -> [JSONValue]? {
    guard let all = discovery.configuration(of: node) else { return nil }
    return all.first { Self.name($0.key) == type }?.value ?? []
  }

  func status(of targets: [ObjectKey: RuleTarget]) async -> [ObjectKey: RuleStatus] { discovery.status(of: targets) }

  func wait(for targets: [ObjectKey: RuleTarget], timeout: Duration) async -> [ObjectKey: RuleStatus] {
    await discovery.wait(for: targets, until: .now + timeout)
  }

  func metrics() async -> String {
    let counters = discovery.counters
    let proxies = discovery.proxies()
    var text = "# HELP pilot_xds Connected proxies.\n# TYPE pilot_xds gauge\npilot_xds \(proxies.count)\n"
    let parts = Set(proxies.flatMap { $0.issues.filter { $0.leftOut != nil } })
    text += "# HELP weft_control_parts_left_out Parts of rules that proxies would refuse and are not sent.\n"
    text += "# TYPE weft_control_parts_left_out gauge\nweft_control_parts_left_out \(parts.count)\n"
    text += "# HELP pilot_xds_pushes Responses sent, by type.\n# TYPE pilot_xds_pushes counter\n"
    for (type, count) in counters.responses.sorted(by: { $0.key < $1.key }) {
      text += "pilot_xds_pushes{type=\"\(Self.name(type).lowercased())\"} \(count)\n"
    }
    text += "# HELP pilot_total_xds_rejects Responses refused by proxies.\n# TYPE pilot_total_xds_rejects counter\n"
    text += "pilot_total_xds_rejects \(counters.refusals.values.reduce(0, +))\n"
    text += "# HELP weft_control_stuck_streams_total Streams ended because their client read nothing.\n"
    text += "# TYPE weft_control_stuck_streams_total counter\n"
    text += "weft_control_stuck_streams_total \(counters.stuckStreams)\n"
    return text
  }
}
