import Testing
import WeftBase
import WeftHTTP
import WeftModel
import WeftProtobuf
import WeftProxyAPI
import WeftTelemetry
import WeftXDS
import WeftXDSMessages

@testable import WeftCompile
@testable import WeftProxy
@testable import WeftProxyTestKit

/// The worked example of docs/adding/listener-filter.md. Its message is that of a connection limit, whose `stat_prefix` is the word.
final class Password: ListenerFilter {
  typealias Message = Envoy_Extensions_Filters_Network_ConnectionLimit_V3_ConnectionLimit
  static var name: StaticString { "envoy.filters.listener.password" }
  static var message: String { Message.schema.name }
  private let word: [UInt8]
  var limit: Int { word.count }

  init(_ config: ExtensionConfig, _ context: ListenerFilterContext) throws(ConfigError) {
    word = Array(try ExtensionReader().message(config, as: Message.self).statPrefix.utf8)
    guard !word.isEmpty else { throw ConfigError(path: FieldPath().field("stat_prefix"), "is required") }
  }

  func inspect(_ bytes: ByteView, _ facts: inout ConnectionFacts) -> ListenerFilterVerdict {
    let said = bytes.prefix(word.count)
    guard word.withByteView({ $0.prefix(said.count).equals(said) }) else { return .refuse }
    if said.count < word.count { return .needMore }
    facts.values.append(ConnectionValue(space: "password", key: "word", value: word))
    return .done(taking: word.count)
  }
}

@Suite("a listener filter, by the worked example")
struct ListenerFilterExampleTests {
  private func world(_ words: [String]) -> ProxyWorld {
    let world = ProxyWorld(extensions: ProxyExtensions(listenerFilters: ListenerFilterRegistry([Password.self])))
    world.simple()
    world.server.onBytes = { $0.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok") }
    world.config.listeners[0].listenerFiltersTimeout = .seconds(5)
    world.config.listeners[0].listenerFilters = words.map { word in
      var message = Password.Message()
      message.statPrefix = word
      return ConfiguredListenerFilter(ExtensionConfig(typeName: Password.message, message: message.serialized()))
    }
    return world
  }

  @Test("filters take what is theirs in their order, and leave the rest, wherever it is cut", arguments: 0...14)
  func cuts(_ cut: Int) {
    let world = world(["open", "sesame"])
    world.apply()
    let bytes = Array("opensesameGET / HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
    let client = world.connect()
    if cut > 0 { client.send(Array(bytes[..<cut])) }
    world.settle()
    client.send(Array(bytes[cut...]))
    #expect(world.run { client.text.hasSuffix("ok") })
    #expect(world.engine.inspections[].isEmpty && world.engine.connectionMetadata[].count == 1)
  }

  @Test("what is not the word is refused, half of it has the time of listener filters", arguments: ["opt", "ope", ""])
  func refused(_ text: String) {
    let world = world(["open"])
    world.apply()
    let client = world.connect()
    client.send(text)
    world.advance(by: .seconds(4))
    #expect(client.isOver == (text == "opt"))
    world.advance(by: .seconds(2))
    #expect(client.isOver && world.engine.downstreams.count == 0 && world.engine.inspections[].isEmpty)
  }

  @Test("what it refuses of its message is told by the path")
  func path() throws {
    let world = world([""])
    let refusal = try #require(world.rejections().first)
    #expect("\(refusal.path)".hasSuffix("listener_filters[0].typed_config.stat_prefix"))
  }
}
