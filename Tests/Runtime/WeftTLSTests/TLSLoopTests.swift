import Testing
import WeftBase
import WeftRuntime
import WeftTLS

/// A handler that starts transports and echoes.
private final class TLSHandler: LoopHandler {
  unowned var loop: EventLoop!
  var makeSession: (ConnectionID) -> TLSSession? = { _ in nil }
  /// Starts the session only when the first bytes have been seen, as a listener that sniffs does.
  var startsOnFirstBytes = false
  var echoes = false
  var events: [String] = []
  var bytes: [UInt8] = []
  var connection = ConnectionID.none
  var failure: String?
  var pausesAfter = Int.max
  var onReady: (ConnectionID) -> Void = { _ in }
  /// Instead of closing, what to do at the peer's end.
  var onEnded: ((ConnectionID) -> Void)?
  /// A client's session that the loop knows nothing of: what it says reaches the wire as it is.
  var byHand: TLSSession?

  /// Runs `work` on the session held by hand and sends what it made.
  func byHand(_ c: ConnectionID, _ work: (TLSSession, inout ByteBuffer) -> Void) {
    guard let byHand else { return }
    var output = ByteBuffer()
    work(byHand, &output)
    if !output.isEmpty { _ = loop.write(c, output.view) }
  }

  func accepted(_ c: ConnectionID, on listener: ListenerID, from peer: SocketAddress) {
    events.append("accepted")
    connection = c
    if !startsOnFirstBytes, let session = makeSession(c) { loop.startTransport(c, session) }
  }
  func connected(_ c: ConnectionID) {
    events.append("connected")
    byHand(c) { $0.start(output: &$1) }
    onReady(c)
  }
  func secured(_ c: ConnectionID) {
    events.append("secured")
    onReady(c)
  }
  func received(_ c: ConnectionID, _ view: ByteView) -> Int {
    if startsOnFirstBytes, loop.transport(c) == nil, let session = makeSession(c) {
      if view.count < 3 { return 0 }
      loop.startTransport(c, session)
      return 0
    }
    if byHand != nil {
      byHand(c) { session, output in
        var plaintext = ByteBuffer()
        let before = session.status
        let status = session.receive(view, plaintext: &plaintext, output: &output)
        bytes += plaintext.view.array
        if before != status { events.append("\(status)") }
      }
      return view.count
    }
    bytes += view.array
    if echoes { _ = loop.write(c, view) }
    if bytes.count > pausesAfter {
      pausesAfter = .max
      loop.pauseReading(c)
    }
    return view.count
  }
  func readEnded(_ c: ConnectionID) {
    events.append("readEnded")
    if let onEnded { onEnded(c) } else { loop.close(c) }
  }
  func socketEnded(_ c: ConnectionID) { events.append("socketEnded") }
  func closed(_ c: ConnectionID, _ reason: CloseReason) {
    events.append("closed(\(reason.kind))")
    failure = loop.transport(c)?.failure
  }
}

/// Which driver, as in the runtime's own laws.
enum Wire: Sendable, CaseIterable { case memory, memorySplit, epoll }

private final class TLSWorld {
  let client = TLSHandler()
  let server = TLSHandler()
  let clientLoop: EventLoop
  let serverLoop: EventLoop
  let address: SocketAddress
  let network: MemoryNetwork?

  init(_ wire: Wire) throws {
    var behaviour = MemoryBehaviour()
    behaviour.splits = wire == .memorySplit
    let network = wire == .epoll ? nil : MemoryNetwork(seed: 11, behaviour: behaviour)
    self.network = network
    func driver() -> Driver { network.map { MemoryDriver(network: $0) } ?? EpollDriver() }
    clientLoop = EventLoop(driver: driver())
    serverLoop = EventLoop(driver: driver())
    clientLoop.handler = client
    serverLoop.handler = server
    client.loop = clientLoop
    server.loop = serverLoop
    address = serverLoop.address(of: try serverLoop.listen(on: .loopback(port: 0)))
  }

  deinit {
    clientLoop.shutdown()
    serverLoop.shutdown()
  }

  func run(until done: () -> Bool) -> Bool {
    if let network { return network.run([clientLoop, serverLoop], until: done) }
    let end = clientLoop.driver.now() + .seconds(20)
    while !done() {
      let busy = [clientLoop.turn(until: .zero), serverLoop.turn(until: .zero)].contains(true)
      let now = clientLoop.driver.now()
      if now > end { return false }
      if !busy { clientLoop.turn(until: now + .milliseconds(1)) }
    }
    return true
  }

  /// Both loops turn until what is under way has arrived.
  func settle() {
    for _ in 0..<20 { _ = [clientLoop, serverLoop].map { $0.turn(until: .zero) } }
  }

