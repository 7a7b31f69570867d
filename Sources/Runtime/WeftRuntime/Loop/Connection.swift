// Connection: the state of one connection as a slot, and the reference through which the loop works on it.

import WeftBase

/// Input the handler left unconsumed, in a pooled block.
@safe
struct Stash: BitwiseCopyable {
  var base: UnsafeMutableRawPointer?
  var capacity: UInt32 = 0
  var head: UInt32 = 0
  var tail: UInt32 = 0

  init() { unsafe base = nil }

  init(_ block: PooledBlock) {
    unsafe base = block.base
    capacity = UInt32(block.capacity)
  }

  var count: Int { Int(tail) - Int(head) }
  var room: Int { Int(capacity) - Int(tail) }
  var block: PooledBlock? {
    guard let base = unsafe base else { return nil }
    return unsafe PooledBlock(base: base, capacity: Int(capacity))
  }
  var view: ByteView {
    guard let base = unsafe base else { return .empty }
    return unsafe ByteView(base + Int(head), count: count)
  }
}

/// One connection. Trivially copyable; its buffers are pointers into this process.
@safe
struct Connection: BitwiseCopyable {
  struct Flags: OptionSet, BitwiseCopyable {
    let rawValue: UInt32

    /// The outcome of connect is not known yet.
    static let connecting = Flags(rawValue: 1 << 0)
    /// `connected` has not been called yet.
    static let owesConnected = Flags(rawValue: 1 << 1)
    static let paused = Flags(rawValue: 1 << 2)
    /// The socket may have more to read (its edge has been seen and not used up).
    static let readReady = Flags(rawValue: 1 << 3)
    /// FIN or an error is announced: read until the call says so, a short read proves nothing.
    static let hangup = Flags(rawValue: 1 << 4)
    /// The peer's end has been seen.
    static let peerEnded = Flags(rawValue: 1 << 5)
    /// The socket refused bytes; its next writable edge clears this.
    static let writeFull = Flags(rawValue: 1 << 6)
    /// `.blocked` was answered and `drained` is owed.
    static let blocked = Flags(rawValue: 1 << 7)
    static let finRequested = Flags(rawValue: 1 << 8)
    static let finSent = Flags(rawValue: 1 << 9)
    /// Closing gracefully: input is discarded.
    static let closing = Flags(rawValue: 1 << 10)
    /// The socket is closed; only `closed` is still owed.
    static let dead = Flags(rawValue: 1 << 11)
    /// Writing failed: deliver what is readable, then end.
    static let writeBroken = Flags(rawValue: 1 << 12)
    /// A transport stands between.
    static let secure = Flags(rawValue: 1 << 13)
    /// … and its handshake is done.
    static let transportOpen = Flags(rawValue: 1 << 14)
    /// The stash holds bytes for the transport, not from it.
    static let feedStash = Flags(rawValue: 1 << 15)
    /// Stands in the loop's list of consequences.
    static let listed = Flags(rawValue: 1 << 16)
    /// Stands in the list of connections whose read budget was spent.
    static let unread = Flags(rawValue: 1 << 17)
    /// `resumeReading` was called: what is kept is delivered again.
    static let resumed = Flags(rawValue: 1 << 18)
    /// `closed` has been called; the slot is freed next.
    static let reported = Flags(rawValue: 1 << 19)

    /// The transport's peer has ended while the handler was paused: `readEnded` is owed after the stash.
    static let transportEnded = Flags(rawValue: 1 << 20)

    /// The transport's peer has ended, and the handler knows: what the socket still brings is its own end.
    static let notified = Flags(rawValue: 1 << 21)

    static let unwritable: Flags = [.finRequested, .closing, .dead, .writeBroken]
    /// The peer sends no more.
    static let inputOver: Flags = [.peerEnded, .notified]
  }

  var socket: Int32
  var flags: Flags
  var user: UInt64
  var stash = Stash()
  var queue = OutputQueue()
  var high: UInt32
  var low: UInt32
  var reason = CloseReason(.ended)
  var lingerTimer = TimerID.none
  /// How long a graceful close waits for the peer's FIN.
  var lingerMilliseconds = UInt32(clamping: EventLoop.lingerTime.wholeMilliseconds)
  var listener: ListenerID

  init(socket: Int32, flags: Flags, user: UInt64, watermarks: Watermarks, listener: ListenerID) {
    self.socket = socket
    self.flags = flags
    self.user = user
    self.listener = listener
    high = UInt32(clamping: watermarks.high)
    low = UInt32(clamping: watermarks.low)
  }
}

/// A live connection's slot.
///
/// Why sound: slabs never move, and slots are freed only by the loop's own list of consequences, where no reference is held.
@safe
struct ConnectionReference {
  let id: ConnectionID
  let pointer: UnsafeMutablePointer<Connection>

  init(_ id: ConnectionID, _ pointer: UnsafeMutablePointer<Connection>) {
    self.id = id
    unsafe self.pointer = pointer
  }

  /// The slot, read and written in place.
  var it: Connection {
    @_transparent unsafeAddress { unsafe UnsafePointer(pointer) }
    @_transparent nonmutating unsafeMutableAddress { unsafe pointer }
  }
}
