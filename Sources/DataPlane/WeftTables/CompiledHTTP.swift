// The compiled HTTP connection manager and route action: what the engine reads per request.

package import WeftBase
package import WeftHTTP
package import WeftModel
package import WeftProxyAPI
import WeftRuntime
package import WeftTelemetry
package import WeftUpstream

/// An HTTP connection manager. Plain fields are read per request; *Units*: time-outs in nanoseconds, 0 is off.
package struct CompiledHTTPManager {
  package var scope: ScopeID
  package var routes: ConfigRef<RouteTable>
  /// Which time-out ends half a head.
  package enum HeadTimeReason: UInt8, BitwiseCopyable { case requestHeadersTimeout, requestTimeout, streamIdleTimeout }

  package var codec: HTTPConnectionManager.Codec
  /// What is spoken instead of HTTP.
  package var protocolCodec: ConfigRef<CompiledCodec>?
  package var limits: HTTPLimits
  package var paths: PathNormalization

  package var streamIdleTimeout: UInt64 = 0
  package var requestTimeout: UInt64 = 0
  /// How long a head may take from its first byte, and by whose word: the shortest of the time-outs that run then. Nil when all are off.
  package var headTime: UInt64?
  package var headTimeReason = HeadTimeReason.requestHeadersTimeout
  package var idleTimeout: UInt64 = 0
  package var maxConnectionDuration: UInt64 = 0
  package var maxStreamDuration: UInt64 = 0
  package var drainTimeout: UInt64 = 0
  /// How long a closed connection waits for the client's end.
  package var lingerTime = EventLoop.lingerTime
  /// PINGs to HTTP/2 clients: how often, how long one may stay unanswered while nothing comes, and by how much they are spread.
  package var pingInterval: UInt64 = 0
  package var pingTimeout: UInt64 = 0
  package var pingJitterPercent: UInt64 = 0
  package var maxRequestsPerConnection: UInt32 = .max
  package var bufferLimit: Int = 1 << 20

  package var useRemoteAddress = false
  package var trustedHops: Int = 0
  package var skipsForwardedFor = false
  package var generatesRequestID = true
  package var keepsExternalRequestID = false
  /// What becomes of `x-forwarded-client-cert`, and what goes into our own element of it.
  package var clientCertificateMode = HTTPConnectionManager.ForwardClientCertificate.sanitize
  package var clientCertificateDetails = ClientCertificateDetails()
  /// `x-envoy-expected-rq-timeout-ms` of a trusted request is its time-out.
  package var respectsExpectedTimeout = false
  package var requestIDInResponse = false
  package var proxiesContinue = false
  package var serverName = ByteView.empty
  package var serverHeader = HTTPConnectionManager.ServerHeader.overwrite
  package var via = ByteView.empty
  package var defaultHost = ByteView.empty
  package var suppressesEnvoyHeaders = false
  package var underscores = HTTPConnectionManager.Underscores.allow
  package var portStripping = HTTPConnectionManager.PortStripping.none
  package var stripsTrailingDot = false
  package var refusesAbsoluteForm = false
  package var forwardsTrailersToHTTP1 = false
  /// Lower-case names of upgrades that are allowed for every route which says nothing of them (`websocket`, `connect`).
  package var upgrades = ConstantTable<ByteView>()
  package var internalRanges = ConstantTable<CompiledRange>()
  /// `hasAccessLogs` says without a look at the array whether there are any.
  package var accessLogs: [CompiledAccessLog] = []
  package var hasAccessLogs = false
  package var logNeeds = LogNeeds.nothing
  /// Nil when there are none but the router.
  package var filters: ConfigRef<HTTPFilterChain>?
  /// In their place, for requests of upgrades that have some of their own.
  package var upgradeFilters = ConstantTable<UpgradeFilters>()
  /// In front of the endpoints of clusters that have none of their own.
  package var upstreamFilters: ConfigRef<HTTPFilterChain>?

  package init(
    codec: HTTPConnectionManager.Codec, scope: ScopeID, routes: ConfigRef<RouteTable>, limits: HTTPLimits,
    paths: PathNormalization
  ) {
    self.codec = codec
    self.scope = scope
    self.routes = routes
    self.limits = limits
    self.paths = paths
  }
}

