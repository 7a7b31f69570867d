// TLSContextCache: one TLS context per content.

import Synchronization
import WeftBase
import WeftModel
import WeftTLS

/// Finds the context of a configuration by a digest of all it is made of: bytes, not paths or names of secrets.
///
/// *Threads*: any. *Cost*: a digest of a few kilobytes; making a context parses keys and certificates.
final class TLSContextCache: Sendable {
  private struct Entry: Sendable { weak var context: TLSContext? }

  private let entries = Mutex<[[UInt8]: Entry]>([:])

  /// Contexts that somebody uses.
  var count: Int { entries.withLock { $0.values.count { $0.context != nil } } }

  /// The context of `configuration`, whose `peerNames` are those of `names`, and its digest.
  func context(_ configuration: TLSConfiguration, _ names: [CertificateValidation.SANMatcher]) throws(ConfigError) -> (
    context: TLSContext, digest: [UInt8]
  ) {
    let digest = Self.digest(configuration, names)
    if let known = entries.withLock({ $0[digest]?.context }) { return (known, digest) }
    let made: TLSContext
    do throws(WeftError) { made = try TLSContext(configuration) } catch {
      throw ConfigError(path: FieldPath().field("common_tls_context"), error.message)
    }
    entries.withLock { entries in
      entries[digest] = Entry(context: made)
      // Those that are gone are forgotten when there are as many of them as others.
      if entries.count > 2 * entries.values.count(where: { $0.context != nil }) + 16 {
        entries = entries.filter { $0.value.context != nil }
      }
    }
    return (made, digest)
  }

  /// SHA-256 over every field, each with its length: two configurations that share a digest are the same.
  static func digest(_ c: TLSConfiguration, _ names: [CertificateValidation.SANMatcher]) -> [UInt8] {
    var text = ContentText()
    text.add(c.role == .server ? 1 : 0)
    text.add(c.identities.count)
    for identity in c.identities {
      text.add(identity.chain)
      text.add(identity.privateKey)
      text.add(identity.password ?? [])
      text.add(identity.password == nil ? 0 : 1)
    }
    text.add(c.trustedAuthorities.count)
    for source in c.trustedAuthorities { text.add(source) }
    text.add(c.revocationLists.count)
    for source in c.revocationLists { text.add(source) }
    switch c.verification {
    case .none: text.add(0)
    case .ifPresented: text.add(1)
    case .required: text.add(2)
    }
    text.add(names.count)
    for name in names {
      text.add("\(name.type)")
      switch name.matcher.pattern {
      case .exact(let value): text.add("exact", value)
      case .prefix(let value): text.add("prefix", value)
      case .suffix(let value): text.add("suffix", value)
      case .contains(let value): text.add("contains", value)
      case .regex(let value): text.add("regex", value)
      }
      text.add(name.matcher.ignoreCase ? 1 : 0)
    }
    text.add(c.certificateHashes.count)
    for hash in c.certificateHashes { text.add(hash) }
    text.add(c.publicKeyHashes.count)
    for hash in c.publicKeyHashes { text.add(hash) }
    text.add((c.allowsExpired ? 1 : 0) | (c.acceptsUntrusted ? 2 : 0) | (c.resumption ? 4 : 0))
    text.add(c.trustsSystemAuthorities ? 1 : 0)
    text.add(Int(c.minimumVersion.rawValue))
    text.add(Int(c.maximumVersion.rawValue))
    for list in [c.cipherSuites, c.groups, c.protocols] {
      text.add(list.count)
      for item in list { text.add(item) }
    }
    text.add(c.serverName)
    text.add(c.maximumKeptSessions)
    text.add("\(c.sessionTimeout.map { "\($0.components.seconds)" } ?? "")")
    return MessageDigest.sha256(text.bytes)
  }

  /// Fields one after the other, each with its length.
  private struct ContentText {
    var bytes: [UInt8] = []

    mutating func add(_ number: Int) {
      for shift in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: number >> (8 * shift))) }
    }

    mutating func add(_ field: [UInt8]) {
      add(field.count)
      bytes += field
    }

    mutating func add(_ texts: String...) { for text in texts { add(Array(text.utf8)) } }

    mutating func add(_ source: PEMSource) {
      switch source {
      case .bytes(let content): add(content)
      case .file(let path): add("file", path)
      }
    }
  }
}
