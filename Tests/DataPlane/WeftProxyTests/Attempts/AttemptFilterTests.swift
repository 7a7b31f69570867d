import Testing
import WeftBase
import WeftHTTP
import WeftModel
import WeftProxyAPI
import WeftTelemetry

@testable import WeftProxy
@testable import WeftProxyTestKit

/// Answers or resets requests and answers in the endpoint's place, as their head says.
struct Refusal: RequestHeadFilter, ResponseHeadFilter {
  static var name: StaticString { "test.refusal" }
  static var messages: FilterMessages { FilterMessages(chain: "test.Refusal") }
  struct Config: BitwiseCopyable {}
  init(_ config: Config) {}
  static func compile(_ source: FilterSource, _ context: FilterContext) throws(ConfigError) -> Config { Config() }

  mutating func requestHead(_ head: MessageHead, end: Bool, _ x: borrowing FilterCall<Config>) -> FilterVerdict {
    verdict(head, x)
  }
  mutating func responseHead(_ head: MessageHead, end: Bool, _ x: borrowing FilterCall<Config>) -> FilterVerdict {
    if head.status == 418 { return x.reply(419, details: "refusal") }
    if head.status == 420 { return .reset }
    return head.status == 421 ? x.wait(nanoseconds: 1) : .go
  }
  private func verdict(_ head: MessageHead, _ x: borrowing FilterCall<Config>) -> FilterVerdict {
    guard let said = head.first(named: ByteView("x-request")) else { return .go }
    x.note(.rateLimited)
    if said.equals("reply") { return x.reply(503, details: "refusal") }
    return said.equals("reset") ? .reset : x.wait(nanoseconds: 1)
  }
}

@Suite("what filters in front of endpoints say")
struct AttemptFilterTests {
  @Test("one that answers or resets has the last word, and the connection goes on", arguments: Version.allCases)
  func verdicts(version: Version) throws {
    let refusal = HTTPFilterRegistry([Refusal.self])
    let world = ProxyWorld(extensions: ProxyExtensions(httpFilters: refusal))
    world.simple(
      upstream: version, route: { $0.retryPolicy = RetryPolicy(retryOn: [.serverError]) },
      cluster: {
        $0.filters = [
          ConfiguredFilter(name: "refusal", .filter(ExtensionConfig(typeName: "test.Refusal", message: [])))
        ]
      })
    var status = 200
    let ends = Ends(world, client: version, server: version) { _ in (status, [], false, []) }
    // Once while it waits for a connection, once on one that is there.
    for _ in 0..<2 {
      let answer = try #require(ends.exchange(fields: [("x-request", "reply")]))
      #expect(answer.status == 503 && ends.requests.isEmpty)
    }
    #expect(try #require(ends.exchange(fields: [("x-request", "wait")])).status == 200)
    let served = ends.requests.count
    #expect(ends.exchange(fields: [("x-request", "reset")])?.status == nil)
    #expect(ends.requests.count == served)
    status = 418
    #expect(try #require(ends.exchange()).status == 419)
    status = 421
    #expect(try #require(ends.exchange()).status == 421)
    status = 420
    #expect(ends.exchange()?.status == nil)
    status = 200
    #expect(try #require(ends.exchange()).status == 200)
    world.settle()
    world.expectClean()
  }
}
