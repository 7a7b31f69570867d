// Local rate limit: token buckets that the workers of one proxy share.

import WeftBase
package import WeftHTTP
package import WeftProxyAPI
import WeftTelemetry

/// `envoy.filters.http.local_ratelimit`.
///
/// Each rule draws a token from the bucket of the descriptor that it meets, then the request one from the general bucket, unless that is switched off for
/// requests that meet a descriptor. What a route says replaces the chain's configuration, buckets included.
package struct LocalRateLimit: RequestHeadFilter, ResponseHeadFilter {
  package static var name: StaticString { "envoy.filters.http.local_ratelimit" }

  package struct Config: BitwiseCopyable {
    var status: UInt16 = 429
    var isExhaustion = false
    var enabled = RuntimeShare.none { didSet { isOff = enabled.isNever } }
    /// Nothing can switch it on.
    private(set) var isOff = true
    var enforced = RuntimeShare.none
    var bucket: TokenBucket?
    var alwaysAsksGeneral = true
    /// Each connection has buckets of its own.
    var isPerConnection = false
    /// Responses say how the limit stands: `x-ratelimit-limit`, `-remaining`, `-reset`.
    var tellsLimits = false
    var descriptors = ConstantTable<LimitDescriptor>()
    /// Numbers a connection keeps: the general bucket comes first, then the descriptors'.
    var cellCount = 1
    var rules = ConstantTable<LimitRule>()
    var requestHeaders = ConstantTable<CompiledHeaderChange>()
    var responseHeaders = ConstantTable<CompiledHeaderChange>()
    var stats = ConstantTable<StatBlock<LocalRateLimitMetric>>()
  }

  /// What the response says of the limit: that of the bucket that refused, else of the first that was asked.
  private var limit: UInt32 = 0
  private var remaining: UInt32 = 0
  private var resetSeconds: UInt32 = 0

  package init(_ config: Config) {}

  package mutating func requestHead(
    _ head: MessageHead, end: Bool, _ x: borrowing FilterCall<Config>
  ) -> FilterVerdict {
    // Where it is off for good, which is usual, nothing else is looked at.
    x.config.isOff ? .go : limit(head, x)
  }

  @inline(never)
  private mutating func limit(_ head: MessageHead, _ x: borrowing FilterCall<Config>) -> FilterVerdict {
    x.falls(0x9e37_79b9, x.config.enabled) ? judge(head, x) : .go
  }

  @inline(never)
  private mutating func judge(_ head: MessageHead, _ x: borrowing FilterCall<Config>) -> FilterVerdict {
    let stats = x.config.stats[x.worker]
    stats.add(.enabled)
    if allows(head, x) {
      stats.add(.ok)
      return .go
    }
    stats.add(.rateLimited)
    guard x.falls(0x7f4a_7c15, x.config.enforced) else {
      x.apply(x.config.requestHeaders, to: head)
      return .go
    }
    stats.add(.enforced)
    if !x.config.responseHeaders.isEmpty {
      x.apply(x.config.responseHeaders, to: x.replyFields, of: head, isResponse: true)
    }
    return x.reply(
      x.config.status, body: ByteView("local_rate_limited"), details: "local_rate_limited", flag: .rateLimited,
      grpcStatus: x.config.isExhaustion ? 8 : -1)
  }

  package mutating func responseHead(
    _ head: MessageHead, end: Bool, _ x: borrowing FilterCall<Config>
  ) -> FilterVerdict {
    if limit > 0 { tell(head) }
    return .go
  }

  @inline(never)
  private func tell(_ head: MessageHead) {
    head.append(named: ByteView("x-ratelimit-limit"), head.decimal(UInt64(limit)))
    head.append(named: ByteView("x-ratelimit-remaining"), head.decimal(UInt64(remaining)))
    head.append(named: ByteView("x-ratelimit-reset"), head.decimal(UInt64(resetSeconds)))
  }

  private mutating func allows(_ head: MessageHead, _ x: borrowing FilterCall<Config>) -> Bool {
    if x.config.rules.isEmpty, !x.config.isPerConnection {
      guard let bucket = x.config.bucket else { return true }
      return take(bucket, x)
    }
    return allowsAll(head, x)
  }

  private mutating func allowsAll(_ head: MessageHead, _ x: borrowing FilterCall<Config>) -> Bool {
    var cells: ConnectionCells?
    if x.config.isPerConnection, let bucket = x.config.bucket {
      cells = x.connectionCells(bucket.identity, x.config.cellCount)
    }
    // The slowest is asked first, as by Envoy: one that refuses leaves the faster ones their tokens.
    var met = InlineArray<32, LimitMatch>(repeating: LimitMatch())
    var count = 0
    for r in x.config.rules.indices where count < met.count {
      guard let match = x.config.rules[r].match(x.config.descriptors, head, x) else { continue }
      let pace = x.config.descriptors[match.descriptor].pace
      var place = count
      while place > 0, x.config.descriptors[met[place - 1].descriptor].pace > pace {
        met[place] = met[place - 1]
        place -= 1
      }
      met[place] = match
      count += 1
    }
    for i in 0..<count {
      let bucket = x.config.descriptors[met[i].descriptor].bucket(met[i].open, cells, now: x.now)
      if !take(bucket, x, isFirst: i == 0) { return false }
    }
    guard count == 0 || x.config.alwaysAsksGeneral, let bucket = x.config.bucket else { return true }
    return take(cells.map { bucket.of($0, 0) } ?? bucket, x, isFirst: count == 0)
  }

  private mutating func take(
    _ bucket: TokenBucket, _ x: borrowing FilterCall<Config>, isFirst: Bool = true
  ) -> Bool {
    let isTaken = bucket.take(now: x.now)
    if x.config.tellsLimits, isFirst || !isTaken { note(bucket, x) }
    return isTaken
  }

  private mutating func note(_ bucket: TokenBucket, _ x: borrowing FilterCall<Config>) {
    let reading = bucket.reading(now: x.now)
    limit = UInt32(clamping: bucket.rate.maximum)
    remaining = UInt32(clamping: reading.remaining)
    resetSeconds = UInt32(clamping: reading.resetSeconds)
  }
}

