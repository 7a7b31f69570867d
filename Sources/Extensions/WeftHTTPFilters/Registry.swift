// One line per filter, sorted by name.

package import WeftProxyAPI

package enum HTTPFilters {
  package static let all: [any HTTPFilter.Type] = [
    CORS.self,
    ExtAuthz.self,
    Fault.self,
    HeaderMutation.self,
    LocalRateLimit.self,
  ]

  package static var registry: HTTPFilterRegistry { HTTPFilterRegistry(all) }
}
