// ProtocolCodec: what the author of a protocol writes.
//
// HTTP/1 and HTTP/2 are the engine's own. Any other protocol that consists of messages and answers is a codec: a struct that finds where a message
// ends, lays its head out as the head of a request or response, and writes the few things a proxy says itself. All the rest (routes, balancing, pools,
// time-outs, retries, breakers, outlier detection, filters, statistics, access logs, draining) is the engine's and holds at once.
//
// A message passes whole: its bytes go on as they came, except that `readdress` may replace its beginning, which is how a request gets a number of our
// own on a shared connection and its answer gets the client's number back. What routes and filters change of the head steers the proxy and is not written
// into the message.
//
// A codec is `BitwiseCopyable`, and so is its `Config`: nothing can be retained per message, and a connection to an endpoint outlives the configuration it was
// made from, so neither may hold views. A worked example stands in docs/adding/protocol.md:
//
//     package struct Lines: ProtocolCodec {
//       package static var name: StaticString { "lines" }
//       package static var messages: [String] { ["example.Lines"] }
//       package static var exchange: CodecExchange { .oneByOne }
//       package static func compile(_ source: CodecSource) throws(ConfigError) -> Int { 4096 }
//       package init(_ longest: Int, _ peer: CodecPeer) { … }
//       package mutating func next(_ input: ByteView, _ head: MessageHead) -> CodecEvent {
//         guard let end = input.firstIndex(of: 0x0a) else { return .needMore(input.count + 1) }
//         …
//         return .message(bytes: end + 1)
//       }
//     }
//
// *Threads*: the worker's. *Errors*: outside bytes never trap; what cannot be understood is `malformed` or `refused`.

public import WeftBase
public import WeftHTTP
package import WeftModel

/// Whom a connection leads to.
@frozen @usableFromInline
package enum CodecPeer: UInt8, BitwiseCopyable, Sendable { case client, endpoint }

/// How messages and answers follow each other on a connection.
@frozen @usableFromInline
package enum CodecExchange: UInt8, BitwiseCopyable, Sendable {
  /// Answers name their request: many are under way at once, and come back in any order.
  case multiplexed
  /// A message, its answer, the next message. What a client sends ahead is read when its turn comes.
  case oneByOne
}

/// What the beginning of a connection's input is.
@frozen @usableFromInline
package enum CodecEvent: BitwiseCopyable, Sendable {
  /// Not whole yet: this many bytes, counted from the beginning of the input, are needed to say more. More than there are.
  case needMore(Int)
  /// A request of a client, or an endpoint's answer, whose head was laid out. `id` is its number where the protocol is multiplexed. Of a
  /// request that expects no answer none is waited for, and none is made.
  case message(bytes: Int, id: UInt64 = 0, expectsAnswer: Bool = true)
  /// A request that is not passed on, though it is known where it ends: it is answered with 400.
  case refused(bytes: Int, id: UInt64 = 0, expectsAnswer: Bool = true, details: StaticString)
  /// As `refused`, told as soon as its length is known: of a message that is larger than it may be. Its bytes, as many as are said here, are dropped as
  /// they come, without harm to what follows. An endpoint's costs the request `id` its answer, where there is one.
  case oversize(bytes: Int, id: UInt64 = 0, expectsAnswer: Bool = true, details: StaticString)
  /// The connection's own business. With `wantsAnswer` the codec is asked for one (`answer`).
  case control(bytes: Int, wantsAnswer: Bool)
  /// The peer takes no further requests on this connection, or sends none.
  case lastCall(bytes: Int)
  /// No message of this protocol begins so, or nobody knows where it ends: the connection ends.
  case malformed(StaticString)
}

/// An answer that is made here in place of an endpoint's.
@frozen @usableFromInline
package struct CodecReply: BitwiseCopyable {
  /// What an HTTP client would be told.
  @usableFromInline package var status: UInt16
  /// A breaker or limit of ours is the reason.
  @usableFromInline package var isOverload: Bool
  /// For people; never empty.
  @usableFromInline package var text: ByteView
  @usableFromInline package var id: UInt64

  @inlinable package init(status: UInt16, isOverload: Bool, text: ByteView, id: UInt64) {
    (self.status, self.isOverload, self.text, self.id) = (status, isOverload, text, id)
  }
}

/// What a codec was configured with.
@usableFromInline
package struct CodecSource: Sendable {
  package let config: ExtensionConfig

  package init(_ config: ExtensionConfig) { self.config = config }
}

