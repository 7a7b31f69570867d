// What every driver must let a loop promise.

import Testing
import WeftBase
import WeftRuntime

/// A client and a server on loops of their own, and one connection between them.
private struct Pair {
  let world: World
  let client = RecordingHandler()
  let server = RecordingHandler()
  let clientLoop: EventLoop
  let serverLoop: EventLoop
  let address: SocketAddress
  let listener: ListenerID

  init(
    _ kind: WorldKind, clientLimits: Limits = Limits(), serverLimits: Limits = Limits(),
    options: ListenOptions = ListenOptions()
  ) throws {
    world = World(kind)
    serverLoop = world.makeLoop(server, limits: serverLimits)
    clientLoop = world.makeLoop(client, limits: clientLimits)
    listener = try serverLoop.listen(on: .loopback(port: 0), options)
    address = serverLoop.address(of: listener)
  }

  func connect(_ options: ConnectionOptions = ConnectionOptions()) throws -> (
    client: ConnectionID, server: ConnectionID
  ) {
    let before = server.connections.count
    let c = clientLoop.connect(to: address, options, tag: 5)
    try #require(world.run { client.events[c] == [.connected] && server.connections.count > before })
    return (c, server.connections[before])
  }
}

@Suite("loop laws")
struct LoopLaws {
  @Test("an echo brings back every byte in order, and each side closes once", arguments: WorldKind.all)
  func echo(_ kind: WorldKind) throws {
    let pair = try Pair(kind)
    pair.server.onReceived = { c, view in
      _ = pair.serverLoop.write(c, view)
      return view.count
    }
    pair.server.onReadEnded = { pair.serverLoop.close($0) }
    let (c, s) = try pair.connect()
    #expect(pair.clientLoop.user(c) == 5)
    #expect(pair.serverLoop.peerAddress(s) == pair.clientLoop.localAddress(c))
    #expect(pair.serverLoop.localAddress(s) == pair.address)
    #expect(pair.serverLoop.originalDestination(s) == nil)
    let sent = pattern(300_000)
    for start in stride(from: 0, to: sent.count, by: 30_000) {
      pair.clientLoop.write(c, Array(sent[start..<start + 30_000]))
    }
    #expect(pair.world.run { pair.client.received(c).count >= sent.count })
    #expect(pair.client.received(c) == sent)
    pair.clientLoop.finishWriting(c)
    #expect(pair.world.run { pair.client.isClosed(c) && pair.server.isClosed(s) })
    #expect(pair.server.events[s] == [.accepted, .readEnded, .closed(.ended)])
    #expect(pair.client.events[c] == [.connected, .readEnded, .closed(.ended)])
    #expect(!pair.clientLoop.isLive(c))
    #expect(pair.clientLoop.statistics.connections == 0)
    #expect(pair.serverLoop.pool.lentBytes == 0)
    #expect(pair.clientLoop.pool.lentBytes == 0)
  }

  @Test(
    "what the handler leaves comes again, contiguous with what follows", arguments: WorldKind.all,
    [1, 7, 900, 5_000, 20_000])
  func partialConsumption(_ kind: WorldKind, _ record: Int) throws {
    let pair = try Pair(kind)
    var next = 0
    var wrong = 0
    pair.server.onReceived = { _, view in
      let whole = view.count / record * record
      if view.prefix(whole).array != pattern(whole, from: next) { wrong += 1 }
      next += whole
      return whole
    }
    let (c, s) = try pair.connect()
    let total = record * min(2_000, max(3, 40_000 / record))
    let sent = pattern(total)
    var start = 0
    var random = RandomSource(seed: 3)
    while start < total {
      let n = min(total - start, 1 + random.next(below: max(2, record / 2)))
      pair.clientLoop.write(c, Array(sent[start..<start + n]))
      start += n
      if random.chance(1, in: 50) { pair.world.settle() }
    }
    #expect(pair.world.run { next == total })
    #expect(wrong == 0)
    #expect(pair.server.received(s) == sent)
    #expect(pair.serverLoop.pool.lentBytes == 0)
  }

