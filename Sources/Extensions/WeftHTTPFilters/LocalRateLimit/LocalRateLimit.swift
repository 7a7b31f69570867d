// Local rate limit: token buckets that the workers of one proxy share.

import WeftBase
package import WeftHTTP
package import WeftProxyAPI
import WeftTelemetry

/// `envoy.filters.http.local_ratelimit`.
///
/// A request takes a token of every bucket whose descriptor it meets; when it meets one, the general bucket is asked, too, unless that is switched off. What
/// a route says replaces the chain's configuration, buckets included.
package struct LocalRateLimit: RequestHeadFilter {
  package static var name: StaticString { "envoy.filters.http.local_ratelimit" }

  package struct Config: BitwiseCopyable {
    var status: UInt16 = 429
    var isExhaustion = false
    var enabledMillionths: UInt64 = 0
    var enforcedMillionths: UInt64 = 0
    var bucket: SharedTokenBucket?
    var alwaysAsksGeneral = true
    var descriptors = ConstantTable<LimitDescriptor>()
    var rules = ConstantTable<LimitRule>()
    var requestHeaders = ConstantTable<CompiledHeaderChange>()
    var responseHeaders = ConstantTable<CompiledHeaderChange>()
    var stats = ConstantTable<StatBlock<LocalRateLimitMetric>>()
  }

  package init(_ config: Config) {}

  package mutating func requestHead(
    _ head: MessageHead, end: Bool, _ x: borrowing FilterCall<Config>
  ) -> FilterVerdict {
    guard x.falls(0x9e37_79b9, x.config.enabledMillionths) else { return .go }
    let stats = x.config.stats[x.worker]
    stats.add(.enabled)
    if allows(head, x) {
      stats.add(.ok)
      return .go
    }
    stats.add(.rateLimited)
    guard x.falls(0x7f4a_7c15, x.config.enforcedMillionths) else {
      x.apply(x.config.requestHeaders, to: head)
      return .go
    }
    stats.add(.enforced)
    if !x.config.responseHeaders.isEmpty { x.apply(x.config.responseHeaders, to: x.replyFields, isResponse: true) }
    return x.reply(
      x.config.status, body: ByteView("local_rate_limited"), details: "local_rate_limited", flag: .rateLimited,
      grpcStatus: x.config.isExhaustion ? 8 : -1)
  }

  private func allows(_ head: MessageHead, _ x: borrowing FilterCall<Config>) -> Bool {
    var met = false
    for r in x.config.rules.indices {
      for d in x.config.descriptors.indices where x.config.rules[r].meets(x.config.descriptors[d], head, x) {
        met = true
        if !x.config.descriptors[d].bucket.take(now: x.now) { return false }
      }
    }
    guard !met || x.config.alwaysAsksGeneral, let bucket = x.config.bucket else { return true }
    return bucket.take(now: x.now)
  }
}

/// A set of entries with a bucket of its own.
struct LimitDescriptor: BitwiseCopyable {
  struct Entry: BitwiseCopyable {
    var key: ByteView
    /// Empty: any value.
    var value: ByteView
  }
  var entries: ConstantTable<Entry>
  var bucket: SharedTokenBucket
}

/// Actions whose values describe a request.
struct LimitRule: BitwiseCopyable {
  struct Action: BitwiseCopyable {
    enum Kind: UInt8, BitwiseCopyable, Sendable { case generic, header, remoteAddress, destinationCluster, headerMatch }
    var kind: Kind
    var key: ByteView
    /// The value, or the name of the header that holds it.
    var text: ByteView
    var headers = ConstantTable<CompiledHeaderMatcher>()
    var expectsMatch = true
    var skipsIfAbsent = false
  }
  var actions: ConstantTable<Action>

  /// Whether the request's values are the descriptor's entries. Any value that cannot be had makes the rule say nothing.
  func meets(
    _ descriptor: LimitDescriptor, _ head: MessageHead, _ x: borrowing FilterCall<LocalRateLimit.Config>
  ) -> Bool {
    var next = 0
    for i in actions.indices {
      guard let value = value(i, head, x) else {
        if actions[i].skipsIfAbsent { continue }
        return false
      }
      guard next < descriptor.entries.count, descriptor.entries[next].key.equals(actions[i].key) else { return false }
      let wanted = descriptor.entries[next].value
      if !wanted.isEmpty, !wanted.equals(value) { return false }
      next += 1
    }
    return next == descriptor.entries.count && next > 0
  }

  private func value(_ i: Int, _ head: MessageHead, _ x: borrowing FilterCall<LocalRateLimit.Config>) -> ByteView? {
    switch actions[i].kind {
    case .generic: return actions[i].text
    case .header: return head.first(named: actions[i].text)
    case .remoteAddress: return x.remoteAddress()
    case .destinationCluster: return x.routeCluster.isEmpty ? nil : x.routeCluster
    case .headerMatch: return actions[i].headers.allMatch(head) == actions[i].expectsMatch ? actions[i].text : nil
    }
  }
}
