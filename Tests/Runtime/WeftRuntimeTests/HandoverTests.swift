// Connections and listeners that move from one loop to another.

import Testing
import WeftBase
import WeftRuntime

/// A client, and two loops that serve it one after the other.
private struct Relay {
  let world: World
  let client = RecordingHandler()
  let old = RecordingHandler()
  let new = RecordingHandler()
  let clientLoop: EventLoop
  let oldLoop: EventLoop
  let newLoop: EventLoop
  let listener: ListenerID
  let address: SocketAddress

  init(_ kind: WorldKind, newLimits: Limits = Limits()) throws {
    world = World(kind)
    clientLoop = world.makeLoop(client)
    oldLoop = world.makeLoop(old)
    newLoop = world.makeLoop(new, limits: newLimits)
    listener = try oldLoop.listen(on: .loopback(port: 0))
    address = oldLoop.address(of: listener)
  }

  func connect(_ options: ConnectionOptions = ConnectionOptions()) throws -> (client: ConnectionID, old: ConnectionID) {
    let before = old.connections.count
    let c = clientLoop.connect(to: address, options)
    try #require(world.run { client.events[c] == [.connected] && old.connections.count > before })
    return (c, old.connections[before])
  }

  /// Moves a connection that can leave.
  func move(_ c: ConnectionID) throws -> ConnectionID {
    newLoop.adopt(try #require(oldLoop.release(c)), tag: 9)
  }
}

@Suite("handover")
struct HandoverTests {
  @Test("a connection moves in the middle of its bytes, and neither side notices", arguments: WorldKind.all)
  func middle(_ kind: WorldKind) throws {
    let relay = try Relay(kind)
    // Whole records only: something is always left when it moves.
    let record = 700
    let wholeRecords: (ConnectionID, ByteView) -> Int = { $1.count / record * record }
    relay.old.onReceived = wholeRecords
    relay.new.onReceived = wholeRecords
    let (c, s) = try relay.connect()
    let sent = pattern(record * 40)
    relay.clientLoop.write(c, Array(sent[..<10_000]))
    try #require(relay.world.run { relay.old.received(s).count == 10_000 / record * record })
    relay.world.settle()
    // On its way while nobody has the connection.
    let released = try #require(relay.oldLoop.release(s))
    #expect(released.unread == Array(sent[relay.old.received(s).count..<10_000]))
    #expect(released.peer == relay.clientLoop.localAddress(c))
    relay.clientLoop.write(c, Array(sent[10_000...]))
    relay.world.settle()
    let n = relay.newLoop.adopt(released, tag: 9)
    #expect(relay.newLoop.user(n) == 9)
    #expect(relay.world.run { relay.old.received(s).count + relay.new.received(n).count == sent.count })
    #expect(relay.old.received(s) + relay.new.received(n) == sent)
    relay.newLoop.write(n, pattern(5000))
    relay.clientLoop.finishWriting(c)
    #expect(relay.world.run { relay.client.received(c).count == 5000 && relay.new.events[n] == [.readEnded] })
    relay.newLoop.close(n)
    #expect(relay.world.run { relay.client.isClosed(c) && relay.new.isClosed(n) })
    #expect(relay.client.events[c] == [.connected, .readEnded, .closed(.ended)])
    #expect(relay.old.events[s] == [.accepted])
    #expect(relay.oldLoop.statistics.connections == 0)
    #expect(relay.oldLoop.pool.lentBytes == 0 && relay.newLoop.pool.lentBytes == 0)
  }

  @Test("the peer's end is told once, by the loop that sees it", arguments: WorldKind.all, [false, true])
  func ends(_ kind: WorldKind, _ endsBefore: Bool) throws {
    let relay = try Relay(kind)
    let (c, s) = try relay.connect()
    relay.clientLoop.write(c, pattern(10))
    if endsBefore {
      relay.clientLoop.finishWriting(c)
      try #require(relay.world.run { relay.old.events[s] == [.accepted, .readEnded] })
    }
    try #require(relay.world.run { relay.old.received(s).count == 10 })
    let n = try relay.move(s)
    if !endsBefore { relay.clientLoop.finishWriting(c) }
    relay.world.settle()
    #expect(relay.new.events[n, default: []] == (endsBefore ? [] : [.readEnded]))
    relay.newLoop.write(n, pattern(3))
    relay.newLoop.close(n)
    #expect(relay.world.run { relay.client.isClosed(c) && relay.new.isClosed(n) })
    #expect(relay.client.received(c).count == 3)
    #expect(relay.client.events[c] == [.connected, .readEnded, .closed(.ended)])
  }

  enum Obstacle: CaseIterable { case connecting, sending, finishing, closing, gone }

