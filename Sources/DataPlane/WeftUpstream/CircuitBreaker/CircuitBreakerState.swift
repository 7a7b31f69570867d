import CAtomics
package import WeftModel

/// What a breaker counts.
package enum BreakerResource: Int, BitwiseCopyable, Sendable, CaseIterable {
  case connections, pending, requests, retries
}

/// Usage of one cluster's circuit breakers, shared by all workers.
///
/// *Shape*: eight cells (resource × priority). *Cost*: one atomic addition to take, one to give back.
/// Counts are exact; a limit may be overshot for a moment when several workers take at once, never by more than what
/// they then give back.
/// Why sound: cells are only touched atomically; the memory lives as long as the object.
@safe
package final class CircuitBreakerState: @unchecked Sendable {  // atomic cells
  private let cells: UnsafeMutablePointer<UInt64>

  package init() {
    // Priorities lie on cache lines of their own.
    unsafe cells = .allocate(capacity: 16)
    unsafe cells.initialize(repeating: 0, count: 16)
  }

  deinit { unsafe cells.deallocate() }

  /// A handle for one priority that costs no reference count; valid while the state lives.
  package func breaker(_ priority: RouteAction.Priority) -> CircuitBreaker {
    unsafe CircuitBreaker(cells: cells + (priority == .high ? 8 : 0))
  }
}

/// One priority's breakers.
@safe
package struct CircuitBreaker: BitwiseCopyable, @unchecked Sendable {  // atomic cells
  private let cells: UnsafeMutablePointer<UInt64>

  init(cells: UnsafeMutablePointer<UInt64>) { unsafe self.cells = cells }

  /// Takes one if fewer than `limit` are taken.
  @inline(__always)
  package func take(_ resource: BreakerResource, limit: UInt32) -> Bool {
    if unsafe weft_fetch_add(cells + resource.rawValue, 1) < UInt64(limit) { return true }
    give(resource)
    return false
  }

  /// Takes one whatever the limit: a pool may always open its first connection.
  @inline(__always)
  package func takeAnyway(_ resource: BreakerResource) { _ = unsafe weft_fetch_add(cells + resource.rawValue, 1) }

  @inline(__always)
  package func give(_ resource: BreakerResource) { _ = unsafe weft_fetch_add(cells + resource.rawValue, .max) }

  package func used(_ resource: BreakerResource) -> UInt64 { unsafe weft_load(cells + resource.rawValue) }

  /// Whether the limit is reached: the `…_open` gauges.
  package func isOpen(_ resource: BreakerResource, limit: UInt32) -> Bool { used(resource) >= UInt64(limit) }

  /// Takes a retry, by the budget when there is one, else by the limit. `uncounted`: active requests that are counted no more.
  package func takeRetry(_ thresholds: CircuitBreakerLimits, uncounted: UInt64 = 0) -> Bool {
    take(.retries, limit: retryLimit(thresholds, uncounted: uncounted))
  }

  /// Retries that may run at once now.
  package func retryLimit(_ thresholds: CircuitBreakerLimits, uncounted: UInt64 = 0) -> UInt32 {
    guard thresholds.hasBudget else { return thresholds.retries }
    return thresholds.retryAllowance(activeAndPending: used(.requests) &+ used(.pending) &+ uncounted)
  }
}

/// The limits of one priority. *Shape*: trivial copy of `CircuitBreakers.Thresholds`.
package struct CircuitBreakerLimits: BitwiseCopyable, Sendable {
  package var connections: UInt32
  package var pending: UInt32
  package var requests: UInt32
  package var retries: UInt32
  package var hasBudget = false
  package var budgetPercent = 0.0
  package var budgetMinimum: UInt32 = 0

  package init(_ thresholds: CircuitBreakers.Thresholds = CircuitBreakers.Thresholds()) {
    connections = thresholds.maxConnections
    pending = thresholds.maxPendingRequests
    requests = thresholds.maxRequests
    retries = thresholds.maxRetries
    if let budget = thresholds.retryBudget {
      hasBudget = true
      budgetPercent = budget.percent
      budgetMinimum = budget.minConcurrency
    }
  }

  /// Concurrent retries the budget allows: a share of the load, but never fewer than its minimum.
  package func retryAllowance(activeAndPending load: UInt64) -> UInt32 {
    let share = budgetPercent * Double(load) / 100
    return max(budgetMinimum, share >= Double(UInt32.max) ? .max : UInt32(max(0, share)))
  }
}
