import Testing
import WeftModel
import WeftProxyAPI

@testable import WeftHTTPFilters

@Suite("the registry of HTTP filters")
struct RegistryTests {
  @Test("the control plane knows what weft-proxy comes with")
  func shipped() {
    let known = ProxyExtensions(httpFilters: HTTPFilters.registry).known
    #expect(known.httpFilters == KnownExtensions.shipped.httpFilters)
    #expect(known.upstreamFilters == KnownExtensions.shipped.upstreamFilters)
    #expect(known.routeFilters == KnownExtensions.shipped.routeFilters)
  }

  @Test("filters are sorted by name, and each has a message of its own")
  func sorted() {
    let known = ProxyExtensions(httpFilters: HTTPFilters.registry).known
    #expect(known.httpFilters.count == HTTPFilters.all.count)
    var names: [String] = []
    for filter in HTTPFilters.all { names.append(filter.name.description) }
    #expect(names == names.sorted())
  }
}
