// One line per filter, sorted by name.

package import WeftProxyAPI

package enum ListenerFilters {
  package static let all: [any ListenerFilter.Type] = [
    HTTPInspector.self,
    OriginalDestination.self,
    OriginalSource.self,
    ProxyProtocol.self,
    TLSInspector.self,
  ]

  package static var registry: ListenerFilterRegistry { ListenerFilterRegistry(all) }
}
