import WeftBase
import WeftConfig
import WeftControlAPI
import WeftDiscovery

/// How far a rule has come and what is odd about it, as the API shows it: the `status` of an object.
struct RuleReport {
  var status: RuleStatus
  var warnings: [Problem] = []
  /// What is wrong with the text it comes from: the object in force is an older one.
  var refused: [Problem] = []

  /// One word: `invalid` (a newer text was refused), `refused`, `waiting`, `unused`, `active`.
  var phase: String {
    if !refused.isEmpty { return "invalid" }
    if status.count(.refused) > 0 { return "refused" }
    if status.isAhead { return "waiting" }
    if status.relevant == 0 { return "unused" }
    return status.isComplete ? "active" : "waiting"
  }

  var json: JSONObject {
    var object = Self.delivery(status)
    object["phase"] = .string(phase)
    if !warnings.isEmpty { object["warnings"] = .array(warnings.map(\.json)) }
    if !refused.isEmpty { object["problems"] = .array(refused.map(\.json)) }
    return object
  }

  /// The counts, each of the proxies that have come at least so far; who is where; who refused, and why.
  static func delivery(_ status: RuleStatus) -> JSONObject {
    var object: JSONObject = [
      "relevant": .int(status.relevant), "sent": .int(status.reached(.sent)),
      "acknowledged": .int(status.reached(.acknowledged)), "active": .int(status.reached(.active)),
      "refused": .int(status.count(.refused)), "complete": .bool(status.isComplete),
    ]
    object["refusals"] = .array(
      status.refusals.sorted { ($0.proxy, $0.type, $0.resource) < ($1.proxy, $1.type, $1.resource) }.map { refusal in
        .object([
          "proxy": .string(refusal.proxy), "type": .string(DiscoveryStatus.name(refusal.type)),
          "resource": .string(refusal.resource), "message": .string(refusal.message),
        ])
      })
    object["proxies"] = .object(
      JSONObject(status.proxies.sorted { $0.key < $1.key }.map { JSONMember($0.key, .string("\($0.value)")) }))
    return object
  }
}
