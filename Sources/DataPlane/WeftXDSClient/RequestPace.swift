// How fast the control plane may be asked.
package import WeftBase

/// A bucket of tokens, one per request. *Source*: Envoy's rate_limit_settings.
package struct RequestPace: Sendable {
  private let burst: Double
  private let perSecond: Double
  private var tokens: Double
  private var filledAt: MonotonicInstant?

  /// *Parameters*: both more than 0.
  package init(burst: UInt32, perSecond: Double) {
    self.burst = Double(burst)
    self.perSecond = perSecond
    tokens = Double(burst)
  }

  /// Takes a token. *Returns*: how long to wait before it counts; zero while there are any.
  package mutating func take(now: MonotonicInstant) -> Duration {
    if let filledAt {
      let seconds = Double((now - filledAt).nanoseconds) / 1e9
      tokens = min(burst, tokens + max(0, seconds) * perSecond)
    }
    filledAt = now
    tokens -= 1
    return tokens >= 0 ? .zero : .seconds(-tokens / perSecond)
  }
}
