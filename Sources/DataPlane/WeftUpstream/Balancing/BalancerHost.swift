// Hosts as balancing sees them, and what a choice among them comes to.

package import WeftBase

/// Whether a host may be chosen.
package enum HostAvailability: UInt8, BitwiseCopyable, Sendable {
  case healthy, degraded
  /// Failing its checks, ejected, or draining: chosen in panic only.
  case unhealthy
  /// Not counted at all, such as before its first health check.
  case excluded
}

/// A host as balancing sees it. Its number is its position in the list given to `setHosts`.
package struct BalancerHost: BitwiseCopyable {
  package var weight: UInt32
  package var priority: UInt32
  package var locality: UInt32
  package var availability: HostAvailability
  /// What is hashed of it; as long-lived as the configuration it came with.
  package var key: ByteView
  /// New: retries may be kept away from it.
  package var isCanary: Bool

  package init(
    weight: UInt32 = 1, priority: UInt32 = 0, locality: UInt32 = 0, availability: HostAvailability = .healthy,
    key: ByteView = .empty, isCanary: Bool = false
  ) {
    self.isCanary = isCanary
    self.weight = max(1, weight)
    self.priority = priority
    self.locality = locality
    self.availability = availability
    self.key = key
  }
}

/// Hosts that a request has tried. *Shape*: trivial; remembers the last eight.
package struct TriedHosts: BitwiseCopyable, Sendable {
  private var positions: (Int32, Int32, Int32, Int32, Int32, Int32, Int32, Int32) = (-1, -1, -1, -1, -1, -1, -1, -1)
  package init() {}
  package var isEmpty: Bool { positions.0 < 0 }

  package mutating func insert(_ position: Int32) {
    let p = positions
    positions = (position, p.0, p.1, p.2, p.3, p.4, p.5, p.6)
  }

  /// The remembered ones, the first one first.
  package func forEachOldestFirst(_ body: (Int32) -> Void) {
    let p = positions
    func visit(_ position: Int32) { if position >= 0 { body(position) } }
    visit(p.7)
    visit(p.6)
    visit(p.5)
    visit(p.4)
    visit(p.3)
    visit(p.2)
    visit(p.1)
    visit(p.0)
  }

  package func contains(_ position: Int32) -> Bool {
    let p = positions
    return p.0 == position || p.1 == position || p.2 == position || p.3 == position || p.4 == position
      || p.5 == position || p.6 == position || p.7 == position
  }
}

/// What a pick came to.
package enum HostPick: BitwiseCopyable, Sendable, Equatable {
  /// `panicking`: unhealthy hosts took part; count `lb_healthy_panic`.
  case host(Int32, panicking: Bool)
  /// No host may take the request: 503, flag UH.
  case none
}
