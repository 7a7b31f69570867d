// One line per filter, sorted by name. The connection manager and the TCP proxy are the engine's own (`TerminalNetworkFilter`) and need none.

package import WeftProxyAPI

package enum NetworkFilters {
  package static let all: [any NetworkFilter.Type] = [
    ConnectionLimit.self,
    DirectResponse.self,
    Echo.self,
    LocalRateLimit.self,
  ]

  package static var registry: NetworkFilterRegistry { NetworkFilterRegistry(all) }
}
