// XDSNeeds: what clusters and listeners that did not come over the stream want from it.

package import WeftCompile
import WeftModel

/// Names of endpoints, routes and secrets that the bootstrap's own resources name with `ads` as their source.
package struct XDSNeeds: Sendable {
  package var endpoints: Set<String> = []
  package var routes: Set<String> = []
  package var secrets: Set<String> = []

  package init() {}

  package init(_ state: ConfigState) {
    for cluster in state.clusters {
      if let name = XDSStore.endpointsName(of: cluster) { endpoints.insert(name) }
      secrets.formUnion(Self.secretNames(of: cluster.tls.map { [$0.common] } ?? []))
    }
    for listener in state.listeners {
      routes.formUnion(XDSStore.routeNames(of: listener))
      secrets.formUnion(Self.secretNames(of: listener.allChains.compactMap { $0.tls?.common }))
    }
  }

  /// Names of the secrets in `contexts` that come over the stream.
  static func secretNames(of contexts: [CommonTLSContext]) -> [String] {
    contexts.flatMap(\.secrets).filter { $0.key.origin == .stream }.map(\.name)
  }
}

extension ConfigSource {
  /// Whether the aggregated stream brings it.
  var isStream: Bool { kind == .ads || kind == .selfStream }
}
