import WeftBase

/// Rules of host names in configuration: short names, wildcards, which of two is more specific.
///
/// Case does not tell names apart (RFC 4343). A name enters the model in lower case (`resolve`, `canonical`), so that it is found by
/// equality from there on; a pattern as a rule spells it may be compared as it stands.
package enum Hostname {
  /// The full name of `host` as written in an object of `namespace`, in lower case: a name without a dot (and not `*`) is a
  /// service of that namespace; all others stand as they are.
  package static func resolve(_ host: String, namespace: String, domain: String) -> String {
    let host = canonical(host)
    if host.isEmpty || host == "*" || host.utf8.contains(UInt8(ascii: ".")) { return host }
    return "\(host).\(namespace).svc.\(canonical(domain))"
  }

  /// The one spelling of a name: lower case.
  package static func canonical(_ host: String) -> String {
    host.utf8.contains { (0x41...0x5A).contains($0) || $0 >= 0x80 } ? host.lowercased() : host
  }

  package static func isWildcard(_ host: String) -> Bool { host.utf8.first == UInt8(ascii: "*") }

  /// Whether `pattern` (exact, `*.suffix`, or `*`) covers `host`, which may itself be a wildcard.
  package static func matches(pattern: String, _ host: String) -> Bool {
    if pattern == host { return true }
    guard isWildcard(pattern) else {
      return pattern.utf8.count == host.utf8.count && pattern.utf8.elementsEqual(host.utf8, by: isSameLetter)
    }
    return suffix(of: pattern, isIn: isWildcard(host) ? host.utf8.dropFirst() : host.utf8[...])
  }

  /// Whether some name is covered by both.
  package static func overlap(_ a: String, _ b: String) -> Bool { matches(pattern: a, b) || matches(pattern: b, a) }

  /// The wildcards that cover `host`, most specific first: `*.b.c`, `*.c`, `*` for `a.b.c`.
  package static func wildcards(covering host: String) -> [String] {
    var result: [String] = []
    var rest = isWildcard(host) ? host.dropFirst(2) : host[...]
    while let dot = rest.firstIndex(of: ".") {
      rest = rest[rest.index(after: dot)...]
      result.append("*." + rest)
    }
    result.append("*")
    return result
  }

  private static func suffix(of pattern: String, isIn host: Substring.UTF8View) -> Bool {
    let tail = pattern.utf8.dropFirst()
    guard host.count >= tail.count else { return false }
    // `*.example.com` does not cover `.example.com`'s parent `example.com`: the dot belongs to the suffix.
    return host.suffix(tail.count).elementsEqual(tail, by: isSameLetter)
  }

  private static func isSameLetter(_ a: UInt8, _ b: UInt8) -> Bool { ASCII.lowercased(a) == ASCII.lowercased(b) }
}
