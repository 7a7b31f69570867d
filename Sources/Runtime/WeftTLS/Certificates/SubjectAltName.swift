// Names in certificates, and matching them by type, byte for byte.

import WeftBase

/// One name of a certificate's subjectAltName extension.
package struct SubjectAltName: Hashable, Sendable, CustomStringConvertible {
  package enum Kind: String, Hashable, Sendable { case dns, uri, email, ip }

  package let kind: Kind
  /// The bytes as they stand in the certificate (4 or 16 for addresses). May hold NULs, which no matcher accepts.
  package let bytes: [UInt8]

  package init(_ kind: Kind, bytes: [UInt8]) {
    self.kind = kind
    self.bytes = bytes
  }

  package init(_ kind: Kind, _ text: String) { self.init(kind, bytes: Array(text.utf8)) }

  /// The name as text; addresses in their usual form.
  package var text: String {
    guard kind == .ip else { return String(decoding: bytes, as: UTF8.self) }
    if bytes.count == 4 { return bytes.map(String.init).joined(separator: ".") }
    guard bytes.count == 16 else { return "" }
    // The canonical form is the business of the address type; matching is by bytes.
    return stride(from: 0, to: 16, by: 2).map { String(UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]), radix: 16) }
      .joined(separator: ":")
  }

  package var description: String { "\(kind.rawValue):\(text)" }
}

/// Accepts names of one kind (or of any).
package struct SubjectAltNameMatcher: Sendable {
  /// Nil: names of every kind.
  package let kind: SubjectAltName.Kind?
  private let accepts: @Sendable (SubjectAltName) -> Bool

  /// A matcher that asks `accepts` for names of `kind` that hold no NUL.
  package init(_ kind: SubjectAltName.Kind?, where accepts: @escaping @Sendable (SubjectAltName) -> Bool) {
    self.kind = kind
    self.accepts = accepts
  }

  /// Exactly `text`. DNS names are compared without case, and a certificate's `*.` stands for exactly one label; addresses are written as
  /// text (`10.0.0.1`); everything else is compared byte for byte.
  package static func exact(_ kind: SubjectAltName.Kind, _ text: String) -> SubjectAltNameMatcher {
    switch kind {
    case .dns: SubjectAltNameMatcher(.dns) { dnsName($0.bytes, covers: Array(text.utf8)) }
    case .ip:
      if let address = IPAddressBytes.parse(text) {
        SubjectAltNameMatcher(.ip) { $0.bytes == address }
      } else {
        SubjectAltNameMatcher(.ip) { _ in false }
      }
    case .uri, .email: SubjectAltNameMatcher(kind) { $0.bytes == Array(text.utf8) }
    }
  }

  package static func prefix(_ kind: SubjectAltName.Kind, _ text: String) -> SubjectAltNameMatcher {
    SubjectAltNameMatcher(kind) { $0.bytes.starts(with: text.utf8) }
  }

  package static func suffix(_ kind: SubjectAltName.Kind, _ text: String) -> SubjectAltNameMatcher {
    SubjectAltNameMatcher(kind) { $0.bytes.reversed().starts(with: text.utf8.reversed()) }
  }

  /// Whether `name` is accepted. Names with an embedded NUL never are: some readers would stop there and see another name.
  package func matches(_ name: SubjectAltName) -> Bool {
    if let kind, name.kind != kind { return false }
    if name.kind != .ip, name.bytes.contains(0) { return false }
    return accepts(name)
  }

  /// Whether a certificate's DNS name covers `host`: equal without case, or `*.` followed by all but the first label of `host`.
  static func dnsName(_ name: [UInt8], covers host: [UInt8]) -> Bool {
    let name = name.map(ASCII.lowercased)
    let host = host.map(ASCII.lowercased)
    if name == host { return !host.isEmpty }
    guard name.starts(with: [42, 46]), name.count > 2, let dot = host.firstIndex(of: 46), dot > 0 else { return false }
    return host[dot...] == name[1...]
  }
}
