// Request methods, protocol versions and body framing: the small vocabulary of a head.

package import WeftBase

/// A request method; `.other` for a token outside the registered set (its bytes are in `MessageHead.methodText`).
@frozen @usableFromInline
package enum HTTPMethod: UInt8, BitwiseCopyable, CaseIterable, Sendable {
  case get, head, post, put, delete, connect, options, trace, patch, other

  /// The method's token; empty for `.other`. Methods are case-sensitive (RFC 9110 §9.1).
  package var text: StaticString {
    switch self {
    case .get: "GET"
    case .head: "HEAD"
    case .post: "POST"
    case .put: "PUT"
    case .delete: "DELETE"
    case .connect: "CONNECT"
    case .options: "OPTIONS"
    case .trace: "TRACE"
    case .patch: "PATCH"
    case .other: ""
    }
  }

  /// The method whose token is exactly `text`, else `.other`.
  package static func find(_ text: ByteView) -> HTTPMethod {
    for method in allCases where method != .other && text.equals(method.text) { return method }
    return .other
  }

  /// True when repeating the request has the effect of doing it once (RFC 9110 §9.2.2).
  @inlinable package var isIdempotent: Bool {
    switch self {
    case .get, .head, .put, .delete, .options, .trace: true
    case .post, .patch, .connect, .other: false
    }
  }
}

/// The protocol version a message came in or goes out with.
@frozen @usableFromInline
package enum HTTPVersion: UInt8, BitwiseCopyable, Sendable, Comparable {
  case http10, http11, http2

  @inlinable package static func < (a: HTTPVersion, b: HTTPVersion) -> Bool { a.rawValue < b.rawValue }
}

/// How the end of a message's content is found.
@frozen @usableFromInline
package enum BodyFraming: Equatable, BitwiseCopyable, Sendable {
  /// No content follows the head.
  case none
  /// Exactly this many bytes (`Content-Length`).
  case length(UInt64)
  /// `Transfer-Encoding: chunked`, or HTTP/2 content without a declared length.
  case chunked
  /// Until the connection closes; responses only.
  case untilClose
  /// After the head the connection is opaque bytes: 101, or 2xx to CONNECT.
  case tunnel
}
