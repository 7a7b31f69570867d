import WeftBase

/// Where a service listens: a host (literal or DNS name) with a port, or a Unix socket.
///
/// Text form: `host:port`, `[v6]:port`, `unix:/path` (`unix:@name` for the abstract name space).
package enum ServiceAddress: Hashable, Sendable {
  case tcp(host: String, port: UInt16)
  case unix(path: String)

  /// Loopback on a port; 0 asks the kernel for a free one.
  package static func loopback(port: UInt16 = 0) -> ServiceAddress { .tcp(host: "127.0.0.1", port: port) }

  /// Parses the text form; nil when it is none of the three.
  package init?(_ text: String) {
    if text.hasPrefix("unix:") {
      var path = text.dropFirst(5)
      if path.hasPrefix("//") { path = path.dropFirst(2) }
      guard !path.isEmpty, !path.utf8.contains(0) else { return nil }
      self = .unix(path: String(path))
      return
    }
    guard let place = HostPort(text) else { return nil }
    self = .tcp(host: place.host, port: place.port)
  }

  /// The port of a TCP address; nil for a Unix socket.
  package var port: UInt16? {
    if case .tcp(_, let port) = self { return port }
    return nil
  }

  /// What an `:authority` or `Host` says by default for this address.
  package var authority: String {
    switch self {
    case .tcp(let host, let port): HostPort(host: host, port: port).description
    case .unix: "localhost"
    }
  }
}

extension ServiceAddress: CustomStringConvertible {
  package var description: String {
    switch self {
    case .tcp: authority
    case .unix(let path): "unix:\(path)"
    }
  }
}