  @Test("a paused reader stops the writer, and resuming lets every byte through", arguments: WorldKind.all)
  func backPressure(_ kind: WorldKind) throws {
    let pair = try Pair(kind)
    var options = ConnectionOptions()
    options.watermarks = Watermarks(high: 200_000)
    options.kernelBufferBytes = 32_768
    let (c, s) = try pair.connect(options)
    pair.serverLoop.pauseReading(s)
    var sent = 0
    var outcome = WriteOutcome.written
    while outcome != .blocked, sent < 50_000_000 {
      outcome = pair.clientLoop.write(c, pattern(10_000, from: sent))
      sent += 10_000
      if outcome == .queued { pair.world.advance(by: .milliseconds(1)) }
    }
    #expect(outcome == .blocked)
    pair.world.settle()
    #expect(pair.server.received(s).isEmpty)
    #expect(!pair.client.events[c]!.contains(.drained))
    #expect(pair.clientLoop.queuedBytes(c) > 100_000)
    pair.serverLoop.resumeReading(s)
    #expect(pair.world.run { pair.server.received(s).count == sent })
    #expect(pair.server.received(s) == pattern(sent))
    #expect(pair.client.events[c] == [.connected, .drained])
    #expect(pair.clientLoop.queuedBytes(c) == 0)
    #expect(pair.clientLoop.pool.lentBytes == 0)
  }

  @Test("pausing inside a delivery keeps the rest, resuming delivers it without new bytes", arguments: WorldKind.all)
  func pauseInside(_ kind: WorldKind) throws {
    let pair = try Pair(kind)
    pair.server.onReceived = { c, view in
      pair.serverLoop.pauseReading(c)
      return min(3, view.count)
    }
    let (c, s) = try pair.connect()
    pair.clientLoop.write(c, pattern(20))
    var rounds = 0
    while pair.server.received(s).count < 20, rounds < 30 {
      let before = pair.server.received(s).count
      #expect(pair.world.run { pair.server.received(s).count > before })
      #expect(pair.server.received(s).count <= before + 3)
      rounds += 1
      pair.serverLoop.resumeReading(s)
    }
    #expect(pair.server.received(s) == pattern(20))
  }

  @Test("an end that comes while kept bytes wait for their turn is told after them", arguments: WorldKind.all)
  func endBehindKeptBytes(_ kind: WorldKind) throws {
    let pair = try Pair(kind)
    // The first connection's events come before the second's: what it resumes has its end in the same turn.
    let (first, other) = try pair.connect()
    let (c, s) = try pair.connect()
    var isPaused = false
    pair.server.onReceived = { connection, view in
      if connection == other {
        pair.serverLoop.resumeReading(s)
      } else if !isPaused {
        isPaused = true
        pair.serverLoop.pauseReading(s)
        return min(3, view.count)
      }
      return view.count
    }
    var atEnd = -1
    pair.server.onReadEnded = { if $0 == s { atEnd = pair.server.received(s).count } }
    pair.clientLoop.write(c, pattern(20))
    #expect(pair.world.run { isPaused })
    pair.world.settle()
    pair.clientLoop.write(first, pattern(1))
    pair.clientLoop.finishWriting(c)
    #expect(pair.world.run { atEnd >= 0 })
    #expect(atEnd == 20)
    #expect(pair.server.received(s) == pattern(20))
  }