/// The filters of one kind of upgrade; nil: the router alone.
package struct UpgradeFilters: BitwiseCopyable {
  /// In lower case: `websocket`, `connect`.
  package var name: ByteView
  package var chain: ConfigRef<HTTPFilterChain>?

  package init(name: ByteView, chain: ConfigRef<HTTPFilterChain>?) {
    self.name = name
    self.chain = chain
  }
}

/// A route's action. Everything a request reads is a plain field.
package struct CompiledRoute {
  package enum Action: UInt8, BitwiseCopyable { case forward, redirect, respond, none }
  package enum ClusterKind: UInt8, BitwiseCopyable { case fixed, weighted, header }
  package enum PathRewrite: UInt8, BitwiseCopyable { case none, prefix, regex }
  package enum HostRewrite: UInt8, BitwiseCopyable { case none, literal, automatic, header, pathRegex }

  package var name = ByteView.empty
  package var virtualHost = ByteView.empty
  package var metadata = ConstantTable<MetadataValue>()
  package var action = Action.none

  // forward
  package var clusterKind = ClusterKind.fixed
  /// Position in `Snapshot.clusters`; -1 names a cluster that does not exist.
  package var cluster: Int32 = -1
  package var clusterName = ByteView.empty
  package var weighted = ConstantTable<WeightedCluster>()
  package var totalWeight: UInt64 = 0
  /// Of the entries' weights, by position; empty: no key changes them.
  package var weightKeys = ConstantTable<RuntimeKey>()
  package var clusterHeader = ByteView.empty
  package var clusterNotFoundStatus: UInt16 = 503
  package var highPriority = false
  package var timeout: UInt64 = 0
  /// What `x-envoy-expected-rq-timeout-ms` says unless the request has time-outs of its own, and its text.
  package var expectedTimeout: UInt64 = 0
  package var expectedTimeoutText = ByteView.empty
  /// `.max`: not set, the connection manager's holds.
  package var idleTimeout: UInt64 = .max
  package var maxStreamDuration: UInt64 = .max
  /// `.max`: the client's `grpc-timeout` means nothing here.
  package var grpcTimeoutMax: UInt64 = .max
  package var grpcTimeoutOffset: UInt64 = 0
  package var grpcTimeoutBounds = GRPCTimeoutBounds.stream
  package var pathRewrite = PathRewrite.none
  package var matchedPrefix: Int = 0
  /// The prefix was matched without `;parameters`.
  package var ignoresParameters = false
  package var prefixRewrite = ByteView.empty
  package var hostRewrite = HostRewrite.none
  package var hostRewriteText = ByteView.empty
  package var appendsForwardedHost = false
  package var includesAttemptCount = false
  package var includesAttemptCountInResponse = false
  /// A further attempt says whether the time of another one was over (`x-envoy-is-timeout-retry`).
  package var saysIsTimeoutRetry = false
  /// Nil when there is no other attempt.
  package var retryRules: RetryRules?
  /// Which priorities a further attempt leaves out.
  package var retryPriority: CompiledRetryPriority?
  /// An attempt whose time is over goes on beside the next one.
  package var hedgesOnTryTimeout = false
  /// Response headers worth another try, and request headers without which there is none.
  package var retriableHeaders = ConstantTable<CompiledHeaderMatcher>()
  package var retriableRequestHeaders = ConstantTable<CompiledHeaderMatcher>()
  /// Response headers by which an upstream says when to try again.
  package var resetHeaders = ConstantTable<ResetHeader>()
  package var pathRegex = RegexRef.none
  package var pathSubstitution = ByteView.empty
  package var hostRegex = RegexRef.none
  /// `timeout` was not configured: it ends requests that get no answer, not answers that take long.
  package var timeoutIsDefault = false
  package var bufferLimit: Int = .max
  /// What the route says of protocols to change to, whatever the connection manager says.
  package var upgrades = ConstantTable<Upgrade>()
  /// CONNECT ends here: what follows is passed on as TCP.
  package var terminatesConnect = false
  /// What of a request is hashed, for balancing by hash.
  package var hashPolicies = ConstantTable<CompiledHashPolicy>()
  /// A stream remembers in a bit of each which cookie is new.
  package static let mostHashPolicies = 32
  /// Where copies of its requests go.
  package var mirrors = ConstantTable<CompiledMirror>()
  /// By position in the filter chain; empty: the chain's own hold.
  package var filterConfigs = FilterConfigs()

  // respond
  package var status: UInt16 = 0
  package var body = ByteView.empty
  // redirect, with `status`
  package var redirect = CompiledRedirect()

  /// The changes of the chosen weighted cluster run after those of the route; else before.
  package var entryChangesLast = false
  /// Header changes in Envoy's order: route, virtual host, table.
  package var requestChanges = ConstantTable<CompiledHeaderChange>()
  package var responseChanges = ConstantTable<CompiledHeaderChange>()

  /// A protocol that requests may change to, or may not, by its lower-case name.
  package struct Upgrade: BitwiseCopyable {
    package var name: ByteView
    package var isEnabled: Bool

    package init(name: ByteView, isEnabled: Bool) {
      self.name = name
      self.isEnabled = isEnabled
    }
  }

  package struct ResetHeader: BitwiseCopyable {
    package var name: ByteView
    /// The value is a moment in seconds since 1970, else a number of seconds.
    package var isTimestamp: Bool

    package init(name: ByteView, isTimestamp: Bool) {
      self.name = name
      self.isTimestamp = isTimestamp
    }
  }

  package struct WeightedCluster: BitwiseCopyable {
    package var cluster: Int32
    package var name: ByteView
    /// Sum of the weights up to and including this one.
    package var upTo: UInt64
    package var requestChanges: ConstantTable<CompiledHeaderChange>
    package var responseChanges: ConstantTable<CompiledHeaderChange>

    package init(cluster: Int32, name: ByteView, upTo: UInt64) {
      self.cluster = cluster
      self.name = name
      self.upTo = upTo
      self.requestChanges = ConstantTable()
      self.responseChanges = ConstantTable()
    }

    /// Authority to forward; empty leaves it to the route.
    package var hostRewrite = ByteView.empty
    /// Header whose value names the cluster; empty when `name` does.
    package var header = ByteView.empty
    /// As `CompiledRoute.filterConfigs`.
    package var filterConfigs = FilterConfigs()
  }

  package init() {}
}

