// RequestWishes: what a request may ask of the router by `x-envoy-*` fields, and what the router tells the upstream in the same way.
//
// Only fields of trusted (internal) requests get here: those of others were taken out with the rest of what outsiders may not say
// (`ClientAddress.swift`). Every field that was read is taken out, too; it is meant for this router, not for the next.

import WeftBase
import WeftHTTP
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTables
import WeftTelemetry
import WeftUpstream

extension WorkerEngine {
  // MARK: Time-outs

  /// The time-outs of a request: the route's, the client's `grpc-timeout` within the route's bounds, or what a trusted request asks for.
  func setTimeouts(_ s: StreamIndex, _ head: MessageHead, _ route: ConfigRef<CompiledRoute>) {
    let stream = streams.ref(s)
    stream[].timeout = route[].timeout
    stream[].boundsAnswerOnly = route[].timeoutIsDefault
    if let rules = route[].retryRules {
      stream[].tryTimeout = rules.perTryTimeout
      stream[].tryIdleTimeout = rules.perTryIdleTimeout
    }
    if route[].hedgesOnTryTimeout { stream[].flags.insert(.hedges) }
    if route[].grpcTimeoutMax != .max { takeGRPCTimeout(s, head, route) }
    if head.mayContain(anyOf: fields.timeouts) { takeTimeouts(s, head) }
    // A try that may last as long as all of them together needs no time-out of its own.
    if stream[].timeout != 0, stream[].tryTimeout >= stream[].timeout { stream[].tryTimeout = 0 }
    announceTimeout(s, head, route)
  }

  @inline(never)
  private func takeTimeouts(_ s: StreamIndex, _ head: MessageHead) {
    let stream = streams.ref(s)
    let respectsExpected = downstreams[stream[].downstream].manager?[].respectsExpectedTimeout ?? false
    let asked =
      respectsExpected
      ? milliseconds(head, .envoyExpectedTimeout) ?? milliseconds(head, .envoyUpstreamTimeout)
      : milliseconds(head, .envoyUpstreamTimeout)
    if let asked {
      stream[].timeout = asked
      stream[].boundsAnswerOnly = false
      stream[].timeoutIsClients = false
    }
    if let perTry = milliseconds(head, .envoyPerTryTimeout) { stream[].tryTimeout = perTry }
    if let text = head.first(.envoyHedgeOnTimeout) {
      if text.equals("true") { stream[].flags.insert(.hedges) }
      if text.equals("false") { stream[].flags.remove(.hedges) }
    }
    head.remove(.envoyHedgeOnTimeout)
    head.remove(.envoyUpstreamTimeout)
    head.remove(.envoyPerTryTimeout)
    head.remove(.envoyTimeoutAltResponse)
    head.remove(.envoyUpstreamAltStatName)
  }

  /// A field of milliseconds as nanoseconds; nil when it is no number.
  private func milliseconds(_ head: MessageHead, _ name: HeaderName) -> UInt64? {
    guard let text = head.first(name), let n = ASCII.parseDecimal(text) else { return nil }
    let (value, overflow) = n.multipliedReportingOverflow(by: 1_000_000)
    return overflow ? UInt64(Int64.max) : value
  }

  /// The client's `grpc-timeout` within the route's bounds. For a stream it counts from its beginning; a request without one has the route's bound.
  @inline(never)
  private func takeGRPCTimeout(_ s: StreamIndex, _ head: MessageHead, _ route: ConfigRef<CompiledRoute>) {
    let asked = head.first(.grpcTimeout).flatMap(GRPCTimeoutText.nanoseconds)
    let (most, offset) = (route[].grpcTimeoutMax, route[].grpcTimeoutOffset)
    switch route[].grpcTimeoutBounds {
    case .request:
      guard streams[s].flags.contains(.isGRPC) else { return }
      var timeout = asked ?? 0
      if offset < timeout { timeout -= offset }
      if most > 0, timeout == 0 || timeout > most { timeout = most }
      streams[s].timeout = timeout
      streams[s].boundsAnswerOnly = false
      streams[s].timeoutIsClients = asked != nil
    case .stream:
      guard var timeout = asked else { return }
      if most > 0 { timeout = min(timeout, most) }
      timeout = offset < timeout ? timeout - offset : 0
      streams[s].lifeDeadline = streams[s].started.advanced(nanoseconds: Int64(clamping: timeout))
      if timeout > 0 { head.set(.grpcTimeout, GRPCTimeoutText.text(nanoseconds: timeout, scratch: head)) }
    }
  }

