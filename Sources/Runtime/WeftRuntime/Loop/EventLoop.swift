package import WeftBase

package final class EventLoop {
  package let mailbox: Mailbox
  package let driver: Driver
  package var handler: (any LoopHandler)?
  package let pool = BufferPool()

  /// A loop over `driver`. Set `handler` before the first turn.
  package init(driver: Driver, limits: Limits = Limits(), seed: UInt64? = nil) {
    self.driver = driver
    mailbox = Mailbox(wake: driver.waker)
  }

  /// The time of this turn. *Cost*: a load.
  package var now: MonotonicInstant { .zero }
  package var statistics: LoopStatistics { LoopStatistics() }
  /// Randomness of this loop.
  package func random() -> UInt64 { 0 }

  // Running

  /// Turns until `stop`, then resets what is still connected.
  package func run() {}
  /// Ends `run` after this turn.
  package func stop() {}
  /// One turn; waits at most until `deadline` (nil: as long as timers allow). Returns whether anything happened.
  @discardableResult package func turn(until deadline: MonotonicInstant? = nil) -> Bool { false }

  // Connections

  /// Listens on `address`; port 0 takes a free one (see `address(of:)`).
  package func listen(on address: SocketAddress, _ options: ListenOptions = ListenOptions()) throws(WeftError)
    -> ListenerID
  {
    throw WeftError(.unsupported, "not yet")
  }
  /// The true address of a listener.
  package func address(of listener: ListenerID) -> SocketAddress { .unnamedUnix }
  /// Closes a listener; its connections stay.
  package func stopAccepting(_ listener: ListenerID) {}
  /// Begins to connect. The outcome comes as `connected` or `closed`; `tag` is the connection's first `user`.
  package func connect(to address: SocketAddress, _ options: ConnectionOptions = ConnectionOptions(), tag: UInt64 = 0)
    -> ConnectionID
  { .none }
  /// Writes `bytes`: at once what the socket takes, the rest is queued. They may be reused when this returns.
  package func write(_ c: ConnectionID, _ bytes: ByteView) -> WriteOutcome { .closed }
  /// Bytes queued and not yet taken by the socket.
  package func queuedBytes(_ c: ConnectionID) -> Int { 0 }
  /// Stops `received` and `readEnded`; what has been read is kept.
  package func pauseReading(_ c: ConnectionID) {}
  /// Lets them come again, first with what was kept.
  package func resumeReading(_ c: ConnectionID) {}
  package func isPaused(_ c: ConnectionID) -> Bool { false }
  /// Ends our side after the queue has drained: close_notify where secure, then FIN. Reading goes on; when the peer has ended as well the
  /// connection is closed.
  package func finishWriting(_ c: ConnectionID) {}
  /// Ends the connection; `closed` comes later.
  package func close(_ c: ConnectionID, _ mode: CloseMode = .gracefully) {}
  /// Whether `closed` has not come yet for `c`.
  package func isLive(_ c: ConnectionID) -> Bool { false }
  /// The handler's own word for a connection, 0 at first (the tag for `connect`).
  package func user(_ c: ConnectionID) -> UInt64 { 0 }
  package func setUser(_ c: ConnectionID, _ value: UInt64) {}
  package func setWatermarks(_ c: ConnectionID, _ watermarks: Watermarks) {}
  /// Puts `session` between socket and handler. For `connect`: right after it, so that `connected` waits for the handshake. For accepted
  /// connections: in `accepted`, or in `received` before any reply (bytes not consumed go to the session first).
  package func startTransport(_ c: ConnectionID, _ session: any TransportSession) {}
  package func transport(_ c: ConnectionID) -> (any TransportSession)? { nil }
  package func localAddress(_ c: ConnectionID) -> SocketAddress { .unnamedUnix }
  package func peerAddress(_ c: ConnectionID) -> SocketAddress { .unnamedUnix }
  /// Where the client wanted to go before REDIRECT (SO_ORIGINAL_DST); nil when nothing redirected it. With TPROXY see `localAddress`.
  package func originalDestination(_ c: ConnectionID) -> SocketAddress? { nil }

  // Time

  /// Arms a timer: `timer(token:)` once `deadline` has passed. Never early, about 1 ms late at most. `.none` at `Limits.timers`.
  package func schedule(at deadline: MonotonicInstant, token: UInt64) -> TimerID { .none }
  package func schedule(after delay: Duration, token: UInt64) -> TimerID { .none }
  /// Disarms; a stale id is harmless.
  package func cancel(_ timer: TimerID) {}
  /// Asks for `endOfTurn(token:)` once, after the current batch of events.
  package func atEndOfTurn(_ token: UInt64) {}

  // Others

  /// Runs `work` on the loop's thread; from any thread use `mailbox.post`.
  package func post(_ work: @escaping @Sendable (EventLoop) -> Void) {}
}
