import WeftBase
import WeftModel
import WeftProtobuf
import WeftXDS
import WeftXDSMessages

@testable import WeftTranslation

extension ProxyResources {
  /// The checks of both readers, on all that is sent; those of a stock Envoy's filters are its own.
  func refusals(by extensions: KnownExtensions = .any) throws -> [String] {
    let converter = Converter(extensions: extensions)
    var refused: [String] = []
    func note(_ name: String, _ check: () throws -> Void) {
      do { try check() } catch { refused.append("\(name): \(error)") }
    }
    for name in names(.route) {
      let message: Envoy_Config_Route_V3_RouteConfiguration = try self.message(.route, name)
      note(name) {
        let model = try converter.routeConfiguration(message)
        for host in model.virtualHosts {
          try ResourceGuard.checks.check(host, bodyLimit: model.maxDirectResponseBodyBytes)
        }
      }
    }
    for name in names(.listener) {
      let message: Envoy_Config_Listener_V3_Listener = try self.message(.listener, name)
      note(name) {
        var claims = FilterChainClaims()
        for chain in try converter.listener(message).filterChains {
          try ResourceGuard.checks.check(chain)
          try claims.claim(chain.match)
        }
      }
    }
    for name in names(.cluster) {
      let message: Envoy_Config_Cluster_V3_Cluster = try self.message(.cluster, name)
      note(name) { try ResourceGuard.checks.check(try converter.cluster(message)) }
    }
    return refused
  }
}