/// What a request asks of its route. *Cost*: asked of the reference: a call of another module on the value would copy it, and count every
/// reference in it (1,700 instructions).
extension ConfigRef<CompiledRoute> {
  /// The entry of `weighted` that this stream's random draw falls on.
  package func weightedEntry(_ random: UInt64, _ runtime: RuntimeView = .empty) -> Int {
    if !self[].weightKeys.isEmpty, runtime.hasValues { return entryByKeys(random, runtime) }
    let ticket = random % max(1, self[].totalWeight)
    for i in self[].weighted.indices where ticket < self[].weighted[i].upTo { return i }
    return self[].weighted.count - 1
  }

  /// As `weightedEntry`, with the weights that runtime keys say. -1 when they are 0 together.
  private func entryByKeys(_ random: UInt64, _ runtime: RuntimeView) -> Int {
    func weight(_ i: Int) -> UInt64 {
      let own = self[].weighted[i].upTo - (i > 0 ? self[].weighted[i - 1].upTo : 0)
      return min(runtime.integer(self[].weightKeys[i]) ?? own, UInt64(UInt32.max))
    }
    var sum: UInt64 = 0
    for i in self[].weighted.indices { sum += weight(i) }
    if sum == 0 { return -1 }
    var ticket = random % sum
    for i in self[].weighted.indices {
      let own = weight(i)
      if ticket < own { return i }
      ticket -= own
    }
    return self[].weighted.count - 1
  }

  /// Whether the response has one of the headers that the policy calls retriable.
  package func matchesRetriableHeader(_ response: MessageHead) -> Bool {
    for i in self[].retriableHeaders.indices where self[].retriableHeaders[i].matches(response) { return true }
    return false
  }

  /// Whether the policy allows retries for this request.
  package func allowsRetry(_ request: MessageHead) -> Bool {
    if self[].retriableRequestHeaders.isEmpty { return true }
    for i in self[].retriableRequestHeaders.indices where self[].retriableRequestHeaders[i].matches(request) {
      return true
    }
    return false
  }
}
