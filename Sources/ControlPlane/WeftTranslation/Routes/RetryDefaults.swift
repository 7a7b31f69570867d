import WeftKinds
import WeftProtobuf
import WeftXDSMessages

/// Retries as rules ask for them, and what holds when they do not.
///
/// Istio's own default also retries on gRPC statuses that a server can give after it has acted. Users had POSTs played
/// twice by such defaults; ours retries only what certainly had no effect. A rule can ask for more.
enum RetryDefaults {
  static let attempts: UInt32 = 2
  static let conditions = "connect-failure,refused-stream,reset-before-request"

  /// Nil when the rule switches retries off (`attempts: 0`).
  static func policy(_ retries: Istio_Networking_V1alpha3_HTTPRetry?, hashes: Bool) -> RetryPolicy? {
    if let retries, retries.attempts <= 0 { return nil }
    var policy = RetryPolicy()
    policy.numRetries = Google_Protobuf_UInt32Value(retries.map { UInt32($0.attempts) } ?? attempts)
    let (words, codes) = split(retries.map(\.retryOn).flatMap { $0.isEmpty ? nil : $0 } ?? conditions)
    policy.retryOn = words
    policy.retriableStatusCodes = codes
    policy.perTryTimeout = retries?.perTryTimeout
    policy.hostSelectionRetryMaxAttempts = 5
    if let base = retries?.backoff {
      var backOff = RetryPolicy.RetryBackOff()
      backOff.baseInterval = base
      policy.retryBackOff = backOff
    }
    // A consistent hash would choose the same endpoint again, and be refused it.
    if !hashes, retries?.retryIgnorePreviousHosts?.value != false {
      var predicate = RetryPolicy.RetryHostPredicate()
      predicate.name = "envoy.retry_host_predicates.previous_hosts"
      predicate.configType = .typedConfig(
        Google_Protobuf_Any(packing: Envoy_Extensions_Retry_Host_PreviousHosts_V3_PreviousHostsPredicate()))
      policy.retryHostPredicate = [predicate]
    }
    if retries?.retryRemoteLocalities?.value == true {
      var config = Envoy_Extensions_Retry_Priority_PreviousPriorities_V3_PreviousPrioritiesConfig()
      config.updateFrequency = 2
      var priority = RetryPolicy.RetryPriority()
      priority.name = "envoy.retry_priorities.previous_priorities"
      priority.configType = .typedConfig(Google_Protobuf_Any(packing: config))
      policy.retryPriority = priority
    }
    return policy
  }

  /// Numbers among the conditions are status codes.
  private static func split(_ text: String) -> (words: String, codes: [UInt32]) {
    var words: [String] = []
    var codes: [UInt32] = []
    for part in text.split(separator: ",") {
      let word = part.filter { $0 != " " }
      if word.isEmpty { continue }
      if let code = UInt32(word) { codes.append(code) } else { words.append(word) }
    }
    if !codes.isEmpty, !words.contains("retriable-status-codes") { words.append("retriable-status-codes") }
    return (words.joined(separator: ","), codes)
  }
}
