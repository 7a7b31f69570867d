// StreamSource: what of a resource only the aggregated stream can bring.

package import WeftBase

extension Cluster {
  /// The name that its endpoints go by where they are discovered; nil: they are not.
  package var endpointsName: String? {
    guard case .eds(let service, _) = discovery else { return nil }
    return service.isEmpty ? name : service
  }

  /// The first field that names the aggregated stream as a source; nil: it does without one.
  package var streamSource: FieldPath? {
    if case .eds(_, let source) = discovery, source.isStream {
      return FieldPath().field("eds_cluster_config").field("eds_config").field(source.fieldName)
    }
    return tls?.common.streamSource(FieldPath())
  }
}

extension Listener {
  /// The first field that names the aggregated stream as a source; nil: it does without one.
  package var streamSource: FieldPath? {
    for (number, chain) in allChains.enumerated() {
      let at = path(ofChain: number)
      if let path = chain.tls?.common.streamSource(at) { return path }
      for (i, filter) in chain.filters.enumerated() {
        guard case .httpConnectionManager(let manager) = filter, case .discovered(_, let source) = manager.routes,
          source.isStream
        else { continue }
        return at.field("filters").index(i).field("typed_config").field("rds").field("config_source")
          .field(source.fieldName)
      }
    }
    return nil
  }
}

extension CommonTLSContext {
  fileprivate func streamSource(_ at: FieldPath) -> FieldPath? {
    let at = at.field("transport_socket").field("typed_config").field("common_tls_context")
    if let i = certificateSecrets.firstIndex(where: \.isStream) {
      return at.field("tls_certificate_sds_secret_configs").index(i).field("sds_config")
    }
    return validationSecret?.isStream ?? false
      ? at.field("validation_context_sds_secret_config").field("sds_config") : nil
  }
}

extension SecretReference {
  fileprivate var isStream: Bool { source?.isStream ?? false }
}

extension ConfigSource {
  fileprivate var fieldName: String { kind == .selfStream ? "self" : "ads" }
}
