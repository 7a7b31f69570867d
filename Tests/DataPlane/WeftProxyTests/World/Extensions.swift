import WeftAccessLogs
import WeftListenerFilters
import WeftLoadBalancers
package import WeftProxyAPI

extension ProxyExtensions {
  /// What every test of the engine needs: clusters have balancers, listeners their filters, logs their sinks.
  package static var basics: ProxyExtensions { ProxyExtensions().withBasics }

  /// With the basics, where there are none of that family.
  package var withBasics: ProxyExtensions {
    var all = self
    if all.loadBalancers.known.isEmpty { all.loadBalancers = LoadBalancers.registry }
    if all.retryPriorities.known.isEmpty { all.retryPriorities = RetryPriorities.registry }
    if all.listenerFilters.known.isEmpty { all.listenerFilters = ListenerFilters.registry }
    if all.accessLogs.known.isEmpty { all.accessLogs = AccessLogs.registry }
    return all
  }
}
