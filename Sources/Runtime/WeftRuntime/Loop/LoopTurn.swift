// How a loop runs: one turn after the other.

package import WeftBase

/// A foreign descriptor on the loop (DNS sockets, signals).
struct DescriptorWatch {
  let descriptor: Int32
  let ready: (DriverEvent.Flags) -> Void
}

extension EventLoop {
  /// Rounds of consequences in one turn; what then is still owed waits for the next one, which does not sleep.
  private static var consequenceRounds: Int { 16 }

  /// Turns until `stop`, then ends as `shutdown` does.
  package func run() {
    while unsafe !state.pointee.isStopped { turn() }
    shutdown()
  }

  /// Ends `run` after this turn.
  package func stop() { unsafe state.pointee.isStopped = true }

  /// One turn. Waits for an event, at most until the next timer and `deadline`. Returns whether anything happened.
  @discardableResult
  package func turn(until deadline: MonotonicInstant? = nil) -> Bool {
    let owed = !consequences.isEmpty || !unread.isEmpty || !turnTokens.isEmpty
    mailbox.turns(since: 0)
    let count = unsafe driver.wait(until: owed ? .zero : wakeTime(deadline), events: events)
    let began = driver.now()
    mailbox.turns(since: began.nanoseconds)
    unsafe state.pointee.now = began
    unsafe state.pointee.statistics.turns += 1
    unsafe state.pointee.statistics.events += UInt64(count)
    guard let handler else { preconditionFailure("a loop turns only with a handler") }

    // Connections that used up their budget in the last turn come first, before they are outrun by new events.
    var waiting = unread.count
    while waiting > 0, let key = unread.popFirst() {
      waiting -= 1
      if let c = reference(ConnectionID(rawValue: key)) {
        c.it.facts.remove(.inUnread)
        readInput(c, handler)
      }
    }
    for index in 0..<count { dispatch(unsafe events[index], handler) }
    let fired = runTimers(handler)
    let posted = runMailbox()
    settleAll(handler)
    var tokens = turnTokens.count
    let hadTokens = tokens > 0
    while tokens > 0, let token = turnTokens.popFirst() {
      tokens -= 1
      handler.endOfTurn(token: token)
    }
    if hadTokens { settleAll(handler) }
    return owed || count > 0 || fired || posted || hadTokens
  }

  /// Ends everything at once: every connection is reset and reported (`.loopEnded`), listeners are closed, the mailbox refuses, the handler
  /// is let go. A connection whose end was sent already just ends: its peer must not see a reset.
  package func shutdown() {
    guard let handler else { return }
    listeners.forEach { stopAccepting(ListenerID($0)) }
    connections.forEach { slot in
      if let c = alive(ConnectionID(slot)) {
        end(c, CloseReason(.loopEnded), reset: c.it.output != .ended)
      }
    }
    settleAll(handler)
    mailbox.close()
    watches = []
    tasks = [:]
    self.handler = nil
  }

  private func wakeTime(_ deadline: MonotonicInstant?) -> MonotonicInstant? {
    var time = deadline
    if let next = timers.nextDeadline { time = min(time ?? next, next) }
    if let next = lingering.nextDeadline { time = min(time ?? next, next) }
    return time
  }

  /// When the loop next has something to do by itself; nil when only outside events can wake it.
  package var nextDeadline: MonotonicInstant? {
    !consequences.isEmpty || !unread.isEmpty || !turnTokens.isEmpty ? .zero : wakeTime(nil)
  }

  private func dispatch(_ event: DriverEvent, _ handler: any LoopHandler) {
    let slot = SlabIndex(rawValue: event.key & ~Kind.mask)
    switch (event.key & Kind.mask) >> 28 {
    case Kind.connection:
      // A stale event names a generation that is gone.
      if let c = alive(ConnectionID(slot)) { connectionEvent(c, event.flags, handler) }
    case Kind.listener:
      acceptAll(ListenerID(slot), handler)
    default:
      if Int(slot.index) < watches.count, let watch = watches[Int(slot.index)] {
        watch.ready(event.flags)
      }
    }
  }

