// What listening promises when somebody else listens, too. On the real driver: the kernel decides.

import Glibc
import Testing
import WeftBase
import WeftRuntime
import WeftTestKit

/// A socket of "another program": opened apart from the driver.
private final class Stranger {
  let descriptor: Int32
  private(set) var port: UInt16 = 0
  /// Whether it listens; not when the kernel refused.
  private(set) var listens = false

  init(port wanted: UInt16 = 0, reusePort: Bool, on host: UInt32 = 0x7f00_0001) {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var one: Int32 = 1
    _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, 4)
    if reusePort { _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_REUSEPORT, &one, 4) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = wanted.bigEndian
    address.sin_addr.s_addr = host.bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    unsafe withUnsafeMutablePointer(to: &address) {
      unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        listens = unsafe bind(descriptor, $0, length) == 0 && listen(descriptor, 8) == 0
        _ = unsafe getsockname(descriptor, $0, &length)
      }
    }
    port = UInt16(bigEndian: address.sin_port)
  }

  deinit { _ = close(descriptor) }
}

@Suite("listening beside others")
struct ListeningTests {
  private func loop() -> EventLoop {
    let loop = EventLoop(driver: EpollDriver())
    loop.handler = RecordingHandler()
    return loop
  }

  private func options(_ sharing: ListenOptions.Sharing) -> ListenOptions {
    var options = ListenOptions()
    options.sharing = sharing
    return options
  }

  private func message(_ body: () throws -> Void) -> String {
    do {
      try body()
      return ""
    } catch { return (error as? WeftError)?.message ?? "\(error)" }
  }

  private static let sharings: [ListenOptions.Sharing] = [.none, .reusePort, .oneSocket]

  @Test("where another program listens nobody listens, whatever both would share", arguments: sharings, [false, true])
  func stranger(_ sharing: ListenOptions.Sharing, _ reuses: Bool) {
    let stranger = Stranger(reusePort: reuses)
    #expect(stranger.listens)
    let address = SocketAddress(.loopback4, port: stranger.port)
    let loop = loop()
    defer { loop.shutdown() }
    let said = message { _ = try loop.listen(on: address, options(sharing)) }
    #expect(said == "cannot bind \(address): address already in use")
  }

  @Test("where we listen no other program that asks for the address alone can", arguments: sharings)
  func ours(_ sharing: ListenOptions.Sharing) throws {
    let loop = loop()
    defer { loop.shutdown() }
    let id = try loop.listen(on: .loopback(port: 0), options(sharing))
    let port = loop.address(of: id).port
    #expect(!Stranger(port: port, reusePort: false).listens)
    #expect(!Stranger(port: port, reusePort: false, on: 0).listens)
  }

