// Retry: whether a request is sent again, when, and with what.

import WeftBase
import WeftHTTP
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTables
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

  /// Asks the policy about the head of an answer to an attempt. True: the answer is dropped; another attempt is made or scheduled in its stead, or
  /// one that runs is waited for. May end the stream.
  func losesAnswer(_ a: StreamIndex, _ head: MessageHead, end: Bool) -> Bool {
    let o = owner(of: a)
    guard let route = streams[o].route, let rules = retryRules(o), wantsRetry(o, a, head, rules) else { return false }
    if mayTryAgain(a, o), let wait = decide(o, a, rules, interval: askedInterval(head, route, rules)) {
      lose(a, end: end)
      if isUnanswered(o) { schedule(next: o, after: wait) }
      return true
    }
    guard hasRivals(o, besides: a) else { return false }
    lose(a, end: end)
    return true
  }

  /// An attempt ended without a complete answer, and is off its connection and the books: asks the policy. The last attempt's failure is the client's.
  /// May end the stream.
  func attemptFailed(_ a: StreamIndex, _ reason: UpstreamResetReason, requestStarted: Bool) {
    let o = owner(of: a)
    // One of a request that is being answered or ends already.
    if a != o, streams[o].race != .owner { return drop(a) }
    if isRuled(o, reason, requestStarted: requestStarted), mayTryAgain(a, o), let rules = retryRules(o),
      let wait = decide(o, a, rules, isTimeout: reason == .perTryTimeout || reason == .perTryIdleTimeout)
    {
      drop(a)
      if isUnanswered(o) { schedule(next: o, after: wait) }
      return
    }
    let isLast = !hasRivals(o, besides: a)
    if !isLast || a != o { drop(a) }
    if isLast, isUnanswered(o) { upstreamFailed(o, reason) }
  }

  /// Whether a stream is still there, and was not answered here while one of its attempts ended: who is given the attempt's connection may be another one.
  private func isUnanswered(_ o: StreamIndex) -> Bool { streams.contains(o) && !streams[o].flags.contains(.localReply) }

  /// Whether the policy of `s` speaks of such an end: it decides alone about it.
  func isRuled(_ s: StreamIndex, _ reason: UpstreamResetReason, requestStarted: Bool) -> Bool {
    guard streams[s].flags.contains(.hasRetryPolicy), let rules = retryRules(s) else { return false }
    return rules.wantsRetry(reason, requestStarted: requestStarted)
  }

  /// Whether another attempt may take the place of `a`, which failed: none has yet.
  private func mayTryAgain(_ a: StreamIndex, _ o: StreamIndex) -> Bool {
    streams[a].attemptTime != .replaced && streams[o].retryAt == .distantFuture && canReplay(o)
  }

  /// The answer that has come to `a` is not the client's. A complete one leaves its connection usable. May end the stream.
  private func lose(_ a: StreamIndex, end: Bool) {
    let stream = streams.ref(a)
    if stream[].race == .backup {
      if end { stream[].response.endArrived() }
      return drop(a)
    }
    // The rest of this response is of no interest.
    detach(a, reusable: end && stream[].request.isSent)
    guard streams.contains(a), !stream[].flags.contains(.localReply) else { return }
    uncount(a)
    drop(a)
  }

  /// Whether the policy of `o` calls the answer to its attempt `a` worth another try.
  private func wantsRetry(_ o: StreamIndex, _ a: StreamIndex, _ head: MessageHead, _ rules: RetryRules) -> Bool {
    let stream = streams.ref(o)
    let limited = head.contains(.envoyRateLimited)
    let matches =
      (stream[].route?.matchesRetriableHeader(head) ?? false) || (stream[].ownRetry?.matches(head) ?? false)
    return rules.wantsRetry(
      status: head.status, grpcStatus: streams[a].grpcStatus, rateLimited: limited, matchesRetriableHeader: matches)
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

  /// Whether, and after how many nanoseconds, another attempt of `o` may take the place of `a`. Takes a retry of the breaker for it.
  func decide(
    _ o: StreamIndex, _ a: StreamIndex, _ rules: RetryRules, interval: UInt64? = nil, isTimeout: Bool = false
  ) -> UInt64? {
    let stream = streams.ref(o)
    let state = clusters.ref(stream[].cluster)
    let highPriority = stream[].route?[].highPriority ?? false
    giveRetry(o)
    if runtime[].retryShare < 1_000_000, random() % 1_000_000 >= UInt64(runtime[].retryShare) { return nil }
    var rules = rules
    if runtime[].backoffBase > 0 { rules.setDefaultBackoff(runtime[].backoffBase) }
    switch stream[].retry.decide(
      wanted: true, rules: rules, breaker: state[].breaker(highPriority), limits: state[].breakerLimits(highPriority),
      uncounted: streams[a].requestPermit == .none && streams[a].place != .waiting, interval: interval,
      random: &turn[].random)
    {
    case .retry(let after):
      stream[].retryPermit.taken()
      stream[].isTimeoutRetry = isTimeout
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
      stream[].responseFlags.insert(.upstreamOverflow)
      return nil
    }
  }

  func giveRetry(_ s: StreamIndex) {
    let stream = streams.ref(s)
    guard stream[].retryPermit.given() else { return }
    clusters[stream[].cluster].breaker(stream[].route?[].highPriority ?? false).give(.retries)
  }

  /// Lets the next attempt of `s` begin after `wait`, whatever of it still runs. May end the stream.
  func schedule(next s: StreamIndex, after wait: UInt64) {
    if wait == 0 { return retryDue(s) }
    streams[s].retryAt = now.advanced(nanoseconds: Int64(clamping: wait))
    armStream(s)
  }

  /// The attempt is over: what was kept of the request has not been sent.
  func forgetAttempt(_ s: StreamIndex) {
    let stream = streams.ref(s)
    stream[].request.takenBack()
    stream[].response.awaitedAnew()
    stream[].tryDeadline = .distantFuture
    stream[].attemptTime.began()
    stream[].requestBody.rewind()
  }

  /// Makes another attempt at once. May end the stream.
  func again(_ s: StreamIndex) {
    let stream = streams.ref(s)
    // In a race it is the next one's time, not this one's.
    if stream[].race != .owner { stream[].retryAt = .distantFuture }
    forgetAttempt(s)
    guard let head = stream[].head else { return localReply(s, 503, .empty, details: "retry_without_request") }
    head.view(in: replayHead)
    attempt(s, replayHead)
  }
}
