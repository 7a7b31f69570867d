package import WeftBase
package import WeftModel

/// Why a stream to an upstream ended without its response being complete.
package enum UpstreamResetReason: UInt8, BitwiseCopyable, Sendable {
  /// Refused, unreachable, TLS failed.
  case connectFailure
  case connectTimeout
  /// Our own side of the connection could not be had: the local address, or an option. `notAllowed`: the process lacks the right.
  case bindFailure, bindNotAllowed
  /// The upstream closed the connection.
  case connectionTermination
  /// RST_STREAM by the upstream; of bytes without streams: its connection's RST.
  case remoteReset
  /// RST_STREAM REFUSED_STREAM, or a GOAWAY that did not include the stream: it was not processed.
  case remoteRefusedStream
  case localReset
  /// Our own circuit breaker. Never retried.
  case overflow
  /// The attempt's own time-out, and that of an attempt on which nothing moves.
  case perTryTimeout, perTryIdleTimeout
  /// The upstream broke the protocol; or says that we did (RST_STREAM PROTOCOL_ERROR).
  case protocolError
}

/// A retry policy as the router asks it. *Shape*: trivial. *Units*: nanoseconds, 0 is off.
package struct RetryRules: BitwiseCopyable, Sendable {
  package var conditions: RetryPolicy.Conditions
  package var maxRetries: UInt32
  package var perTryTimeout: UInt64 = 0
  package var perTryIdleTimeout: UInt64 = 0
  package var backoffBase: UInt64
  package var backoffMax: UInt64
  /// The policy says nothing of the two.
  private var backoffIsDefault = false
  package var rateLimitedMax: UInt64 = 0
  package var avoidsPreviousHosts = false
  package var omitsCanaries = false
  package var hostAttempts: UInt32 = 1
  /// One bit per status 100…611.
  private var statuses = RetryStatusSet()

  package init(_ policy: RetryPolicy) {
    conditions = policy.retryOn
    maxRetries = policy.maxRetries
    perTryTimeout = Self.nanoseconds(policy.perTryTimeout)
    perTryIdleTimeout = Self.nanoseconds(policy.perTryIdleTimeout)
    backoffBase = max(1, Self.nanoseconds(policy.backoffBase))
    backoffMax = max(backoffBase, Self.nanoseconds(policy.backoffMax))
    backoffIsDefault = policy.backoffIsDefault
    rateLimitedMax = Self.nanoseconds(policy.rateLimitedBackoff?.maxInterval)
    avoidsPreviousHosts = policy.avoidPreviousHosts
    omitsCanaries = policy.omitCanaryHosts
    hostAttempts = policy.hostSelectionMaxAttempts
    for status in policy.retriableStatusCodes { statuses.insert(status) }
  }

  /// What holds where the policy says nothing: this base, and ten times as much at most.
  package mutating func setDefaultBackoff(_ base: UInt64) {
    if backoffIsDefault { (backoffBase, backoffMax) = (base, base * 10) }
  }

  private static func nanoseconds(_ duration: Duration?) -> UInt64 {
    guard let duration, duration > .zero else { return 0 }
    return UInt64(duration.nanoseconds)
  }

  /// Adds what `x-envoy-retry-on` and `x-envoy-retriable-status-codes` of a trusted request ask for.
  package mutating func add(conditions more: RetryPolicy.Conditions, statuses list: ByteView = .empty) {
    conditions.formUnion(more)
    var rest = list
    while !rest.isEmpty {
      let end = rest.firstIndex(of: UInt8(ascii: ",")) ?? rest.count
      if let status = ASCII.parseDecimal(ASCII.trimmed(rest.prefix(end))), status < 1000 {
        statuses.insert(UInt16(status))
      }
      rest = rest.dropFirst(end + 1)
    }
  }

  /// Whether a response head is worth another try.
  ///
  /// *Order of checks*: `x-envoy-ratelimited` overrides everything; then 5xx, gateway errors, 409, listed statuses,
  /// listed headers, gRPC.
  /// `grpcStatus` is the status of a trailers-only response, −1 otherwise: a status in real trailers comes too late.
  package func wantsRetry(
    status: UInt16, grpcStatus: Int64 = -1, rateLimited: Bool = false, matchesRetriableHeader: Bool = false
  ) -> Bool {
    if rateLimited { return conditions.contains(.envoyRatelimited) }
    if status >= 500 && status < 600 {
      if conditions.contains(.serverError) { return true }
      if conditions.contains(.gatewayError), status >= 502 && status <= 504 { return true }
    }
    if conditions.contains(.retriable4xx), status == 409 { return true }
    if conditions.contains(.retriableStatusCodes), statuses.contains(status) { return true }
    if conditions.contains(.retriableHeaders), matchesRetriableHeader { return true }
    switch grpcStatus {
    case 1: return conditions.contains(.cancelled)
    case 4: return conditions.contains(.deadlineExceeded)
    case 8: return conditions.contains(.resourceExhausted)
    case 13: return conditions.contains(.internal)
    case 14: return conditions.contains(.unavailable)
    default: return false
    }
  }

  /// Whether a reset is worth another try. `requestStarted`: the head of the request had been passed to the upstream.
  package func wantsRetry(_ reason: UpstreamResetReason, requestStarted: Bool) -> Bool {
    switch reason {
    case .overflow: return false
    case .connectFailure, .connectTimeout, .bindFailure, .bindNotAllowed:
      if conditions.contains(.connectFailure) { return true }
    case .remoteRefusedStream:
      if conditions.contains(.refusedStream) { return true }
    case .connectionTermination, .remoteReset, .localReset, .perTryTimeout, .perTryIdleTimeout, .protocolError: break
    }
    if !requestStarted, conditions.contains(.resetBeforeRequest) { return true }
    return !conditions.isDisjoint(with: [.reset, .serverError, .gatewayError])
  }

  /// Time before retry number `attempt` (1 for the first): full jitter below (2^attempt − 1) × base, capped.
  package func backoff(attempt: UInt32, random: inout RandomSource) -> UInt64 {
    let shift = min(attempt, 32)
    let (product, overflow) = backoffBase.multipliedReportingOverflow(by: (1 << UInt64(shift)) - 1)
    let ceiling = max(1, overflow ? backoffMax : min(backoffMax, product))
    return random.next() % ceiling
  }

  /// Time before a retry when the upstream named an interval: between it and half as much again; `nil` when it is too
  /// long to be honoured.
  package func rateLimitedBackoff(interval: UInt64, random: inout RandomSource) -> UInt64? {
    guard rateLimitedMax > 0, interval <= rateLimitedMax else { return nil }
    return interval &+ (interval > 1 ? random.next() % (interval / 2 + 1) : 0)
  }
}

/// Statuses 100…611 as bits.
struct RetryStatusSet: BitwiseCopyable, Sendable {
  private var words: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0, 0, 0, 0)

  mutating func insert(_ status: UInt16) {
    guard status >= 100, status < 612 else { return }
    let bit = UInt64(1) << UInt64((status - 100) & 63)
    switch (status - 100) >> 6 {
    case 0: words.0 |= bit
    case 1: words.1 |= bit
    case 2: words.2 |= bit
    case 3: words.3 |= bit
    case 4: words.4 |= bit
    case 5: words.5 |= bit
    case 6: words.6 |= bit
    default: words.7 |= bit
    }
  }

  func contains(_ status: UInt16) -> Bool {
    guard status >= 100, status < 612 else { return false }
    let bit = UInt64(1) << UInt64((status - 100) & 63)
    return switch (status - 100) >> 6 {
    case 0: words.0 & bit != 0
    case 1: words.1 & bit != 0
    case 2: words.2 & bit != 0
    case 3: words.3 & bit != 0
    case 4: words.4 & bit != 0
    case 5: words.5 & bit != 0
    case 6: words.6 & bit != 0
    default: words.7 & bit != 0
    }
  }
}
