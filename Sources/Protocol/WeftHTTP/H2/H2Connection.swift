// One HTTP/2 connection, server or client: frames in, events out; calls in, frames out.

package import WeftBase

/// HTTP/2 connection state (RFC 9113).
///
/// *Shape*: not copyable; the owner keeps it in one heap cell per connection. Streams live in a compact table keyed by
/// number, each with a 64-bit word for the owner (`user`/`setUser`).
/// *Threads*: one. *Cost*: no allocation per stream after the table has grown.
///
/// The owner: calls `next` until `needMore`, with the unconsumed rest repeated in front of new input; after any call
/// that may have produced frames (every one below) writes out `output`, empties it, and calls `outputFlushed` once the
/// bytes have left for the socket (not while they wait in a queue: that is what bounds response-queue floods).
///
/// A stream's slot lives until both sides have ended it and its content was `consumed`, or until it is reset; an owner
/// that ends a server stream before the request has ended resets it with NO_ERROR.
package struct H2Connection: ~Copyable {
  package enum Role: UInt8, Sendable { case server, client }

  /// Frames owed to the peer. The owner writes them out and empties the buffer (or swaps it for an empty one).
  package var output = ByteBuffer()
  package let role: Role
  let limits: HTTPLimits

  var encoder: HPACKEncoder
  var decoder: HPACKDecoder
  var streams = H2StreamTable()
  /// Streams that are neither reset nor closed: what concurrency limits count.
  var active = 0

  // Receiving.
  var failure: (code: H2ErrorCode, detail: H2ErrorDetail)?
  var prefaceLeft: Int
  var settingsReceived = false
  var settingsAcknowledged = false
  /// Inside a DATA frame: bytes of content and padding still to come, and the stream (0: content is dropped).
  var dataLeft = 0
  var paddingLeft = 0
  var dataStream: H2StreamID = 0
  var dataEndsStream = false
  /// Inside a header block: the stream, its first frame's flags, what has been collected.
  var blockStream: H2StreamID = 0
  var blockFlags: UInt8 = 0
  var blockFrames = 0
  var block = ByteBuffer()
  var lastPeer: H2StreamID = 0
  /// The stream whose end the last event told: freed by the next call of `next`.
  var dead: H2StreamID = 0
  /// Numbers of streams we reset lately: frames the peer sent before it knew are ignored.
  var recentResets = RecentStreams()
  var receiveWindow: Int64 = 65_535
  var pendingCredit = 0
  var localInitialWindow: Int64

  // Sending.
  var nextStreamID: H2StreamID
  var sendWindow: Int64 = 65_535
  var connectionBlocked = false
  var windowEventPending = false
  var peerInitialWindow: Int64 = 65_535
  var peerMaxFrame = 16_384
  /// Before the peer's SETTINGS say otherwise: what most servers allow, so that the first streams are not refused.
  var peerMaxConcurrent: UInt32 = 100
  var peerGoAway: H2StreamID?
  /// The last stream our GOAWAY named; nil before it.
  var goAwaySent: H2StreamID?
  package internal(set) var peerAllowsExtendedConnect = false

  // Counters against floods, and for the owner's statistics.
  var flood = H2FloodCounters()
  /// Frames received, ever: any change is a sign of life for keep-alive.
  package internal(set) var framesReceived: UInt64 = 0
  /// Requests refused before they became an event: malformed, over the concurrency limit, after GOAWAY.
  package internal(set) var rejectedStreams: UInt64 = 0
  /// Why a stream was last refused or reset by us.
  package internal(set) var lastStreamError = H2ErrorDetail.none

  /// Queues the preface (client) and SETTINGS at once in `output`.
  package init(role: Role, limits: HTTPLimits) {
    self.role = role
    self.limits = limits
    encoder = HPACKEncoder(tableSize: Int(limits.http2.encoderTableSize))
    // The protocol's initial size holds until our SETTINGS are acknowledged.
    decoder = HPACKDecoder(tableSize: max(4096, Int(limits.http2.decoderTableSize)))
    prefaceLeft = role == .server ? H2Preface.text.utf8CodeUnitCount : 0
    // Until our SETTINGS are acknowledged the peer may still use the protocol's initial window.
    localInitialWindow = max(65_535, Int64(limits.http2.initialStreamWindow))
    nextStreamID = role == .client ? 1 : 2
    writeOpening()
  }

  // MARK: State

  /// Streams that are open or half-closed.
  package var activeStreams: Int { active }
  /// Client: how many more streams may be opened now, by the peer's word and by our own limit.
  package var availableStreams: Int {
    if role == .server || failure != nil || peerGoAway != nil || nextStreamID > 0x7fff_ffff { return 0 }
    return max(0, Int(min(peerMaxConcurrent, limits.http2.maxConcurrentStreams)) - active)
  }
  package var hasReceivedGoAway: Bool { peerGoAway != nil }
  package var hasReceivedSettings: Bool { settingsReceived }
  /// Whether the peer has begun what it has to finish before anything else: its preface, or a head in several frames.
  package var awaitsPeer: Bool { !settingsReceived || blockStream != 0 }

  package func contains(_ stream: H2StreamID) -> Bool { streams.find(stream) != nil }

  /// Whether the peer has ended its side of `stream`.
  package func hasPeerEnded(_ stream: H2StreamID) -> Bool {
    guard let i = streams.find(stream) else { return true }
    return streams[i].received.isClosed
  }

  /// The owner's word of `stream`; nil when it is gone. Still there while its `reset` event is handled.
  package func user(_ stream: H2StreamID) -> UInt64? {
    guard let i = streams.find(stream) else { return nil }
    return streams[i].user
  }

  package mutating func setUser(_ stream: H2StreamID, _ user: UInt64) {
    if let i = streams.find(stream) { streams[i].user = user }
  }

  /// How many bytes `sendData` would accept now.
  package func sendWindow(_ stream: H2StreamID) -> Int {
    guard let i = streams.find(stream), !streams[i].sent.isClosed else { return 0 }
    return Int(max(0, min(streams[i].sendWindow, sendWindow)))
  }

  /// The next live stream in table order; start with `cursor` 0. For tearing a connection down: `reset` may be called
  /// on what it returns, after which `cursor` must start at 0 again.
  package func nextStream(after cursor: inout Int) -> H2StreamID? {
    while cursor < streams.capacity {
      let stream = streams[cursor]
      cursor += 1
      if stream.id != 0, !stream.isDead { return stream.id }
    }
    return nil
  }

  /// Gives back memory that a connection without streams does not need; the next request takes it anew.
  package mutating func releaseIdleMemory() {
    if output.isEmpty { output.release() }
    if blockStream == 0 { block.release() }
    streams.shrink()
    encoder.shrink()
    decoder.shrink()
  }
}

