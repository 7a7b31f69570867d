// The errors of the cold path. The hot path uses enums of its own codecs, never `throws any Error`.

/// An error with a code a program can test and a sentence a person can act on.
package struct WeftError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What kind of thing went wrong; stable names, part of logs and of the command line's output.
  package enum Code: String, Sendable, CaseIterable {
    case invalidInput = "invalid-input"
    case notFound = "not-found"
    case alreadyExists = "already-exists"
    case limitReached = "limit-reached"
    case timedOut = "timed-out"
    case cancelled = "cancelled"
    case closed = "closed"
    case refused = "refused"
    case unavailable = "unavailable"
    case unsupported = "unsupported"
    case system = "system"
    case dns = "dns"
    case tls = "tls"
    case protocolViolation = "protocol-violation"
    case store = "store"
  }

  package let code: Code
  /// One sentence without the code, starting in lower case, no full stop.
  package let message: String
  /// `errno` when the system refused, else 0.
  package let systemError: Int32

  package init(_ code: Code, _ message: String, systemError: Int32 = 0) {
    self.code = code
    self.message = message
    self.systemError = systemError
  }

  /// A refused system call: `"bind 127.0.0.1:80: Permission denied"`.
  package static func system(_ call: String, _ number: Int32) -> WeftError {
    WeftError(.system, "\(call): \(SystemErrorName.describe(number))", systemError: number)
  }

  package var description: String { "\(code.rawValue): \(message)" }
}
