/// TLS material of a server, as PEM text.
package struct ServerTLS: Sendable {
  /// Leaf first.
  package var certificateChainPEM: [UInt8]
  package var privateKeyPEM: [UInt8]
  /// Authorities that may sign client certificates; nil asks for none.
  package var clientTrustPEM: [UInt8]?
  /// Whether a client without a certificate is refused (only with `clientTrustPEM`).
  package var requiresClientCertificate: Bool

  package init(
    certificateChainPEM: [UInt8], privateKeyPEM: [UInt8], clientTrustPEM: [UInt8]? = nil,
    requiresClientCertificate: Bool = true
  ) {
    self.certificateChainPEM = certificateChainPEM
    self.privateKeyPEM = privateKeyPEM
    self.clientTrustPEM = clientTrustPEM
    self.requiresClientCertificate = requiresClientCertificate
  }
}

/// TLS material and expectations of a client, as PEM text.
package struct ClientTLS: Sendable {
  /// Authorities the server's chain must end in. There is no "do not verify".
  package var trustPEM: [UInt8]
  package var certificateChainPEM: [UInt8]?
  package var privateKeyPEM: [UInt8]?
  /// SNI, and the DNS name the certificate must carry when `expectedURINames` is empty; nil takes the address's host.
  package var serverName: String?
  /// When not empty: the certificate must carry one of these URI names (SPIFFE ids) instead of a DNS name.
  package var expectedURINames: [String]

  package init(
    trustPEM: [UInt8], certificateChainPEM: [UInt8]? = nil, privateKeyPEM: [UInt8]? = nil, serverName: String? = nil,
    expectedURINames: [String] = []
  ) {
    self.trustPEM = trustPEM
    self.certificateChainPEM = certificateChainPEM
    self.privateKeyPEM = privateKeyPEM
    self.serverName = serverName
    self.expectedURINames = expectedURINames
  }
}
