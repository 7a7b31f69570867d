import Testing
import WeftBase
import WeftModel
import WeftProxyAPI

@testable import WeftCompile
@testable import WeftProxy
@testable import WeftProxyTestKit

/// Whoever has the fewest requests; of equals the first. The example of docs/adding/balancer.md.
struct Idlest: LoadBalancerPolicy {
  static var name: StaticString { "example.idlest" }
  static var message: String { "example.Idlest" }
  struct Config: BitwiseCopyable {}
  static func compile(_ config: ExtensionConfig, _ context: BalancerContext) throws(ConfigError) -> Config { Config() }

  private let hosts: FlatTable<Int32>

  init(_ config: Config, _ list: borrowing BalancerList) { hosts = list.positions() }

  mutating func pick(_ x: borrowing BalancerPick) -> Int32 {
    var best = hosts[0]
    for i in 1..<hosts.count where x.active(hosts[i]) < x.active(best) { best = hosts[i] }
    return best
  }
}

@Suite("a policy of one's own")
struct ExamplePolicyTests {
  @Test("a type and a line of a registry are enough")
  func runs() throws {
    let world = ProxyWorld(
      extensions: ProxyExtensions(loadBalancers: LoadBalancerRegistry([Idlest.self])))
    world.simple(
      ports: [8080, 8081],
      cluster: { $0.loadBalancing.policy = .balancer(ExtensionConfig(typeName: "example.Idlest", message: [])) })
    // The first request is not answered: the second finds its host busy.
    var heads = 0
    world.server.onBytes = { peer in
      _ = peer.take()
      heads += 1
      if heads > 1 { peer.send("HTTP/1.1 200 OK\r\nx-port: \(peer.port)\r\ncontent-length: 0\r\n\r\n") }
    }
    let busy = world.connect()
    busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    world.run { heads == 1 }
    #expect(HashPolicyTests.port(HashPolicyTests.ask(world)) == "8081")
    busy.reset()
    world.settle()
    #expect(HashPolicyTests.port(HashPolicyTests.ask(world)) == "8080")
  }

  @Test("a policy that nobody brought along is refused with the list of those there are")
  func unknown() {
    let world = ProxyWorld(extensions: ProxyExtensions(loadBalancers: LoadBalancerRegistry([Idlest.self])))
    world.config.clusters = [Cluster(name: "a")]
    #expect(
      world.rejections().map(\.description) == [
        "envoy.config.cluster.v3.Cluster a: lb_policy: no balancing policy is configured by "
          + "envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin; known are example.idlest"
      ])
  }
}
