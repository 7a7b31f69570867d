import Testing
import WeftBase
import WeftModel
import WeftRuntime
import WeftTLS
import WeftUpstream

@testable import WeftCompile

@Suite("TLS contexts from configuration")
struct TLSSecurityTests {
  private struct Server {
    let identity: TLSIdentity
    let certificate: PeerCertificate
    let authority: CertificateAuthority

    init() throws {
      authority = try CertificateAuthority(commonName: "root")
      let issued = try authority.issue(CertificateTemplate(SubjectAltName(.dns, "server.test")))
      identity = issued.identity
      certificate = try PeerCertificate(pem: issued.identity.chain)
    }
  }

  /// Whether a cluster with `validation` takes the server's certificate.
  private func accepts(
    _ server: Server, _ validation: CertificateValidation?, secret: CertificateValidation? = nil
  ) throws -> Bool {
    var context = UpstreamTLSContext()
    context.sni = "server.test"
    context.common.validation = validation
    var secrets: [SecretKey: Secret] = [:]
    if let secret {
      context.common.validationSecret = SecretReference(name: "trust")
      secrets[SecretKey("trust", .fixed)] = Secret(name: "trust", content: .validation(secret))
    }
    let security = try TLSSecurity().upstream(context, secrets: secrets)
    let client = security.makeSession(serverName: "server.test", expecting: nil, protocols: .opaque)
    let end = TLSSession.server(try TLSContext(.server(server.identity)))
    var toServer = ByteBuffer()
    var toClient = ByteBuffer()
    var plaintext = ByteBuffer()
    client.start(output: &toServer)
    for _ in 0..<10 {
      _ = end.receive(toServer.view, plaintext: &plaintext, output: &toClient)
      toServer.removeAll()
      _ = client.receive(toClient.view, plaintext: &plaintext, output: &toServer)
      toClient.removeAll()
    }
    return client.status == .open
  }

  private func hexadecimal(_ bytes: [UInt8], separator: String = "") -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: separator)
  }

  @Test("a certificate that is not the pinned one is refused, with or without an authority", arguments: [false, true])
  func certificateHash(hasAuthority: Bool) throws {
    let server = try Server()
    var validation = CertificateValidation()
    if hasAuthority { validation.trustedCA = .inline(server.authority.certificatePEM) }
    validation.certificateHashes = [hexadecimal(server.certificate.fingerprint, separator: ":")]
    #expect(try accepts(server, validation))
    validation.certificateHashes = [String(repeating: "0", count: 64)]
    #expect(try !accepts(server, validation))
    validation.certificateHashes = []
    validation.publicKeyHashes = [Base64.encode([UInt8](repeating: 1, count: 32))]
    #expect(try !accepts(server, validation))
    validation.certificateHashes = [hexadecimal(server.certificate.fingerprint)]
    #expect(try accepts(server, validation), "one of both is enough")
  }

  @Test("a pin beside a delivered authority holds, and one that is delivered, too")
  func combined() throws {
    let server = try Server()
    var trust = CertificateValidation()
    trust.trustedCA = .inline(server.authority.certificatePEM)
    var pins = CertificateValidation()
    pins.certificateHashes = [String(repeating: "0", count: 64)]
    #expect(try accepts(server, nil, secret: trust))
    #expect(try !accepts(server, pins, secret: trust))
    #expect(try !accepts(server, trust, secret: pins))
    pins.certificateHashes.append(hexadecimal(server.certificate.fingerprint))
    #expect(try accepts(server, pins, secret: trust))
  }

  @Test("a pin that is none is refused by its field")
  func malformed() throws {
    var context = UpstreamTLSContext()
    context.common.validation = CertificateValidation()
    context.common.validation?.publicKeyHashes = ["short"]
    do throws(ConfigError) {
      _ = try TLSSecurity().upstream(context, secrets: [:])
      Issue.record("taken")
    } catch { #expect(error.path.description == "common_tls_context.verify_certificate_spki") }
  }

  @Test("configurations that differ in anything have contexts of their own")
  func digests() {
    let changes: [@Sendable (inout TLSConfiguration) -> Void] = [
      { $0.trustedAuthorities = [.bytes([1])] }, { $0.trustsSystemAuthorities = true },
      { $0.revocationLists = [.bytes([1])] }, { $0.verification = .none }, { $0.certificateHashes = [[1]] },
      { $0.publicKeyHashes = [[1]] }, { $0.allowsExpired = true }, { $0.acceptsUntrusted = true },
      { $0.minimumVersion = .tls13 }, { $0.maximumVersion = .tls12 }, { $0.cipherSuites = ["a"] },
      { $0.groups = ["a"] }, { $0.protocols = ["a"] }, { $0.serverName = "a" }, { $0.resumption = false },
      { $0.sessionTimeout = .seconds(1) }, { $0.maximumKeptSessions = 1 },
      { $0.identities = [TLSIdentity(chain: .bytes([1]), privateKey: .bytes([2]))] },
      { $0 = .server() },
    ]
    var seen = Set([TLSContextCache.digest(.client(), [])])
    for (i, change) in changes.enumerated() {
      var configuration = TLSConfiguration.client()
      change(&configuration)
      #expect(seen.insert(TLSContextCache.digest(configuration, [])).inserted, "change \(i)")
    }
    // The names of peers come as the model has them. Who adds a field adds a change here, and to the digest.
    #expect(Mirror(reflecting: TLSConfiguration.client()).children.count == changes.count + 1)
  }
}