  @Test("after a half-close the other direction goes on", arguments: WorldKind.all)
  func halfClose(_ kind: WorldKind) throws {
    let pair = try Pair(kind)
    pair.server.onReadEnded = { c in
      pair.serverLoop.write(c, pattern(1_000_000))
      pair.serverLoop.finishWriting(c)
      #expect(pair.serverLoop.write(c, pattern(1)) == .closed)
    }
    let (c, s) = try pair.connect()
    pair.clientLoop.write(c, pattern(100))
    pair.clientLoop.finishWriting(c)
    #expect(pair.world.run { pair.client.isClosed(c) && pair.server.isClosed(s) })
    #expect(pair.client.received(c) == pattern(1_000_000))
    #expect(pair.server.received(s) == pattern(100))
    #expect(pair.client.events[c] == [.connected, .readEnded, .closed(.ended)])
    #expect(
      pair.server.events[s] == [.accepted, .readEnded, .closed(.ended)]
        || pair.server.events[s] == [
          .accepted, .readEnded, .drained, .closed(.ended),
        ])
  }

  @Test("a reset is told to both sides once", arguments: WorldKind.all)
  func reset(_ kind: WorldKind) throws {
    let pair = try Pair(kind)
    let (c, s) = try pair.connect()
    pair.clientLoop.close(c, .reset)
    pair.clientLoop.close(c, .reset)
    pair.clientLoop.close(c)
    #expect(pair.client.events[c] == [.connected], "closed never comes inside close")
    #expect(pair.world.run { pair.client.isClosed(c) && pair.server.isClosed(s) })
    #expect(pair.client.events[c] == [.connected, .closed(.localReset)])
    #expect(pair.server.events[s] == [.accepted, .closed(.peerReset)])
  }

  @Test("a paused side still learns that its peer has reset", arguments: WorldKind.all)
  func resetWhilePaused(_ kind: WorldKind) throws {
    let pair = try Pair(kind)
    let (c, s) = try pair.connect()
    pair.serverLoop.pauseReading(s)
    pair.clientLoop.close(c, .reset)
    #expect(pair.world.run { pair.server.isClosed(s) })
    #expect(pair.server.events[s] == [.accepted, .closed(.peerReset)])
  }

  @Test(
    "what a server said before it reset is delivered, although reading was paused meanwhile", arguments: WorldKind.all)
  func resetBehindKeptBytes(_ kind: WorldKind) throws {
    let pair = try Pair(kind)
    pair.client.onReceived = { c, _ in
      pair.clientLoop.pauseReading(c)
      return 1
    }
    let (c, s) = try pair.connect()
    pair.serverLoop.write(s, pattern(50))
    #expect(pair.world.run { pair.client.received(c).count == 1 })
    // The rest is split off by the memory network at times: only what was read already must not be lost.
    pair.world.settle()
    pair.serverLoop.close(s, .reset)
    pair.world.settle()
    #expect(!pair.client.isClosed(c))
    pair.client.onReceived = { $1.count }
    pair.clientLoop.resumeReading(c)
    #expect(pair.world.run { pair.client.isClosed(c) })
    #expect(pair.client.received(c).count > 1)
    #expect(pair.client.received(c) == Array(pattern(50).prefix(pair.client.received(c).count)))
    #expect(pair.client.events[c]?.last == .closed(.peerReset))
  }

  @Test("a client that has reset is gone, whatever of it was not read yet", arguments: WorldKind.all)
  func resetBehindUnreadRequest(_ kind: WorldKind) throws {
    let pair = try Pair(kind)
    pair.server.onReceived = { c, _ in
      pair.serverLoop.pauseReading(c)
      return 1
    }
    let (c, s) = try pair.connect()
    pair.clientLoop.write(c, pattern(50))
    #expect(pair.world.run { pair.server.received(s).count == 1 })
    pair.clientLoop.write(c, pattern(50))
    pair.world.settle()
    pair.clientLoop.close(c, .reset)
    // Nobody resumes: the server reads on when the client does, for example, which has gone.
    #expect(pair.world.run { pair.server.isClosed(s) })
    #expect(pair.server.events[s]?.last == .closed(.peerReset))
    #expect(pair.serverLoop.pool.lentBytes == 0)
  }

  @Test("a refused connect is told by closed alone", arguments: WorldKind.all)
  func refused(_ kind: WorldKind) throws {
    let pair = try Pair(kind)
    pair.serverLoop.stopAccepting(pair.listener)
    let c = pair.clientLoop.connect(to: pair.address, tag: 9)
    #expect(!c.isNone)
    #expect(pair.client.events[c] == nil)
    #expect(pair.world.run { pair.client.isClosed(c) })
    #expect(pair.client.events[c] == [.closed(.connectFailed)])
  }

  @Test("closing while connecting ends quietly", arguments: WorldKind.all)
  func closeWhileConnecting(_ kind: WorldKind) throws {
    let pair = try Pair(kind)
    let c = pair.clientLoop.connect(to: pair.address)
    pair.clientLoop.close(c)
    #expect(pair.world.run { pair.client.isClosed(c) })
    #expect(pair.client.events[c] == [.closed(.ended)])
  }

  @Test("ids of closed connections do nothing, also when their slot lives again", arguments: WorldKind.all)
  func staleIDs(_ kind: WorldKind) throws {
    let pair = try Pair(kind)
    let (old, oldServer) = try pair.connect()
    pair.clientLoop.close(old, .reset)
    #expect(pair.world.run { pair.client.isClosed(old) && pair.server.isClosed(oldServer) })
    let (c, s) = try pair.connect()
    #expect(c.index == old.index)
    #expect(c != old)
    #expect(pair.clientLoop.write(old, pattern(10)) == .closed)
    pair.clientLoop.setUser(old, 77)
    pair.clientLoop.pauseReading(old)
    pair.clientLoop.resumeReading(old)
    pair.clientLoop.finishWriting(old)
    pair.clientLoop.close(old, .reset)
    pair.clientLoop.close(old)
    #expect(pair.clientLoop.user(c) == 5)
    #expect(pair.clientLoop.user(old) == 0)
    pair.clientLoop.write(c, pattern(10))
    #expect(pair.world.run { pair.server.received(s).count == 10 })
    #expect(pair.client.events[c] == [.connected])
  }

  @Test("a graceful close delivers everything written although input was left unread", arguments: WorldKind.all)
  func gracefulClose(_ kind: WorldKind) throws {
    let pair = try Pair(kind)
    pair.server.onReceived = { c, view in
      if pair.server.received(c).isEmpty {
        pair.serverLoop.write(c, pattern(400_000))
        pair.serverLoop.close(c)
      }
      return min(1, view.count)
    }
    pair.client.onReadEnded = { pair.clientLoop.close($0) }
    let (c, s) = try pair.connect()
    for i in 0..<20 { pair.clientLoop.write(c, pattern(20_000, from: i * 20_000)) }
    #expect(pair.world.run { pair.client.isClosed(c) && pair.server.isClosed(s) })
    #expect(pair.client.received(c) == pattern(400_000))
    #expect(pair.server.events[s] == [.accepted, .closed(.ended)])
  }

  @Test("a graceful close gives a peer that never ends one second", arguments: WorldKind.all)
  func lingering(_ kind: WorldKind) throws {
    let pair = try Pair(kind)
    let (c, s) = try pair.connect()
    let start = pair.serverLoop.now
    pair.serverLoop.close(s)
    #expect(pair.world.run { pair.client.events[c]?.contains(.readEnded) ?? false })
    #expect(!pair.server.isClosed(s))
    #expect(pair.world.run { pair.server.isClosed(s) })
    #expect(pair.server.events[s] == [.accepted, .closed(.lingerTimeout)])
    let waited = pair.serverLoop.now - start
    #expect(waited >= .seconds(1) && (kind == .epoll || waited < .milliseconds(1_010)))
    #expect(pair.world.run { pair.client.isClosed(c) })
  }

  @Test("a slow reader gets everything although its peer's second to close is over", arguments: WorldKind.all)
  func slowReaderOfTheLastBytes(_ kind: WorldKind) throws {
    let pair = try Pair(kind)
    let (c, s) = try pair.connect()
    let address = pair.serverLoop.localAddress(s)
    pair.clientLoop.pauseReading(c)
    pair.world.network?.cut(address)
    // As much as the socket takes at once: from there on it is the kernel's to deliver.
    var sent = 0
    while sent < 60_000, pair.serverLoop.write(s, pattern(4_000, from: sent)) == .written { sent += 4_000 }
    pair.serverLoop.close(s)
    pair.world.advance(by: .milliseconds(1_300))
    #expect(pair.server.isClosed(s))
    pair.world.network?.restore(address)
    pair.clientLoop.resumeReading(c)
    #expect(pair.world.run { pair.client.events[c]?.contains(.readEnded) ?? false || pair.client.isClosed(c) })
    #expect(pair.client.received(c).starts(with: pattern(sent)))
    #expect(pair.client.events[c]?.contains(.readEnded) ?? false)
  }

  @Test(
    "a graceful close waits for a slow reader: its second begins when everything has left",
    arguments: WorldKind.inMemory)
  func slowReader(_ kind: WorldKind) throws {
    let pair = try Pair(kind)
    let (c, s) = try pair.connect()
    pair.clientLoop.pauseReading(c)
    pair.serverLoop.write(s, pattern(400_000))
    pair.serverLoop.close(s)
    var turns = 0
    while pair.client.received(c).count < 400_000, turns < 300 {
      pair.world.advance(by: .milliseconds(2_500))
      pair.clientLoop.resumeReading(c)
      pair.world.advance(by: .zero)
      pair.clientLoop.pauseReading(c)
      turns += 1
    }
    #expect(turns > 1)
    #expect(pair.client.received(c) == pattern(400_000))
    pair.world.advance(by: .milliseconds(1_100))
    #expect(pair.server.events[s] == [.accepted, .closed(.lingerTimeout)])
  }

  @Test("a graceful close gives up on a reader that takes nothing at all", arguments: WorldKind.inMemory)
  func stalledReader(_ kind: WorldKind) throws {
    let pair = try Pair(kind)
    let (c, s) = try pair.connect()
    pair.clientLoop.pauseReading(c)
    pair.serverLoop.write(s, pattern(400_000))
    pair.serverLoop.close(s)
    pair.world.advance(by: .seconds(29))
    #expect(!pair.server.isClosed(s))
    pair.world.advance(by: .seconds(2))
    #expect(pair.server.events[s] == [.accepted, .closed(.lingerTimeout)])
  }

  @Test("an early answer is delivered although the request could not be sent whole", arguments: WorldKind.all)
  func earlyResponse(_ kind: WorldKind) throws {
    let pair = try Pair(kind)
    let (c, s) = try pair.connect()
    pair.clientLoop.pauseReading(c)
    pair.serverLoop.write(s, pattern(1_000))
    pair.world.settle()
    pair.serverLoop.close(s, .reset)
    pair.world.settle()
    #expect(pair.clientLoop.isLive(c), "the answer is still to be read")
    _ = pair.clientLoop.write(c, pattern(1_000))
    pair.world.settle()
    #expect(pair.clientLoop.write(c, pattern(1)) == .closed)
    pair.clientLoop.resumeReading(c)
    #expect(pair.world.run { pair.client.isClosed(c) })
    #expect(pair.client.received(c) == pattern(1_000))
    #expect(pair.client.events[c] == [.connected, .closed(.peerReset)])
  }

  @Test("a connection over its input limit is closed and counted", arguments: WorldKind.all)
  func inputLimit(_ kind: WorldKind) throws {
    var limits = Limits()
    limits.stashedBytes = 100_000
    let pair = try Pair(kind, serverLimits: limits)
    pair.server.onReceived = { _, _ in 0 }
    let (c, s) = try pair.connect()
    for i in 0..<20 { pair.clientLoop.write(c, pattern(10_000, from: i * 10_000)) }
    #expect(pair.world.run { pair.server.isClosed(s) })
    #expect(pair.server.events[s] == [.accepted, .closed(.inputLimit)])
    #expect(pair.serverLoop.statistics.stashLimitReached == 1)
    #expect(pair.serverLoop.pool.lentBytes == 0)
  }

  @Test("a connection over its output limit is reset and counted", arguments: WorldKind.all)
  func outputLimit(_ kind: WorldKind) throws {
    var limits = Limits()
    limits.queuedBytes = 100_000
    let pair = try Pair(kind, serverLimits: limits)
    let (c, s) = try pair.connect()
    pair.clientLoop.pauseReading(c)
    var outcome = WriteOutcome.written
    var rounds = 0
    while outcome != .closed, rounds < 10_000 {
      outcome = pair.serverLoop.write(s, pattern(50_000))
      rounds += 1
    }
    #expect(pair.world.run { pair.server.isClosed(s) })
    #expect(pair.server.events[s] == [.accepted, .closed(.outputLimit)])
    #expect(pair.serverLoop.statistics.queueLimitReached == 1)
  }

  @Test("connections beyond the limit are shed, those there stay", arguments: WorldKind.all)
  func connectionLimit(_ kind: WorldKind) throws {
    var limits = Limits()
    limits.connections = 2
    let pair = try Pair(kind, serverLimits: limits)
    let (a, sa) = try pair.connect()
    _ = try pair.connect()
    let third = pair.clientLoop.connect(to: pair.address)
    #expect(pair.world.run { pair.client.isClosed(third) })
    #expect(pair.serverLoop.statistics.shedConnectionLimit == 1)
    pair.clientLoop.write(a, pattern(4))
    #expect(pair.world.run { pair.server.received(sa).count == 4 })
  }

  @Test("a stopped listener refuses new connections and keeps the old", arguments: WorldKind.all)
  func stopAccepting(_ kind: WorldKind) throws {
    let pair = try Pair(kind)
    let (c, s) = try pair.connect()
    pair.serverLoop.stopAccepting(pair.listener)
    pair.clientLoop.write(c, pattern(4))
    #expect(pair.world.run { pair.server.received(s).count == 4 })
    let again = try pair.serverLoop.listen(on: pair.address)
    #expect(pair.serverLoop.address(of: again) == pair.address)
    _ = try pair.connect()
  }

  @Test("head and body leave in order by one gathering write", arguments: WorldKind.all)
  func gather(_ kind: WorldKind) throws {
    let pair = try Pair(kind)
    let (c, s) = try pair.connect()
    var sent: [UInt8] = []
    for i in 0..<200 {
      let head = pattern(i * 7 % 300, from: i)
      let body = pattern(i * 131 % 9_000, from: i + 1)
      head.withByteView { head in _ = body.withByteView { pair.clientLoop.write(c, head, $0) } }
      sent += head + body
    }
    #expect(pair.world.run { pair.server.received(s).count == sent.count })
    #expect(pair.server.received(s) == sent)
  }

  @Test("bytes written before the connection stands are sent when it does", arguments: WorldKind.all)
  func writeWhileConnecting(_ kind: WorldKind) throws {
    let pair = try Pair(kind)
    let c = pair.clientLoop.connect(to: pair.address)
    #expect(pair.clientLoop.write(c, pattern(5_000)) == .queued)
    pair.clientLoop.finishWriting(c)
    pair.server.onReadEnded = { pair.serverLoop.close($0) }
    #expect(pair.world.run { pair.client.isClosed(c) && pair.server.allClosed })
    #expect(pair.server.received(pair.server.connections[0]) == pattern(5_000))
  }

  @Test("one loud connection does not keep the others waiting", arguments: WorldKind.all)
  func fairness(_ kind: WorldKind) throws {
    var limits = Limits()
    limits.readBytesPerTurn = 16_384
    let pair = try Pair(kind, serverLimits: limits)
    let (loud, loudServer) = try pair.connect()
    let (quiet, quietServer) = try pair.connect()
    pair.serverLoop.pauseReading(loudServer)
    pair.clientLoop.write(loud, pattern(900_000))
    pair.world.settle()
    pair.serverLoop.resumeReading(loudServer)
    pair.clientLoop.write(quiet, pattern(10))
    var loudBefore = -1
    pair.server.onReceived = { c, view in
      if c == quietServer { loudBefore = pair.server.received(loudServer).count }
      return view.count
    }
    #expect(pair.world.run { pair.server.received(quietServer).count == 10 })
    #expect(loudBefore < 400_000)
    #expect(pair.world.run { pair.server.received(loudServer).count == 900_000 })
    #expect(pair.server.received(loudServer) == pattern(900_000))
  }

  @Test("shutdown ends every connection once and lets the handler go", arguments: WorldKind.all)
  func shutdown(_ kind: WorldKind) throws {
    let pair = try Pair(kind)
    let (_, s) = try pair.connect()
    pair.serverLoop.shutdown()
    #expect(pair.server.events[s] == [.accepted, .closed(.loopEnded)])
    #expect(pair.serverLoop.handler == nil)
    #expect(!pair.serverLoop.mailbox.post { _ in })
  }
}
