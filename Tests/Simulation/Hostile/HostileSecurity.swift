// HostileSecurity: a toy of TLS for worlds with attackers: a handshake that may fail or never come, an alert at the end, no secrets.

import WeftBase
import WeftModel
import WeftRuntime
import WeftUpstream

@testable import WeftCompile
@testable import WeftProxy
@testable import WeftTables

/// The handshake is one exclamation mark each way; after it bytes pass as they are. Half a close is told by `alert`.
///
/// A context is told from others by the secrets that it names, as a real one is.
final class HostileSecurity: SecurityFactory, DownstreamSecurity, UpstreamSecurity {
  static let alert: UInt8 = 0x15

  let identity: UInt64
  var isReady: Bool { true }

  init(identity: UInt64 = 1) { self.identity = identity }

  func downstream(_ context: DownstreamTLSContext, secrets: [SecretKey: Secret]) throws(ConfigError)
    -> any DownstreamSecurity
  { HostileSecurity(identity: Self.identity(context.common, secrets)) }

  func upstream(_ context: UpstreamTLSContext, secrets: [SecretKey: Secret]) throws(ConfigError) -> any UpstreamSecurity
  { HostileSecurity(identity: Self.identity(context.common, secrets)) }

  private static func identity(_ context: CommonTLSContext, _ secrets: [SecretKey: Secret]) -> UInt64 {
    var identity: UInt64 = 1
    for reference in context.certificateSecrets {
      guard case .certificate(let certificate) = secrets[reference.key]?.content,
        case .inline(let bytes) = certificate.chain
      else { preconditionFailure("a context without its secret is never made") }
      identity = RandomSource.mix(identity, UInt64(bytes.first ?? 0))
    }
    return identity
  }

  func makeSession(serverName: String, expecting expected: String?, protocols: UpstreamProtocols)
    -> any TransportSession
  { Session() }

  func makeSession() -> any TransportSession { Session() }

  private final class Session: TransportSession {
    private(set) var status = TransportStatus.handshaking
    private var isFinished = false
    var negotiatedProtocol: String { "" }
    var serverName: String { "" }
    var failure: String? { status == .failed ? "no exclamation mark" : nil }

    func start(output: inout ByteBuffer) {}

    func receive(_ input: ByteView, plaintext: inout ByteBuffer, output: inout ByteBuffer) -> TransportStatus {
      var input = input
      if status == .handshaking, let first = input.first {
        output.append(ByteView("!"))
        status = first == UInt8(ascii: "!") ? .open : .failed
        input = input.dropFirst(1)
      }
      if status == .open {
        plaintext.append(input)
        // As the last byte of what comes it is the end of the peer's side.
        if input.last == HostileSecurity.alert { status = .ended }
      }
      return status
    }

    func send(_ plaintext: ByteView, output: inout ByteBuffer) -> Bool {
      output.append(plaintext)
      return !isFinished
    }

    func finish(output: inout ByteBuffer) {
      if isFinished { return }
      isFinished = true
      [HostileSecurity.alert].withByteView { output.append($0) }
    }

    func inputEnded() {}
    func end() {}
  }
}
