import Testing
import WeftBase
import WeftControlAPI
import WeftKinds

@testable import WeftTranslation

/// Whether a change concerns a proxy must never be answered with a wrong no: every change here is also compared with
/// what translation makes of it.
@Suite("what a change concerns")
struct DependencyTests {
  static let base = #"""
    {"node":{"id":"sidecar~127.0.0.1~p-1.default~default.svc.cluster.local","metadata":{"LABELS":{"app":"p"},
       "WEFT_INBOUND":[{"port":9080,"listen":"127.0.0.1:31080"}],
       "WEFT_UPSTREAMS":[{"host":"reviews","port":9080,"listen":"127.0.0.1:19080"}]}},
     "services":[SERVICES],"workloads":[WORKLOADS],"objects":[OBJECTS]}
    """#
  static let reviews = service("reviews", "10.0.0.1")
  static let ratings = service("ratings", "10.0.0.2")

  static func service(_ name: String, _ address: String, port: Int = 9080) -> String {
    #"{"name":"\#(name)","ports":[{"number":\#(port),"protocol":"HTTP"}],"instances":[{"id":"1","address":"\#(address)"}]}"#
  }

  static func rule(_ name: String, _ host: String, to: String, namespace: String = "default") -> String {
    #"""
    {"kind":"VirtualService","metadata":{"name":"\#(name)","namespace":"\#(namespace)"},
     "spec":{"hosts":["\#(host)"],"http":[{"route":[{"destination":{"host":"\#(to)"}}]}]}}
    """#
  }

  static func load(
    _ services: [String], objects: [String] = [], workloads: [String] = [], version: UInt64
  ) throws -> (WeftSnapshot, ProxyIdentity) {
    var text = base.replacing("SERVICES", with: services.joined(separator: ","))
    text = text.replacing("WORKLOADS", with: workloads.joined(separator: ","))
    text = text.replacing("OBJECTS", with: objects.joined(separator: ","))
    let json = try JSONValue(parsing: text)
    return (try TranslationCase.snapshot(json, version: version), try TranslationCase("x", json).proxy)
  }

  struct Change: CustomTestStringConvertible, Sendable {
    var name: String
    var services: [String] = [reviews, ratings]
    var objects: [String] = []
    var workloads: [String] = []
    var concerns: Bool
    var endpointsOnly = false
    var testDescription: String { name }
  }

  static let changes: [Change] = [
    Change(name: "nothing", concerns: false),
    Change(
      name: "an instance of an upstream", services: [service("reviews", "10.0.0.9"), ratings], concerns: true,
      endpointsOnly: true),
    Change(
      name: "an instance of another service", services: [reviews, service("ratings", "10.0.0.9")], concerns: false),
    Change(name: "the upstream is gone", services: [ratings], concerns: true),
    Change(name: "another service appears", services: [reviews, ratings, service("new", "10.0.0.3")], concerns: false),
    Change(
      name: "another service changes a port", services: [reviews, service("ratings", "10.0.0.2", port: 81)],
      concerns: false),
    Change(name: "a rule for the upstream", objects: [rule("r", "reviews", to: "ratings")], concerns: true),
    Change(
      name: "a wildcard rule that covers the upstream",
      objects: [rule("r", "*.default.svc.cluster.local", to: "ratings")], concerns: true),
    Change(name: "a rule for another host", objects: [rule("r", "ratings", to: "reviews")], concerns: false),
    Change(
      name: "a destination rule for the upstream",
      objects: [
        #"{"kind":"DestinationRule","metadata":{"name":"d"},"spec":{"host":"reviews","subsets":[{"name":"v1"}]}}"#
      ], concerns: true),
    Change(
      name: "a destination rule for another host",
      objects: [#"{"kind":"DestinationRule","metadata":{"name":"d"},"spec":{"host":"ratings"}}"#], concerns: false),
    Change(
      name: "a gateway",
      objects: [#"{"kind":"Gateway","metadata":{"name":"g"},"spec":{"selector":{"app":"p"},"servers":[]}}"#],
      concerns: false),
    Change(
      name: "a Sidecar of the namespace",
      objects: [#"{"kind":"Sidecar","metadata":{"name":"s"},"spec":{"egress":[{"hosts":["~/*"]}]}}"#], concerns: true),
    Change(
      name: "a Sidecar of another namespace",
      objects: [
        #"{"kind":"Sidecar","metadata":{"name":"s","namespace":"other"},"spec":{"egress":[{"hosts":["~/*"]}]}}"#
      ], concerns: false),
    Change(
      name: "the proxy's own workload",
      workloads: [
        #"{"id":"p-1","service":"p","ports":[{"number":9080,"protocol":"HTTP","appPort":9080,"inboundPort":31080}]}"#
      ], concerns: true),
    Change(
      name: "another workload",
      workloads: [
        #"{"id":"q-1","service":"q","ports":[{"number":9080,"protocol":"HTTP","appPort":9080,"inboundPort":31081}]}"#
      ], concerns: false),
  ]

  @Test("is known before translating", arguments: changes)
  func concerns(_ change: Change) throws {
    let (old, proxy) = try Self.load([Self.reviews, Self.ratings], version: 1)
    let (new, _) = try Self.load(change.services, objects: change.objects, workloads: change.workloads, version: 2)
    let before = Translator.translate(old, for: proxy)
    let after = Translator.translate(new, for: proxy)
    let changes = new.changes(since: old)
    #expect(before.dependencies.areTouched(by: changes, in: new) == change.concerns)
    let isDifferent = ResourceType.allCases.contains { before.all($0) != after.all($0) }
    #expect(change.concerns || !isDifferent)
    if change.endpointsOnly {
      #expect(before.dependencies.onlyEndpointsAreTouched(by: changes, in: new))
      let refreshed = try #require(
        Translator.refreshEndpoints(of: before, hosts: changes.endpoints, in: new, for: proxy))
      for type in ResourceType.allCases { #expect(refreshed.all(type) == after.all(type)) }
    }
  }

  @Test("a rule that was in use and goes is a change that concerns")
  func removal() throws {
    let (old, proxy) = try Self.load(
      [Self.reviews, Self.ratings], objects: [Self.rule("r", "reviews", to: "ratings")], version: 1)
    let (new, _) = try Self.load([Self.reviews, Self.ratings], version: 2)
    let before = Translator.translate(old, for: proxy)
    #expect(before.dependencies.areTouched(by: new.changes(since: old), in: new))
    // The service that the rule leads to counts as an upstream.
    let (moved, _) = try Self.load(
      [Self.reviews, Self.service("ratings", "10.9.9.9")], objects: [Self.rule("r", "reviews", to: "ratings")],
      version: 3)
    #expect(before.dependencies.areTouched(by: moved.changes(since: old), in: moved))
  }

  // MARK: Rules without effect

  @Test("a rule that kept others from having an effect, and goes, is a change that concerns")
  func shadowing() throws {
    // The older rule has nothing for HTTP: it governs the host and leaves it to the default.
    let older = #"""
      {"kind":"VirtualService","metadata":{"name":"a","created":1},
       "spec":{"hosts":["reviews"],"tcp":[{"route":[{"destination":{"host":"ratings"}}]}]}}
      """#
    let younger = Self.rule("b", "reviews", to: "ratings").replacing(
      #""name":"b""#, with: #""name":"b","created":2"#)
    let (old, proxy) = try Self.load([Self.reviews, Self.ratings], objects: [older, younger], version: 1)
    let (new, _) = try Self.load([Self.reviews, Self.ratings], objects: [younger], version: 2)
    let before = Translator.translate(old, for: proxy)
    let after = Translator.translate(new, for: proxy)
    #expect(before.all(.route) != after.all(.route))
    #expect(before.dependencies.areTouched(by: new.changes(since: old), in: new))
  }

  @Test("a destination rule for other workloads that hid the provider's, and goes, is a change that concerns")
  func shadowingDestinationRule() throws {
    let own = #"""
      {"kind":"DestinationRule","metadata":{"name":"own"},"spec":{"host":"reviews.prod.svc.cluster.local",
       "workloadSelector":{"matchLabels":{"app":"other"}},"trafficPolicy":{"loadBalancer":{"simple":"RANDOM"}}}}
      """#
    let theirs = #"""
      {"kind":"DestinationRule","metadata":{"name":"theirs","namespace":"prod"},"spec":{"host":"reviews",
       "trafficPolicy":{"loadBalancer":{"simple":"ROUND_ROBIN"}}}}
      """#
    let service = Self.reviews.replacing(#""name":"reviews""#, with: #""name":"reviews","namespace":"prod""#)
    func load(_ objects: [String], _ version: UInt64) throws -> (WeftSnapshot, ProxyIdentity) {
      let text = Self.base.replacing(#""host":"reviews""#, with: #""host":"reviews.prod.svc.cluster.local""#)
        .replacing("SERVICES", with: service).replacing("WORKLOADS", with: "")
        .replacing("OBJECTS", with: objects.joined(separator: ","))
      let json = try JSONValue(parsing: text)
      return (try TranslationCase.snapshot(json, version: version), try TranslationCase("x", json).proxy)
    }
    let (old, proxy) = try load([own, theirs], 1)
    let (new, _) = try load([theirs], 2)
    let before = Translator.translate(old, for: proxy)
    #expect(before.all(.cluster) != Translator.translate(new, for: proxy).all(.cluster))
    #expect(before.dependencies.areTouched(by: new.changes(since: old), in: new))
  }

  // MARK: Captured sidecars

  static func captured(_ services: [String], version: UInt64) throws -> (WeftSnapshot, ProxyIdentity) {
    let json = try JSONValue(
      parsing: #"""
        {"node":{"id":"sidecar~10.0.0.7~p-1.default~default.svc.cluster.local","metadata":{"LABELS":{"app":"p"}}},
         "services":[\#(services.joined(separator: ","))]}
        """#)
    return (try TranslationCase.snapshot(json, version: version), try TranslationCase("x", json).proxy)
  }

  @Test(
    "a captured sidecar that becomes or ceases to be an instance gets its inbound side made anew",
    arguments: [("10.0.0.9", "10.0.0.7"), ("10.0.0.7", "10.0.0.9")])
  func inbound(from: String, to: String) throws {
    let (old, proxy) = try Self.captured([Self.service("reviews", from)], version: 1)
    let (new, _) = try Self.captured([Self.service("reviews", to)], version: 2)
    let before = Translator.translate(old, for: proxy)
    let changes = new.changes(since: old)
    #expect(changes.endpoints == ["reviews.default.svc.cluster.local"])
    #expect(before.dependencies.areTouched(by: changes, in: new))
    #expect(!before.dependencies.onlyEndpointsAreTouched(by: changes, in: new))
    // Another instance's coming is still a matter of endpoints alone.
    let (third, _) = try Self.captured([Self.service("reviews", "10.0.0.10")], version: 3)
    let (fourth, _) = try Self.captured([Self.service("reviews", "10.0.0.11")], version: 4)
    let calm = Translator.translate(third, for: proxy)
    #expect(calm.dependencies.onlyEndpointsAreTouched(by: fourth.changes(since: third), in: fourth))
  }

  @Test("an instance that becomes unreachable, or reachable again, is told and taken back")
  func instanceIssues() throws {
    let (good, proxy) = try Self.load([Self.reviews], version: 1)
    let (bad, _) = try Self.load([Self.service("reviews", "vm.example.com")], version: 2)
    let before = Translator.translate(good, for: proxy)
    let after = Translator.translate(bad, for: proxy)
    let hosts: Set<String> = ["reviews.default.svc.cluster.local"]
    #expect(Translator.refreshEndpoints(of: before, hosts: hosts, in: bad, for: proxy) == nil)
    #expect(after.issues.count == 1)
    #expect(Translator.refreshEndpoints(of: after, hosts: hosts, in: good, for: proxy) == nil)
  }

  // MARK: Namespaces

  @Test("of two services with one host, the one that the Sidecar imports is called")
  func importedNamespace() throws {
    let json = try JSONValue(
      parsing: #"""
        {"node":{"id":"sidecar~10.0.0.7~p-1.default~default.svc.cluster.local"},
         "services":[
           {"name":"a","namespace":"one","host":"api.example.com","created":1,"ports":[{"number":80,"protocol":"HTTP"}],
            "instances":[{"address":"10.1.0.1"}]},
           {"name":"b","namespace":"two","host":"api.example.com","created":2,"ports":[{"number":80,"protocol":"HTTP"}],
            "instances":[{"address":"10.2.0.1"}]}],
         "objects":[{"kind":"Sidecar","metadata":{"name":"s"},"spec":{"egress":[{"hosts":["two/*"]}]}}]}
        """#)
    let made = try TranslationCase("x", json).translate()
    let assignment = try #require(made[.endpoint, "outbound|80||api.example.com"])
    #expect(assignment.origins.map(\.namespace) == ["two"])
    #expect(made[.route, "80"] != nil)
  }
}
