// ClientCertificate: `x-forwarded-client-cert` (XFCC), in Envoy's exact form.

import WeftBase
import WeftHTTP
import WeftModel
import WeftRuntime
import WeftTLS
import WeftTables
import WeftTelemetry
import WeftUpstream

/// A connection's own XFCC element: made for its first request, kept for the others.
///
/// *Shape*: a handle on a pooled block. Why sound: the block is written once and given back by the connection's slot, which holds the
/// only handle.
@safe
struct ClientCertificateText: BitwiseCopyable {
  private let block: PooledBlock
  private let length: Int

  init(_ text: String, pool: BufferPool) {
    block = pool.take(atLeast: text.utf8.count)
    length = text.utf8.count
    let room = block
    text.withByteView { view in unsafe room.base.copyMemory(from: view.base, byteCount: view.count) }
  }

  var view: ByteView { unsafe ByteView(block.base, count: length) }
  func release(to pool: BufferPool) { pool.give(block) }
}

extension WorkerEngine {
  /// Forwards, extends, replaces or removes `x-forwarded-client-cert`, as `forward_client_cert_details` says.
  func forwardClientCertificate(_ head: MessageHead, _ slot: SlotRef<DownstreamConnection>) {
    guard let manager = slot[].manager else { return }
    switch manager[].clientCertificateMode {
    case .alwaysForwardOnly: return
    case .sanitize:
      // What describes a certificate comes from outside and says what it likes.
      head.remove(.forwardedClientCert)
      return
    case .forwardOnly, .appendForward, .sanitizeSet: break
    }
    guard slot[].transport.isSecure, let session = loop.transport(slot[].connection) as? TLSSession,
      session.presentedCertificate
    else {
      head.remove(.forwardedClientCert)
      return
    }
    if manager[].clientCertificateMode == .forwardOnly { return }
    if slot[].certificateText == nil, let peer = session.peerCertificate() {
      let text = XFCC.element(
        peer, chain: manager[].clientCertificateDetails.chain ? session.peerChain() : [],
        localURIs: session.localURIs(), manager[].clientCertificateDetails)
      slot[].certificateText = ClientCertificateText(text, pool: pool)
    }
    guard let own = slot[].certificateText else { return }
    if manager[].clientCertificateMode == .appendForward,
      let old = head.joinedValue(named: ByteView(HeaderName.forwardedClientCert.text)), !old.isEmpty
    {
      head.set(.forwardedClientCert, head.concatenate(head.concatenate(old, ByteView(",")), own.view))
    } else {
      head.set(.forwardedClientCert, own.view)
    }
  }

  /// The connection's configuration or life is over.
  func releaseCertificateText(_ slot: SlotRef<DownstreamConnection>) {
    slot[].certificateText?.release(to: pool)
    slot[].certificateText = nil
  }
}

/// The text form of one hop's certificate.
enum XFCC {
  /// `By=…;Hash=…` and the configured parts, in Envoy's order: Cert, Chain, Subject, URI, DNS.
  static func element(
    _ peer: PeerCertificate, chain: [[UInt8]], localURIs: [String], _ details: ClientCertificateDetails
  ) -> String {
    var parts = localURIs.map { "By=" + quoted($0) }
    parts.append("Hash=" + hexadecimal(peer.fingerprint))
    if details.certificate { parts.append("Cert=\"" + urlEncoded(pem(peer.der)) + "\"") }
    if details.chain, !chain.isEmpty { parts.append("Chain=\"" + chain.map { urlEncoded(pem($0)) }.joined() + "\"") }
    if details.subject { parts.append("Subject=\"" + escaped(peer.subject) + "\"") }
    if details.uri {
      let uris = peer.subjectAltNames.filter { $0.kind == .uri }
      parts += uris.isEmpty ? ["URI="] : uris.map { "URI=" + quoted($0.text) }
    }
    if details.dns { parts += peer.subjectAltNames.filter { $0.kind == .dns }.map { "DNS=" + quoted($0.text) } }
    return parts.joined(separator: ";")
  }

  /// In double quotes when it holds what separates elements, parts, or keys from values.
  static func quoted(_ text: String) -> String {
    let clean = printable(text)
    return clean.utf8.contains { ",;=\"\\".utf8.contains($0) } ? "\"" + escaped(clean) + "\"" : clean
  }

  /// For between double quotes.
  static func escaped(_ text: String) -> String {
    var out = ""
    for character in printable(text).unicodeScalars {
      if character == "\"" { out += "\\\"" } else { out.unicodeScalars.append(character) }
    }
    return out
  }

  /// A certificate may say anything; a field value may not hold control bytes.
  private static func printable(_ text: String) -> String {
    if !text.utf8.contains(where: { $0 < 32 || $0 == 127 }) { return text }
    return String(String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 32 || $0.value == 127 ? "?" : $0 }))
  }

  static func hexadecimal(_ bytes: [UInt8]) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }

  static func pem(_ der: [UInt8]) -> String {
    var text = "-----BEGIN CERTIFICATE-----\n"
    var rest = Base64.encode(der)[...]
    while !rest.isEmpty {
      text += rest.prefix(64) + "\n"
      rest = rest.dropFirst(64)
    }
    return text + "-----END CERTIFICATE-----\n"
  }

  static func urlEncoded(_ text: String) -> String {
    var out = ""
    for c in text.unicodeScalars {
      switch c {
      case "\n": out += "%0A"
      case " ": out += "%20"
      case "+": out += "%2B"
      case "/": out += "%2F"
      case "=": out += "%3D"
      default: out.unicodeScalars.append(c)
      }
    }
    return out
  }
}
