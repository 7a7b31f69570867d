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
  /// What comes and goes.
  struct Facts: OptionSet, BitwiseCopyable {
    let rawValue: UInt8

    /// The handler wants no input.
    static let paused = Facts(rawValue: 1 << 0)
    /// The socket may have more to read (its edge has been seen and not used up).
    static let readReady = Facts(rawValue: 1 << 1)
    /// The socket refused bytes; its next writable edge clears this.
    static let writeFull = Facts(rawValue: 1 << 2)
    /// `.blocked` was answered.
    static let owesDrained = Facts(rawValue: 1 << 3)
    /// `resumeReading` was called: what is kept is delivered again.
    static let owesStash = Facts(rawValue: 1 << 4)
    /// The stash holds bytes for the transport, not from it.
    static let feedStash = Facts(rawValue: 1 << 5)
    /// Stands in the loop's list of consequences.
    static let inConsequences = Facts(rawValue: 1 << 6)
    /// Stands in the list of connections whose read budget was spent.
    static let inUnread = Facts(rawValue: 1 << 7)
  }

  var socket: Int32
  var life: ConnectionLife
  var input = InputStage.flowing
  var output = OutputStage.open
  var transport = TransportStage.none
  var user: UInt64
  var stash = Stash()
  var queue = OutputQueue()
  var high: UInt32
  var low: UInt32
  var facts: Facts = []
  var reason = CloseReason(.ended)
  var lingerTimer = TimerID.none
  /// How long a graceful close waits for the peer's FIN.
  var lingerMilliseconds = UInt32(clamping: EventLoop.lingerTime.wholeMilliseconds)
  var listener: ListenerID

  init(socket: Int32, life: ConnectionLife, user: UInt64, watermarks: Watermarks, listener: ListenerID) {
    self.socket = socket
    self.life = life
    self.user = user
    self.listener = listener
    high = UInt32(clamping: watermarks.high)
    low = UInt32(clamping: watermarks.low)
  }

  /// The peer sends no more.
  var isInputOver: Bool { input == .ended || transport == .ended }
  /// Bytes may be given to the loop.
  @inline(__always) var isWritable: Bool { output == .open && !life.isOver }
  /// What is written goes behind what waits.
  @inline(__always) var queues: Bool { facts.contains(.writeFull) || life == .connecting }
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