  private func connectionEvent(
    _ c: ConnectionReference, _ flags: DriverEvent.Flags, _ handler: any LoopHandler
  ) {
    if c.it.life == .connecting {
      finishConnecting(c, handler)
      if c.it.life.isDead || c.it.life == .connecting { return }
    }
    if flags.contains(.writable) {
      c.it.facts.remove(.writeFull)
      if !c.it.queue.isEmpty { flush(c, handler) }
      if c.it.life.isDead { return }
    }
    if flags.isDisjoint(with: [.readable, .hangup, .error]) { return }
    if !flags.isDisjoint(with: [.hangup, .error]) { c.it.input.announceEnd() }
    readInput(c, handler)
    // A connection that broke while nothing is read from it is reported at once, unless its last bytes wait for somebody.
    if flags.contains(.error), !c.it.life.isDead, c.it.facts.contains(.paused) || c.it.input == .ended,
      !keepsLastBytes(c)
    {
      endBroken(c, driver.pendingError(c.it.socket))
    }
  }

  private func runTimers(_ handler: any LoopHandler) -> Bool {
    timers.advance(to: now)
    var fired = false
    // A timer armed for "now" while this one runs belongs to the next turn, or it could keep the loop here for ever.
    var budget = timers.count
    while budget > 0, let token = timers.popDue() {
      budget -= 1
      fired = true
      unsafe state.pointee.statistics.timersFired += 1
      handler.timer(token: token)
    }
    lingering.advance(to: now)
    budget = lingering.count
    while budget > 0, let token = lingering.popDue() {
      budget -= 1
      fired = true
      if token >> 32 == 0 { runTask(token) } else { lingerDue(ConnectionID(rawValue: token)) }
    }
    return fired
  }

  private func runMailbox() -> Bool {
    guard mailbox.isFilled else { return false }
    for work in mailbox.take() { work(self) }
    return true
  }

  private func settleAll(_ handler: any LoopHandler) {
    var rounds = Self.consequenceRounds
    while rounds > 0, !consequences.isEmpty {
      rounds -= 1
      var waiting = consequences.count
      while waiting > 0, let key = consequences.popFirst() {
        waiting -= 1
        if let c = reference(ConnectionID(rawValue: key)) { settle(c, handler) }
      }
    }
  }

  /// Gives the handler what a connection owes it.
  private func settle(_ c: ConnectionReference, _ handler: any LoopHandler) {
    c.it.facts.remove(.inConsequences)
    if c.it.life.isDead { return report(c, handler) }
    if c.it.facts.contains(.feedStash) {
      feedStash(c, handler)
      if c.it.life.isDead { return }
    }
    if c.it.facts.contains(.owesStash) {
      c.it.facts.remove(.owesStash)
      deliverStash(c, handler)
      if c.it.life.isDead { return }
      if c.it.transport == .endOwed {
        transportEnded(c, handler)
        if c.it.life.isDead { return }
      }
      if c.it.facts.contains(.readReady) { readInput(c, handler) }
    }
    if c.it.output == .broken, !c.it.life.isDead { finishBroken(c, handler) }
  }

  // MARK: Foreign descriptors

  /// Watches a foreign descriptor (level-triggered) until `unwatch`. `ready` is called on the loop. Cold path.
  /// *Errors*: drivers without descriptors refuse.
  package func watch(
    _ descriptor: Int32, _ interest: DriverEvent.Flags, ready: @escaping (DriverEvent.Flags) -> Void
  ) throws(WeftError) {
    let index: Int
    if let known = watches.firstIndex(where: { $0?.descriptor == descriptor }) {
      index = known
    } else if let free = watches.firstIndex(where: { $0 == nil }) {
      index = free
    } else {
      index = watches.count
      watches.append(nil)
    }
    let result = driver.watch(
      descriptor, interest,
      key: Kind.key(SlabIndex(index: UInt32(index), generation: 0), Kind.watch))
    guard result >= 0 else { throw .system("watch descriptor", -result) }
    watches[index] = DescriptorWatch(descriptor: descriptor, ready: ready)
  }

  /// Ends the watch of `descriptor`; call it before closing that.
  package func unwatch(_ descriptor: Int32) {
    guard let index = watches.firstIndex(where: { $0?.descriptor == descriptor }) else { return }
    _ = driver.watch(descriptor, [], key: 0)
    watches[index] = nil
  }
}
