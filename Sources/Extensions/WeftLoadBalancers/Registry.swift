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