/// A set of entries with a bucket of its own; where entries leave values open, with one for each of the values that come.
struct LimitDescriptor: BitwiseCopyable {
  struct Entry: BitwiseCopyable {
    var key: ByteView
    /// Empty: any value.
    var value: ByteView
  }
  var entries: ConstantTable<Entry>
  var own: TokenBucket
  var byValue: TokenBucketTable?
  /// Tokens that come in a second.
  var pace: Double
  /// Where it begins among a connection's cells.
  var firstCell: Int

  /// `value` is what the request said where any value is taken; `cells` are those of a connection that has buckets of its own.
  func bucket(_ value: UInt64, _ cells: ConnectionCells?, now: MonotonicInstant) -> TokenBucket {
    guard let cells else { return byValue?.bucket(value, now: now) ?? own }
    return byValue?.of(cells, firstCell).bucket(value, now: now) ?? own.of(cells, firstCell)
  }
}

/// The descriptor that a rule meets, by its position, and the hash of the values that it leaves open.
struct LimitMatch: BitwiseCopyable {
  var descriptor = 0
  var open: UInt64 = 0
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

  /// The descriptor whose entries all say a value, wherever it stands, else the first that leaves one open.
  func match(
    _ descriptors: ConstantTable<LimitDescriptor>, _ head: MessageHead,
    _ x: borrowing FilterCall<LocalRateLimit.Config>
  ) -> LimitMatch? {
    var open: LimitMatch?
    for d in descriptors.indices where open == nil || descriptors[d].byValue == nil {
      guard let value = meets(descriptors[d], head, x) else { continue }
      let match = LimitMatch(descriptor: d, open: value)
      if descriptors[d].byValue == nil { return match }
      open = match
    }
    return open
  }

  /// Nil unless the request's values are the descriptor's entries; else the hash of those that the descriptor leaves open. Any value that cannot be had
  /// makes the rule say nothing.
  private func meets(
    _ descriptor: LimitDescriptor, _ head: MessageHead, _ x: borrowing FilterCall<LocalRateLimit.Config>
  ) -> UInt64? {
    var next = 0
    var open: UInt64 = 0
    for i in actions.indices {
      guard let value = value(i, head, x) else {
        if actions[i].skipsIfAbsent { continue }
        return nil
      }
      guard next < descriptor.entries.count, descriptor.entries[next].key.equals(actions[i].key) else { return nil }
      let wanted = descriptor.entries[next].value
      if wanted.isEmpty { open = value.hash(seed: open &+ 1) } else if !wanted.equals(value) { return nil }
      next += 1
    }
    return next == descriptor.entries.count && next > 0 ? open : nil
  }

  private func value(_ i: Int, _ head: MessageHead, _ x: borrowing FilterCall<LocalRateLimit.Config>) -> ByteView? {
    switch actions[i].kind {
    case .generic: return actions[i].text
    case .header: return head.value(named: actions[i].text)
    case .remoteAddress: return x.remoteAddress()
    case .destinationCluster: return x.routeCluster.isEmpty ? nil : x.routeCluster
    case .headerMatch: return actions[i].headers.allMatch(head) == actions[i].expectsMatch ? actions[i].text : nil
    }
  }
}
