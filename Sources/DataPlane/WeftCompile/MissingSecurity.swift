// MissingSecurity: TLS whose secrets did not come.

import WeftBase
import WeftModel
import WeftRuntime
import WeftTables
import WeftUpstream

/// Stands where a context would: every connection fails before its first byte. *Source*: Envoy's sockets that are not ready.
final class MissingSecurity: UpstreamSecurity, DownstreamSecurity {
  var isReady: Bool { false }
  var identity: UInt64 { 0 }

  func makeSession(
    serverName: String, expecting expected: String?, protocols: UpstreamProtocols
  ) -> any TransportSession { Session() }

  func makeSession() -> any TransportSession { Session() }

  private final class Session: TransportSession {
    var status: TransportStatus { .failed }
    var negotiatedProtocol: String { "" }
    var serverName: String { "" }
    var failure: String? { "TLS error: Secret is not supplied by SDS" }
    func start(output: inout ByteBuffer) {}
    func receive(_ input: ByteView, plaintext: inout ByteBuffer, output: inout ByteBuffer) -> TransportStatus {
      .failed
    }
    func send(_ plaintext: ByteView, output: inout ByteBuffer) -> Bool { false }
    func finish(output: inout ByteBuffer) {}
    func inputEnded() {}
    func end() {}
  }
}

extension CommonTLSContext {
  /// Whether a secret that is asked for by name has not come.
  func lacks(_ known: [SecretKey: Secret]) -> Bool {
    secrets.contains { known[$0.key] == nil && $0.source != nil }
  }
}
