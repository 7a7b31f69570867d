// How input reaches the handler: one shared read buffer, and a pooled stash for what the handler leaves.

import Glibc
import WeftBase

extension EventLoop {
  /// Up to this many kept bytes are copied in front of the next read, so that it can be a large one; more are read behind in place, so
  /// that a long head that drips in is never copied again and again.
  private static var smallStash: Int { 4096 }

  /// Stops `received` and `readEnded`; what has been read is kept. The kernel's buffers fill and slow the peer down.
  package func pauseReading(_ c: ConnectionID) {
    guard let c = alive(c) else { return }
    c.it.facts.insert(.paused)
    c.it.facts.remove(.owesStash)
  }

  /// Whether the peer of `c` has ended its transport in order and may still read: its socket has not ended.
  package func stillReads(_ c: ConnectionID) -> Bool {
    guard let c = alive(c) else { return false }
    return c.it.transport == .ended && c.it.input != .ended
  }

  /// Whether the driver has told that the peer of `c` sends no more, also while bytes from before it are unread (reading is paused, or its turn is spent).
  package func peerEnds(_ c: ConnectionID) -> Bool {
    guard let c = alive(c) else { return true }
    return c.it.input != .flowing
  }

  /// Lets them come again, first with what was kept.
  package func resumeReading(_ c: ConnectionID) {
    guard let c = alive(c), c.it.facts.contains(.paused) else { return }
    c.it.facts.remove(.paused)
    if c.it.stash.count > 0 || c.it.facts.contains(.readReady) || c.it.output == .broken || c.it.transport == .endOwed {
      c.it.facts.insert(.owesStash)
      list(c)
    }
  }

  /// Reads until the socket is drained, the handler pauses, or the budget of this turn is spent.
  func readInput(_ c: ConnectionReference, _ handler: any LoopHandler) {
    c.it.facts.insert(.readReady)
    var budget = limits.readBytesPerTurn
    while true {
      let facts = c.it.facts
      // What was kept while the handler was paused comes before what is read, an end above all.
      if c.it.life.isDead || c.it.life == .connecting || c.it.input == .ended
        || !facts.isDisjoint(with: [.feedStash, .owesStash])
      {
        return
      }
      let discards = c.it.life == .closing
      let secure = c.it.transport.isSecure
      // A handshake goes on while the handler does not want plaintext yet.
      if facts.contains(.paused), !discards, !secure || c.it.transport.isOpen { return }

      var base = unsafe input
      var capacity = Self.inputCapacity
      let kept = secure || discards ? 0 : c.it.stash.count
      if kept > Self.smallStash {
        makeStashRoom(c)
        unsafe base = c.it.stash.base.unsafelyUnwrapped + Int(c.it.stash.tail)
        capacity = c.it.stash.room
      } else if kept > 0 {
        let view = c.it.stash.view
        unsafe memcpy(input, view.base, kept)
        unsafe base += kept
        capacity -= kept
      }

      let n = unsafe driver.read(c.it.socket, into: base, capacity: capacity)
      unsafe state.pointee.statistics.reads += 1
      if n <= 0 {
        if n == 0 { return inputEnded(c, handler) }
        switch Int32(truncatingIfNeeded: -n) {
        case EINTR: continue
        case EAGAIN:
          c.it.facts.remove(.readReady)
          if c.it.output == .broken { end(c, c.it.reason, reset: true) }
          return
        case let error: return endBroken(c, error)
        }
      }
      unsafe state.pointee.statistics.bytesRead += UInt64(n)
      // A short read means the socket is drained, unless an end is announced: that takes one more read to see.
      let drained = n < capacity && c.it.input == .flowing && c.it.output != .broken
      if drained { c.it.facts.remove(.readReady) }
      if secure, !discards {
        receiveCiphertext(c, unsafe ByteView(base, count: n), handler)
      } else if kept > Self.smallStash {
        c.it.stash.tail += UInt32(n)
        deliverStash(c, handler)
      } else if !discards {
        if kept > 0 {
          c.it.stash.head = 0
          c.it.stash.tail = 0
        }
        deliver(c, unsafe ByteView(input, count: kept + n), handler)
      }
      if drained { return }
      budget -= n
      if budget <= 0 {
        unsafe state.pointee.statistics.readBudgetSpent += 1
        if !c.it.life.isDead, !c.it.facts.contains(.inUnread) {
          c.it.facts.insert(.inUnread)
          unread.append(c.id.rawValue)
        }
        return
      }
    }
  }

