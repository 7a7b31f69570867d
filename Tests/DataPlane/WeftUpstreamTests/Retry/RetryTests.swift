import Testing
import WeftBase
import WeftModel
import WeftUpstream

@Suite("retries")
struct RetryTests {
  static func rules(_ on: String, _ change: (inout RetryPolicy) -> Void = { _ in }) -> RetryRules {
    var policy = RetryPolicy(retryOn: RetryPolicy.Conditions.parse(on).conditions)
    change(&policy)
    return RetryRules(policy)
  }

  @Test(
    "response conditions",
    arguments: [
      ("5xx", 500, -1, true), ("5xx", 499, -1, false), ("gateway-error", 503, -1, true),
      ("gateway-error", 500, -1, false),
      ("retriable-4xx", 409, -1, true), ("retriable-4xx", 404, -1, false), ("retriable-status-codes", 425, -1, true),
      ("retriable-status-codes", 426, -1, false), ("unavailable", 200, 14, true), ("unavailable", 200, 13, false),
      ("cancelled", 200, 1, true), ("deadline-exceeded", 200, 4, true), ("internal", 200, 13, true),
      ("resource-exhausted", 200, 8, true), ("reset", 503, -1, false),
    ] as [(String, UInt16, Int64, Bool)])
  func responses(on: String, status: UInt16, grpc: Int64, expected: Bool) {
    let rules = Self.rules(on) { $0.retriableStatusCodes = [425] }
    #expect(rules.wantsRetry(status: status, grpcStatus: grpc) == expected)
  }

  @Test("x-envoy-ratelimited overrides every other condition")
  func rateLimited() {
    #expect(!Self.rules("5xx").wantsRetry(status: 503, rateLimited: true))
    #expect(Self.rules("envoy-ratelimited").wantsRetry(status: 429, rateLimited: true))
  }

  @Test(
    "reset conditions",
    arguments: [
      ("connect-failure", UpstreamResetReason.connectFailure, false, true),
      ("connect-failure", .connectTimeout, false, true), ("connect-failure", .remoteReset, true, false),
      ("refused-stream", .remoteRefusedStream, true, true), ("reset", .connectionTermination, true, true),
      ("reset-before-request", .connectionTermination, true, false),
      ("reset-before-request", .connectionTermination, false, true), ("5xx", .perTryTimeout, true, true),
      ("5xx,reset,connect-failure", .overflow, false, false), ("unavailable", .remoteReset, true, false),
    ] as [(String, UpstreamResetReason, Bool, Bool)])
  func resets(on: String, reason: UpstreamResetReason, started: Bool, expected: Bool) {
    #expect(Self.rules(on).wantsRetry(reason, requestStarted: started) == expected)
  }

  @Test("back-off has full jitter below (2^n − 1) × base and a cap")
  func backoff() {
    let rules = Self.rules("5xx")
    var random = RandomSource(seed: 1)
    for (attempt, ceiling) in [(1, 25), (2, 75), (3, 175), (4, 250), (40, 250)] as [(UInt32, UInt64)] {
      var highest: UInt64 = 0
      for _ in 0..<2000 {
        let wait = rules.backoff(attempt: attempt, random: &random)
        #expect(wait < ceiling * 1_000_000)
        highest = max(highest, wait)
      }
      #expect(highest > ceiling * 900_000)
    }
  }

  @Test("an interval named by the upstream is honoured up to the limit, with up to half as much again")
  func namedInterval() {
    let rules = Self.rules("5xx") {
      $0.rateLimitedBackoff = RetryPolicy.RateLimitedBackoff(resetHeaders: [
        .init(name: "retry-after", format: .seconds)
      ])
    }
    var random = RandomSource(seed: 2)
    for _ in 0..<200 {
      let wait = rules.rateLimitedBackoff(interval: 2_000_000_000, random: &random)
      #expect((2_000_000_000...3_000_000_000).contains(wait ?? 0))
    }
    #expect(rules.rateLimitedBackoff(interval: 301_000_000_000, random: &random) == nil)
  }

  @Test("decisions: used-up retries, budget, and a refused try that costs nothing")
  func decisions() {
    let rules = Self.rules("5xx") { $0.maxRetries = 2 }
    var random = RandomSource(seed: 3)
    let shared = CircuitBreakerState()
    let breaker = shared.breaker(.standard)
    var limits = CircuitBreakerLimits()
    var state = RetryState(rules)
    #expect(state.decide(wanted: false, rules: rules, breaker: breaker, limits: limits, random: &random) == .no)
    limits.retries = 0
    #expect(state.decide(wanted: true, rules: rules, breaker: breaker, limits: limits, random: &random) == .overflow)
    #expect(state.remaining == 2)
    limits.retries = 3
    for used in 1...2 as ClosedRange<UInt64> {
      guard case .retry = state.decide(wanted: true, rules: rules, breaker: breaker, limits: limits, random: &random)
      else {
        Issue.record("expected a retry")
        return
      }
      #expect(breaker.used(.retries) == used)
    }
    #expect(
      state.decide(wanted: true, rules: rules, breaker: breaker, limits: limits, random: &random) == .limitExceeded)
    #expect(breaker.used(.retries) == 2)
  }

  @Test("conditions and statuses of a trusted request add to the policy")
  func requestConditions() {
    var rules = Self.rules("")
    #expect(!rules.wantsRetry(status: 418))
    Array(" 418,900,x".utf8).withByteView { rules.add(conditions: .retriableStatusCodes, statuses: $0) }
    #expect(rules.wantsRetry(status: 418) && !rules.wantsRetry(status: 419))
  }
}
