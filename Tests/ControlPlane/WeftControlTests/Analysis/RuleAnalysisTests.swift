import Testing
import WeftBase
import WeftConfig
import WeftControlAPI
import WeftKinds

@testable import WeftControl

@Suite("warnings about rules")
struct RuleAnalysisTests {
  struct Case: Sendable, CustomTestStringConvertible {
    var name: String
    /// Documents, oldest first; the last one is asked about.
    var documents: [String]
    /// `path: message (code)`, with the words that matter.
    var warnings: [[String]]
    var testDescription: String { name }
  }

  private static func rule(_ name: String, namespace: String = "default", _ spec: String) -> String {
    document("VirtualService", name, namespace, spec)
  }

  private static func document(_ kind: String, _ name: String, _ namespace: String, _ spec: String) -> String {
    "apiVersion: networking.istio.io/v1\nkind: \(kind)\nmetadata: {name: \(name), namespace: \(namespace)}\n\(spec)"
  }

  private static let reviews = document(
    "ServiceEntry", "reviews", "default",
    """
    spec:
      hosts: [reviews.default.svc.cluster.local]
      ports: [{number: 9080, name: http, protocol: HTTP}, {number: 9090, name: tcp, protocol: TCP}]
      resolution: STATIC
      endpoints: [{address: 10.0.0.1, labels: {version: v1}}]
    """)
  private static let versions = document(
    "DestinationRule", "reviews", "default", "spec: {host: reviews, subsets: [{name: v1, labels: {version: v1}}]}")
  private static let plain =
    "spec: {hosts: [reviews], http: [{route: [{destination: {host: reviews, port: {number: 9080}}}]}]}"