  /// Hands bytes of a shared buffer to the handler and keeps what it leaves.
  private func deliver(_ c: ConnectionReference, _ bytes: ByteView, _ handler: any LoopHandler) {
    let consumed = handler.received(c.id, bytes)
    precondition(
      consumed >= 0 && consumed <= bytes.count, "a handler consumes at most what it was given")
    if c.it.life.isOver { return }
    let rest = bytes.dropFirst(consumed)
    if rest.isEmpty { return releaseStash(c) }
    if c.it.stash.block.map({ $0.capacity < rest.count }) ?? true {
      releaseStash(c)
      c.it.stash = Stash(pool.take(atLeast: rest.count))
    }
    unsafe memcpy(c.it.stash.base.unsafelyUnwrapped, rest.base, rest.count)
    c.it.stash.head = 0
    c.it.stash.tail = UInt32(rest.count)
    checkStashLimit(c)
  }

  /// Hands the kept bytes to the handler.
  func deliverStash(_ c: ConnectionReference, _ handler: any LoopHandler) {
    if c.it.stash.count == 0 || c.it.life == .closing || !c.it.facts.isDisjoint(with: [.paused, .feedStash]) { return }
    // Detached meanwhile: the handler may close the connection and still read the view.
    var stash = c.it.stash
    c.it.stash = Stash()
    let consumed = handler.received(c.id, stash.view)
    precondition(
      consumed >= 0 && consumed <= stash.count, "a handler consumes at most what it was given")
    stash.head += UInt32(consumed)
    if stash.count == 0 || c.it.life.isOver {
      if let block = stash.block { pool.give(block) }
      return
    }
    c.it.stash = stash
    checkStashLimit(c)
  }

  private func checkStashLimit(_ c: ConnectionReference) {
    if c.it.stash.count <= limits.stashedBytes || c.it.facts.contains(.paused) { return }
    unsafe state.pointee.statistics.stashLimitReached += 1
    end(c, CloseReason(.inputLimit), reset: true)
  }

  /// Room for a fair read behind the kept bytes: by moving them to the front when half the block is used up, else by a block twice as large.
  private func makeStashRoom(_ c: ConnectionReference) {
    if c.it.stash.room >= Int(c.it.stash.capacity) / 4 { return }
    growStash(c, by: Int(c.it.stash.capacity) / 4)
  }

  private func growStash(_ c: ConnectionReference, by wanted: Int) {
    let old = c.it.stash
    if old.room >= wanted { return }
    let view = old.view
    if let base = unsafe old.base, Int(old.head) >= view.count,
      Int(old.capacity) - view.count >= wanted
    {
      unsafe memcpy(base, view.base, view.count)  // cannot overlap: head ≥ count
      c.it.stash.head = 0
      c.it.stash.tail = UInt32(view.count)
      return
    }
    var grown = Stash(pool.take(atLeast: max(2 * Int(old.capacity), view.count + wanted)))
    unsafe memcpy(grown.base.unsafelyUnwrapped, view.base, view.count)
    grown.tail = UInt32(view.count)
    c.it.stash = grown
    if let block = old.block { pool.give(block) }
  }

  func appendToStash(_ c: ConnectionReference, _ bytes: ByteView) {
    growStash(c, by: bytes.count)
    unsafe memcpy(c.it.stash.base.unsafelyUnwrapped + Int(c.it.stash.tail), bytes.base, bytes.count)
    c.it.stash.tail += UInt32(bytes.count)
  }

