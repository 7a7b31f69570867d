// Every limit on what a peer may send, in one value.

/// Limits of HTTP messages and connections. Reaching one refuses the message or the connection; the owner counts it.
///
/// *Units*: bytes unless the name says otherwise. *Source*: the defaults of Envoy v1.38 where both have the knob.
package struct HTTPLimits: Equatable, Sendable {
  /// Request line without CRLF; longer is 414.
  package var requestLine = 16 * 1024
  /// The whole head, or in HTTP/2 the sum of decoded names and values plus 32 per field; larger is 431 (responses: 502/503).
  package var headerBytes = 60 * 1024
  /// Fields in a head; more is 431.
  package var headerCount = 100
  /// One chunk's extension.
  package var chunkExtension = 256
  /// All chunk extensions of one body together, on top of one byte per KiB of content.
  package var chunkExtensionTotal = 16 * 1024
  /// A trailer section, and fields in it, may be as large as a head: gRPC puts there what others put in heads.
  package var trailerBytes: Int { headerBytes }
  package var trailerCount: Int { headerCount }
  /// HTTP/1 only: informational responses before the final one.
  package var informationalResponses = 16
  /// HTTP/1.0 requests are accepted; otherwise 426.
  package var acceptsHTTP10 = true
  package var http2 = HTTP2Limits()

  package init() {}
}

/// HTTP/2 settings we announce and flood limits we enforce.
package struct HTTP2Limits: Equatable, Sendable {
  /// Streams open at once: of a server, what the peer may open, of a client, what it opens itself.
  package var maxConcurrentStreams: UInt32 = 1024
  /// Receive window of a stream, and of the connection.
  package var initialStreamWindow: UInt32 = 16 << 20
  package var initialConnectionWindow: UInt32 = 24 << 20
  package var maxFrameSize: UInt32 = 16_384
  /// Dynamic table our decoder offers, and the largest our encoder uses however much the peer offers.
  package var decoderTableSize: UInt32 = 4096
  package var encoderTableSize: UInt32 = 4096
  /// RFC 8441 extended CONNECT is announced and accepted.
  package var allowsExtendedConnect = false
  /// CONTINUATION frames in one header block.
  package var maxContinuations = 16
  /// Frames waiting in our output that the peer made us send, before it is told ENHANCE_YOUR_CALM.
  package var maxOutboundControlFrames = 1000
  /// DATA or HEADERS frames in a row with neither payload nor END_STREAM.
  package var maxEmptyFrames = 1
  /// PRIORITY frames allowed: this × (1 + streams opened).
  package var maxPriorityPerStream = 100
  /// WINDOW_UPDATE frames allowed: 5 + this × (streams opened + 10 × DATA frames sent).
  package var maxWindowUpdatePerDataFrame = 2
  /// PING frames allowed: this × (streams opened + DATA frames either way); those beyond count as below.
  package var maxPingPerDataFrame = 2
  /// SETTINGS, unknown frames and PINGs without content accepted in ten seconds.
  package var maxControlFramesPerTenSeconds = 1000
  /// Rapid reset: a stream reset by either side before it lived this long is premature.
  package var prematureResetAge: UInt64 = 1_000_000_000
  /// The connection ends when, after this many closed streams, half were premature; or earlier, half as many were.
  package var prematureResetStreams = 500

  package init() {}
}