  func connect(_ context: TLSContext?) -> ConnectionID {
    let c = clientLoop.connect(to: address)
    if let context { clientLoop.startTransport(c, TLSSession.client(context)) }
    return c
  }
}

@Suite("TLS on a loop")
struct TLSLoopTests {
  private func contexts() throws -> (client: TLSContext, server: TLSContext) {
    let authority = try TestCertificates.authority()
    var client = TLSConfiguration.client(trusting: authority.trust)
    client.serverName = "server.test"
    client.peerNames = [.exact(.dns, "server.test")]
    client.protocols = ["h2"]
    var server = TLSConfiguration.server(try TestCertificates.server(authority))
    server.protocols = ["h2"]
    return (try TLSContext(client), try TLSContext(server))
  }

  @Test("an echo through TLS ends in order on both sides", arguments: Wire.allCases, [false, true])
  func echo(_ wire: Wire, _ sniffs: Bool) throws {
    let contexts = try contexts()
    let world = try TLSWorld(wire)
    world.server.makeSession = { _ in TLSSession.server(contexts.server) }
    world.server.startsOnFirstBytes = sniffs
    world.server.echoes = true
    let sent = pattern(300_000)
    world.client.onReady = { c in _ = sent.withByteView { world.clientLoop.write(c, $0) } }
    world.server.onReady = { c in
      #expect(world.serverLoop.transport(c)?.serverName == "server.test")
      #expect(world.serverLoop.transport(c)?.negotiatedProtocol == "h2")
    }
    let c = world.connect(contexts.client)
    #expect(world.run { world.client.bytes.count >= sent.count })
    #expect(world.client.bytes == sent)
    world.clientLoop.finishWriting(c)
    #expect(world.run { world.client.events.count == 3 && world.server.events.count == 4 })
    #expect(world.client.events == ["connected", "readEnded", "closed(ended)"])
    #expect(world.server.events == ["accepted", "secured", "readEnded", "closed(ended)"])
    #expect(world.serverLoop.pool.lentBytes == 0)
    #expect(world.clientLoop.pool.lentBytes == 0)
  }

  @Test("a paused reader keeps decrypted bytes and gets them all later", arguments: Wire.allCases)
  func pause(_ wire: Wire) throws {
    let contexts = try contexts()
    let world = try TLSWorld(wire)
    world.server.makeSession = { _ in TLSSession.server(contexts.server) }
    world.server.pausesAfter = 10
    let sent = pattern(500_000)
    world.client.onReady = { c in
      _ = sent.withByteView { world.clientLoop.write(c, $0) }
      world.clientLoop.finishWriting(c)
    }
    _ = world.connect(contexts.client)
    #expect(world.run { world.server.bytes.count > 10 })
    for _ in 0..<10 { _ = world.clientLoop.turn(until: .zero) && world.serverLoop.turn(until: .zero) }
    #expect(world.server.bytes.count < sent.count)
    #expect(!world.server.events.contains("readEnded"))
    world.serverLoop.resumeReading(world.server.connection)
    #expect(world.run { world.server.events.contains("readEnded") })
    #expect(world.server.bytes == sent)
  }

  @Test("a paused connection with bytes to come, closed when its server is gone, ends", arguments: Wire.allCases)
  func closedBehindReset(_ wire: Wire) throws {
    let contexts = try contexts()
    let world = try TLSWorld(wire)
    world.server.makeSession = { _ in TLSSession.server(contexts.server) }
    let sent = pattern(500_000)
    world.server.onReady = { c in _ = sent.withByteView { world.serverLoop.write(c, $0) } }
    world.client.pausesAfter = 10
    let c = world.connect(contexts.client)
    #expect(world.run { world.client.bytes.count > 10 })
    world.settle()
    world.serverLoop.close(world.server.connection, .reset)
    world.settle()
    #expect(!world.client.events.contains { $0.hasPrefix("closed") }, "it ended by itself: nothing is left to prove")
    // Its close_notify finds nobody.
    world.clientLoop.close(c)
    #expect(world.run { world.client.events.contains { $0.hasPrefix("closed") } })
    #expect(world.clientLoop.statistics.connections == 0)
    #expect(world.clientLoop.pool.lentBytes == 0)
  }