/// Which of the last 1024 streams were reset: frames of theirs may still be on their way, however many there are.
///
/// *Shape*: no memory before the first of them. Why sound: `bits` has 16 words, indexed by four bits of the number.
@safe
struct RecentStreams: ~Copyable {
  private var bits: UnsafeMutablePointer<UInt64>?

  init() { unsafe bits = nil }

  deinit { unsafe bits?.deallocate() }

  mutating func insert(_ id: H2StreamID) {
    if let bits = unsafe bits {
      unsafe bits[Self.word(id)] |= Self.bit(id)
    } else {
      let fresh = UnsafeMutablePointer<UInt64>.allocate(capacity: 16)
      unsafe fresh.initialize(repeating: 0, count: 16)
      unsafe fresh[Self.word(id)] = Self.bit(id)
      unsafe bits = fresh
    }
  }

  /// A new stream takes the place of one 1024 streams ago.
  mutating func remove(_ id: H2StreamID) {
    if let bits = unsafe bits { unsafe bits[Self.word(id)] &= ~Self.bit(id) }
  }

  func contains(_ id: H2StreamID) -> Bool {
    guard let bits = unsafe bits else { return false }
    return unsafe bits[Self.word(id)] & Self.bit(id) != 0
  }

  private static func word(_ id: H2StreamID) -> Int { Int(id >> 7 & 15) }
  private static func bit(_ id: H2StreamID) -> UInt64 { 1 << UInt64(id >> 1 & 63) }
}

/// Recognises the client preface, for connections whose protocol is not known from ALPN.
package enum H2Preface {
  package enum Match: Sendable { case yes, no, needMore }
  package static var text: StaticString { "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" }

  /// Compares the start of `input`; consumes nothing.
  package static func match(_ input: ByteView) -> Match {
    let text = ByteView(Self.text)
    if input.count >= text.count { return input.starts(with: text) ? .yes : .no }
    return text.starts(with: input) ? .needMore : .no
  }
}
