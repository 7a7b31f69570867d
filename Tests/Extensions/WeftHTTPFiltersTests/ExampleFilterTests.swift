import Testing
import WeftBase
import WeftHTTP
import WeftModel
import WeftProtobuf
import WeftProxyAPI
import WeftTelemetry
import WeftXDS
import WeftXDSMessages

@testable import WeftHTTPFilters
@testable import WeftProxy
@testable import WeftProxyTestKit

/// The worked example of docs/adding/http-filter.md.
struct Greeting: RequestHeadFilter {
  static var name: StaticString { "envoy.filters.http.greeting" }
  static var messages: FilterMessages { FilterMessages(chain: Envoy_Config_Core_V3_HeaderValue.schema.name) }

  struct Config: BitwiseCopyable { var text: ByteView }

  static func compile(_ source: FilterSource, _ context: FilterContext) throws(ConfigError) -> Config {
    let message = try ExtensionReader().message(source.chain, as: Envoy_Config_Core_V3_HeaderValue.self)
    guard !message.value.isEmpty else { throw ConfigError(path: FieldPath().field("value"), "is required") }
    return Config(text: context.storage.text(message.value))
  }

  init(_ config: Config) {}

  mutating func requestHead(_ head: MessageHead, end: Bool, _ x: borrowing FilterCall<Config>) -> FilterVerdict {
    if head.contains(.authorization) { return .go }
    return x.reply(401, body: x.config.text, details: "greeting_refused", flag: .unauthorizedExternalService)
  }
}

@Suite("HTTP filters, by the worked example")
struct ExampleFilterTests {
  private func config(_ json: String) throws -> ExtensionConfig {
    try FilterWorld.config(Envoy_Config_Core_V3_HeaderValue.self, json)
  }

  @Test("whoever says who he is passes, everybody else is greeted", arguments: Version.allCases)
  func greets(version: Version) throws {
    let world = ProxyWorld(extensions: ProxyExtensions(httpFilters: HTTPFilterRegistry([Greeting.self])))
    let greeting = ConfiguredFilter(name: "greeting", .filter(try config(#"{"key": "k", "value": "who?"}"#)))
    world.simple(
      upstream: version,
      manager: { $0.filters = [greeting, ConfiguredFilter(name: "router", .router(RouterOptions()))] })
    let ends = Ends(world, client: version, server: version) { _ in (200, Array("ok".utf8), false, []) }
    let stranger = try #require(ends.exchange())
    #expect(stranger.status == 401 && stranger.body == Array("who?".utf8) && ends.requests.isEmpty)
    let friend = try #require(ends.exchange(fields: [("authorization", "a")]))
    #expect(friend.status == 200 && friend.body == Array("ok".utf8) && ends.requests.count == 1)
    world.settle()
    world.expectClean()
  }

  @Test("what it cannot be configured with is refused by the field's path")
  func refuses() throws {
    #expect(FilterWorld.refusal(Greeting.self, try config(#"{"key": "k"}"#)) == "value: is required")
    #expect(FilterWorld.refusal(Greeting.self, try config(#"{"key": "k", "value": "v"}"#)) == nil)
  }
}