  @Test("what cannot leave stays as it is", arguments: WorldKind.all, Obstacle.allCases)
  func stays(_ kind: WorldKind, _ obstacle: Obstacle) throws {
    let relay = try Relay(kind)
    var options = ConnectionOptions()
    options.kernelBufferBytes = 32_768
    if obstacle == .connecting {
      let c = relay.oldLoop.connect(to: relay.address)
      #expect(relay.oldLoop.release(c) == nil)
      #expect(relay.world.run { relay.old.events[c] == [.connected] })
      return
    }
    let (c, s) = try relay.connect(options)
    switch obstacle {
    case .connecting: break
    case .sending:
      relay.clientLoop.pauseReading(c)
      var sent = 0
      while relay.oldLoop.queuedBytes(s) == 0, sent < 50_000_000 {
        relay.oldLoop.write(s, pattern(100_000, from: sent))
        sent += 100_000
      }
      #expect(relay.oldLoop.release(s) == nil)
      relay.clientLoop.resumeReading(c)
      #expect(relay.world.run { relay.client.received(c).count == sent })
      #expect(try relay.move(s) != .none, "nothing holds it any more")
      return
    case .finishing: relay.oldLoop.finishWriting(s)
    case .closing: relay.oldLoop.close(s)
    case .gone:
      relay.oldLoop.close(s, .reset)
      try #require(relay.world.run { relay.old.isClosed(s) })
    }
    #expect(relay.oldLoop.release(s) == nil)
    relay.clientLoop.close(c)
    #expect(relay.world.run { relay.client.isClosed(c) })
  }

  @Test("a loop that is full closes what it should adopt", arguments: WorldKind.all)
  func full(_ kind: WorldKind) throws {
    var limits = Limits()
    limits.connections = 1
    let relay = try Relay(kind, newLimits: limits)
    let (first, s) = try relay.connect()
    _ = try relay.move(s)
    let (second, t) = try relay.connect()
    #expect(try relay.move(t) == .none)
    #expect(relay.world.run { relay.client.events[second] == [.connected, .readEnded] })
    #expect(relay.newLoop.statistics.shedConnectionLimit == 1)
    #expect(relay.client.events[first] == [.connected])
  }

  @Test("a listener moves with those who wait in its queue", arguments: WorldKind.all)
  func listener(_ kind: WorldKind) throws {
    let relay = try Relay(kind)
    _ = try relay.connect()
    let waiting = relay.clientLoop.connect(to: relay.address)
    let descriptor = try #require(relay.oldLoop.releaseListener(relay.listener))
    let listener = try relay.newLoop.adoptListener(descriptor)
    #expect(relay.newLoop.address(of: listener) == relay.address)
    let late = relay.clientLoop.connect(to: relay.address)
    #expect(
      relay.world.run {
        relay.new.connections.count == 2 && relay.client.events[waiting] == [.connected]
          && relay.client.events[late] == [.connected]
      })
    #expect(relay.old.connections.count == 1, "the old loop's connection stays")
    relay.newLoop.stopAccepting(listener)
    let refused = relay.clientLoop.connect(to: relay.address)
    #expect(relay.world.run { relay.client.isClosed(refused) })
  }

  @Test("the address of a listener that moved can be had again when the last one has stopped")
  func sharedListener() throws {
    var options = ListenOptions()
    options.sharing = .oneSocket
    let world = World(.epoll)
    let (first, second) = (RecordingHandler(), RecordingHandler())
    let (old, new) = (world.makeLoop(first), world.makeLoop(second))
    let listener = try old.listen(on: .loopback(port: 0), options)
    let address = old.address(of: listener)
    let moved = try new.adoptListener(try #require(old.releaseListener(listener)), options)
    let beside = try old.listen(on: address, options)
    new.stopAccepting(moved)
    let client = RecordingHandler()
    let c = world.makeLoop(client).connect(to: address)
    #expect(world.run { client.events[c] == [.connected] && first.connections.count == 1 })
    old.stopAccepting(beside)
    let alone = try new.listen(on: address)
    #expect(new.address(of: alone) == address)
  }

  @Test("a descriptor that is none is refused", arguments: WorldKind.all)
  func nonsense(_ kind: WorldKind) throws {
    let relay = try Relay(kind)
    #expect(throws: WeftError.self) { try relay.newLoop.adoptListener(1 << 20) }
    var nothing = try #require(relay.oldLoop.release(relay.connect().old))
    let real = nothing.descriptor
    nothing.descriptor = 1 << 20
    #expect(relay.newLoop.adopt(nothing) == .none)
    #expect(relay.newLoop.statistics.connections == 0)
    nothing.descriptor = real
    #expect(relay.newLoop.adopt(nothing) != .none)
  }
}
