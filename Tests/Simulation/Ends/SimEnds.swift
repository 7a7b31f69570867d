// SimEnds: the handler of a process of clients or servers: gives each connection's events to the object behind it.

import WeftBase
import WeftRuntime
import WeftTestKit

/// One end of one connection.
class SimEnd {
  unowned let host: SimEnds
  fileprivate(set) var c = ConnectionID.none
  fileprivate(set) var isOver = false

  init(_ host: SimEnds) { self.host = host }

  var world: SimWorld { host.world }
  var loop: EventLoop { host.process.loop }

  func write(_ bytes: [UInt8]) { if !isOver { bytes.withByteView { _ = loop.write(c, $0) } } }
  func write(_ text: String) { write(Array(text.utf8)) }

  /// Runs `body` later, unless the connection is over by then.
  func later(_ delay: Duration, _ body: @escaping () -> Void) {
    world.after(delay) { [self] in if !isOver { body() } }
  }

  /// Reads nothing for a while.
  func nap(_ time: Duration) {
    loop.pauseReading(c)
    later(time) { [self] in loop.resumeReading(c) }
  }

  /// For the story.
  var name: String { "connection \(c.index).\(c.rawValue >> 32)" }

  // Events.
  func opened() {}
  func received(_ bytes: ByteView) {}
  func readEnded() {}
  func closed(_ reason: CloseReason) {}
}

final class SimEnds: LoopHandler {
  let world: SimWorld
  let process: SimWorld.Process
  private var ends: [SimEnd?] = []
  private var listeners: [UInt16: ListenerID] = [:]
  private var makers: [ListenerID: (SimEnds) -> SimEnd] = [:]

  init(_ world: SimWorld, _ process: SimWorld.Process) {
    self.world = world
    self.process = process
    process.loop.handler = self
  }

  var liveEnds: [SimEnd] { ends.compactMap { $0 }.filter { !$0.isOver } }

  func connect(_ end: SimEnd, to address: SocketAddress) {
    ends.append(end)
    end.c = process.loop.connect(to: address, tag: UInt64(ends.count))
  }

  func listen(_ port: UInt16, _ make: @escaping (SimEnds) -> SimEnd) {
    guard listeners[port] == nil,
      let id = try? process.loop.listen(on: SocketAddress(.loopback4, port: port))
    else { return }
    listeners[port] = id
    makers[id] = make
  }

  func stopListening(_ port: UInt16) {
    if let id = listeners.removeValue(forKey: port) { process.loop.stopAccepting(id) }
  }

  private func end(_ c: ConnectionID) -> SimEnd? {
    let word = process.loop.user(c)
    return word == 0 ? nil : ends[Int(word) - 1]
  }

  func accepted(_ c: ConnectionID, on listener: ListenerID, from peer: SocketAddress) {
    guard let end = makers[listener]?(self) else { return process.loop.close(c, .reset) }
    ends.append(end)
    end.c = c
    process.loop.setUser(c, UInt64(ends.count))
    end.opened()
  }
  func connected(_ c: ConnectionID) { end(c)?.opened() }
  func received(_ c: ConnectionID, _ bytes: ByteView) -> Int {
    end(c)?.received(bytes)
    return bytes.count
  }
  func readEnded(_ c: ConnectionID) { end(c)?.readEnded() }
  func closed(_ c: ConnectionID, _ reason: CloseReason) {
    guard let end = end(c) else { return }
    end.isOver = true
    end.closed(reason)
    let word = process.loop.user(c)
    ends[Int(word) - 1] = nil
  }
}