  @Test("an address is exclusive by default, also within a process", arguments: ["127.0.0.1", "::1"])
  func exclusive(_ host: String) throws {
    let (one, two) = (loop(), loop())
    defer {
      one.shutdown()
      two.shutdown()
    }
    let address = one.address(of: try one.listen(on: SocketAddress(try #require(IPAddress(host)), port: 0)))
    for sharing in Self.sharings {
      let said = message { _ = try two.listen(on: address, options(sharing)) }
      #expect(said == "cannot bind \(address): address already in use", "\(sharing)")
    }
  }

  @Test(
    "loops of one process share an address until the last of them lets go",
    arguments: [.reusePort, .oneSocket] as [ListenOptions.Sharing], ["127.0.0.1", "::1"])
  func shared(_ sharing: ListenOptions.Sharing, _ host: String) throws {
    let loops = [loop(), loop(), loop()]
    defer { for loop in loops { loop.shutdown() } }
    let first = try loops[0].listen(on: SocketAddress(try #require(IPAddress(host)), port: 0), options(sharing))
    let address = loops[0].address(of: first)
    let second = try loops[1].listen(on: address, options(sharing))
    #expect(loops[1].address(of: second) == address)
    // The one that came first goes; the address stays ours.
    loops[0].stopAccepting(first)
    let third = try loops[2].listen(on: address, options(sharing))
    #expect(message { _ = try loops[0].listen(on: address) } != "")
    loops[1].stopAccepting(second)
    loops[2].stopAccepting(third)
    _ = try loops[0].listen(on: address)
  }

  @Test("all addresses and one of them can be listened at by one process, in either order", arguments: [false, true])
  func overlapping(_ wideFirst: Bool) throws {
    let loop = loop()
    defer { loop.shutdown() }
    let (wide, narrow) = (IPAddress.any4, IPAddress.loopback4)
    let first = try loop.listen(on: SocketAddress(wideFirst ? wide : narrow, port: 0), options(.reusePort))
    let port = loop.address(of: first).port
    _ = try loop.listen(on: SocketAddress(wideFirst ? narrow : wide, port: port), options(.reusePort))
  }

  @Test("a socket path somebody answers at is not taken away; one that is left over is")
  func unix() throws {
    let directory = TemporaryDirectory()
    let address = try #require(SocketAddress(unixPath: directory.file("s")))
    let (one, two) = (loop(), loop())
    defer { two.shutdown() }
    _ = try one.listen(on: address)
    for sharing in Self.sharings {
      let said = message { _ = try two.listen(on: address, options(sharing)) }
      #expect(said == "cannot bind \(address): address already in use", "\(sharing)")
    }
    one.shutdown()
    _ = try two.listen(on: address, options(.oneSocket))
  }

  @Test(
    "loops that share one Unix-domain socket all have it",
    arguments: [.reusePort, .oneSocket] as [ListenOptions.Sharing])
  func unixShared(_ sharing: ListenOptions.Sharing) throws {
    let directory = TemporaryDirectory()
    let address = try #require(SocketAddress(unixPath: directory.file("s")))
    let (one, two) = (loop(), loop())
    defer {
      one.shutdown()
      two.shutdown()
    }
    let first = try one.listen(on: address, options(sharing))
    _ = try two.listen(on: address, options(sharing))
    one.stopAccepting(first)
    let client = loop()
    defer { client.shutdown() }
    let server = RecordingHandler()
    two.handler = server
    _ = client.connect(to: address)
    for _ in 0..<100 where server.connections.isEmpty {
      _ = client.turn()
      _ = two.turn()
    }
    #expect(server.connections.count == 1, "the second worker's socket is the one behind the path")
  }

  @Test("a listener takes no more connections in one turn than it says", arguments: [(0, 5), (2, 2)])
  func acceptsPerTurn(_ most: Int, _ accepted: Int) throws {
    let world = World(.memory(seed: 1, splits: false))
    let (server, client) = (RecordingHandler(), RecordingHandler())
    let (serverLoop, clientLoop) = (world.makeLoop(server), world.makeLoop(client))
    var options = ListenOptions()
    options.acceptsPerTurn = most
    let id = try serverLoop.listen(on: .loopback(port: 0), options)
    for _ in 0..<5 { _ = clientLoop.connect(to: serverLoop.address(of: id)) }
    _ = clientLoop.turn()
    _ = serverLoop.turn()
    #expect(server.connections.count == accepted)
    #expect(world.run { server.connections.count == 5 })
  }

  @Test("a backlog may be larger than the kernel's word for it", arguments: [1, Int(UInt32.max), .max])
  func backlog(_ most: Int) throws {
    let loop = loop()
    defer { loop.shutdown() }
    var options = ListenOptions()
    options.backlog = most
    _ = try loop.listen(on: .loopback(port: 0), options)
  }

  @Test("options of a listener reach the kernel, and one it refuses is told by its numbers")
  func raw() throws {
    let loop = loop()
    defer { loop.shutdown() }
    var options = ListenOptions()
    options.fastOpenQueue = 16
    let number = unsafe withUnsafeBytes(of: Int32(1)) { unsafe Array($0) }
    options.raw = [
      RawSocketOption(level: SOL_SOCKET, name: SO_KEEPALIVE, value: number),
      RawSocketOption(level: Int32(IPPROTO_TCP), name: TCP_NODELAY, value: number, stage: .afterListen),
    ]
    _ = try loop.listen(on: .loopback(port: 0), options)
    options.raw = [RawSocketOption(level: SOL_SOCKET, name: 9999, value: number, stage: .afterBind)]
    let said = message { _ = try loop.listen(on: .loopback(port: 0), options) }
    #expect(said.hasPrefix("socket option \(SOL_SOCKET)/9999 on 127.0.0.1:0: "))
  }
}