  static let cases: [Case] = [
    Case(name: "nothing to say", documents: [reviews, versions, rule("r", plain)], warnings: []),
    Case(
      name: "a host that nobody serves",
      documents: [
        reviews, rule("r", "spec: {hosts: [reviews], http: [{route: [{destination: {host: ratings}}]}]}"),
      ],
      warnings: [
        ["spec.http[0].route[0].destination.host:", "no service is known as ratings.default.svc.cluster.local", "503"]
      ]),
    Case(
      name: "own hosts that nobody serves", documents: [rule("r", "spec: {hosts: [r], http: [{redirect: {uri: /x}}]}")],
      warnings: [["spec.hosts[0]:", "only requests on port 80 can match", "IST0101"]]),
    Case(
      name: "a subset that no rule defines",
      documents: [
        reviews, versions,
        rule("r", "spec: {hosts: [reviews], http: [{route: [{destination: {host: reviews, subset: v2}}]}]}"),
      ],
      warnings: [["spec.http[0].route[0].destination.subset:", "defines subset v2 (there are v1)", "IST0101"]]),
    Case(
      name: "a port that is not exposed",
      documents: [
        reviews,
        rule("r", "spec: {hosts: [reviews], http: [{route: [{destination: {host: reviews, port: {number: 81}}}]}]}"),
      ],
      warnings: [["spec.http[0].route[0].destination.port:", "does not expose port 81; it exposes 9080, 9090"]]),
    Case(
      name: "a gateway that does not exist",
      documents: [reviews, rule("r", plain.replacing("{hosts", with: "{gateways: [edge/none], hosts"))],
      warnings: [["spec.gateways[0]:", "the gateway edge/none does not exist", "IST0101"]]),
    Case(
      name: "a gateway for other hosts, and a port left open",
      documents: [
        reviews,
        document(
          "Gateway", "edge", "default",
          "spec: {selector: {a: b}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [x.example.com]}]}"
        ),
        rule(
          "r", "spec: {gateways: [edge], hosts: [reviews], http: [{route: [{destination: {host: reviews}}]}]}"),
      ],
      warnings: [
        ["spec.gateways[0]:", "no server of the gateway default/edge is for any host of this rule", "IST0132"],
        ["spec.http[0].route[0].destination.port:", "must be named", "IST0112"],
      ]),
    Case(
      name: "an older rule for the same host wins", documents: [reviews, rule("first", plain), rule("second", plain)],
      warnings: [["spec.hosts[0]:", "VirtualService/default/first is older and governs", "IST0109"]]),
    Case(
      name: "the older rule is told, too",
      documents: [reviews, rule("first", plain), rule("second", plain), rule("first", plain)],
      warnings: [["spec.hosts[0]:", "this rule governs", "VirtualService/default/second", "IST0109"]]),
    Case(
      name: "rules that no client sees together do not conflict",
      documents: [
        reviews, rule("a", plain.replacing("{hosts", with: "{exportTo: [one], hosts")),
        rule("b", plain.replacing("{hosts", with: "{exportTo: [two], hosts")),
      ], warnings: []),
    Case(
      name: "what has no effect yet",
      documents: [
        reviews,
        rule(
          "r",
          "spec: {hosts: [reviews], tcp: [{match: [{sourceSubnet: 10.0.0.0/8}], route: [{destination: {host: reviews}}]}]}"
        ),
      ],
      warnings: [["spec.tcp[0].match[0].sourceSubnet:", "WEFT0001"]]),
    Case(
      name: "mirrors have an effect",
      documents: [reviews, rule("r", plain.replacing("http: [{", with: "http: [{mirror: {host: reviews}, "))],
      warnings: []),
    Case(
      name: "faults have an effect",
      documents: [
        reviews,
        rule(
          "r", plain.replacing("http: [{", with: "http: [{fault: {abort: {httpStatus: 500, percentage: {value: 1}}}, ")),
      ],
      warnings: []),
    Case(
      name: "a DestinationRule for a host that nobody serves", documents: [versions],
      warnings: [["spec.host:", "no service is known as reviews.default.svc.cluster.local", "IST0174"]]),
    Case(
      name: "subsets that select nothing, or that somebody still uses",
      documents: [
        reviews, versions,
        rule("r", "spec: {hosts: [reviews], http: [{route: [{destination: {host: reviews, subset: v1}}]}]}"),
        document(
          "DestinationRule", "reviews", "default",
          "spec: {host: reviews, subsets: [{name: v2, labels: {version: v2}}]}"),
      ],
      warnings: [
        ["spec.subsets[0].labels:", "no instance of reviews.default.svc.cluster.local carries version=v2", "IST0173"],
        ["spec.subsets:", "VirtualService/default/r routes to subset v1, which no rule defines"],
      ]),
    Case(
      name: "two policies for one host",
      documents: [
        reviews,
        document(
          "DestinationRule", "first", "default",
          "spec: {host: reviews, trafficPolicy: {loadBalancer: {simple: RANDOM}}}"),
        document(
          "DestinationRule", "second", "default",
          "spec: {host: reviews, trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}}"),
      ],
      warnings: [["spec.trafficPolicy:", "DestinationRule/default/first is older", "WEFT0002"]]),
  ]

  @Test("says what is odd and where, and refuses nothing: on apply, dry run and diff alike", arguments: cases)
  func warns(example: Case) async throws {
    let world = try await ControlWorld()
    try await world.following {
      for document in example.documents.dropLast() {
        #expect(await world.call("POST", "/api/v1/apply", document).status == 200)
        _ = try await world.settled()
        world.time.advance(1)
      }
      let last = example.documents.last ?? ""
      for path in ["/api/v1/diff", "/api/v1/apply?dryRun", "/api/v1/apply", "/api/v1/apply"] {
        let answer = await world.call("POST", path, last)
        #expect(answer.status == 200)
        let warnings = (answer.json["results"]?[0]?["warnings"]?.arrayValue ?? []).map { warning in
          "\(warning["path"]?.stringValue ?? ""): \(warning["message"]?.stringValue ?? "") (\(warning["code"]?.stringValue ?? ""))"
        }
        #expect(warnings.count == example.warnings.count, "\(path): \(warnings)")
        for (found, words) in zip(warnings, example.warnings) {
          for word in words { #expect(found.contains(word), "\(path)") }
        }
      }
    }
  }
}
