// CheckingSecurity: what a validation asks for TLS.

package import WeftBase
package import WeftModel
import WeftProxyAPI
package import WeftTables
package import WeftUpstream

/// Makes the contexts whose files and secrets are all at hand, and throws them away; of the others, certificates that are at hand are held against
/// their keys. What cannot be read is no error: it may be there where the proxy will run.
package struct CheckingSecurity: SecurityFactory {
  private let security = TLSSecurity()

  package init() {}

  package func downstream(_ context: DownstreamTLSContext, secrets: [SecretKey: Secret]) throws(ConfigError)
    -> any DownstreamSecurity
  {
    if try isWhole(context.common, secrets) { _ = try security.downstream(context, secrets: secrets) }
    return MissingSecurity()
  }

  package func upstream(_ context: UpstreamTLSContext, secrets: [SecretKey: Secret]) throws(ConfigError)
    -> any UpstreamSecurity
  {
    if try isWhole(context.common, secrets) { _ = try security.upstream(context, secrets: secrets) }
    return MissingSecurity()
  }

  /// Whether everything is there that the context is made of.
  private func isWhole(_ common: CommonTLSContext, _ secrets: [SecretKey: Secret]) throws(ConfigError) -> Bool {
    let at = FieldPath().field("common_tls_context").field("tls_certificates")
    for (i, certificate) in common.certificates.enumerated() {
      do throws(ConfigError) { try TLSSecurity.check(certificate) } catch { throw error.inside(at.index(i)) }
    }
    let validation = [common.validation].compactMap(\.self)
    let contents = common.secrets.compactMap { secrets[$0.key]?.content }
    if contents.count < common.secrets.count { return false }
    var sources = common.certificates.flatMap(\.sources) + validation.flatMap(\.sources)
    for content in contents {
      switch content {
      case .certificate(let one): sources += one.sources
      case .validation(let one): sources += one.sources
      default: break
      }
    }
    return sources.allSatisfy { (try? $0.load()) != nil }
  }
}

extension ConfigState {
  /// Goes on as if every secret that discovery is asked for had been waited for in vain.
  package mutating func forgoSecrets() {
    let contexts = clusters.compactMap { $0.tls?.common } + listeners.flatMap(\.allChains).compactMap { $0.tls?.common }
    absentSecrets.formUnion(contexts.flatMap(\.secrets).filter { $0.source != nil }.map(\.key))
  }
}

extension TLSCertificate {
  fileprivate var sources: [DataSource] { [chain, privateKey] + [password].compactMap(\.self) }
}

extension CertificateValidation {
  fileprivate var sources: [DataSource] { [trustedCA, revocationList].compactMap(\.self) }
}
