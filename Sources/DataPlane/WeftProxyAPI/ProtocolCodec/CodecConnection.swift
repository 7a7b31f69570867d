// CodecConnection: a connection that speaks a protocol of a codec, whatever is behind it.

package import WeftBase
package import WeftHTTP

/// The beginning of a message that has not come whole, the numbers of requests under way, and the codec.
///
/// *Shape*: no memory of its own before the first half message, and before the first request to an endpoint.
@safe
package struct CodecConnection: ~Copyable {
  package let code: any ProtocolCodec.Type
  package let identity: UInt64
  private let codec: UnsafeMutableRawPointer
  /// The beginning of one message, and how much of it has to be there before it is looked at again.
  private var partial = ByteBuffer()
  private var wanted = 0
  /// Bytes of an oversize message that are still to come, to be dropped.
  private var skipping = 0
  /// What of `partialBytes` its worker has counted.
  package private(set) var counted = 0
  /// Streams by the numbers that were given to their requests.
  private var numbers = NumberTable()
  private var lastNumber: UInt32 = 0
  /// Bytes of requests that nobody has taken yet.
  package var held = 0
  /// Counts whatever comes from the peer: that it is alive.
  package private(set) var received: UInt32 = 0
  /// Those who wait for the connection are being served.
  package var isServing = false
  package let exchange: CodecExchange
  package let heartbeatInterval: UInt64

  init(_ code: any ProtocolCodec.Type, _ codec: UnsafeMutableRawPointer, _ identity: UInt64) {
    self.code = code
    self.identity = identity
    unsafe self.codec = codec
    exchange = code.exchange
    heartbeatInterval = code.heartbeatInterval
  }

  deinit { unsafe code._close(codec) }

  // MARK: Reading

  /// Bytes of a message that has begun.
  package var hasPartial: Bool { wanted > 0 || skipping > 0 }

  /// The rest of a message that is not taken has yet to come.
  package var isSkipping: Bool { skipping > 0 }

  /// Bytes kept of it.
  package var partialBytes: Int { partial.count }

  /// How many bytes more are kept than when this was asked before. *Use*: by the worker, for the sum of all its connections.
  package mutating func recount() -> Int {
    let more = partial.count - counted
    counted = partial.count
    return more
  }

  /// What comes next. `message` gets the bytes of a message or frame; valid until the next call. `input` loses what was taken: also the beginning
  /// of a message that is not whole, which is kept here.
  package mutating func next(_ input: inout ByteView, _ head: MessageHead, _ message: inout ByteView) -> CodecEvent {
    if input.isEmpty {
      settle()
      return .needMore(max(wanted, 1))
    }
    received &+= 1
    if skipping > 0 {
      let dropped = min(skipping, input.count)
      skipping -= dropped
      input = input.dropFirst(dropped)
      return next(&input, head, &message)
    }
    if wanted == 0 {
      // The usual case: whole messages are read where they lie.
      partial.removeAll()
      let event = unsafe code._next(codec, input, head)
      switch event {
      case .needMore(let total):
        precondition(total > input.count)
        partial.append(input)
        input = .empty
        wanted = total
      default: take(event, &input, &message)
      }
      return event
    }
    while true {
      let part = input.prefix(wanted - partial.count)
      partial.append(part)
      input = input.dropFirst(part.count)
      if partial.count < wanted { return .needMore(wanted) }
      let event = unsafe code._next(codec, partial.view, head)
      if case .needMore(let total) = event {
        precondition(total > partial.count)
        wanted = total
        continue
      }
      wanted = 0
      if case .malformed = event { return event }
      var whole = partial.view
      take(event, &whole, &message)
      // What is left has nowhere to go: a codec that asked for more than its message cannot be followed.
      return whole.isEmpty ? event : .malformed("codec_overread")
    }
  }

  /// The last message is done with: a connection without half a message keeps no memory for one.
  package mutating func settle() {
    if wanted == 0, partial.capacity > 0 { partial.release() }
  }

  private mutating func take(_ event: CodecEvent, _ input: inout ByteView, _ message: inout ByteView) {
    let count: Int
    switch event {
    case .needMore, .malformed: return
    case .oversize(let bytes, _, _, _):
      precondition(bytes > 0)
      count = min(bytes, input.count)
      skipping = bytes - count
    case .message(let bytes, _, _), .refused(let bytes, _, _, _), .control(let bytes, _), .lastCall(let bytes):
      count = bytes
    }
    precondition(count > 0 && count <= input.count, "a codec takes what it was given")
    message = input.prefix(count)
    input = input.dropFirst(count)
  }

  // MARK: Writing

  /// Writes what takes the place of the beginning of `message`; what is left of it follows unchanged.
  package func readdress(_ message: ByteView, to id: UInt64, _ output: inout ByteBuffer) -> ByteView {
    let replaced = unsafe code._readdress(codec, message, id, &output)
    precondition(replaced >= 0 && replaced <= message.count)
    return message.dropFirst(replaced)
  }

  package func write(_ reply: CodecReply, _ output: inout ByteBuffer) { unsafe code._write(codec, reply, &output) }
  package func answer(_ control: ByteView, _ output: inout ByteBuffer) { unsafe code._answer(codec, control, &output) }
  package func heartbeat(_ output: inout ByteBuffer) { unsafe code._heartbeat(codec, &output) }
  package func lastCall(_ output: inout ByteBuffer) -> Bool { unsafe code._lastCall(codec, &output) }

  // MARK: Requests under way

  /// Requests that wait for an answer.
  package var underWay: Int { numbers.count }

  /// A number for a request of the stream `user`, other than those of all requests under way.
  package mutating func open(_ user: UInt64) -> UInt32 {
    repeat { lastNumber &+= 1 } while lastNumber == 0 || numbers.find(lastNumber) != nil
    numbers.insert(lastNumber, user)
    return lastNumber
  }

  /// The stream of request `number`, which is over with this.
  package mutating func close(_ number: UInt64) -> UInt64? {
    guard let number = UInt32(exactly: number), number != 0 else { return nil }
    return numbers.remove(number)
  }

  /// Request `number`, if it is under way, is another stream's from now on.
  package mutating func give(_ number: UInt32, to user: UInt64) {
    if numbers.remove(number) != nil { numbers.insert(number, user) }
  }

  /// The only request there is, where answers name none.
  package mutating func closeOnly() -> UInt64? { numbers.only.flatMap { numbers.remove($0) } }

  /// The stream of a request under way.
  package func owner(of number: UInt32) -> UInt64? { numbers.find(number) }
}

