import WeftBase
import WeftRuntime

/// Keeps web pages out of an interface that knows nobody: a browser reaches it, and asks on behalf of any page its reader opens.
///
/// A browser tells with `Origin` which page asks. A page from elsewhere can give its own name our address (DNS rebinding), and is then of the
/// same origin: a browser may change something only by a name that cannot be made to mean us, and on a loopback address nobody has business by
/// another. Whatever `Origin` says or does not say, `Sec-Fetch-Site` says that a page of another site asks, and no page can set it.
package struct PageGuard: Sendable {
  /// Why a request is refused.
  package enum Refusal: Hashable, Sendable {
    /// It comes by a name that anybody could give our address.
    case name
    /// A page of another origin would change something.
    case origin
  }

  /// Whether also who sends no `Origin` must know us by our name.
  private let isStrict: Bool
  /// Names that are ours beside addresses and `localhost`.
  private let names: Set<String>

  /// *Parameter* `isStrict`: true on a loopback address (`isLocal`). `names`: without ports.
  package init(isStrict: Bool, names: some Sequence<String> = []) {
    self.isStrict = isStrict
    self.names = Set(names.map { $0.lowercased() })
  }

  /// Whether all of these are loopback addresses.
  package static func isLocal(_ addresses: [ServiceAddress]) -> Bool {
    addresses.allSatisfy { address in
      if case .tcp(let host, _) = address { IPAddress(host)?.isLoopback ?? false } else { false }
    }
  }

  /// What is wrong with the name that a request comes by. *Parameters*: its `Host` or `:authority`, and its `Origin`.
  package func refusal(ofHost host: String, origin: String?) -> Refusal? {
    guard isStrict || origin != nil, !host.isEmpty, !isOwn(host) else { return nil }
    return .name
  }

  /// What is wrong with a request that changes something. *Parameters*: `site` is its `Sec-Fetch-Site`.
  package func refusal(ofChangeBy host: String, origin: String?, site: String?) -> Refusal? {
    if let refusal = refusal(ofHost: host, origin: origin) { return refusal }
    if site == "cross-site" { return .origin }
    guard let origin, host.isEmpty || (origin != "http://\(host)" && origin != "https://\(host)") else { return nil }
    return .origin
  }

  /// An IP address, `localhost`, or a name of ours; with a port or without.
  private func isOwn(_ host: String) -> Bool {
    var name = Substring(host)
    if let colon = name.lastIndex(of: ":"), name[name.index(after: colon)...].allSatisfy(\.isNumber),
      name.first == "[" ? name[..<colon].hasSuffix("]") : !name[..<colon].contains(":")
    {
      name = name[..<colon]
    }
    if name.first == "[", name.last == "]" { name = name.dropFirst().dropLast() }
    let plain = name.lowercased()
    return plain == "localhost" || names.contains(plain) || IPAddress(plain) != nil
  }
}
