import Testing
import WeftBase
import WeftControlAPI
import WeftKinds
import WeftTranslation
import WeftXDSMessages

@testable import WeftDiscovery

@Suite("status of rules")
struct StatusTests {
  let key = ObjectKey(kind: .virtualService, namespace: "default", name: "rule-of-80")

  func progress(_ client: Conversation) -> RuleStatus.Progress? {
    var statuses: [ObjectKey: RuleStatus] = [:]
    client.session.note([key: RuleTarget()], into: &statuses)
    return statuses[key]?.proxies.values.first
  }

  @Test("follows a rule from compiled to acknowledged")
  func life() {
    var client = Conversation(.delta, [r("80"), l("l")])
    #expect(progress(client) == nil)
    client.ask(.route, ["80"])
    #expect(progress(client) == .sent)
    client.acknowledge(.route)
    #expect(progress(client) == .active)
    client.ask(.listener)
    #expect(progress(client) == .acknowledged)
    client.acknowledge(.listener)
    #expect(progress(client) == .active)
    client.change(2, [r("80", 2), l("l")])
    #expect(progress(client) == .sent)
    client.refuse(.route, [], "route 80: no")
    #expect(progress(client) == .refused)
    client.change(3, [r("80", 3), l("l")])
    client.acknowledge(.route)
    #expect(progress(client) == .active)
  }

  @Test("a proxy that loses a rule counts until it has taken what replaces it")
  func losses() {
    var first = resources(1, [r("80", 1)])
    first.dependencies.objects = [key]
    var client = Conversation(.delta, [])
    client.change(first)
    client.ask(.route, ["80"])
    client.acknowledge(.route)
    func status(_ revision: UInt64) -> RuleStatus.Progress? {
      var statuses: [ObjectKey: RuleStatus] = [:]
      client.session.note([key: RuleTarget(generation: 2, revision: revision)], into: &statuses)
      return statuses[key]?.proxies.values.first
    }
    // Another rule's route under the same name: the resource no longer comes from `key`.
    let plain = Resource(.route, "80", Envoy_Config_Route_V3_RouteConfiguration(), origins: [])
    client.change(resources(2, [plain]))
    #expect(status(2) == .sent)
    client.acknowledge(.route)
    #expect(status(2) == .active)
    // What happened before the revision asked for does not count.
    #expect(status(3) == nil)
  }

  @Test("a rule that concerns nothing the proxy wants does not count")
  func irrelevant() {
    var client = Conversation(.delta, [r("80"), r("81")])
    client.ask(.route, ["81"])
    #expect(progress(client) == nil)
  }

  @Test(
    "finds names in the text of a refusal, whole names only",
    arguments: [
      ("cluster(s) a: bad", "a", true), ("cluster(s) aa: bad", "a", false), ("no such x", "a", false),
      ("outbound|80|v1|a.b: x", "outbound|80|v1|a.b", true), ("outbound|80|v1|a.b.c: x", "outbound|80|v1|a.b", false),
      ("listener 0.0.0.0_80.", "0.0.0.0_80", true), ("", "a", false),
    ])
  func mentions(_ text: String, _ name: String, _ expected: Bool) {
    #expect(Watch.mentions(text, name) == expected)
  }
}

@Suite("push pacing")
struct PushPacerTests {
  func at(_ milliseconds: UInt64) -> MonotonicInstant { MonotonicInstant(nanoseconds: milliseconds * 1_000_000) }

  @Test("a change after a quiet time goes at once")
  func quiet() {
    var pacer = PushPacer()
    #expect(pacer.delay(now: at(1), backlog: false) == .zero)
    pacer.pushed(now: at(1))
    #expect(pacer.delay(now: at(1001), backlog: false) == .zero)
  }

  @Test("changes that keep coming are gathered for up to twenty milliseconds")
  func load() {
    var pacer = PushPacer()
    var longest = Duration.zero
    for _ in 0..<20 {
      longest = max(longest, pacer.delay(now: at(5), backlog: false))
      pacer.pushed(now: at(5))
    }
    #expect(longest == .milliseconds(20))
  }

  @Test("with proxies behind, the window grows further, and shrinks when they have caught up")
  func backlog() {
    var pacer = PushPacer()
    for _ in 0..<20 {
      _ = pacer.delay(now: at(5), backlog: true)
      pacer.pushed(now: at(5))
    }
    #expect(pacer.delay(now: at(5), backlog: true) == .milliseconds(200))
    #expect(pacer.delay(now: at(5), backlog: false) == .milliseconds(20))
  }
}
