/// What can end an exchange besides success.
package enum ServiceError: Error, Hashable, Sendable {
  /// The exchange's time was over before it was complete.
  case deadlineExceeded
  /// The awaiting task was cancelled, or the exchange was abandoned.
  case cancelled
  /// No connection could be made; nothing was sent.
  case connectFailed(String)
  /// The connection ended before the exchange was complete.
  case connectionClosed(String)
  /// The peer reset the stream (HTTP/2 error code).
  case streamReset(UInt32)
  /// The peer will certainly not process the request; it may be sent again elsewhere.
  case refused(String)
  /// A named limit was reached.
  case limitExceeded(String)
  /// The peer, or the caller, broke the protocol.
  case protocolViolation(String)
  /// The server, client or runtime is shutting down.
  case shutDown

  /// Whether the request certainly had no effect, so that even a POST may be retried.
  package var isSafeToRetry: Bool {
    switch self {
    case .connectFailed, .refused: true
    default: false
    }
  }
}

extension ServiceError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .deadlineExceeded: "deadline exceeded"
    case .cancelled: "cancelled"
    case .connectFailed(let why): "cannot connect: \(why)"
    case .connectionClosed(let why): "connection closed: \(why)"
    case .streamReset(let code): "stream reset by peer, HTTP/2 error code \(code)"
    case .refused(let why): "refused: \(why)"
    case .limitExceeded(let what): "limit exceeded: \(what)"
    case .protocolViolation(let what): "protocol violation: \(what)"
    case .shutDown: "shutting down"
    }
  }
}
