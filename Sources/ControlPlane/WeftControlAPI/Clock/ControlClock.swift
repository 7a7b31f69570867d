package import WeftBase

/// The clocks of the control plane: one for leases, one for what people see.
package struct ControlClock: Sendable {
  package var now: @Sendable () -> MonotonicInstant
  package var wall: @Sendable () -> WallTime

  package init(now: @escaping @Sendable () -> MonotonicInstant, wall: @escaping @Sendable () -> WallTime) {
    self.now = now
    self.wall = wall
  }
}
