package import WeftBase

/// The retries of one request.
package struct RetryState: BitwiseCopyable, Sendable {
  /// What to do about a failed attempt.
  package enum Decision: BitwiseCopyable, Sendable, Equatable {
    /// Try again after this many nanoseconds. A retry was taken from the circuit breaker: give it back when the attempt
    /// has ended.
    case retry(after: UInt64)
    /// Pass the failure on; no rule asks for another try.
    case no
    /// Pass it on: all tries are used up (flag URX, `upstream_rq_retry_limit_exceeded`).
    case limitExceeded
    /// Pass it on: budget or breaker is spent (flag UO, `upstream_rq_retry_overflow`).
    case overflow
  }

  package private(set) var remaining: UInt32
  package private(set) var retried: UInt32 = 0

  package init(_ rules: RetryRules) { remaining = rules.maxRetries }

  /// Overrides the number of retries: `x-envoy-max-retries` of a trusted request.
  package init(maxRetries: UInt32) { remaining = maxRetries }

  /// Decides after an attempt failed. `wanted`: the rules ask for another try; `uncounted`: the breaker does not count that attempt as
  /// active any more, of whose load a budget is a share; `interval`: time the upstream asked for, in nanoseconds.
  ///
  /// A try that the budget refuses does not use up one of the request's retries.
  package mutating func decide(
    wanted: Bool, rules: RetryRules, breaker: CircuitBreaker, limits: CircuitBreakerLimits, uncounted: Bool = false,
    interval: UInt64? = nil, random: inout RandomSource
  ) -> Decision {
    guard wanted else { return .no }
    guard remaining > 0 else { return .limitExceeded }
    guard breaker.takeRetry(limits, uncounted: uncounted ? 1 : 0) else { return .overflow }
    remaining -= 1
    retried += 1
    if let interval, let wait = rules.rateLimitedBackoff(interval: interval, random: &random) {
      return .retry(after: wait)
    }
    return .retry(after: rules.backoff(attempt: retried, random: &random))
  }
}
