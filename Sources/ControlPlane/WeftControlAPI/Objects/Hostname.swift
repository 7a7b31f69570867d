/// Rules of host names in configuration: short names, wildcards, which of two is more specific.
package enum Hostname {
  /// The full name of `host` as written in an object of `namespace`: a name without a dot (and not `*`) is a service of
  /// that namespace; all others stand as they are.
  package static func resolve(_ host: String, namespace: String, domain: String) -> String {
    if host.isEmpty || host == "*" || host.contains(".") { return host }
    return "\(host).\(namespace).svc.\(domain)"
  }

  package static func isWildcard(_ host: String) -> Bool { host.utf8.first == UInt8(ascii: "*") }

  /// Whether `pattern` (exact, `*.suffix`, or `*`) covers `host`, which may itself be a wildcard.
  package static func matches(pattern: String, _ host: String) -> Bool {
    if pattern == host { return true }
    guard isWildcard(pattern) else { return false }
    return suffix(of: pattern, isIn: isWildcard(host) ? String(host.dropFirst()) : host)
  }

  /// Whether some name is covered by both.
  package static func overlap(_ a: String, _ b: String) -> Bool { matches(pattern: a, b) || matches(pattern: b, a) }

  /// Most specific first: exact before wildcards, longer suffixes before shorter, `*` last; equal ones by name.
  package static func moreSpecific(_ a: String, _ b: String) -> Bool {
    let wildA = isWildcard(a)
    let wildB = isWildcard(b)
    if wildA != wildB { return wildB }
    if wildA, a.utf8.count != b.utf8.count { return a.utf8.count > b.utf8.count }
    return a < b
  }

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

  private static func suffix(of pattern: String, isIn host: String) -> Bool {
    let tail = pattern.utf8.dropFirst()
    guard host.utf8.count >= tail.count else { return false }
    // `*.example.com` does not cover `.example.com`'s parent `example.com`: the dot belongs to the suffix.
    return host.utf8.suffix(tail.count).elementsEqual(tail)
  }
}
