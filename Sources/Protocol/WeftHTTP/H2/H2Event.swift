// What an HTTP/2 connection tells its owner.

package import WeftBase

/// A stream's number on the wire.
package typealias H2StreamID = UInt32

/// Error codes (RFC 9113 §7). Unknown codes are kept.
package struct H2ErrorCode: RawRepresentable, Hashable, Sendable {
  package let rawValue: UInt32
  package init(rawValue: UInt32) { self.rawValue = rawValue }

  package static let noError = H2ErrorCode(rawValue: 0)
  package static let protocolError = H2ErrorCode(rawValue: 1)
  package static let internalError = H2ErrorCode(rawValue: 2)
  package static let flowControlError = H2ErrorCode(rawValue: 3)
  package static let settingsTimeout = H2ErrorCode(rawValue: 4)
  package static let streamClosed = H2ErrorCode(rawValue: 5)
  package static let frameSizeError = H2ErrorCode(rawValue: 6)
  package static let refusedStream = H2ErrorCode(rawValue: 7)
  package static let cancel = H2ErrorCode(rawValue: 8)
  package static let compressionError = H2ErrorCode(rawValue: 9)
  package static let connectError = H2ErrorCode(rawValue: 10)
  package static let enhanceYourCalm = H2ErrorCode(rawValue: 11)
  package static let inadequateSecurity = H2ErrorCode(rawValue: 12)
  package static let http11Required = H2ErrorCode(rawValue: 13)
}

/// One step of an HTTP/2 connection.
package enum H2Event {
  /// A request (server), or a response, informational ones included (client), is in the scratch. Server: the stream is new.
  case headers(stream: H2StreamID, endStream: Bool)
  /// Trailers are in the scratch; they end the stream.
  case trailers(stream: H2StreamID)
  /// Content: a view of the input. Report it with `consumed` when the other side has taken it.
  case data(stream: H2StreamID, ByteView, endStream: Bool)
  /// Server: a request's fields exceed the limits. The scratch is empty; answer 431 and reset, or just reset.
  case headersTooLarge(stream: H2StreamID)
  /// The stream ended early: the peer reset it, or (`byPeer` false) we did because of what the peer sent. Its slot is
  /// readable (`user`) until the next call of `next`. Told of every stream that ends so, even of the one whose end is too much for the
  /// connection: `connectionError` follows it.
  case reset(stream: H2StreamID, code: H2ErrorCode, byPeer: Bool)
  /// The peer will not process streams above `lastStream`; those are safe to retry elsewhere. A first notice has 2³¹−1.
  case goAway(lastStream: H2StreamID, code: H2ErrorCode)
  /// `sendData` that accepted less than it was given may go on: for this stream, or (0) for any stream.
  case windowOpened(stream: H2StreamID)
  /// The peer's settings changed (the first time: the connection is usable with them).
  case settings
  /// The answer to `ping`.
  case pong(UInt64)
  /// The peer broke the connection's rules; GOAWAY is in the output. Flush it and close. The state is final.
  case connectionError(H2ErrorCode, H2ErrorDetail)
  /// Everything usable is consumed; call again with the rest of the input followed by more.
  case needMore
}

/// Why a connection or stream was ended by us: for logs and counters.
package enum H2ErrorDetail: UInt8, Sendable, CaseIterable {
  case none, preface, frameSize, frameOnWrongStream, streamIdentifier, closedStream, hpack, padding, continuation
  case continuationFlood, headersTooLarge, headerField, pseudoHeader, contentLength, windowOverflow, windowExceeded
  case zeroWindowUpdate, settingValue, selfDependency, pushPromise, concurrencyExceeded, goAwayIdentifier
  case outboundFlood, emptyFrameFlood, priorityFlood, windowUpdateFlood, controlFlood, rapidReset, prohibitedUpgrade

  package var text: StaticString {
    switch self {
    case .none: "http2.none"
    case .preface: "http2.bad_preface"
    case .frameSize: "http2.frame_size"
    case .frameOnWrongStream: "http2.frame_on_wrong_stream"
    case .streamIdentifier: "http2.stream_identifier"
    case .closedStream: "http2.closed_stream"
    case .hpack: "http2.hpack"
    case .padding: "http2.padding"
    case .continuation: "http2.continuation_expected"
    case .continuationFlood: "http2.continuation_flood"
    case .headersTooLarge: "http2.headers_too_large"
    case .headerField: "http2.invalid_header_field"
    case .pseudoHeader: "http2.invalid_pseudo_header"
    case .contentLength: "http2.content_length_mismatch"
    case .windowOverflow: "http2.window_overflow"
    case .windowExceeded: "http2.window_exceeded"
    case .zeroWindowUpdate: "http2.zero_window_update"
    case .settingValue: "http2.setting_value"
    case .selfDependency: "http2.self_dependency"
    case .pushPromise: "http2.push_promise"
    case .concurrencyExceeded: "http2.concurrency_exceeded"
    case .goAwayIdentifier: "http2.goaway_identifier"
    case .outboundFlood: "http2.outbound_control_flood"
    case .emptyFrameFlood: "http2.inbound_empty_frames_flood"
    case .priorityFlood: "http2.inbound_priority_frames_flood"
    case .windowUpdateFlood: "http2.inbound_window_update_frames_flood"
    case .controlFlood: "http2.inbound_control_frames_flood"
    case .rapidReset: "http2.premature_resets"
    case .prohibitedUpgrade: "http2.extended_connect_not_enabled"
    }
  }
}
