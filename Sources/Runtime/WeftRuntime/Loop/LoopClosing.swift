// How connections end: gracefully, by reset, or broken; always with exactly one `closed`.

import Glibc
import WeftBase

extension EventLoop {
  /// How long a graceful close waits for the peer's FIN once everything has left, where `setLingerTime` says nothing. *Source*: Envoy's
  /// delayed_close_timeout.
  package static var lingerTime: Duration { .seconds(1) }
  /// How long a graceful close bears a peer that takes nothing of what is still to be sent.
  package static var stallTime: Duration { .seconds(30) }

  /// Ends the connection; `closed` comes later in this turn, or, gracefully, when the peer has ended as well.
  package func close(_ c: ConnectionID, _ mode: CloseMode = .gracefully) {
    guard let c = alive(c) else { return }
    switch mode {
    case .reset: end(c, CloseReason(.localReset), reset: true)
    case .gracefully:
      if c.it.life != .closing { beginClosing(c, CloseReason(.ended)) }
      assert(c.it.life.isOver, "a connection that was closed is on its way out")
    case .atOnce: end(c, CloseReason(.ended), reset: false)
    }
  }

  /// How long the graceful close of `c` waits for the peer's FIN; zero does not wait.
  package func setLingerTime(_ c: ConnectionID, _ time: Duration) {
    guard let c = reference(c) else { return }
    c.it.lingerMilliseconds = UInt32(clamping: time.wholeMilliseconds)
  }

  /// Drains the queue, then FIN, then waits for the peer's FIN while input is discarded (unread input would turn our close into a reset
  /// and could destroy our own last bytes on their way).
  func beginClosing(_ c: ConnectionReference, _ reason: CloseReason) {
    if c.it.life == .connecting { return end(c, reason, reset: false) }
    if c.it.output == .open { finishTransport(c) }
    if c.it.life.isDead { return }
    // Also when it was close_notify that found nobody: who closes will never resume what is paused, so that its last bytes wait for nobody.
    if c.it.output == .broken { return end(c, c.it.reason, reset: true) }
    c.it.reason = reason
    c.it.life.close()
    c.it.output.requestEnd()
    c.it.facts.remove([.paused, .owesDrained, .feedStash])
    releaseStash(c)
    if c.it.output == .ended, c.it.isInputOver { return end(c, reason, reset: false) }
    armLinger(c)
    afterDraining(c)
    if !c.it.life.isDead, c.it.facts.contains(.readReady) {
      c.it.facts.insert(.owesStash)
      list(c)
    }
  }

  /// Bounds a graceful close: the linger second runs from when the output has drained, not from when the close was asked for.
  func armLinger(_ c: ConnectionReference) {
    let time = c.it.queue.isEmpty ? .milliseconds(c.it.lingerMilliseconds) : Self.stallTime
    c.it.lingerTimer = lingering.schedule(at: now + time, token: c.id.rawValue)
  }

  /// The time of a graceful close is over.
  func lingerDue(_ c: ConnectionID) {
    guard let c = alive(c), c.it.life == .closing else { return }
    let reason = c.it.reason.kind == .ended ? CloseReason(.lingerTimeout) : c.it.reason
    // Before our FIN the kernel may still hold bytes that a slow peer has not taken: a reset would take them away from it.
    let delivers = c.it.output == .ended && driver.unsentBytes(c.it.socket) > 0
    end(c, reason, reset: !delivers)
  }

  /// Closes the socket and gives back what the connection holds; `closed` is owed.
  func end(_ c: ConnectionReference, _ reason: CloseReason, reset: Bool) {
    if c.it.life.isDead { return }
    c.it.life.end()
    c.it.reason = reason
    if c.it.socket >= 0 { driver.close(c.it.socket, reset: reset) }
    c.it.socket = -1
    releaseStash(c)
    c.it.queue.clear(pool: pool)
    lingering.cancel(c.it.lingerTimer)
    list(c)
  }

  /// Ends a connection whose socket failed with `error`.
  func endBroken(_ c: ConnectionReference, _ error: Int32) {
    // After our FIN nothing of ours can be lost any more: how the peer goes away does not matter.
    let harmless = c.it.life == .closing && c.it.output == .ended
    end(c, harmless ? c.it.reason : Self.reason(of: error), reset: true)
  }

  /// Whether a broken connection waits, paused, until its last bytes are wanted: what a server said before it went away may be its answer.
  /// A client that has reset wants nothing any more; and where it is not read from because it does not read, nobody would ever resume.
  func keepsLastBytes(_ c: ConnectionReference) -> Bool {
    c.it.facts.contains(.paused) && c.it.listener.slot.isNone
      && (c.it.stash.count > 0 || driver.unreadBytes(c.it.socket) > 0)
  }

  /// A write failed. Bytes the peer sent before it went away are still delivered (an early response to a request that was never read).
  func writeFailed(_ c: ConnectionReference, _ error: Int32) {
    if c.it.life == .closing { return endBroken(c, error) }
    c.it.reason = Self.reason(of: error)
    c.it.output.fail()
    c.it.queue.clear(pool: pool)
    list(c)
  }

  /// Reads what is left of a connection that cannot be written to, then ends it.
  func finishBroken(_ c: ConnectionReference, _ handler: any LoopHandler) {
    let reason = c.it.reason
    readInput(c, handler)
    if c.it.life.isDead || c.it.facts.contains(.inUnread) { return }
    if keepsLastBytes(c) { return }
    if c.it.life == .closing || !c.it.facts.contains(.feedStash) {
      end(c, reason, reset: true)
    }
  }

  /// The last word about a connection.
  func report(_ c: ConnectionReference, _ handler: any LoopHandler) {
    if c.it.life == .reported { return }
    c.it.life.report()
    handler.closed(c.id, c.it.reason)
    unsafe state.pointee.statistics.closed += 1
    if c.it.transport.isSecure {
      transports[c.id.index]?.end()
      transports[c.id.index] = nil
    }
    connections.remove(c.id.slot)
  }

  private static func reason(of error: Int32) -> CloseReason {
    switch error {
    case ECONNRESET, EPIPE, 0: CloseReason(.peerReset, systemError: error)
    default: CloseReason(.failed, systemError: error)
    }
  }
}