  /// `x-envoy-expected-rq-timeout-ms`: how long the upstream's answer will be waited for.
  private func announceTimeout(_ s: StreamIndex, _ head: MessageHead, _ route: ConfigRef<CompiledRoute>) {
    let stream = streams.ref(s)
    guard !(downstreams[stream[].downstream].manager?[].suppressesEnvoyHeaders ?? false) else { return }
    // An attempt that goes on when its time is over may take as long as all.
    let expected = stream[].tryTimeout > 0 && !stream[].flags.contains(.hedges) ? stream[].tryTimeout : stream[].timeout
    if expected == 0 { return }
    if expected == route[].expectedTimeout {
      head.set(.envoyExpectedTimeout, route[].expectedTimeoutText)
    } else {
      head.set(.envoyExpectedTimeout, head.decimal(max(1, expected / 1_000_000)))
    }
    if route[].grpcTimeoutMax != .max, route[].grpcTimeoutBounds == .request, stream[].flags.contains(.isGRPC) {
      head.set(.grpcTimeout, GRPCTimeoutText.text(nanoseconds: expected, scratch: head))
    }
  }

  /// What a further attempt says of itself: whether it is made because the time of another one was over, and how much time it has, which is
  /// less than the first had, what is left of the whole.
  func announceRetry(_ s: StreamIndex, _ head: MessageHead) {
    let stream = streams.ref(s)
    if stream[].route?[].saysIsTimeoutRetry ?? false {
      head.set(
        named: ByteView("x-envoy-is-timeout-retry"), ByteView(streams[owner(of: s)].isTimeoutRetry ? "true" : "false"))
    }
    guard stream[].totalDeadline != .distantFuture, head.contains(.envoyExpectedTimeout) else { return }
    let left = stream[].totalDeadline > now ? stream[].totalDeadline.nanoseconds &- now.nanoseconds : 0
    let expected =
      stream[].tryTimeout > 0 && !stream[].flags.contains(.hedges) ? min(stream[].tryTimeout, left) : left
    head.set(.envoyExpectedTimeout, head.decimal(max(1, expected / 1_000_000)))
  }

  // MARK: Retries

  /// The retry rules of a request: the route's, and what a trusted request adds to them.
  func setRetries(_ s: StreamIndex, _ head: MessageHead, _ route: ConfigRef<CompiledRoute>) {
    let allowed = route.allowsRetry(head)
    if head.mayContain(anyOf: fields.retries) { return takeRetries(s, head, route, allowed: allowed) }
    guard allowed, let rules = route[].retryRules else { return }
    let stream = streams.ref(s)
    stream[].retry = RetryState(rules)
    stream[].flags.insert(.hasRetryPolicy)
  }

  @inline(never)
  private func takeRetries(
    _ s: StreamIndex, _ head: MessageHead, _ route: ConfigRef<CompiledRoute>, allowed: Bool
  ) {
    let stream = streams.ref(s)
    var rules = route[].retryRules ?? RetryRules(RetryPolicy(retryOn: []))
    var asked: RetryPolicy.Conditions = []
    if let text = head.joinedValue(named: ByteView(HeaderName.envoyRetryOn.text)) {
      asked.formUnion(RetryPolicy.Conditions.parse(text.string).conditions.subtracting(.grpc))
    }
    if let text = head.joinedValue(named: ByteView(HeaderName.envoyRetryGRPCOn.text)) {
      asked.formUnion(RetryPolicy.Conditions.parse(text.string).conditions.intersection(.grpc))
    }
    rules.add(conditions: asked, statuses: head.first(.envoyRetriableStatusCodes) ?? .empty)
    if allowed, !rules.conditions.isEmpty {
      var retries = rules.maxRetries
      if let text = head.first(.envoyMaxRetries), let n = ASCII.parseDecimal(text) { retries = UInt32(clamping: n) }
      stream[].retry = RetryState(maxRetries: retries)
      stream[].ownRetry = OwnRetryRules(rules, headers: head.first(.envoyRetriableHeaderNames) ?? .empty, pool: pool)
      stream[].flags.insert(.hasRetryPolicy)
    }
    head.remove(.envoyRetryOn)
    head.remove(.envoyRetryGRPCOn)
    head.remove(.envoyMaxRetries)
    head.remove(.envoyRetriableStatusCodes)
    head.remove(.envoyRetriableHeaderNames)
  }

  /// The rules that hold for this request; nil when there are none.
  func retryRules(_ s: StreamIndex) -> RetryRules? {
    if let own = streams[s].ownRetry { return own.rules }
    return streams[s].route?[].retryRules
  }
}
