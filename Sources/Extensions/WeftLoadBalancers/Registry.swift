// One line per policy, sorted by name.

package import WeftProxyAPI

package enum LoadBalancers {
  package static let all: [any LoadBalancerPolicy.Type] = [
    LeastRequest.self,
    Maglev.self,
    Random.self,
    RingHash.self,
    RoundRobin.self,
  ]

  package static var registry: LoadBalancerRegistry { LoadBalancerRegistry(all) }
}

/// Ways to choose the priorities of retries.
package enum RetryPriorities {
  package static let all: [any RetryPriorityPolicy.Type] = [
    PreviousPriorities.self
  ]

  package static var registry: RetryPriorityRegistry { RetryPriorityRegistry(all) }
}
