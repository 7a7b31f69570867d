import Testing
import WeftBase
import WeftModel
import WeftProtobuf
import WeftProxyAPI
import WeftTelemetry
import WeftXDSMessages

@testable import WeftNetworkFilters
@testable import WeftProxy
@testable import WeftProxyTestKit
@testable import WeftRuntime

/// The worked example of docs/adding/network-filter.md: takes all events there are. Its message is that of the network rate limit, of which it reads nothing.
///
/// A connection whose first byte is `?` is closed, one that begins with `.` rests for a second; what passes is counted.
struct Turnstile: NewConnectionFilter, InputFilter, OutputFilter, HoldingNetworkFilter, ConnectionEndFilter {
  static var name: StaticString { "envoy.filters.network.turnstile" }
  static var message: String { Envoy_Extensions_Filters_Network_LocalRatelimit_V3_LocalRateLimit.schema.name }

  struct Config: BitwiseCopyable {
    var came: SharedCounter
    var bytesIn: SharedCounter
    var bytesOut: SharedCounter
    var ended: SharedCounter
    var holds: SharedCounter
  }

  /// Set by each compilation: where the test finds the counters.
  nonisolated(unsafe) static var last: Config?

  static func compile(_ config: ExtensionConfig, _ context: NetworkFilterContext) throws(ConfigError) -> Config {
    func counter() -> SharedCounter { SharedCounter(context.storage) }
    let config = Config(came: counter(), bytesIn: counter(), bytesOut: counter(), ended: counter(), holds: counter())
    unsafe last = config
    return config
  }

  private var isPast = false

  init(_ config: Config) {}

  mutating func newConnection(_ x: borrowing NetworkCall<Config>) -> NetworkVerdict {
    x.config.came.add()
    return .go
  }

  mutating func input(_ bytes: ByteView, _ x: borrowing NetworkCall<Config>) -> NetworkVerdict {
    for _ in 0..<bytes.count { x.config.bytesIn.add() }
    if isPast { return .go }
    isPast = true
    if bytes.first == UInt8(ascii: "?") { return .close }
    return bytes.first == UInt8(ascii: ".") ? x.wait(nanoseconds: 1_000_000_000) : .go
  }

  mutating func resumed(_ x: borrowing NetworkCall<Config>) -> NetworkVerdict {
    x.config.holds.add()
    return .go
  }

  mutating func output(_ bytes: ByteView, _ x: borrowing NetworkCall<Config>) {
    for _ in 0..<bytes.count { x.config.bytesOut.add() }
  }

  mutating func connectionEnded(_ x: borrowing NetworkCall<Config>) { x.config.ended.add() }
}

@Suite("network filters, by the worked example", .serialized)
struct ExampleFilterTests {
  private func world(_ terminal: Terminal, count: Int = 1, splits: Bool = false, seed: UInt64 = 1) -> (
    world: ProxyWorld, counted: Turnstile.Config
  ) {
    let filter = ExtensionConfig(typeName: Turnstile.message, message: [])
    let world = NetworkFilterWorld.make(
      Array(repeating: filter, count: count), terminal, registry: NetworkFilterRegistry([Turnstile.self, Echo.self]),
      splits: splits, seed: seed)
    return unsafe (world, Turnstile.last!)
  }

  @Test(
    "each byte is seen once, however it comes, and every connection's end", arguments: Terminal.allCases, [1, 2, 3])
  func bytes(_ terminal: Terminal, _ seed: UInt64) {
    let (world, counted) = world(terminal, count: 2, splits: true, seed: seed)
    let client = world.connect()
    let request = NetworkFilterWorld.ask(terminal)
    // Two at once: the second waits in the loop as long as the first is answered.
    client.send(request + request)
    #expect(world.run { client.received.count >= 4 && client.text.hasSuffix("ok") })
    world.settle()
    #expect(counted.came.value == 1 && counted.bytesIn.value == UInt64(request.utf8.count * 2))
    #expect(counted.bytesOut.value == UInt64(client.received.count))
    client.close()
    world.advance(by: .seconds(2))
    #expect(counted.ended.value == 1 && world.engine.networkBlocks.count == 0)
  }

  @Test("a connection that is held with its input rests, and then goes on with it", arguments: [1, 2])
  func holds(_ count: Int) {
    let (world, counted) = world(.echo, count: count)
    let client = world.connect()
    client.send(".one")
    world.settle()
    client.send("two")
    world.advance(by: .milliseconds(900))
    #expect(client.received.isEmpty)
    // Each of the filters holds it for a second, one after the other.
    #expect(world.run(for: .seconds(2)) { client.text == ".onetwo" })
    #expect(counted.holds.value == 1 && counted.bytesIn.value == 7)
    client.close()
    world.advance(by: .seconds(2))
    #expect(world.engine.downstreams.count == 0)
  }

  @Test("a connection that goes while it is held leaves nothing behind", arguments: Terminal.allCases)
  func goneWhileHeld(_ terminal: Terminal) {
    let (world, counted) = world(terminal)
    let client = world.connect()
    client.send(".")
    world.settle()
    #expect(world.proxyLoop.tasks.count == 1)
    client.reset()
    world.settle()
    #expect(world.proxyLoop.tasks.isEmpty, "what would end the hold waits on")
    world.advance(by: .seconds(3))
    #expect(counted.ended.value == 1 && world.engine.downstreams.count == 0 && world.engine.networkBlocks.count == 0)
  }

  @Test("a verdict on bytes closes the connection, with a session or a request in flight", arguments: Terminal.allCases)
  func closes(_ terminal: Terminal) {
    let (world, counted) = world(terminal)
    let client = world.connect()
    client.send("?" + NetworkFilterWorld.ask(terminal))
    #expect(world.run(for: .milliseconds(100)) { client.isOver })
    #expect(client.received.isEmpty)
    world.settle()
    #expect(counted.ended.value == 1 && world.engine.streams.count == 0)
  }
}
