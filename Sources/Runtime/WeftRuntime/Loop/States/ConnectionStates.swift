// ConnectionStates: how far a connection of the loop has come. Four stories that go on by themselves.
//
//   life       connecting ── socketConnected ──▶ opening ── told ──▶ open      opening, open ── close ──▶ closing
//              all ── end ──▶ dead ── report ──▶ reported
//   input      flowing ── announceEnd ──▶ endAnnounced      flowing, endAnnounced ── end ──▶ ended
//   output     open ── requestEnd ──▶ endRequested ── end ──▶ ended      all ── fail ──▶ broken
//   transport  none ── start ──▶ handshaking ── open ──▶ open ── owesEnd ──▶ endOwed ── end ──▶ ended

/// Where a connection stands between its socket and its handler.
enum ConnectionLife: UInt8, BitwiseCopyable, CaseIterable {
  /// The outcome of connect is not known yet.
  case connecting
  /// The socket is connected; `connected` is owed, after the transport's handshake where there is one.
  case opening
  case open
  /// Closing gracefully: input is discarded.
  case closing
  /// The socket is closed; only `closed` is still owed.
  case dead
  /// `closed` has been called; the slot is freed next.
  case reported

  @inline(__always) var isDead: Bool { rawValue >= Self.dead.rawValue }
  /// Closing or dead: its handler hears of no more input.
  @inline(__always) var isOver: Bool { rawValue >= Self.closing.rawValue }

  mutating func socketConnected() { if self == .connecting { self = .opening } }
  mutating func told() { if self == .opening { self = .open } }
  mutating func close() { if self == .opening || self == .open { self = .closing } }
  mutating func end() { if !isDead { self = .dead } }
  mutating func report() { if self == .dead { self = .reported } }
}

/// What the peer still sends.
enum InputStage: UInt8, BitwiseCopyable, CaseIterable {
  case flowing
  /// FIN or an error is announced: read until the call says so, a short read proves nothing.
  case endAnnounced
  /// The socket's end has been seen.
  case ended

  mutating func announceEnd() { if self == .flowing { self = .endAnnounced } }
  mutating func end() { self = .ended }
}

/// What we still send.
enum OutputStage: UInt8, BitwiseCopyable, CaseIterable {
  case open
  /// FIN goes when the queue has drained.
  case endRequested
  /// FIN has gone.
  case ended
  /// Writing failed: what is readable is delivered, then the connection ends.
  case broken

  mutating func requestEnd() { if self == .open { self = .endRequested } }
  mutating func end() { if self == .endRequested { self = .ended } }
  mutating func fail() { self = .broken }
}

/// The transport between socket and handler.
enum TransportStage: UInt8, BitwiseCopyable, CaseIterable {
  case none
  case handshaking
  case open
  /// Its peer has ended while the handler was paused: `readEnded` is owed after the stash.
  case endOwed
  /// Its peer has ended, and the handler knows: what the socket still brings is its own end.
  case ended

  @inline(__always) var isSecure: Bool { self != .none }
  /// Plaintext may be written.
  @inline(__always) var isOpen: Bool { rawValue >= Self.open.rawValue }

  mutating func start() { if self == .none { self = .handshaking } }
  mutating func open() { if self == .handshaking { self = .open } }
  mutating func oweEnd() { if self == .open { self = .endOwed } }
  mutating func end() { if self == .open || self == .endOwed { self = .ended } }
}
