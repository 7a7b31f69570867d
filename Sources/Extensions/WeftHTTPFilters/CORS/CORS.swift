// CORS: answers preflights and says with responses which other origins may read them (Fetch standard, "CORS protocol").

import WeftBase
package import WeftHTTP
package import WeftProxyAPI
import WeftTelemetry

/// `envoy.filters.http.cors`. Does something only where a route has a `CorsPolicy`; the most specific level's holds.
package struct CORS: RequestHeadFilter, ResponseHeadFilter {
  package static var name: StaticString { "envoy.filters.http.cors" }

  package struct Config: BitwiseCopyable {
    var hasPolicy = false
    var origins = ConstantTable<CompiledStringMatcher>()
    var allowMethods = ByteView.empty
    var allowHeaders = ByteView.empty
    var exposeHeaders = ByteView.empty
    var maxAge = ByteView.empty
    var allowsCredentials = false
    var allowsPrivateNetwork = false
    var forwardsOtherPreflights = true
    /// Parts per million.
    var enabled = RuntimeShare.all
    var shadow = RuntimeShare.none
    var stats = ConstantTable<StatBlock<CORSMetric>>()
  }

  /// The request came from an origin that may read the response.
  private var isAllowed = false

  package init(_ config: Config) {}

  package mutating func requestHead(
    _ head: MessageHead, end: Bool, _ x: borrowing FilterCall<Config>
  ) -> FilterVerdict {
    x.config.hasPolicy ? judge(head, x) : .go
  }

  /// Apart, so that routes without a policy pay a look (docs/adding/http-filter.md, "Cost").
  @inline(never)
  private mutating func judge(_ head: MessageHead, _ x: borrowing FilterCall<Config>) -> FilterVerdict {
    guard let origin = head.first(named: ByteView("origin")) else { return .go }
    let isEnabled = x.random % 1_000_000 < UInt64(x.runtime.partsPerMillion(x.config.enabled))
    guard isEnabled || x.random % 1_000_000 < UInt64(x.runtime.partsPerMillion(x.config.shadow)) else { return .go }
    let allowed = allows(origin, x)
    x.config.stats[x.worker].add(allowed ? .originValid : .originInvalid)
    if !isEnabled { return .go }
    let isPreflight =
      head.method == .options && !(head.first(named: ByteView("access-control-request-method")) ?? .empty).isEmpty
    guard allowed else {
      return isPreflight && !x.config.forwardsOtherPreflights ? x.reply(200, details: "cors_response") : .go
    }
    if !isPreflight {
      isAllowed = true
      return .go
    }
    let fields = x.replyFields
    fields.append(named: ByteView("access-control-allow-origin"), origin)
    if x.config.allowsCredentials {
      fields.append(named: ByteView("access-control-allow-credentials"), ByteView("true"))
    }
    add("access-control-allow-methods", x.config.allowMethods, to: fields)
    add("access-control-allow-headers", x.config.allowHeaders, to: fields)
    add("access-control-max-age", x.config.maxAge, to: fields)
    // Of no use to a preflight; Envoy says it with every answer.
    add("access-control-expose-headers", x.config.exposeHeaders, to: fields)
    if x.config.allowsPrivateNetwork,
      head.first(named: ByteView("access-control-request-private-network"))?.equals("true") ?? false
    {
      fields.append(named: ByteView("access-control-allow-private-network"), ByteView("true"))
    }
    return x.reply(200, details: "cors_response")
  }

  package mutating func responseHead(
    _ head: MessageHead, end: Bool, _ x: borrowing FilterCall<Config>
  ) -> FilterVerdict {
    isAllowed ? allow(head, x) : .go
  }

  @inline(never)
  private func allow(_ head: MessageHead, _ x: borrowing FilterCall<Config>) -> FilterVerdict {
    guard let origin = x.requestField(ByteView("origin")) else { return .go }
    head.set(named: ByteView("access-control-allow-origin"), head.copy(origin))
    if x.config.allowsCredentials {
      head.set(named: ByteView("access-control-allow-credentials"), ByteView("true"))
    }
    if !x.config.exposeHeaders.isEmpty {
      head.set(named: ByteView("access-control-expose-headers"), x.config.exposeHeaders)
    }
    return .go
  }

  private func allows(_ origin: ByteView, _ x: borrowing FilterCall<Config>) -> Bool {
    for i in x.config.origins.indices {
      let matcher = x.config.origins[i]
      if matcher.kind == .exact, matcher.text.equals("*") { return true }
      if matcher.matches(origin) { return true }
    }
    return false
  }

  private func add(_ name: StaticString, _ value: ByteView, to fields: MessageHead) {
    if !value.isEmpty { fields.append(named: ByteView(name), value) }
  }
}
