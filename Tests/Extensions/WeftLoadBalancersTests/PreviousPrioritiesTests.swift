import Testing
import WeftBase
import WeftModel
import WeftProtobuf
import WeftProxyAPI
import WeftTelemetry
import WeftUpstream
import WeftXDSMessages

@testable import WeftLoadBalancers
@testable import WeftProxy
@testable import WeftProxyTestKit

@Suite("retry priorities: where a further attempt goes")
struct PreviousPrioritiesTests {
  private static func config(_ frequency: Int32) -> ExtensionConfig {
    var message = Envoy_Extensions_Retry_Priority_PreviousPriorities_V3_PreviousPrioritiesConfig()
    message.updateFrequency = frequency
    return ExtensionConfig(typeName: PreviousPriorities.message, message: message.serialized())
  }

  private static func set(_ priorities: [Int]) -> PrioritySet {
    var out = PrioritySet()
    for priority in priorities { out.insert(priority) }
    return out
  }

  @Test(
    "priorities that were tried are left out at every update, until all were tried",
    arguments: [
      (1, [0], [0]), (1, [0, 1], [0, 1]), (1, [0, 1, 2], []), (1, [0, 1, 2, 0], [0]), (1, [5], [5]),
      (2, [0], []), (2, [0, 0], [0]), (2, [0, 0, 1], [0]), (2, [0, 0, 1, 1], [0, 1]), (2, [0, 1, 2, 2], []),
      (2, [0, 1, 2, 2, 0], []), (2, [0, 1, 2, 2, 0, 0], [0]),
    ])
  func leftOut(frequency: Int, tried: [Int], expected: [Int]) {
    var history = PriorityHistory(available: Self.set([0, 1, 2]))
    for priority in tried { history.append(priority) }
    #expect(
      PreviousPriorities.leavesOut(PreviousPriorities.Config(frequency: frequency), history) == Self.set(expected))
  }

  @Test("a history keeps the last eight")
  func history() {
    var history = PriorityHistory(available: PrioritySet())
    for priority in 0..<11 { history.append(priority) }
    #expect((0..<history.count).map { history[$0] } == Array(3..<11))
    var set = PrioritySet(64)
    #expect(set.isEmpty && !set.contains(64) && !set.contains(-1))
    set.insert(63)
    #expect(set.contains(63))
  }

  @Test("a frequency must be more than 0", arguments: [0, -1] as [Int32])
  func refusal(frequency: Int32) {
    let error = #expect(throws: ConfigError.self) { try PreviousPriorities.compile(Self.config(frequency)) }
    #expect(error.map { "\($0.path): \($0.message)" } == "update_frequency: must be more than 0, is \(frequency)")
  }

  /// A cluster of three priorities with a host each, whose answers are all 500.
  private static func world(
    frequency: Int32?, retries: UInt32, _ change: (inout Cluster) -> Void = { _ in },
    policy changePolicy: (inout RetryPolicy) -> Void = { _ in }
  ) -> (ProxyWorld, () -> [UInt16]) {
    let world = ProxyWorld()
    world.simple(
      ports: [8080, 8081, 8082],
      route: { action in
        var policy = RetryPolicy(retryOn: .serverError)
        policy.maxRetries = retries
        policy.backoffBase = .milliseconds(1)
        policy.priority = frequency.map { config($0) }
        changePolicy(&policy)
        action.retryPolicy = policy
      },
      cluster: { cluster in
        let hosts = cluster.loadAssignment.localities[0].endpoints
        cluster.loadAssignment.localities = hosts.enumerated().map { priority, host in
          var locality = LocalityEndpoints()
          locality.priority = UInt32(priority)
          locality.endpoints = [host]
          return locality
        }
        change(&cluster)
      })
    let ends = Ends(world, client: .one, server: .one) { _ in (500, [], false, []) }
    return (
      world,
      {
        let before = world.server.accepted.count
        _ = ends.exchange()
        return world.server.accepted[before...].map(\.port)
      }
    )
  }

  @Test("without a policy every attempt goes to the first priority; with it to the next one, and around")
  func attempts() {
    let (plain, askPlain) = Self.world(frequency: nil, retries: 2)
    #expect(Set(askPlain()) == [8080])
    let (other, ask) = Self.world(frequency: 1, retries: 2)
    #expect(ask() == [8080, 8081, 8082])
    for world in [plain, other] {
      world.settle()
      world.expectClean()
    }
  }

  @Test("with an update every two attempts the first two go to one priority")
  func everyTwo() {
    let (world, ask) = Self.world(frequency: 2, retries: 3)
    #expect(Set(ask()) == [8080, 8081])
    #expect(world.value(ClusterMetric.upstreamRqRetry) == 3)
  }

  @Test("a priority without a healthy host takes no retry")
  func unhealthy() {
    let (_, ask) = Self.world(frequency: 1, retries: 1) { cluster in
      cluster.loadAssignment.localities[1].endpoints[0].health = .unhealthy
    }
    #expect(ask() == [8080, 8082])
  }

  @Test("a retry leaves canaries out where it is asked to")
  func canaries() {
    let (_, ask) = Self.world(
      frequency: nil, retries: 3,
      { cluster in
        cluster.loadAssignment.localities[1].endpoints[0].canary = true
        for i in 0..<3 { cluster.loadAssignment.localities[i].priority = 0 }
      },
      policy: { policy in
        policy.omitCanaryHosts = true
        policy.hostSelectionMaxAttempts = 50
      })
    for _ in 0..<10 { #expect(!ask().dropFirst().contains(8081)) }
  }
}
