// TransportSession: what stands between the socket's bytes and the handler's (TLS), without any I/O of its own.

package import WeftBase

/// Where a transport is in its life.
@frozen
package enum TransportStatus: UInt8, Sendable, BitwiseCopyable {
  /// No plaintext may pass yet.
  case handshaking
  case open
  /// The peer has ended its side in order (close_notify). Sending is still possible.
  case ended
  /// Broken for good; `failure` says why.
  case failed
}

/// A sans-I/O transport: ciphertext in, plaintext out, and back.
///
/// The loop calls it; handlers read `status`, the negotiated values and `failure`. Every method appends what must go to the peer
/// to `output`.
package protocol TransportSession: AnyObject {
  var status: TransportStatus { get }
  /// Begins (the client's first flight).
  func start(output: inout ByteBuffer)
  /// Takes all of `input`; appends the plaintext it holds to `plaintext`. Returns the new status.
  func receive(_ input: ByteView, plaintext: inout ByteBuffer, output: inout ByteBuffer)
    -> TransportStatus
  /// Encrypts all of `plaintext`. Returns false when the session cannot send (any more).
  func send(_ plaintext: ByteView, output: inout ByteBuffer) -> Bool
  /// Ends our side in order (close_notify).
  func finish(output: inout ByteBuffer)
  /// The peer's stream has ended; during the handshake that is a failure.
  func inputEnded()
  /// The connection is gone; the session gives back what it holds. Called once.
  func end()
  /// The protocol agreed by ALPN, empty when none.
  var negotiatedProtocol: String { get }
  /// The name the client asked for (SNI), empty when none.
  var serverName: String { get }
  /// Why the session failed, as one text; nil while it has not.
  var failure: String? { get }
  /// The handshake in figures, for statistics.
  var handshake: HandshakeReport { get }
}

extension TransportSession {
  package var handshake: HandshakeReport { HandshakeReport() }
}

/// What a handshake came to.
package struct HandshakeReport: BitwiseCopyable, Hashable, Sendable {
  /// What made a session fail.
  package enum Fault: UInt8, BitwiseCopyable, Sendable {
    case none
    /// The peer had to show a certificate and did not.
    case noCertificate
    /// The peer's certificate was refused: for its chain, for its names, or because it is not one of those pinned.
    case untrusted, wrongName, notPinned
    /// Anything else on the wire that is no TLS, or not the TLS that both could speak.
    case wire
  }
  package var isResumed = false
  package var hasPeerCertificate = false
  package var fault = Fault.none

  package init() {}
}
