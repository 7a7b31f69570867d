import WeftBase
import WeftControlAPI
import WeftDiscovery
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
      ])
    }
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

  /// Looks until every connected proxy has acknowledged all it was sent, and the newest snapshot has gone out.
  func wait(for version: UInt64, timeout: Duration) async -> Bool {
    let clock = ContinuousClock()
    let end = clock.now + timeout
    var calmFor = 0
    while clock.now < end {
      calmFor = discovery.proxies().allSatisfy(\.isSynced) ? calmFor + 1 : 0
      if calmFor > Self.calmLooks { return true }
      do { try await Task.sleep(for: Self.interval) } catch { return false }
    }
    return false
  }

  func status(of key: ObjectKey, generation: Int64) async -> JSONValue {
    let status = discovery.status(of: key, generation: generation)
    let refusals = status.refusals.map { refusal -> JSONValue in
      .object([
        "proxy": .string(refusal.proxy), "type": .string(Self.name(refusal.type)),
        "resource": .string(refusal.resource), "message": .string(refusal.message),
      ])
    }
    return .object([
      "relevant": .int(status.relevant), "acknowledged": .int(status.count(.acknowledged)),
      "complete": .bool(status.isComplete && status.refusals.isEmpty), "refusals": .array(refusals),
      "proxies": .object(
        JSONObject(status.proxies.sorted { $0.key < $1.key }.map { JSONMember($0.key, .string("\($0.value)")) })),
    ])
  }

  /// Longer in all than discovery holds a change back to coalesce it, so that a push that is still to come is not
  /// overlooked.
  private static let calmLooks = 6
  private static let interval: Duration = .milliseconds(50)

  func metrics() async -> String {
    let counters = discovery.counters
    var text = "# HELP pilot_xds Connected proxies.\n# TYPE pilot_xds gauge\npilot_xds \(discovery.proxies().count)\n"
    text += "# HELP pilot_xds_pushes Responses sent, by type.\n# TYPE pilot_xds_pushes counter\n"
    for (type, count) in counters.responses.sorted(by: { $0.key < $1.key }) {
      text += "pilot_xds_pushes{type=\"\(Self.name(type).lowercased())\"} \(count)\n"
    }
    text += "# HELP pilot_total_xds_rejects Responses refused by proxies.\n# TYPE pilot_total_xds_rejects counter\n"
    text += "pilot_total_xds_rejects \(counters.refusals.values.reduce(0, +))\n"
    return text
  }
}
