/// `tls_inspector.…`
package enum TLSInspectorMetric: Int, Metric {
  case tlsFound, tlsNotFound, sniFound, sniNotFound, alpnFound, alpnNotFound, clientHelloTooLarge
  package static var scopeKind: ScopeKind { .tlsInspector }
  @inlinable package static var firstHistogram: Int { 7 }

  package var definition: MetricDefinition {
    switch self {
    case .tlsFound: .counter("tls_found", "Connections that began TLS")
    case .tlsNotFound: .counter("tls_not_found", "Connections that did not begin TLS")
    case .sniFound: .counter("sni_found", "TLS connections that named a server")
    case .sniNotFound: .counter("sni_not_found", "TLS connections that named no server")
    case .alpnFound: .counter("alpn_found", "TLS connections that offered protocols")
    case .alpnNotFound: .counter("alpn_not_found", "TLS connections that offered no protocols")
    case .clientHelloTooLarge:
      .counter("client_hello_too_large", "Connections refused for the size of their ClientHello")
    }
  }
}

/// `http_inspector.…`
package enum HTTPInspectorMetric: Int, Metric {
  case http10Found, http11Found, http2Found, httpNotFound, readError
  package static var scopeKind: ScopeKind { .httpInspector }
  @inlinable package static var firstHistogram: Int { 5 }

  package var definition: MetricDefinition {
    switch self {
    case .http10Found: .counter("http10_found", "Connections that began HTTP/1.0")
    case .http11Found: .counter("http11_found", "Connections that began HTTP/1.1")
    case .http2Found: .counter("http2_found", "Connections that began HTTP/2")
    case .httpNotFound: .counter("http_not_found", "Connections that began no HTTP")
    case .readError: .counter("read_error", "Connections refused for a first line without end")
    }
  }
}

/// `proxy_proto.…`, or `proxy_proto.<stat_prefix>.…`
package enum ProxyProtocolMetric: Int, Metric {
  case notFoundAllowed, notFoundDisallowed, v1Found, v1Disallowed, v1Error, v2Found, v2Disallowed, v2Error
  package static var scopeKind: ScopeKind { .proxyProtocol }
  @inlinable package static var firstHistogram: Int { 8 }

  package var definition: MetricDefinition {
    switch self {
    case .notFoundAllowed: .counter("not_found_allowed", "Connections taken without a header")
    case .notFoundDisallowed: .counter("not_found_disallowed", "Connections refused for want of a header")
    case .v1Found: .counter("versions.v1.found", "Headers of version 1")
    case .v1Disallowed: .counter("versions.v1.disallowed", "Connections refused for their version 1 header")
    case .v1Error: .counter("versions.v1.error", "Malformed headers of version 1")
    case .v2Found: .counter("versions.v2.found", "Headers of version 2")
    case .v2Disallowed: .counter("versions.v2.disallowed", "Connections refused for their version 2 header")
    case .v2Error: .counter("versions.v2.error", "Malformed headers of version 2")
    }
  }
}

/// Numbers that Envoy keeps outside of every group.
package enum RootMetric: Int, Metric {
  case downstreamCxProxyProtoError
  package static var scopeKind: ScopeKind { .root }
  @inlinable package static var firstHistogram: Int { 1 }

  package var definition: MetricDefinition {
    switch self {
    case .downstreamCxProxyProtoError:
      .counter("downstream_cx_proxy_proto_error", "Connections refused for their PROXY protocol header")
    }
  }
}
