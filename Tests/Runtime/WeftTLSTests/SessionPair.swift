// Two sessions joined in memory, and the certificates tests use.

import Testing
import WeftBase
import WeftRuntime
import WeftTLS

/// Certificates made once per test process.
enum TestCertificates {
  static let spiffe = "spiffe://cluster.local/ns/default/sa/reviews"

  static func authority(_ name: String = "test root") throws -> CertificateAuthority {
    try CertificateAuthority(commonName: name)
  }

  static func server(_ authority: CertificateAuthority, _ host: String = "server.test") throws -> TLSIdentity {
    try authority.issue(CertificateTemplate(SubjectAltName(.dns, host), SubjectAltName(.uri, spiffe))).identity
  }
}

/// A client and a server session whose ciphertext is passed on in pieces of `piece` bytes.
final class SessionPair {
  let client: TLSSession
  let server: TLSSession
  let piece: Int
  private var toServer = ByteBuffer()
  private var toClient = ByteBuffer()
  private(set) var atServer: [UInt8] = []
  private(set) var atClient: [UInt8] = []

  init(client: TLSSession, server: TLSSession, piece: Int = .max) {
    self.client = client
    self.server = server
    self.piece = piece
    client.start(output: &toServer)
    server.start(output: &toClient)
  }

  /// Passes bytes on until neither side has any left.
  func pump() {
    var plaintext = ByteBuffer()
    while !toServer.isEmpty || !toClient.isEmpty {
      let up = toServer.view.prefix(piece).array
      toServer.consume(up.count)
      if !up.isEmpty { up.withByteView { _ = server.receive($0, plaintext: &plaintext, output: &toClient) } }
      atServer += plaintext.view.array
      plaintext.removeAll()
      let down = toClient.view.prefix(piece).array
      toClient.consume(down.count)
      if !down.isEmpty { down.withByteView { _ = client.receive($0, plaintext: &plaintext, output: &toServer) } }
      atClient += plaintext.view.array
      plaintext.removeAll()
    }
  }

  func sendFromClient(_ bytes: [UInt8]) -> Bool { bytes.withByteView { client.send($0, output: &toServer) } }
  func sendFromServer(_ bytes: [UInt8]) -> Bool { bytes.withByteView { server.send($0, output: &toClient) } }
  func finishClient() { client.finish(output: &toServer) }
  func finishServer() { server.finish(output: &toClient) }
  func end() {
    client.end()
    server.end()
  }
}

func pattern(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) } }
