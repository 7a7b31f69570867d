/// A request's head.
package struct HTTPRequest: Hashable, Sendable {
  package var method: String
  package var scheme: String
  /// `Host` or `:authority`; empty means the address connected to.
  package var authority: String
  /// The target as sent: path and query.
  package var target: String
  package var headers: HTTPHeaders

  package init(
    method: String = "GET", scheme: String = "http", authority: String = "", target: String = "/",
    headers: HTTPHeaders = HTTPHeaders()
  ) {
    self.method = method
    self.scheme = scheme
    self.authority = authority
    self.target = target
    self.headers = headers
  }

  /// The target without its query, not decoded.
  package var path: String { String(target.prefix { $0 != "?" }) }

  /// The query without its question mark, nil when there is none.
  package var query: String? {
    guard let mark = target.firstIndex(of: "?") else { return nil }
    return String(target[target.index(after: mark)...])
  }
}

/// A response's head.
package struct HTTPResponse: Hashable, Sendable {
  package var status: Int
  package var headers: HTTPHeaders

  package init(status: Int = 200, headers: HTTPHeaders = HTTPHeaders()) {
    self.status = status
    self.headers = headers
  }
}

/// Who is at the other end of a connection.
package struct HTTPPeer: Hashable, Sendable {
  package var address: ServiceAddress
  package var isSecure: Bool
  /// URI names (SPIFFE ids) of the verified peer certificate; empty without one.
  package var uriNames: [String]

  package init(address: ServiceAddress, isSecure: Bool = false, uriNames: [String] = []) {
    self.address = address
    self.isSecure = isSecure
    self.uriNames = uriNames
  }
}
