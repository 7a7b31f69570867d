// External authorization: asks a service about each request, and does what it says.

import WeftBase
package import WeftHTTP
package import WeftProxyAPI
import WeftTelemetry

/// `envoy.filters.http.ext_authz`.
///
/// The request waits while the service is asked, with its content if that is wanted. What the service says is checked before anything of it is done:
/// an answer that asks for something no message can hold admits nobody. Routes switch it off, add to what the service is told, or ask another one.
package struct ExtAuthz: RequestHeadFilter, HoldingFilter, ResponseHeadFilter {
  package static var name: StaticString { "envoy.filters.http.ext_authz" }

  package struct Config: BitwiseCopyable {
    /// A route says `disabled`.
    var isOff = false
    var enabled = RuntimeShare.all
    var deniesWhenDisabled = RuntimeFlag(false)
    var service = AuthzService()
    /// Content to show the service; 0: none.
    var contentLimit = 0
    var takesPartialContent = false
    var packsAsBytes = false
    var failsOpen = false
    var marksFailOpen = false
    var errorStatus: UInt16 = 403
    var clearsRoute = false
    var countsAtCluster = true
    var sendsServerName = false
    var sendsRawHeaders = false
    /// Of a refusal's content.
    var longestBody = Int.max
    var allowsAllHeaders = true
    var allowedHeaders = ConstantTable<CompiledStringMatcher>()
    var disallowedHeaders = ConstantTable<CompiledStringMatcher>()
    var extensions = ConstantTable<ContextExtension>()
    var stats = ConstantTable<StatBlock<ExtAuthzMetric>>()
    var clusterStats: ClusterStats<ExtAuthzClusterMetric>
  }

  /// What the service wants done to the response (`ResponseChange`).
  var changes = KeptBytes()

  package init(_ config: Config) {}

  package mutating func requestHead(
    _ head: MessageHead, end: Bool, _ x: borrowing FilterCall<Config>
  ) -> FilterVerdict {
    if x.config.isOff { return .go }
    guard x.falls(0x2545_f491, x.config.enabled) else {
      x.config.stats[x.worker].add(.disabled)
      return x.runtime.isOn(x.config.deniesWhenDisabled)
        ? x.reply(x.config.errorStatus, details: "ext_authz_error", flag: .unauthorizedExternalService) : .go
    }
    let isTunnel = head.framing == .tunnel || head.method == .connect
    if x.config.contentLimit > 0, !end, !isTunnel {
      // As much as is wanted is enough where a part is.
      return x.readBody(limit: x.config.contentLimit - (x.config.takesPartialContent ? 1 : 0))
    }
    return ask(head, x)
  }

  package mutating func resumed(
    _ answer: HoldAnswer, _ head: MessageHead, _ x: borrowing FilterCall<Config>
  ) -> FilterVerdict {
    switch answer {
    case .body: return ask(head, x)
    case .bodyTooLarge where x.config.takesPartialContent: return ask(head, x)
    case .bodyTooLarge:
      return x.reply(413, body: ByteView("Payload Too Large"), details: "request_payload_too_large")
    case .response: return x.config.service.kind == .grpc ? judgeCheck(head, x) : judgeHTTP(head, x)
    case .failed, .time: return failed(head, x)
    }
  }

  package mutating func responseHead(
    _ head: MessageHead, end: Bool, _ x: borrowing FilterCall<Config>
  ) -> FilterVerdict {
    if !changes.isEmpty { ResponseChange.apply(x.kept(changes), to: head) }
    return .go
  }

  private func ask(_ head: MessageHead, _ x: borrowing FilterCall<Config>) -> FilterVerdict {
    switch x.config.service.kind {
    case .grpc: askByCheck(head, x)
    case .http where head.method == .connect:
      // CONNECT has neither path nor an answer that is one. Nobody can be asked, whatever is to happen when nobody answers.
      count(.error, .error, x)
      return x.reply(x.config.errorStatus, details: "ext_authz_error", flag: .unauthorizedExternalService)
    case .http: askByHTTP(head, x)
    }
    return x.ask(cluster: x.config.service.cluster, timeoutNanoseconds: x.config.service.timeoutNanoseconds)
  }

  // MARK: What comes of it

  func admit(_ head: MessageHead, changed: Bool, _ x: borrowing FilterCall<Config>) -> FilterVerdict {
    // Counted first, at the cluster that the request led to when it was asked about.
    count(.ok, .ok, x)
    return changed && x.config.clearsRoute ? .reroute : .go
  }

  /// Refuses with the service's words; its fields lie in `replyFields`.
  func deny(_ status: UInt16, _ body: ByteView, _ x: borrowing FilterCall<Config>) -> FilterVerdict {
    count(.denied, .denied, x)
    if x.config.countsAtCluster { x.countAtRouteCluster(status) }
    return x.reply(
      status, body: body.prefix(x.config.longestBody), details: "ext_authz_denied", flag: .unauthorizedExternalService)
  }

  /// There is no usable answer. `error` is what the service itself says of its failure, its fields in `replyFields`.
  func failed(
    _ head: MessageHead, _ x: borrowing FilterCall<Config>, saying error: (status: UInt16, body: ByteView)? = nil
  ) -> FilterVerdict {
    count(.error, .error, x)
    if x.config.failsOpen {
      count(.failureModeAllowed, .failureModeAllowed, x)
      if x.config.marksFailOpen {
        head.append(named: ByteView("x-envoy-auth-failure-mode-allowed"), ByteView("true"))
      }
      return .go
    }
    return x.reply(
      error?.status ?? x.config.errorStatus, body: error?.body.prefix(x.config.longestBody) ?? .empty,
      details: "ext_authz_error", flag: .unauthorizedExternalService)
  }

  /// The answer asks for what no message can hold, whatever the reason: nobody is admitted on such a word.
  func invalid(_ x: borrowing FilterCall<Config>) -> FilterVerdict {
    count(.invalid, .invalid, x)
    return x.reply(500, details: "ext_authz_invalid", flag: .unauthorizedExternalService)
  }

  func count(
    _ metric: ExtAuthzMetric, _ ofCluster: ExtAuthzClusterMetric, _ x: borrowing FilterCall<Config>
  ) {
    x.config.stats[x.worker].add(metric)
    x.config.clusterStats.add(ofCluster, cluster: x.routeCluster, worker: x.worker)
  }

  // MARK: Which headers the service sees

  /// `name` is in lower case.
  func shows(_ name: ByteView, _ x: borrowing FilterCall<Config>) -> Bool {
    if name.equals(Self.partialContent) || x.config.disallowedHeaders.anyMatch(name) { return false }
    return x.config.allowsAllHeaders || x.config.allowedHeaders.anyMatch(name)
  }

  /// Says whether the content that the service sees is not all of it.
  static var partialContent: StaticString { "x-envoy-auth-partial-body" }
}

/// Who is asked, and how.
struct AuthzService: BitwiseCopyable {
  enum Kind: UInt8, BitwiseCopyable, Sendable { case grpc, http }
  var kind = Kind.grpc
  var cluster: Int32 = -1
  var timeoutNanoseconds: UInt64 = 200_000_000
  /// gRPC: `:authority` and `grpc-timeout`.
  var authority = ByteView.empty
  var timeoutText = ByteView.empty
  /// HTTP: in front of the request's path.
  var pathPrefix = ByteView.empty
  /// gRPC: initial metadata. HTTP: headers to add.
  var headers = ConstantTable<CompiledHeaderChange>()
  /// HTTP: which headers of an answer go to the upstream, replacing or added to the request's; to the client with a refusal, and with the response.
  var toUpstream = ConstantTable<CompiledStringMatcher>()
  var addedToUpstream = ConstantTable<CompiledStringMatcher>()
  var toClient = ConstantTable<CompiledStringMatcher>()
  var toClientOnSuccess = ConstantTable<CompiledStringMatcher>()
}

/// Something that the service is told beside the request.
struct ContextExtension: BitwiseCopyable {
  var key: ByteView
  var value: ByteView
}
