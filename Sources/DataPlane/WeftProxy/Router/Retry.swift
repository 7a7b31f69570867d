// Retry: whether a request is sent again, when, and with what.

import WeftBase
import WeftHTTP
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTelemetry
import WeftUpstream

extension WorkerEngine {
  /// Whether everything of the request that was passed on can be passed on again.
  func canReplay(_ s: StreamIndex) -> Bool {
    let stream = streams.ref(s)
    guard stream[].head != nil, stream[].bodyCopy != .abandoned, !stream[].tunnel.isOpen else {
      return false
    }
    return stream[].bodyCopy == .kept || stream[].bytesReceived == UInt64(stream[].requestBody.unsent)
  }

  /// Asks the policy about a response head. True: the response is dropped and another attempt made (or scheduled).
  func retryInsteadOf(_ s: StreamIndex, _ head: MessageHead, end: Bool) -> Bool {
    let stream = streams.ref(s)
    guard let route = stream[].route, let rules = retryRules(s) else { return false }
    let limited = head.contains(.envoyRateLimited)
    let matches = route[].matchesRetriableHeader(head) || (stream[].ownRetry?.matches(head) ?? false)
    let wanted =
      rules.wantsRetry(
        status: head.status, grpcStatus: stream[].grpcStatus, rateLimited: limited,
        matchesRetriableHeader: matches)
    guard wanted, canReplay(s) else { return false }
    let interval = route[].resetHeaders.isEmpty ? nil : askedInterval(head, route, rules)
    guard let wait = decide(s, rules, interval: interval) else { return false }
    // The rest of this response is of no interest; a complete one leaves its connection usable.
    detach(s, reusable: end && stream[].request.isSent)
    uncount(s)
    schedule(s, after: wait)
    return true
  }

  /// Asks the policy about a reset.
  func retryInsteadOf(_ s: StreamIndex, _ reason: UpstreamResetReason, requestStarted: Bool) -> Bool {
    let stream = streams.ref(s)
    guard stream[].flags.contains(.hasRetryPolicy), let rules = retryRules(s), canReplay(s) else { return false }
    guard rules.wantsRetry(reason, requestStarted: requestStarted), let wait = decide(s, rules) else { return false }
    schedule(s, after: wait)
    return true
  }

  /// The time an upstream asked for in one of the headers the policy names (`Retry-After` and the like), in nanoseconds. The first that
  /// says something usable counts; what is longer than the policy's limit is not.
  private func askedInterval(_ head: MessageHead, _ route: ConfigRef<CompiledRoute>, _ rules: RetryRules) -> UInt64? {
    for i in route[].resetHeaders.indices {
      let header = route[].resetHeaders[i]
      guard let text = head.first(named: header.name), var n = ASCII.parseDecimal(ASCII.trimmed(text)) else { continue }
      if header.isTimestamp {
        let seconds = UInt64(max(0, wallClock() / 1_000_000_000))
        guard n >= seconds else { continue }
        n -= seconds
      }
      let (interval, overflow) = n.multipliedReportingOverflow(by: 1_000_000_000)
      if !overflow, interval <= rules.rateLimitedMax { return interval }
    }
    return nil
  }

  private func decide(_ s: StreamIndex, _ rules: RetryRules, interval: UInt64? = nil) -> UInt64? {
    let stream = streams.ref(s)
    let state = clusters.ref(stream[].cluster)
    let highPriority = stream[].route?[].highPriority ?? false
    giveRetry(s)
    switch stream[].retry.decide(
      wanted: true, rules: rules, breaker: state[].breaker(highPriority), limits: state[].breakerLimits(highPriority),
      interval: interval, random: &turn[].random)
    {
    case .retry(let after):
      stream[].retryPermit.taken()
      state[].stats.add(.upstreamRqRetry)
      state[].stats.add(
        interval == nil ? .upstreamRqRetryBackoffExponential : .upstreamRqRetryBackoffRatelimited)
      return after
    case .no: return nil
    case .limitExceeded:
      state[].stats.add(.upstreamRqRetryLimitExceeded)
      stream[].responseFlags.insert(.upstreamRetryLimitExceeded)
      return nil
    case .overflow:
      state[].stats.add(.upstreamRqRetryOverflow)
      return nil
    }
  }

  func giveRetry(_ s: StreamIndex) {
    let stream = streams.ref(s)
    guard stream[].retryPermit.given() else { return }
    clusters[stream[].cluster].breaker(stream[].route?[].highPriority ?? false).give(.retries)
  }

  private func schedule(_ s: StreamIndex, after wait: UInt64) {
    let stream = streams.ref(s)
    stream[].request.takenBack()
    stream[].response.awaitedAnew()
    stream[].tryDeadline = .distantFuture
    stream[].requestBody.rewind()
    if wait == 0 { return again(s) }
    stream[].retryAt = now.advanced(nanoseconds: Int64(clamping: wait))
    armStream(s)
  }

  /// Makes another attempt at once. May end the stream.
  func again(_ s: StreamIndex) {
    let stream = streams.ref(s)
    stream[].retryAt = .distantFuture
    stream[].tryDeadline = .distantFuture
    stream[].request.takenBack()
    stream[].response.awaitedAnew()
    stream[].requestBody.rewind()
    guard let head = stream[].head else { return localReply(s, 503, .empty, details: "retry_without_request") }
    head.view(in: replayHead)
    attempt(s, replayHead)
  }
}
