import WeftBase

/// The parts of an `http` or `https` URL that a client needs.
struct HTTPURL: Hashable, Sendable {
  var isSecure: Bool
  var authority: String
  var address: ServiceAddress
  var target: String

  /// nil for other schemes, user information, or an authority that is no host with port.
  init?(_ text: String) {
    let rest: Substring
    if text.lowercased().hasPrefix("http://") {
      isSecure = false
      rest = text.dropFirst(7)
    } else if text.lowercased().hasPrefix("https://") {
      isSecure = true
      rest = text.dropFirst(8)
    } else {
      return nil
    }
    let authority = String(rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" })
    let tail = rest.dropFirst(authority.count).prefix { $0 != "#" }
    guard !authority.contains("@") else { return nil }
    guard let place = HostPort(authority, defaultPort: isSecure ? 443 : 80) else { return nil }
    self.authority = authority
    address = .tcp(host: place.host, port: place.port)
    target = tail.hasPrefix("/") ? String(tail) : "/" + tail
  }
}
