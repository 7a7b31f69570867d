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
package struct H2Connection: ~Copyable {
  package enum Role: UInt8, Sendable { case server, client }

  /// Frames owed to the peer. The owner writes them out and empties the buffer (or swaps it for an empty one).
  package var output = ByteBuffer()
  package let role: Role

  /// Queues the preface (client) and SETTINGS at once in `output`.
  package init(role: Role, limits: HTTPLimits) { self.role = role }

  /// Takes the next step. On return `input` starts at the first byte not consumed. Heads and trailers land in `head`.
  package mutating func next(_ input: inout ByteView, head: MessageHead, now: MonotonicInstant) -> H2Event { .needMore }

  // MARK: Sending

  /// Client: opens a stream with the request in `head`. `user` is the owner's word for it.
  /// Nil when no stream may be opened now: concurrency limit reached, GOAWAY seen, identifiers used up.
  package mutating func sendRequest(_ head: MessageHead, endStream: Bool, user: UInt64, now: MonotonicInstant)
    -> H2StreamID?
  { nil }

  /// Server: sends a response head; informational ones may precede the final one. False if the stream is gone or the head
  /// cannot be sent (the stream is then reset with INTERNAL_ERROR).
  @discardableResult
  package mutating func sendResponse(_ stream: H2StreamID, _ head: MessageHead, endStream: Bool) -> Bool { false }

  /// Sends as much of `data` as both windows and `limit` allow; returns how much. `endStream` takes effect when all of it
  /// was accepted (empty data with `endStream` ends the stream always). When less was accepted, `windowOpened` follows.
  package mutating func sendData(_ stream: H2StreamID, _ data: ByteView, endStream: Bool, limit: Int = .max) -> Int {
    0
  }

  /// Sends trailers and ends our side. False if the stream is gone.
  @discardableResult
  package mutating func sendTrailers(_ stream: H2StreamID, _ trailers: MessageHead) -> Bool { false }

  /// Ends the stream at once in both directions. Its unconsumed content is credited back. No event follows.
  package mutating func reset(_ stream: H2StreamID, _ code: H2ErrorCode, now: MonotonicInstant) {}

  /// `n` bytes of content that `data` delivered were taken: returns their credit to the peer, in steps of half a window.
  /// A no-op for a stream that is gone.
  package mutating func consumed(_ stream: H2StreamID, _ n: Int) {}

  /// First step of a graceful end: tells the peer to open no more streams (GOAWAY with 2³¹−1) while those in flight arrive.
  package mutating func shutdownNotice() {}

  /// Final GOAWAY with the last stream we took; later ones are refused. Streams in flight go on.
  package mutating func goAway(_ code: H2ErrorCode = .noError) {}

  /// Sends PING with `payload`; `pong(payload)` is the answer.
  package mutating func ping(_ payload: UInt64) {}

  /// Everything ever put in `output` has left for the socket.
  package mutating func outputFlushed() {}

  // MARK: State

  /// Streams that are open or half-closed.
  package var activeStreams: Int { 0 }
  /// Client: how many more streams may be opened now.
  package var availableStreams: Int { 0 }
  package var hasReceivedGoAway: Bool { false }
  package var hasReceivedSettings: Bool { false }
  /// The peer offers extended CONNECT (RFC 8441).
  package var peerAllowsExtendedConnect: Bool { false }
  /// The highest stream the peer opened.
  package var lastPeerStream: H2StreamID { 0 }
  /// Frames received, ever: any change is a sign of life for keep-alive.
  package var framesReceived: UInt64 { 0 }

  package func contains(_ stream: H2StreamID) -> Bool { false }
  /// The owner's word of `stream`; nil when it is gone.
  package func user(_ stream: H2StreamID) -> UInt64? { nil }
  package mutating func setUser(_ stream: H2StreamID, _ user: UInt64) {}
  /// How many bytes `sendData` would accept now.
  package func sendWindow(_ stream: H2StreamID) -> Int { 0 }
  /// The first stream in table order with an index at or after `cursor`; for tearing a connection down.
  package func nextStream(after cursor: inout Int) -> H2StreamID? { nil }
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
