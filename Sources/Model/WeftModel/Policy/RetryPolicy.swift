/// When a request is sent again, how often and how soon.
package struct RetryPolicy: Hashable, Sendable {
  /// Conditions as in `x-envoy-retry-on` and `x-envoy-retry-grpc-on`.
  package struct Conditions: OptionSet, BitwiseCopyable, Hashable, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }
    package static let serverError = Conditions(rawValue: 1 << 0)  // 5xx
    package static let gatewayError = Conditions(rawValue: 1 << 1)
    package static let reset = Conditions(rawValue: 1 << 2)
    package static let resetBeforeRequest = Conditions(rawValue: 1 << 3)
    package static let connectFailure = Conditions(rawValue: 1 << 4)
    package static let envoyRatelimited = Conditions(rawValue: 1 << 5)
    package static let retriable4xx = Conditions(rawValue: 1 << 6)
    package static let refusedStream = Conditions(rawValue: 1 << 7)
    package static let retriableStatusCodes = Conditions(rawValue: 1 << 8)
    package static let retriableHeaders = Conditions(rawValue: 1 << 9)
    package static let http3PostConnectFailure = Conditions(rawValue: 1 << 10)
    package static let cancelled = Conditions(rawValue: 1 << 16)
    package static let deadlineExceeded = Conditions(rawValue: 1 << 17)
    package static let `internal` = Conditions(rawValue: 1 << 18)
    package static let resourceExhausted = Conditions(rawValue: 1 << 19)
    package static let unavailable = Conditions(rawValue: 1 << 20)

    /// Those of gRPC statuses, which `x-envoy-retry-grpc-on` names.
    package static let grpc: Conditions = [.cancelled, .deadlineExceeded, .internal, .resourceExhausted, .unavailable]

    /// Every condition by its name on the wire, sorted.
    package static let named: [(name: String, condition: Conditions)] = [
      ("5xx", .serverError), ("cancelled", .cancelled), ("connect-failure", .connectFailure),
      ("deadline-exceeded", .deadlineExceeded), ("envoy-ratelimited", .envoyRatelimited),
      ("gateway-error", .gatewayError), ("http3-post-connect-failure", .http3PostConnectFailure),
      ("internal", .internal), ("refused-stream", .refusedStream), ("reset", .reset),
      ("reset-before-request", .resetBeforeRequest), ("resource-exhausted", .resourceExhausted),
      ("retriable-4xx", .retriable4xx), ("retriable-headers", .retriableHeaders),
      ("retriable-status-codes", .retriableStatusCodes), ("unavailable", .unavailable),
    ]

    /// Parses a comma-separated list. Unknown words come back for a warning; Envoy ignores them.
    package static func parse(_ text: String) -> (conditions: Conditions, unknown: [String]) {
      var conditions: Conditions = []
      var unknown: [String] = []
      for word in text.split(whereSeparator: { $0 == "," || $0 == " " }) {
        if let found = named.first(where: { $0.name == word }) {
          conditions.insert(found.condition)
        } else {
          unknown.append(String(word))
        }
      }
      return (conditions, unknown)
    }
  }

  package var retryOn: Conditions
  package var maxRetries: UInt32 = 1
  package var perTryTimeout: Duration?
  package var perTryIdleTimeout: Duration?
  package var retriableStatusCodes: [UInt16] = []
  /// Response headers that make an answer worth another try.
  package var retriableHeaders: [HeaderMatcher] = []
  /// Request headers without which no retry happens; empty means any request.
  package var retriableRequestHeaders: [HeaderMatcher] = []
  package var backoffBase: Duration = .milliseconds(25)
  /// Nothing was said of either: the runtime key `upstream.base_retry_backoff_ms` may.
  package var backoffIsDefault = true
  /// Ten times the base unless set.
  package var backoffMax: Duration = .milliseconds(250)
  package var rateLimitedBackoff: RateLimitedBackoff?
  /// Do not pick a host that this request has tried already.
  package var avoidPreviousHosts = false
  package var omitCanaryHosts = false
  package var hostSelectionMaxAttempts: UInt32 = 1
  /// Which priorities a retry goes to; nil: those that any request goes to.
  package var priority: ExtensionConfig?

  package struct RateLimitedBackoff: Hashable, Sendable {
    package enum Format: Hashable, Sendable { case seconds, unixTimestamp }
    package struct ResetHeader: Hashable, Sendable {
      package var name: String
      package var format: Format
      package init(name: String, format: Format) {
        self.name = name
        self.format = format
      }
    }
    package var resetHeaders: [ResetHeader]
    package var maxInterval: Duration = .seconds(300)
    package init(resetHeaders: [ResetHeader]) { self.resetHeaders = resetHeaders }
  }

  package init(retryOn: Conditions) { self.retryOn = retryOn }
}