  func releaseStash(_ c: ConnectionReference) {
    if let block = c.it.stash.block { pool.give(block) }
    c.it.stash = Stash()
  }

  /// The peer has ended its side.
  private func inputEnded(_ c: ConnectionReference, _ handler: any LoopHandler) {
    c.it.facts.remove(.readReady)
    c.it.input.end()
    if c.it.life == .closing {
      if c.it.output == .ended { end(c, c.it.reason, reset: false) }
      return
    }
    if c.it.transport.isSecure {
      if c.it.transport == .ended { return socketEnded(c, handler) }
      transports[c.id.index]?.inputEnded()
      if !c.it.transport.isOpen {
        return end(c, CloseReason(.transportFailed), reset: false)
      }
    }
    // A read that ends after a write failed is a reset whose error the write has used up, not an orderly end.
    if c.it.output == .broken { return end(c, c.it.reason, reset: true) }
    handler.readEnded(c.id)
    if c.it.life.isDead { return }
    if c.it.output == .ended { end(c, CloseReason(.ended), reset: false) }
  }

  /// The peer of a transport has ended in order: half of a close (RFC 8446 §6.1). Its socket is read on, for its own end.
  private func transportFinished(_ c: ConnectionReference, _ handler: any LoopHandler) {
    c.it.transport.end()
    if c.it.output == .broken { return end(c, c.it.reason, reset: true) }
    handler.readEnded(c.id)
    if c.it.life.isDead { return }
    if c.it.output == .ended { end(c, CloseReason(.ended), reset: false) }
  }

  /// The socket of a peer whose transport had ended has ended, too.
  private func socketEnded(_ c: ConnectionReference, _ handler: any LoopHandler) {
    if c.it.output == .broken { return end(c, c.it.reason, reset: true) }
    handler.socketEnded(c.id)
  }

  // MARK: Transports

  /// Feeds the transport what was read before it was started.
  func feedStash(_ c: ConnectionReference, _ handler: any LoopHandler) {
    c.it.facts.remove(.feedStash)
    let stash = c.it.stash
    c.it.stash = Stash()
    if stash.count > 0 { receiveCiphertext(c, stash.view, handler) }
    if let block = stash.block { pool.give(block) }
    if !c.it.life.isDead, c.it.facts.contains(.readReady) { readInput(c, handler) }
  }

  /// Tells the end of a transport that came while the handler was paused.
  func transportEnded(_ c: ConnectionReference, _ handler: any LoopHandler) {
    if c.it.facts.contains(.paused) { return }
    transportFinished(c, handler)
  }

  private func receiveCiphertext(
    _ c: ConnectionReference, _ bytes: ByteView, _ handler: any LoopHandler
  ) {
    guard let session = transports[c.id.index] else { return }
    let wasOpen = c.it.transport.isOpen
    plaintext.removeAll()
    let kept = c.it.stash.count
    if kept > 0, kept <= Self.smallStash, !c.it.facts.contains(.paused) {
      plaintext.append(c.it.stash.view)
      c.it.stash.head = 0
      c.it.stash.tail = 0
    }
    let status = session.receive(bytes, plaintext: &plaintext, output: &ciphertext)
    sendCiphertext(c)
    if c.it.life.isDead { return }
    if !wasOpen, status == .open || status == .ended {
      c.it.transport.open()
      established(c, handler)
    }
    if !c.it.life.isOver, !plaintext.isEmpty {
      if c.it.facts.contains(.paused) {
        appendToStash(c, plaintext.view)
      } else if c.it.stash.count > 0 {
        appendToStash(c, plaintext.view)
        deliverStash(c, handler)
      } else {
        deliver(c, plaintext.view, handler)
      }
    }
    if c.it.life.isOver || c.it.isInputOver { return }
    if status == .failed {
      // Gracefully, so that the peer can read the alert.
      beginClosing(c, CloseReason(.transportFailed))
    } else if status == .ended, !c.it.facts.contains(.paused) {
      transportFinished(c, handler)
    } else if status == .ended {
      c.it.transport.oweEnd()
    }
  }
}
