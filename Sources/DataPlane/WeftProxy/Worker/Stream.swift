// Stream: one request with its response (or one TCP session), the only meeting point of the two sides.

package import WeftBase
package import WeftHTTP
package import WeftProxyAPI
package import WeftRuntime
import WeftTables
package import WeftTelemetry
package import WeftUpstream

/// The hosts of a stream's last eight attempts, by slot: a position in the balancer may be another host's after an update.
struct TriedSlots: BitwiseCopyable {
  private var slots: InlineArray<8, HostIndex> = InlineArray(repeating: .none)
  private var next = 0

  mutating func insert(_ host: HostIndex) {
    slots[next & 7] = host
    next &+= 1
  }

  /// That of the last attempt.
  var last: HostIndex { next == 0 ? .none : slots[(next &- 1) & 7] }

  /// Where those of them that are still members stand now.
  func positions(in hosts: borrowing SlotTable<HostSlot, Host>) -> TriedHosts {
    var tried = TriedHosts()
    for i in 0..<8 where !slots[i].isNone && hosts.contains(slots[i]) {
      let position = hosts[slots[i]].position
      if position >= 0 { tried.insert(position) }
    }
    return tried
  }
}

/// One request and its response. Trivially copyable.
///
/// What it is stands in `flags`; how far it has come, in the states of `States/`: its two messages, its place with a host, its tunnel. A stream
/// ends when its response was sent, or when either side fails; `WorkerEngine.finish` is the only place where its slot is given back.
package struct Stream: Linked {
  package struct Flags: OptionSet, BitwiseCopyable {
    package let rawValue: UInt16
    package init(rawValue: UInt16) { self.rawValue = rawValue }
    package static let isHEAD = Flags(rawValue: 1 << 0)
    package static let isGRPC = Flags(rawValue: 1 << 1)
    /// The client sends HTTP/1.0, or asked to close after this response.
    package static let clientHTTP10 = Flags(rawValue: 1 << 2)
    package static let clientCloses = Flags(rawValue: 1 << 3)
    package static let clientAcceptsTrailers = Flags(rawValue: 1 << 4)
    /// The attempt runs on a connection that has served before.
    package static let reusedConnection = Flags(rawValue: 1 << 5)
    /// The answer is made here.
    package static let localReply = Flags(rawValue: 1 << 6)
    package static let idempotent = Flags(rawValue: 1 << 7)
    package static let hasRetryPolicy = Flags(rawValue: 1 << 8)
    package static let requestChunked = Flags(rawValue: 1 << 9)
    package static let responseChunked = Flags(rawValue: 1 << 10)
    /// Its attempts have filters, those of the cluster or of the router.
    package static let filtersAttempts = Flags(rawValue: 1 << 11)
    /// An attempt goes on when its time is over, beside the next one.
    package static let hedges = Flags(rawValue: 1 << 12)
    /// Somebody inside asked for a trace, and is told by which number to find it.
    package static let tellsRequestID = Flags(rawValue: 1 << 13)
  }

  package var downstream: DownstreamIndex
  package var downstreamID: H2StreamID
  package var upstream = UpstreamIndex.none
  package var upstreamID: H2StreamID = 0
  /// Of a codec's protocol: which one, the client's own number for it, and whether an answer is expected.
  var codec: ConfigRef<CompiledCodec>?
  var clientNumber: UInt64 = 0
  var expectsAnswer = true
  package var flags: Flags = []
  // How far it has come.
  package var request = MessageState(.begun)
  package var response = MessageState(.awaited)
  package var place = StreamPlace.nowhere
  package var tunnel = TunnelState.none
  package var client = ClientState.present
  /// Whether the client's content is taken as it comes, and the upstream's.
  package var requestFlow = FlowState.open
  package var responseFlow = FlowState.open
  package var bodyCopy = BodyCopy.none
  /// Places at the cluster's breakers: of requests, once a connection has taken it, and of retries.
  package var requestPermit = Permit.none
  package var retryPermit = Permit.none
  package var automaticRetry = AutomaticRetry.unspent
  package var race = Race.none
  package var attemptTime = AttemptTime.running
  package var responseFlags = ResponseFlags()
  /// In its host's waiting list; later, where that speaks HTTP/2, among the streams of its upstream connection.
  package var links = SlotLinks<StreamSlot>()
  /// Among the streams of its HTTP/2 client; among the companions of the stream it accompanies.
  package var siblings = SlotLinks<StreamSlot>()
  /// The first of the streams of our own that accompany it: copies of a request that is still coming in, later attempts beside its own.
  package var companions = StreamIndex.none

  package var snapshot: UInt32
  var route: ConfigRef<CompiledRoute>?
  /// The entry that a weighted route chose; -1: none.
  package var weightedCluster: Int32 = -1
  /// Where the request itself names its cluster, and filters may ask for it: its position in the snapshot; −1 there is none.
  package var namedCluster: Int32 = -1
  /// The filters it runs through; nil when there are none. Their configuration for its route, and how far the walk has come.
  var filters: ConfigRef<HTTPFilterChain>?
  var filterConfigs = FilterConfigs()
  /// Set with `filters`: where the route is looked up again.
  var routes: ConfigRef<RouteTable>?
  var frame = FilterFrame()
  /// The stream of our own whose answer a filter waits for.
  var asked = StreamIndex.none
  var wanted = WantedProtocol.http1
  package var cluster = ClusterIndex.none
  package var host = HostIndex.none
  package var random: UInt64
  /// By which balancing gives it a host.
  var hash = CombinedHash()
  /// Of which of the route's policies the answer sets the cookie, by position.
  var newCookies: UInt32 = 0

  package var head: StoredHead?
  package var requestTrailers: StoredHead?
  package var responseHead: StoredHead?
  package var responseTrailers: StoredHead?
  package var requestBody = StreamBuffer()
  package var responseBody = StreamBuffer()
  /// HTTP/2 and codecs: bytes the other side has not taken, whose credit is held back.
  package var requestCredit: Int = 0
  package var responseCredit: Int = 0
  /// Where an accepted upgrade is counted until the stream ends.
  var upgradeStats: StatBlock<HTTPMetric>?
  /// Declared content still to come; -1 when not declared.
  package var requestLeft: Int64 = -1
  package var responseLeft: Int64 = -1

  package var attempts: UInt16 = 0
  var retry = RetryState(maxRetries: 0)
  /// What the request itself asked for.
  var ownRetry: OwnRetryRules?
  var tried = TriedSlots()
  package var lastHost: SocketAddress?
  /// Where its connection to the endpoint came from, where a log tells it.
  var lastLocal: SocketAddress?
  /// The client's address where it is not the peer's: from `x-forwarded-for`.
  package var remote: IPAddress?
  /// What the last attempt's connection spoke.
  package var upstreamKind = UpstreamKind.undecided
  var logNeeds = LogNeeds.nothing
  /// What the last retry was made for: the time of an attempt was over.
  var isTimeoutRetry = false
  /// Whether its host served it well is told by the status at the response's end.
  var awaitsGRPCStatus = false
  package var status: UInt16 = 0
  /// `GRPCStatusMapping.none`, or what `GRPCStatusMapping.status(in:)` read.
  package var grpcStatus = GRPCStatusMapping.none

  // Deadlines of this stream; its downstream connection's timer looks at them.
  package var totalDeadline = MonotonicInstant.distantFuture
  package var tryDeadline = MonotonicInstant.distantFuture
  package var lifeDeadline = MonotonicInstant.distantFuture
  package var requestDeadline = MonotonicInstant.distantFuture
  package var retryAt = MonotonicInstant.distantFuture
  /// Nanoseconds; 0 never.
  package var timeout: UInt64 = 0
  /// `timeout` was not configured: it is for answers that do not come, not for answers that take long.
  package var boundsAnswerOnly = false
  /// `timeout` is the client's own deadline, its `grpc-timeout`.
  package var timeoutIsClients = false
  package var tryTimeout: UInt64 = 0
  package var idleTimeout: UInt64 = 0
  package var tryIdleTimeout: UInt64 = 0
  package var lastActivity: MonotonicInstant

  // Moments and sizes for the log and the statistics.
  package var started: MonotonicInstant
  package var requestEndedAt = MonotonicInstant.zero
  package var upstreamStarted = MonotonicInstant.zero
  package var upstreamFirstByte = MonotonicInstant.zero
  package var responseStartedAt = MonotonicInstant.zero
  package var bytesReceived: UInt64 = 0
  package var bytesSent: UInt64 = 0
  /// Static text: why the stream ended as it did.
  package var details = ByteView("via_upstream")

  package init(
    downstream: DownstreamIndex, downstreamID: H2StreamID, snapshot: UInt32, random: UInt64, now: MonotonicInstant
  ) {
    self.downstream = downstream
    self.downstreamID = downstreamID
    self.snapshot = snapshot
    self.random = random
    self.started = now
    self.lastActivity = now
  }

  /// A log will ask for its answer's head, and where it went.
  @inline(__always)
  var keepsResponseHead: Bool { logNeeds.isSomething }

  /// The client has its answer, and nobody waits for the rest of the request: all but tunnels.
  @inline(__always)
  package var isResponseOver: Bool { response.isSent && !tunnel.isOpen }
}
