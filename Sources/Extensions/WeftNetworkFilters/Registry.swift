// One line per filter, sorted by name. The terminal ones (`TerminalNetworkFilter`) are the engine's own and need none.

package import WeftProxyAPI

package enum NetworkFilters {
  package static let all: [any NetworkFilter.Type] = [
    ConnectionLimit.self,
    LocalRateLimit.self,
  ]

  package static var registry: NetworkFilterRegistry { NetworkFilterRegistry(all) }
}
