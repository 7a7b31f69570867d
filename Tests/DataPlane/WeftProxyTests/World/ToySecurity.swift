// ToySecurity: a transport with a handshake and nothing else, so that tests see what comes before and after it.

import Synchronization
import WeftBase
import WeftModel
import WeftRuntime
import WeftUpstream

@testable import WeftCompile
@testable import WeftProxy
@testable import WeftTables

/// The handshake ends with an exclamation mark; after it bytes pass as they are, until `closeNotify` ends a read.
final class ToySecurity: SecurityFactory, DownstreamSecurity, UpstreamSecurity {
  /// What the handshake agrees on.
  let agrees: String
  /// What connections to endpoints offered.
  var offered: [[String]] { offers.withLock { $0 } }
  var isReady: Bool { true }
  var identity: UInt64 { 1 }
  private let offers = Mutex<[[String]]>([])
  /// What ends the peer's side in order.
  static let closeNotify = "\u{15}close_notify"
  init(agrees: String = "") { self.agrees = agrees }

  func downstream(_ context: DownstreamTLSContext, secrets: [SecretKey: Secret]) throws(ConfigError)
    -> any DownstreamSecurity
  { self }

  func upstream(_ context: UpstreamTLSContext, secrets: [SecretKey: Secret]) throws(ConfigError) -> any UpstreamSecurity
  {
    self
  }

  func makeSession(serverName: String, expecting expected: String?, protocols: UpstreamProtocols)
    -> any TransportSession
  {
    offers.withLock { $0.append(protocols.names) }
    return Session(agrees)
  }

  func makeSession() -> any TransportSession { Session(agrees) }

  private final class Session: TransportSession {
    var status = TransportStatus.handshaking
    let negotiatedProtocol: String
    var serverName: String { "" }
    var failure: String? { nil }

    init(_ agrees: String) { negotiatedProtocol = agrees }

    func start(output: inout ByteBuffer) {}
    func receive(_ input: ByteView, plaintext: inout ByteBuffer, output: inout ByteBuffer) -> TransportStatus {
      var input = input
      while status == .handshaking, let first = input.first {
        if first == UInt8(ascii: "!") { status = .open }
        input = input.dropFirst(1)
      }
      if status == .ended { return status }
      let end = Array(ToySecurity.closeNotify.utf8)
      if input.count >= end.count, input.dropFirst(input.count - end.count).array == end {
        plaintext.append(input[0..<input.count - end.count])
        status = .ended
      } else {
        plaintext.append(input)
      }
      return status
    }
    func send(_ plaintext: ByteView, output: inout ByteBuffer) -> Bool {
      output.append(plaintext)
      return true
    }
    func finish(output: inout ByteBuffer) {}
    func inputEnded() {}
    func end() {}
  }
}
