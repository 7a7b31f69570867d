import Testing
import WeftModel
import WeftUpstream

@Suite("circuit breakers")
struct CircuitBreakerTests {
  @Test("takes up to the limit, gives back, and keeps priorities apart", arguments: BreakerResource.allCases)
  func limit(resource: BreakerResource) {
    let state = CircuitBreakerState()
    let breaker = state.breaker(.standard)
    #expect(breaker.take(resource, limit: 2) && breaker.take(resource, limit: 2))
    #expect(!breaker.take(resource, limit: 2) && breaker.isOpen(resource, limit: 2))
    #expect(breaker.used(resource) == 2 && state.breaker(.high).used(resource) == 0)
    breaker.give(resource)
    #expect(!breaker.isOpen(resource, limit: 2) && breaker.take(resource, limit: 2))
    breaker.takeAnyway(resource)
    #expect(breaker.used(resource) == 3)
    #expect(!state.breaker(.high).take(resource, limit: 0))
  }

  @Test("a retry budget replaces the limit: a share of the load, but never less than its minimum")
  func budget() {
    var thresholds = CircuitBreakers.Thresholds()
    thresholds.maxRetries = 0
    thresholds.retryBudget = CircuitBreakers.RetryBudget()
    let limits = CircuitBreakerLimits(thresholds)
    #expect(limits.retryAllowance(activeAndPending: 0) == 3)
    #expect(limits.retryAllowance(activeAndPending: 15) == 3)
    #expect(limits.retryAllowance(activeAndPending: 50) == 10)
    #expect(limits.retryAllowance(activeAndPending: .max) == .max)
    let state = CircuitBreakerState()
    let breaker = state.breaker(.standard)
    #expect(breaker.takeRetry(limits) && breaker.takeRetry(limits) && breaker.takeRetry(limits))
    #expect(!breaker.takeRetry(limits))
  }

  @Test("many threads never hold more than the limit")
  func shared() async {
    let state = CircuitBreakerState()
    let peak = await withTaskGroup(of: UInt64.self) { group in
      for _ in 0..<4 {
        group.addTask {
          let breaker = state.breaker(.standard)
          var held: UInt64 = 0
          for _ in 0..<2000 {
            if breaker.take(.requests, limit: 3) {
              held += 1
              breaker.give(.requests)
            }
          }
          return held
        }
      }
      return await group.reduce(0, +)
    }
    #expect(peak > 0 && state.breaker(.standard).used(.requests) == 0)
  }
}
