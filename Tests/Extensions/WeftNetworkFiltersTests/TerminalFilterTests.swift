import Testing
import WeftBase
import WeftModel
import WeftProtobuf
import WeftProxyAPI
import WeftTelemetry
import WeftXDSMessages

@testable import WeftCompile
@testable import WeftNetworkFilters
@testable import WeftProxy
@testable import WeftProxyTestKit
@testable import WeftRuntime

/// The worked example of docs/adding/network-filter.md: greets, answers each whole line with its length, and says goodbye. Its message is Envoy's echo,
/// which has no fields.
struct LineCounter: TerminalFilter, ConnectionEndFilter {
  static var name: StaticString { "envoy.filters.network.line_counter" }
  static var message: String { Envoy_Extensions_Filters_Network_LocalRatelimit_V3_LocalRateLimit.schema.name }
  struct Config: BitwiseCopyable { var ended: SharedCounter }

  nonisolated(unsafe) static var last: Config?

  static func compile(_ config: ExtensionConfig, _ context: NetworkFilterContext) throws(ConfigError) -> Config {
    let config = Config(ended: SharedCounter(context.storage))
    unsafe last = config
    return config
  }

  private var lines: UInt8 = 0
  init(_ config: Config) {}

  mutating func began(_ x: borrowing TerminalCall<Config>) { x.send(ByteView("hello\n")) }

  mutating func received(_ bytes: ByteView, _ x: borrowing TerminalCall<Config>) -> Int {
    guard let end = bytes.firstIndex(of: UInt8(ascii: "\n")) else { return 0 }
    lines += 1
    [UInt8(ascii: "0") + UInt8(clamping: end), UInt8(ascii: "\n")].withByteView { x.send($0) }
    if lines == 3 { x.close() }
    return end + 1
  }

  mutating func inputEnded(_ x: borrowing TerminalCall<Config>) {
    x.send(ByteView("bye\n"))
    x.close()
  }

  mutating func connectionEnded(_ x: borrowing NetworkCall<Config>) { x.config.ended.add() }
}

@Suite("terminal filters", .serialized)
struct TerminalFilterTests {
  private func world(
    security: (any SecurityFactory)? = nil, registry: NetworkFilterRegistry = NetworkFilters.registry,
    splits: Bool = false, seed: UInt64 = 1
  ) -> ProxyWorld {
    let world = ProxyWorld(
      seed: seed, splits: splits, security: security, extensions: ProxyExtensions(networkFilters: registry))
    world.simple()
    return world
  }

  private var goAway: ConfiguredNetworkFilter {
    var response = Envoy_Config_Core_V3_DataSource()
    response.specifier = .inlineString("go away")
    var message = Envoy_Extensions_Filters_Network_DirectResponse_V3_Config()
    message.response = response
    return .filter(ExtensionConfig(typeName: DirectResponse.message, message: message.serialized()))
  }

  private func counter(splits: Bool = false, seed: UInt64 = 1) -> ProxyWorld {
    let world = world(registry: NetworkFilterRegistry([LineCounter.self]), splits: splits, seed: seed)
    world.listen([.filter(ExtensionConfig(typeName: LineCounter.message, message: []))])
    world.apply()
    return world
  }

  @Test("it speaks first, is shown the rest again, and ends the connection", arguments: [1, 2, 3] as [UInt64])
  func lines(_ seed: UInt64) {
    let world = counter(splits: true, seed: seed)
    let client = world.connect()
    for byte in "one\nthree\n".utf8 {
      client.send([byte])
      world.settle()
    }
    #expect(client.text == "hello\n3\n5\n" && !client.isOver)
    client.send("\n")
    #expect(world.run { client.isOver } && client.text == "hello\n3\n5\n0\n")
    world.advance(by: .seconds(2))
    #expect(unsafe LineCounter.last?.ended.value == 1)
    #expect(world.engine.downstreams.count == 0 && world.engine.networkBlocks.count == 0)
  }

  @Test("it hears of the client's end, and of a connection that is reset")
  func ends() {
    let world = counter()
    let client = world.connect()
    client.send("half")
    client.finish()
    #expect(world.run { client.isOver } && client.text == "hello\nbye\n")
    let other = world.connect()
    world.settle()
    other.reset()
    world.advance(by: .seconds(2))
    #expect(unsafe LineCounter.last?.ended.value == 2)
    #expect(world.engine.downstreams.count == 0 && world.engine.networkBlocks.count == 0)
  }

  @Test("a chain ends with one, and with one only")
  func order() {
    let world = world()
    let echo = ConfiguredNetworkFilter.filter(ExtensionConfig(typeName: Echo.message, message: []))
    world.listen([echo, echo])
    #expect(
      world.rejections().map { "\($0.path): \($0.message)" } == [
        "filter_chains[0].filters[0].typed_config: configures a terminal filter, which must be the last of its chain"
      ])
  }

  @Test("what a file holds is said; one that is not there is told by its path")
  func files() throws {
    let missing = NetworkFilterWorld.refusal(
      DirectResponse.self,
      try NetworkFilterWorld.config(
        Envoy_Extensions_Filters_Network_DirectResponse_V3_Config.self, #"{"response": {"filename": "/nonexistent/a"}}"#
      ))
    #expect(missing == "response.filename: cannot read /nonexistent/a: No such file or directory")
  }

  @Test("a direct response behind TLS is given after the handshake, never before")
  func directResponseAfterHandshake() {
    let world = world(security: ToySecurity())
    world.simple()
    world.listen([goAway])
    world.apply()
    let plain = world.connect()
    #expect(world.run { plain.isOver })
    #expect(plain.text == "go away")
    world.config.listeners[0].filterChains[0].tls = DownstreamTLSContext()
    world.config.listeners[0].filterChains[0].transportSocketConnectTimeout = .seconds(3)
    world.apply()
    let silent = world.connect()
    let client = world.connect()
    client.send("!")
    #expect(world.run { client.isOver })
    #expect(client.text == "go away")
    #expect(silent.received.isEmpty)
    #expect(world.run(for: .seconds(4)) { silent.isOver })
    #expect(silent.received.isEmpty)
    world.settle()
    #expect(world.engine.downstreams.count == 0)
  }

  @Test("who does not read what comes back to it is not read from")
  func echo() {
    let world = world()
    world.listen([.filter(ExtensionConfig(typeName: Echo.message, message: []))])
    world.apply()
    let client = world.connect()
    world.settle()
    client.pause()
    let bytes = pattern(6 << 20)
    client.send(bytes)
    world.advance(by: .seconds(1))
    var queued = 0
    world.engine.downstreams.forEach { queued += world.proxyLoop.queuedBytes(world.engine.downstreams[$0].connection) }
    #expect(queued > 0 && queued < 3 << 20)
    client.resume()
    #expect(world.run { client.received.count == bytes.count })
    #expect(same(client.received, bytes))
  }
}