  @Test("plain HTTP on a TLS port ends with a reason, and the client is not left hanging", arguments: Wire.allCases)
  func plaintext(_ wire: Wire) throws {
    let contexts = try contexts()
    let world = try TLSWorld(wire)
    world.server.makeSession = { _ in TLSSession.server(contexts.server) }
    world.client.onReady = { c in _ = "GET / HTTP/1.1\r\nHost: a\r\n\r\n".withByteView { world.clientLoop.write(c, $0) }
    }
    _ = world.connect(nil)
    #expect(world.run { world.client.events.count == 3 && world.server.events.count == 2 })
    #expect(world.server.events == ["accepted", "closed(transportFailed)"])
    #expect(world.server.failure?.contains("http request") ?? false, "\(world.server.failure ?? "")")
    #expect(world.server.bytes.isEmpty)
  }

  @Test("a client that speaks TLS to a plain server fails with a reason", arguments: Wire.allCases)
  func tlsToPlain(_ wire: Wire) throws {
    let contexts = try contexts()
    let world = try TLSWorld(wire)
    world.server.onReady = { _ in }
    _ = world.connect(contexts.client)
    #expect(world.run { !world.server.bytes.isEmpty })
    _ = "HTTP/1.1 400 Bad Request\r\n\r\n".withByteView { world.serverLoop.write(world.server.connection, $0) }
    #expect(world.run { !world.client.events.isEmpty })
    #expect(world.client.events.first == "closed(transportFailed)")
    #expect(world.client.failure?.contains("wrong version number") ?? false, "\(world.client.failure ?? "")")
  }

  @Test("a peer that goes away during the handshake is a failed connection", arguments: Wire.allCases)
  func goneDuringHandshake(_ wire: Wire) throws {
    let contexts = try contexts()
    let world = try TLSWorld(wire)
    _ = world.connect(contexts.client)
    #expect(world.run { !world.server.bytes.isEmpty })
    world.serverLoop.finishWriting(world.server.connection)
    #expect(world.run { !world.client.events.isEmpty })
    #expect(world.client.events == ["closed(transportFailed)"])
    #expect(world.client.failure == "connection closed by the peer during the TLS handshake")
  }

  @Test("close_notify is half of a close: what is still to be sent arrives, then both end", arguments: Wire.allCases)
  func closeNotify(_ wire: Wire) throws {
    let contexts = try contexts()
    let world = try TLSWorld(wire)
    world.server.makeSession = { _ in TLSSession.server(contexts.server) }
    let answer = pattern(300_000)
    world.server.onEnded = { c in
      #expect(world.serverLoop.stillReads(c))
      _ = answer.withByteView { world.serverLoop.write(c, $0) }
      world.serverLoop.close(c)
    }
    let session = TLSSession.client(contexts.client)
    world.client.byHand = session
    let c = world.connect(nil)
    #expect(world.run { session.status == .open && world.server.events.contains("secured") })
    world.client.byHand(c) { session, output in
      #expect("the last word".withByteView { session.send($0, output: &output) })
      session.finish(output: &output)
    }
    #expect(world.run { world.client.events.contains { $0.hasPrefix("closed") } && world.server.events.count == 4 })
    #expect(world.client.bytes == answer)
    #expect(world.server.bytes == Array("the last word".utf8))
    #expect(world.client.events == ["connected", "open", "ended", "readEnded", "closed(ended)"])
    #expect(world.server.events == ["accepted", "secured", "readEnded", "closed(ended)"])
    #expect(world.serverLoop.pool.lentBytes == 0)
  }

  @Test(
    "behind a close_notify the end of the socket is told, too, paused or not", arguments: Wire.allCases, [true, false])
  func socketEnd(_ wire: Wire, _ pauses: Bool) throws {
    let contexts = try contexts()
    let world = try TLSWorld(wire)
    world.server.makeSession = { _ in TLSSession.server(contexts.server) }
    world.server.onEnded = { _ in }
    if pauses { world.server.pausesAfter = 2 }
    let session = TLSSession.client(contexts.client)
    world.client.byHand = session
    let c = world.connect(nil)
    #expect(world.run { session.status == .open && world.server.events.contains("secured") })
    world.client.byHand(c) { session, output in
      #expect("word".withByteView { session.send($0, output: &output) })
      session.finish(output: &output)
    }
    #expect(world.run { world.server.bytes.count == 4 })
    if pauses {
      #expect(!world.server.events.contains("readEnded"))
      world.serverLoop.resumeReading(world.server.connection)
    }
    #expect(world.run { world.server.events.contains("readEnded") })
    #expect(!world.server.events.contains("socketEnded"))
    world.clientLoop.finishWriting(c)
    #expect(world.run { world.server.events.contains("socketEnded") })
    #expect(!world.serverLoop.stillReads(world.server.connection))
    world.serverLoop.close(world.server.connection)
    #expect(world.run { world.server.events.last == "closed(ended)" })
    #expect(world.server.events == ["accepted", "secured", "readEnded", "socketEnded", "closed(ended)"])
  }
}
