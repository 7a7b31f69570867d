// What a loop tells its handler, and in which words.

public import WeftBase

/// Names a connection of one loop: slot index and generation, 8 bytes. An id of a closed connection is harmless.
@frozen @usableFromInline
package struct ConnectionID: BitwiseCopyable, Hashable, Sendable {
  @usableFromInline package let slot: SlabIndex

  @inlinable package init(_ slot: SlabIndex) { self.slot = slot }
  @inlinable package init(rawValue: UInt64) { slot = SlabIndex(rawValue: rawValue) }
  @inlinable package static var none: ConnectionID { ConnectionID(.none) }
  @inlinable package var isNone: Bool { slot.isNone }
  /// Slot number: dense from 0, usable as an index into the handler's own tables.
  @inlinable package var index: Int { Int(slot.index) }
  /// Both halves in one word.
  @inlinable package var rawValue: UInt64 { slot.rawValue }
}

/// Names a listener of one loop.
@frozen @usableFromInline
package struct ListenerID: BitwiseCopyable, Hashable, Sendable {
  @usableFromInline package let slot: SlabIndex
  @inlinable package init(_ slot: SlabIndex) { self.slot = slot }
  @inlinable package static var none: ListenerID { ListenerID(.none) }
  @inlinable package var index: Int { Int(slot.index) }
}

/// What became of bytes given to `EventLoop.write`. They are taken in every case but `.closed`.
@frozen @usableFromInline
package enum WriteOutcome: UInt8, Sendable, BitwiseCopyable {
  /// Handed to the kernel.
  case written
  /// Some wait in the queue, which is at or below the high watermark.
  case queued
  /// The queue is above the high watermark: stop writing until `drained`.
  case blocked
  /// The connection no longer takes bytes; `closed` has come or will.
  case closed
}

/// How to close a connection.
@frozen @usableFromInline
package enum CloseMode: UInt8, Sendable, BitwiseCopyable {
  /// Send what is queued, then FIN (after close_notify when secure), read and discard until the peer's FIN, for 1 s at most. Nothing is
  /// delivered to the handler any more but `closed`. The second restarts whenever queued bytes could be sent.
  case gracefully
  /// Drop what is queued and reset.
  case reset
  /// Drop what is queued and close the socket: the peer sees an end, or a reset where the kernel has input of it that nobody read.
  case atOnce
}

/// Why a connection ended.
@frozen @usableFromInline
package struct CloseReason: BitwiseCopyable, Hashable, Sendable {
  @usableFromInline
  package enum Kind: UInt8, Sendable, BitwiseCopyable {
    /// Both sides ended in order, or `close(.gracefully)` ran to its end.
    case ended
    /// `close(.reset)`.
    case localReset
    /// The peer reset the connection.
    case peerReset
    /// Connecting failed: refused, unreachable, or timed out in the kernel (see `systemError`).
    case connectFailed
    /// Connecting was not even tried: the local address, or an option of the socket, could not be had (see `systemError`).
    case bindFailed
    /// The transport refused to go on; `TransportSession.failure` says why.
    case transportFailed
    /// Reading or writing failed otherwise (ETIMEDOUT from keepalive or TCP_USER_TIMEOUT among them).
    case failed
    /// The peer did not end within the second that `close(.gracefully)` grants.
    case lingerTimeout
    /// The handler left more input unconsumed than `Limits.stashedBytes`.
    case inputLimit
    /// More than `Limits.queuedBytes` were queued.
    case outputLimit
    /// The loop ended.
    case loopEnded
  }

  @usableFromInline package let kind: Kind
  /// `errno` where the system gave one, else 0.
  @usableFromInline package let systemError: Int32

  @inlinable
  package init(_ kind: Kind, systemError: Int32 = 0) {
    self.kind = kind
    self.systemError = systemError
  }
}

/// What drives a loop's connections: codecs, pools, proxies, services.
///
/// *Threads*: every call comes on the loop's thread. Calls never nest: what the handler does to the loop inside a callback has its
/// consequences in later callbacks of the same turn.
/// *Order*: `accepted` or `connected` first (or `closed` alone when connecting fails), `closed` exactly once and last.
package protocol LoopHandler: AnyObject {
  /// A connection is about to come in on `listener`. *Returns*: whether the handler has taken its socket, for another loop to `adopt`.
  func takesAway(_ socket: Int32, on listener: ListenerID, from peer: SocketAddress) -> Bool
  /// A connection has come in on `listener`. Start a transport here, or on the first bytes.
  func accepted(_ c: ConnectionID, on listener: ListenerID, from peer: SocketAddress)
  /// A connection made with `connect` is ready: established and, when it has a transport, its handshake is done.
  func connected(_ c: ConnectionID)
  /// The handshake of an accepted connection's transport is done: ALPN and SNI can be read from the session.
  func secured(_ c: ConnectionID)
  /// Bytes have come. Returns how many were consumed; the rest is kept and delivered again, contiguous with what follows.
  ///
  /// `bytes` is valid until the callback returns. Bytes left unconsumed are delivered again only when more arrive or after
  /// `resumeReading`.
  func received(_ c: ConnectionID, _ bytes: ByteView) -> Int
  /// The peer sends no more (FIN; close_notify where secure: `TransportSession.status` tells `.ended` from a truncated stream).
  ///
  /// After a close_notify the peer may still read (`EventLoop.stillReads`): what it asked for can be answered before `close`.
  func readEnded(_ c: ConnectionID)
  /// After the `readEnded` that a close_notify made: the peer's socket has ended, too. A peer that only reads on does not do that.
  func socketEnded(_ c: ConnectionID)
  /// After a `.blocked`: the queue has fallen to the low watermark.
  func drained(_ c: ConnectionID)
  /// The connection is gone; `user`, `transport` and addresses can be read for the last time.
  func closed(_ c: ConnectionID, _ reason: CloseReason)
  /// A timer armed with `schedule` is due.
  func timer(token: UInt64)
  /// The current batch of events is done (asked for with `atEndOfTurn`).
  func endOfTurn(token: UInt64)
}

extension LoopHandler {
  package func takesAway(_ socket: Int32, on listener: ListenerID, from peer: SocketAddress) -> Bool { false }
  package func secured(_ c: ConnectionID) {}
  package func socketEnded(_ c: ConnectionID) {}
  package func drained(_ c: ConnectionID) {}
  package func timer(token: UInt64) {}
  package func endOfTurn(token: UInt64) {}
}
