/// How the requests to a cluster are spread over its priorities.
///
/// *Source*: Envoy's published algorithm: a priority's health is min(100, overprovisioning × healthy share), what is
/// lacking spills to the
/// next; below the panic threshold, and only if all priorities together cannot take the load, a priority uses all its
/// hosts.
struct PriorityLoad {
  /// Hosts of one priority by state. Excluded hosts are in `total` only.
  struct Census: BitwiseCopyable {
    var total = 0
    var excluded = 0
    var healthy = 0
    var degraded = 0
    var countable: Int { total - excluded }
  }

  struct Share: BitwiseCopyable {
    var healthy = 0
    var degraded = 0
    var inPanic = false
    /// What it could take of all load, whatever the others can: percent each.
    var healthyAvailability = 0
    var degradedAvailability = 0
    var isAvailable: Bool { healthyAvailability + degradedAvailability > 0 }
  }

  /// Percent per priority; the numbers of all priorities add up to 100, or to 0 when there is no host.
  private(set) var shares: [Share]

  init(_ priorities: [Census], overprovisioningPercent: Int, panicThresholdPercent: Double) {
    shares = Array(repeating: Share(), count: priorities.count)
    let health = priorities.map { Self.availability($0.healthy, $0, overprovisioningPercent) }
    let degraded = priorities.map { Self.availability($0.degraded, $0, overprovisioningPercent) }
    for i in shares.indices {
      (shares[i].healthyAvailability, shares[i].degradedAvailability) = (health[i], degraded[i])
    }
    let available = min(100, health.reduce(0, +) + degraded.reduce(0, +))

    var totalPanic = panicThresholdPercent > 0 && !priorities.isEmpty
    if panicThresholdPercent > 0 {
      for (i, census) in priorities.enumerated() {
        let usable = census.healthy + census.degraded
        let inPanic =
          available < 100
          && (census.countable == 0 || Double(usable) * 100 < panicThresholdPercent * Double(census.countable))
        shares[i].inPanic = inPanic
        totalPanic = totalPanic && inPanic
      }
    }
    if totalPanic {
      distributeByHostCount(priorities)
    } else if available > 0 {
      distribute(health, degraded, available)
    }
  }

  private static func availability(_ hosts: Int, _ census: Census, _ overprovisioning: Int) -> Int {
    census.countable > 0 ? min(100, overprovisioning * hosts / census.countable) : 0
  }

  private mutating func distribute(_ health: [Int], _ degraded: [Int], _ available: Int) {
    var left = 100
    for i in shares.indices {
      shares[i].healthy = min(left, health[i] * 100 / available)
      left -= shares[i].healthy
    }
    for i in shares.indices {
      shares[i].degraded = min(left, degraded[i] * 100 / available)
      left -= shares[i].degraded
    }
    // What integer division left over goes to the first that has anything.
    if left > 0 {
      if let first = health.firstIndex(where: { $0 > 0 }) {
        shares[first].healthy += left
      } else if let first = degraded.firstIndex(where: { $0 > 0 }) {
        shares[first].degraded += left
      }
    }
  }

  private mutating func distributeByHostCount(_ priorities: [Census]) {
    let total = priorities.reduce(0) { $0 + $1.total }
    guard total > 0 else { return }
    var left = 100
    for i in shares.indices {
      shares[i].healthy = 100 * priorities[i].total / total
      left -= shares[i].healthy
    }
    if let first = priorities.firstIndex(where: { $0.total > 0 }) { shares[first].healthy += left }
  }
}
