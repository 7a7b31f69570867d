package import WeftBase
package import WeftHTTP
package import WeftModel
import WeftTelemetry

/// What of a request feeds the hash by which balancing gives it a host: a compiled `HashPolicy`.
///
/// *Source*: Envoy's `hash_policy`, to whose hashes ours are the same.
package struct CompiledHashPolicy: BitwiseCopyable {
  package enum Kind: UInt8, BitwiseCopyable { case header, cookie, sourceIP, queryParameter }
  package let kind: Kind
  /// Stop once there is a hash.
  package let isTerminal: Bool
  /// Of the header (lower case), cookie or parameter.
  package let name: ByteView
  private let pseudo: CompiledHeaderMatcher.Pseudo
  private let regex: RegexRef
  private let substitution: ByteView
  /// A request without the cookie is given one, which ends with this text.
  package let isGenerated: Bool
  package let attributes: ByteView

  /// *Errors*: a pattern that is none.
  package init(_ policy: HashPolicy, _ storage: SnapshotStorage) throws(ConfigError) {
    isTerminal = policy.terminal
    switch policy.source {
    case .header(let header, let rewrite):
      kind = .header
      let lower = header.lowercased()
      name = storage.text(lower)
      pseudo = CompiledHeaderMatcher.Pseudo(lower)
      substitution = storage.text(rewrite?.substitution ?? "")
      do throws(ConfigError) {
        regex = try rewrite.map { (r) throws(ConfigError) in try storage.regex(r.pattern) } ?? .none
      } catch { throw error.inside(FieldPath().field("header").field("regex_rewrite").field("pattern").field("regex")) }
      (isGenerated, attributes) = (false, .empty)
    case .cookie(let cookie, let path, let ttl, let more):
      kind = .cookie
      name = storage.text(cookie)
      (pseudo, regex, substitution) = (.none, .none, .empty)
      isGenerated = ttl != nil
      let seconds = (ttl ?? .zero).components.seconds
      var text = seconds == 0 ? "" : "; Max-Age=\(seconds)"
      if !path.isEmpty { text += "; Path=\(path)" }
      for attribute in more { text += "; \(attribute.name)" + (attribute.value.isEmpty ? "" : "=\(attribute.value)") }
      attributes = storage.text(text + "; HttpOnly")
    case .sourceIP:
      kind = .sourceIP
      (name, pseudo, regex, substitution) = (.empty, .none, .none, .empty)
      (isGenerated, attributes) = (false, .empty)
    case .queryParameter(let parameter):
      kind = .queryParameter
      name = storage.text(parameter)
      (pseudo, regex, substitution) = (.none, .none, .empty)
      (isGenerated, attributes) = (false, .empty)
    }
  }

  /// The hash of all fields of the name: of their values in order of their bytes, so that their own order does not matter.
  package func hash(header head: MessageHead) -> UInt64? {
    let single: ByteView
    switch pseudo {
    case .none: return hash(fields: head)
    case .method: single = head.methodText
    case .path: single = head.path
    case .authority: single = head.authority
    case .scheme: single = head.scheme
    case .status: return nil
    }
    return single.isEmpty ? nil : XXHash64.hash(rewritten(single, head))
  }

  private func hash(fields head: MessageHead) -> UInt64? {
    guard let first = head.firstIndex(named: name) else { return nil }
    guard head.firstIndex(named: name, from: first + 1) != nil else {
      return XXHash64.hash(rewritten(head.field(at: first).value, head))
    }
    // Rarely several; no client has reason to send more than are looked at.
    var values = InlineArray<128, ByteView>(repeating: .empty)
    var count = 0
    var index: Int? = first
    while let i = index, count < values.count {
      let value = rewritten(head.field(at: i).value, head)
      var place = count
      while place > 0, values[place - 1].compare(value) > 0 {
        values[place] = values[place - 1]
        place -= 1
      }
      values[place] = value
      count += 1
      index = head.firstIndex(named: name, from: i + 1)
    }
    var sum: UInt64 = 0
    for i in 0..<count { sum = XXHash64.hash(values[i], seed: sum) }
    return sum
  }

  private func rewritten(_ value: ByteView, _ head: MessageHead) -> ByteView {
    regex.isNone ? value : regex.replacing(value, with: substitution, in: head)
  }

  package func hash(queryOf head: MessageHead) -> UInt64? {
    QueryString.first(name, in: head.path).map { XXHash64.hash($0) }
  }

  /// The cookie's value, without quotes; nil when there is none, or an empty one.
  package func cookie(in head: MessageHead) -> ByteView? {
    var index = head.firstIndex(named: ByteView("cookie"))
    while let i = index {
      var rest = head.field(at: i).value
      while !rest.isEmpty {
        let end = rest.firstIndex(of: UInt8(ascii: ";")) ?? rest.count
        if let value = value(of: rest.prefix(end)) { return value.isEmpty ? nil : value }
        rest = rest.dropFirst(end + 1)
      }
      index = head.firstIndex(named: ByteView("cookie"), from: i + 1)
    }
    return nil
  }

  /// What `pair` gives the cookie of the name.
  private func value(of pair: ByteView) -> ByteView? {
    guard let equals = pair.firstIndex(of: UInt8(ascii: "=")) else { return nil }
    var key = pair.prefix(equals)
    while key.first == UInt8(ascii: " ") { key = key.dropFirst() }
    guard key.equals(name) else { return nil }
    let value = pair.dropFirst(equals + 1)
    let quote = UInt8(ascii: "\"")
    return value.count >= 2 && value.first == quote && value.last == quote ? value.dropFirst().dropLast() : value
  }
}

/// Hashes of several policies as one. *Source*: Envoy: the old one turned left by a bit, then both combined, so that equal ones do not cancel out.
package struct CombinedHash: BitwiseCopyable {
  package private(set) var value: UInt64?
  package init() {}

  package mutating func add(_ hash: UInt64) {
    let old = value.map { $0 &<< 1 | $0 &>> 63 } ?? 0
    value = old ^ hash
  }
}
