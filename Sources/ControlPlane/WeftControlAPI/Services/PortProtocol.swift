/// What is spoken on a service port, as the port's `protocol` field or the prefix of its name says.
package enum PortProtocol: String, Hashable, Sendable, CaseIterable {
  case http = "HTTP"
  case http2 = "HTTP2"
  case grpc = "GRPC"
  case grpcWeb = "GRPC-Web"
  case https = "HTTPS"
  case tls = "TLS"
  case tcp = "TCP"
  case udp = "UDP"
  case mongo = "Mongo"
  case redis = "Redis"
  case mysql = "MySQL"
  /// Nothing is said: the proxy looks at the first bytes.
  case unknown = ""

  /// Reads a protocol field (any case; `HTTP_PROXY` and `HTTP/2` forms are not known); nil for an unknown word.
  package init?(field: String) {
    let upper = field.uppercased()
    for known in Self.allCases where known.rawValue.uppercased() == upper {
      self = known
      return
    }
    return nil
  }

  /// The protocol that a port name declares by its prefix (`http`, `http-web`, `grpc-web-x`), or `unknown`.
  package init(portName: String) {
    let lower = portName.lowercased()
    if lower == "grpc-web" || lower.hasPrefix("grpc-web-") {
      self = .grpcWeb
      return
    }
    let prefix = lower.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false).first.map(String.init)
    self = prefix.flatMap { $0 == "grpc-web" ? nil : PortProtocol(field: $0) } ?? .unknown
  }

  /// Requests are seen one by one (HTTP/1.1, HTTP/2, gRPC).
  package var isHTTP: Bool {
    switch self {
    case .http, .http2, .grpc, .grpcWeb: true
    default: false
    }
  }

  package var isHTTP2: Bool { self == .http2 || self == .grpc || self == .grpcWeb }
  package var isTLS: Bool { self == .https || self == .tls }
}
