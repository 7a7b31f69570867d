// ProxyExtensions: what a program brings along beside the engine.

package import WeftModel

/// The extensions of a program, one registry per family. Programs make it; the engine only reads it.
package struct ProxyExtensions: Sendable {
  package var httpFilters: HTTPFilterRegistry
  package var networkFilters: NetworkFilterRegistry
  package var listenerFilters: ListenerFilterRegistry
  package var loadBalancers: LoadBalancerRegistry
  package var retryPriorities: RetryPriorityRegistry
  package var protocols: ProtocolRegistry
  package var accessLogs: AccessLogRegistry

  package init(
    httpFilters: HTTPFilterRegistry = HTTPFilterRegistry([]),
    networkFilters: NetworkFilterRegistry = NetworkFilterRegistry([]),
    listenerFilters: ListenerFilterRegistry = ListenerFilterRegistry([]),
    loadBalancers: LoadBalancerRegistry = LoadBalancerRegistry([]),
    retryPriorities: RetryPriorityRegistry = RetryPriorityRegistry([]),
    protocols: ProtocolRegistry = ProtocolRegistry([]), accessLogs: AccessLogRegistry = AccessLogRegistry([])
  ) {
    self.httpFilters = httpFilters
    self.networkFilters = networkFilters
    self.listenerFilters = listenerFilters
    self.loadBalancers = loadBalancers
    self.retryPriorities = retryPriorities
    self.protocols = protocols
    self.accessLogs = accessLogs
  }

  /// The engine alone.
  package static var none: ProxyExtensions { ProxyExtensions() }

  /// What whoever converts configuration needs to know of them.
  package var known: KnownExtensions {
    var known = KnownExtensions()
    known.httpFilters = httpFilters.known
    known.routeFilters = Set(httpFilters.members.compactMap { $0.messages.route })
    for filter in httpFilters.members where FilterChainBuilder.fitsUpstreams(filter) {
      known.upstreamFilters[filter.messages.chain] = "\(filter.name)"
    }
    known.protocols = protocols.known
    known.accessLogs = accessLogs.known
    known.networkFilters = networkFilters.known
    known.terminalFilters.formUnion(networkFilters.terminal)
    known.listenerFilters = listenerFilters.known
    known.loadBalancers = loadBalancers.known
    known.retryPriorities = retryPriorities.known
    return known
  }
}