/// A handle on a `CodecConnection`, as `H2Cell` is one on HTTP/2's.
///
/// Why sound: made by `make`, ended once by `free` when the connection's slot ends; the slot holds the only handle that is kept.
@safe
package struct CodecCell: BitwiseCopyable {
  private let pointer: UnsafeMutablePointer<CodecConnection>?

  package static var none: CodecCell { unsafe CodecCell(pointer: nil) }

  private init(pointer: UnsafeMutablePointer<CodecConnection>?) { unsafe self.pointer = pointer }

  @unsafe
  static func make(_ code: any ProtocolCodec.Type, _ codec: UnsafeMutableRawPointer, _ identity: UInt64) -> CodecCell {
    let cell = UnsafeMutablePointer<CodecConnection>.allocate(capacity: 1)
    unsafe cell.initialize(to: CodecConnection(code, codec, identity))
    return unsafe CodecCell(pointer: cell)
  }

  package var isNone: Bool { unsafe pointer == nil }

  package subscript() -> CodecConnection {
    @inline(__always) unsafeAddress { unsafe UnsafePointer(pointer!) }
    @inline(__always) nonmutating unsafeMutableAddress { unsafe pointer! }
  }

  package func free() {
    guard let pointer = unsafe pointer else { return }
    unsafe pointer.deinitialize(count: 1)
    unsafe pointer.deallocate()
  }
}

/// Numbers with a word each; open addressing, linear probing, removal by shifting back.
///
/// *Shape*: no memory before the first; then 16 bytes per slot, at most half of them used.
/// Why sound: every index is masked by `capacity − 1`.
@safe
struct NumberTable: ~Copyable {
  private struct Slot: BitwiseCopyable {
    /// 0: free.
    var number: UInt32 = 0
    var user: UInt64 = 0
  }

  private var slots: UnsafeMutablePointer<Slot>?
  private var capacity = 0
  private(set) var count = 0

  init() { unsafe slots = nil }

  deinit { unsafe slots?.deallocate() }

  private func home(_ number: UInt32) -> Int {
    Int(truncatingIfNeeded: (UInt64(number) &* 0x9e37_79b9_7f4a_7c15) >> 40) & (capacity &- 1)
  }

  private func index(_ number: UInt32) -> Int? {
    guard let slots = unsafe slots, number != 0 else { return nil }
    var i = home(number)
    while unsafe slots[i].number != 0 {
      if unsafe slots[i].number == number { return i }
      i = (i &+ 1) & (capacity &- 1)
    }
    return nil
  }

  func find(_ number: UInt32) -> UInt64? {
    guard let i = index(number), let slots = unsafe slots else { return nil }
    return unsafe slots[i].user
  }

  /// The number of the only entry.
  var only: UInt32? {
    guard count == 1, let slots = unsafe slots else { return nil }
    for i in 0..<capacity where unsafe slots[i].number != 0 { return unsafe slots[i].number }
    return nil
  }

  mutating func insert(_ number: UInt32, _ user: UInt64) {
    if (count + 1) * 2 > capacity { grow() }
    count += 1
    place(Slot(number: number, user: user))
  }

  mutating func remove(_ number: UInt32) -> UInt64? {
    guard let found = index(number), let slots = unsafe slots else { return nil }
    let user = unsafe slots[found].user
    count -= 1
    let mask = capacity - 1
    var hole = found
    var i = (found + 1) & mask
    while unsafe slots[i].number != 0 {
      if unsafe (i - home(slots[i].number)) & mask >= (i - hole) & mask {
        unsafe slots[hole] = slots[i]
        hole = i
      }
      i = (i + 1) & mask
    }
    unsafe slots[hole] = Slot()
    return user
  }

  private func place(_ slot: Slot) {
    guard let slots = unsafe slots else { return }
    var i = home(slot.number)
    while unsafe slots[i].number != 0 { i = (i + 1) & (capacity - 1) }
    unsafe slots[i] = slot
  }

  private mutating func grow() {
    let old = unsafe slots
    let oldCapacity = capacity
    capacity = max(8, capacity * 2)
    let fresh = UnsafeMutablePointer<Slot>.allocate(capacity: capacity)
    unsafe fresh.initialize(repeating: Slot(), count: capacity)
    unsafe slots = fresh
    guard let old = unsafe old else { return }
    for i in 0..<oldCapacity where unsafe old[i].number != 0 { unsafe place(old[i]) }
    unsafe old.deallocate()
  }
}