/// A protocol of messages and answers. One value per connection; its fields are the connection's state.
@usableFromInline
package protocol ProtocolCodec: BitwiseCopyable, SendableMetatype {
  associatedtype Config: BitwiseCopyable
  /// As access logs show it.
  static var name: StaticString { get }
  /// Full names of the messages that configure it.
  static var messages: [String] { get }
  static var exchange: CodecExchange { get }
  /// How long a connection to an endpoint may be silent before it is asked whether it still stands. *Units*: nanoseconds; 0 never.
  static var heartbeatInterval: UInt64 { get }

  /// Cold: checks and compiles what was configured. *Errors*: the field's path inside the message that is wrong, and what is allowed there.
  static func compile(_ source: CodecSource) throws(ConfigError) -> Config
  init(_ config: Config, _ peer: CodecPeer)

  /// What `input` begins with. A message's head is laid out in `head`, which may hold views of `input`: requests with method, path, authority and
  /// fields, answers with a status and fields; `framing` is the length of the message.
  mutating func next(_ input: ByteView, _ head: MessageHead) -> CodecEvent
  /// Writes what takes the place of the beginning of `message` when it travels under the number `id`. *Returns*: how many of its bytes that
  /// stands for.
  func readdress(_ message: ByteView, to id: UInt64, _ output: inout ByteBuffer) -> Int
  /// Writes an answer that is made here.
  func write(_ reply: CodecReply, _ output: inout ByteBuffer)
  /// Writes the answer to a `control` frame that wants one.
  func answer(_ control: ByteView, _ output: inout ByteBuffer)
  /// Asks an endpoint for a sign of life.
  func heartbeat(_ output: inout ByteBuffer)
  /// Tells a client to send no further request on this connection. *Returns*: whether the protocol has a word for that.
  func lastCall(_ output: inout ByteBuffer) -> Bool

  static func _open(_ config: UnsafeRawPointer, _ peer: CodecPeer) -> UnsafeMutableRawPointer
  static func _close(_ codec: UnsafeMutableRawPointer)
  static func _next(_ codec: UnsafeMutableRawPointer, _ input: ByteView, _ head: MessageHead) -> CodecEvent
  static func _readdress(
    _ codec: UnsafeMutableRawPointer, _ message: ByteView, _ id: UInt64, _ output: inout ByteBuffer
  ) -> Int
  static func _write(_ codec: UnsafeMutableRawPointer, _ reply: CodecReply, _ output: inout ByteBuffer)
  static func _answer(_ codec: UnsafeMutableRawPointer, _ control: ByteView, _ output: inout ByteBuffer)
  static func _heartbeat(_ codec: UnsafeMutableRawPointer, _ output: inout ByteBuffer)
  static func _lastCall(_ codec: UnsafeMutableRawPointer, _ output: inout ByteBuffer) -> Bool
}

// What protocols without it need not say.
extension ProtocolCodec {
  @inlinable package static var heartbeatInterval: UInt64 { 0 }
  @inlinable package func readdress(_ message: ByteView, to id: UInt64, _ output: inout ByteBuffer) -> Int { 0 }
  @inlinable package func answer(_ control: ByteView, _ output: inout ByteBuffer) {}
  @inlinable package func heartbeat(_ output: inout ByteBuffer) {}
  @inlinable package func lastCall(_ output: inout ByteBuffer) -> Bool { false }
}

// The engine's way in: static witnesses with the codec's body inlined, as for HTTP filters.
extension ProtocolCodec {
  @inlinable package static func _open(_ config: UnsafeRawPointer, _ peer: CodecPeer) -> UnsafeMutableRawPointer {
    let cell = UnsafeMutablePointer<Self>.allocate(capacity: 1)
    unsafe cell.initialize(to: Self(config.assumingMemoryBound(to: Config.self).pointee, peer))
    return UnsafeMutableRawPointer(cell)
  }
  @inlinable package static func _close(_ codec: UnsafeMutableRawPointer) {
    unsafe codec.assumingMemoryBound(to: Self.self).deallocate()
  }
  @inlinable package static func _next(
    _ codec: UnsafeMutableRawPointer, _ input: ByteView, _ head: MessageHead
  ) -> CodecEvent {
    unsafe codec.assumingMemoryBound(to: Self.self).pointee.next(input, head)
  }
  @inlinable package static func _readdress(
    _ codec: UnsafeMutableRawPointer, _ message: ByteView, _ id: UInt64, _ output: inout ByteBuffer
  ) -> Int {
    unsafe codec.assumingMemoryBound(to: Self.self).pointee.readdress(message, to: id, &output)
  }
  @inlinable package static func _write(
    _ codec: UnsafeMutableRawPointer, _ reply: CodecReply, _ output: inout ByteBuffer
  ) {
    unsafe codec.assumingMemoryBound(to: Self.self).pointee.write(reply, &output)
  }
  @inlinable package static func _answer(
    _ codec: UnsafeMutableRawPointer, _ control: ByteView, _ output: inout ByteBuffer
  ) {
    unsafe codec.assumingMemoryBound(to: Self.self).pointee.answer(control, &output)
  }
  @inlinable package static func _heartbeat(_ codec: UnsafeMutableRawPointer, _ output: inout ByteBuffer) {
    unsafe codec.assumingMemoryBound(to: Self.self).pointee.heartbeat(&output)
  }
  @inlinable package static func _lastCall(
    _ codec: UnsafeMutableRawPointer, _ output: inout ByteBuffer
  ) -> Bool {
    unsafe codec.assumingMemoryBound(to: Self.self).pointee.lastCall(&output)
  }
}
