import WeftKinds
import WeftProtobuf
import WeftXDSMessages

/// The server's side of TLS, as gateways and a Sidecar's ingress write it.
enum ServerTLS {
  /// What the proxy has to read.
  static func files(_ tls: Istio_Networking_V1alpha3_ServerTLSSettings) -> [String] {
    [tls.serverCertificate, tls.privateKey, tls.caCertificates, tls.caCrl].filter { !$0.isEmpty }
  }

  /// Certificates from files. Nil for what needs secrets by name or the mesh's own certificates: they wait for the secret
  /// service, and a listener without them must not take plaintext in their place.
  static func transportSocket(
    _ tls: Istio_Networking_V1alpha3_ServerTLSSettings
  ) -> Envoy_Config_Core_V3_TransportSocket? {
    guard tls.mode == .simple || tls.mode == .mutual || tls.mode == .optionalMutual, !tls.serverCertificate.isEmpty
    else { return nil }
    var certificate = Envoy_Extensions_TransportSockets_Tls_V3_TlsCertificate()
    certificate.certificateChain = .file(tls.serverCertificate)
    certificate.privateKey = .file(tls.privateKey)
    var common = CommonTLSContext()
    common.tlsCertificates = [certificate]
    common.alpnProtocols = ["h2", "http/1.1"]
    var parameters = Envoy_Extensions_TransportSockets_Tls_V3_TlsParameters()
    parameters.tlsMinimumProtocolVersion = tls.minProtocolVersion == .tlsv13 ? .tLSv13 : .tLSv12
    switch tls.maxProtocolVersion {
    case .tlsAuto: break
    case .tlsv13: parameters.tlsMaximumProtocolVersion = .tLSv13
    // Validation has warned of what is below 1.2.
    default: parameters.tlsMaximumProtocolVersion = .tLSv12
    }
    // One suite that a proxy does not know would cost the whole listener.
    parameters.cipherSuites = tls.cipherSuites.filter(CipherSuites.known.contains)
    common.tlsParams = parameters
    if !tls.caCertificates.isEmpty {
      var validation = Envoy_Extensions_TransportSockets_Tls_V3_CertificateValidationContext()
      validation.trustedCa = .file(tls.caCertificates)
      if !tls.caCrl.isEmpty { validation.crl = .file(tls.caCrl) }
      validation.verifyCertificateSpki = tls.verifyCertificateSpki
      validation.verifyCertificateHash = tls.verifyCertificateHash
      for name in tls.subjectAltNames {
        var matcher = Envoy_Extensions_TransportSockets_Tls_V3_SubjectAltNameMatcher()
        matcher.sanType = name.contains("://") ? .uri : .dns
        matcher.matcher = .exact(name)
        validation.matchTypedSubjectAltNames.append(matcher)
      }
      common.validationContextType = .validationContext(validation)
    }
    var context = DownstreamTLSContext()
    context.commonTlsContext = common
    context.requireClientCertificate = Google_Protobuf_BoolValue(tls.mode == .mutual)
    return Envoy_Config_Core_V3_TransportSocket("envoy.transport_sockets.tls", context)
  }
}
