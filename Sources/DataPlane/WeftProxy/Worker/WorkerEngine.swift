// WorkerEngine: the handler of one worker's event loop. Everything a request touches hangs off this object.

package import WeftBase
import WeftHTTP
import WeftProxyAPI
package import WeftRuntime
package import WeftTelemetry
import WeftUpstream

/// One worker: its slabs, scratch space and configuration.
///
/// *Shape*: `let` members only, so that reading them costs a load; what changes per request lies in slots and cells behind them.
/// *Threads*: its loop's. Reach it from elsewhere with `loop.mailbox`.
package final class WorkerEngine: LoopHandler {
  /// What the worker allows itself. Reaching one is counted.
  package struct Limits: Sendable {
    package var downstreamConnections = 1 << 20
    /// Connections of clients past which new ones are refused at once, except those of listeners with `ignore_global_conn_limit`: what is
    /// left is for them and for upstreams.
    package var acceptedConnections = (1 << 20) / 8 * 7
    package var upstreamConnections = 1 << 20
    package var streams = 1 << 20
    package var hosts = 1 << 20
    package var clusters = 1 << 18
    /// Body bytes copied into the write of their head instead of being written apart.
    package var coalescedBytes = 16 << 10
    /// Content of an answer to a request of the proxy's own; a larger one counts as none.
    package var insideAnswerBytes = 256 << 10
    /// How long a TLS handshake may take where the filter chain says nothing (`transport_socket_connect_timeout`). Envoy's default is for ever.
    package var handshakeTime = Duration.seconds(15)
    /// How long connections of a listener or filter chain that is gone may go on.
    package var drainTime = Duration.seconds(600)
    /// How long an HTTP/2 connection without streams keeps the memory of its last ones.
    package var idleMemoryTime = Duration.seconds(5)
    /// Connections of hosts, listeners and filter chains that are gone which one turn tells or closes.
    package var closesPerTurn = 256
    /// Requests under way on one connection of a codec's protocol, and bytes of answers that a client of one has not taken.
    package var messagesUnderWay = 1024
    /// How long one message of a codec's protocol may take to come where its connection manager has no time for heads.
    package var messageTime = Duration.seconds(60)
    package var queuedAnswerBytes = 32 << 20
    /// Bytes kept of messages of codecs' protocols that have begun, of all clients together and of all endpoints together.
    package var halfMessageBytes = 64 << 20
    package init() {}
  }

  /// The whole slot of an event's connection, from the word the loop keeps for it.
  enum Side: UInt64 { case downstream = 1, upstream = 2, cluster = 3 }
  /// Asks for the end of a turn for what is to be ended and was too much for one; 0 asks for what is written then.
  static var departing: UInt64 { 1 }

  package let loop: EventLoop
  /// Number of this worker, from 0.
  package let number: Int
  package let registry: MetricsRegistry
  package let limits: Limits
  let pool: BufferPool

  let downstreams: SlotTable<DownstreamSlot, DownstreamConnection>
  let upstreams: SlotTable<UpstreamSlot, UpstreamConnection>
  let streams: SlotTable<StreamSlot, Stream>
  let hosts: SlotTable<HostSlot, Host>
  let clusters: SlotTable<ClusterSlot, ClusterState>

  private let requestScratch = HeadScratch()
  private let responseScratch = HeadScratch()
  private let replayScratch = HeadScratch()
  private let trailerScratch = HeadScratch()
  /// The head being read from a client; the head being read from an upstream or made for a local reply; a stored head on its way out.
  let requestHead: MessageHead
  let responseHead: MessageHead
  let replayHead: MessageHead
  let trailerHead: MessageHead

  let stage: Cell<Stage>
  let turn: Cell<TurnState>
  let configuration: Cell<WorkerConfiguration>
  let runtime: Cell<WorkerRuntime>
  let listenerTable: Cell<ListenerSet>
  /// Connections whose listener filters are at work, by slot; and what those found for others, as long as the connection lives.
  let inspections: Cell<[UInt32: Inspection]>
  let connectionMetadata: Cell<[UInt32: ConnectionMetadata]>
  /// What connections to endpoints take from a client's, where its listener filters said so; by slot, as long as the connection lives.
  let connectionOrigins: Cell<[UInt32: ConnectionOrigin]>
  /// What filters keep as long as a connection lives, by its slot.
  let connectionStates: Cell<[UInt32: ConnectionState]>
  /// Where connections to endpoints come from, by slot: those of which a log wanted to know.
  let upstreamLocals: Cell<[UInt32: SocketAddress]>
  /// What the workers of a process know of each other's connections; nil where there is one worker.
  let balance: Cell<ConnectionBalance?>
  let clusterNames: Cell<[ClusterKey: ClusterIndex]>
  /// Listeners that could not be opened, and why.
  let listenerFailures: Cell<[(name: String, reason: String)]>
  /// A value in the making.
  let scratch: Cell<ByteBuffer>
  /// The beginning of a connection in the making.
  let prefaceBytes: Cell<ByteBuffer>
  let clock: Cell<WallClock>
  let fields = RouterFields()
  /// What filters see and leave while they are called, and their states.
  let desk: Cell<FilterDesk>
  let filterBlocks: Cell<FilterBlocks>
  /// What filters keep for later events of a stream, by its slot.
  let keptBytes: Cell<[UInt32: StreamBuffer]>
  /// How fast paced responses go, by their streams' slots.
  let paces: Cell<[UInt32: Pace]>
  private let callScratch = HeadScratch()
  private let answerScratch = HeadScratch()
  private let replyFieldScratch = HeadScratch()
  let callBody: Cell<ByteBuffer>
  let networkBlocks: SlotTable<NetworkSlot, NetworkBlock>
  let networkDesk: Cell<NetworkDesk>
  /// What a terminal filter sends while it is called.
  let terminalOutput: Cell<ByteBuffer>

  /// A worker over `loop`; install it as the loop's handler before the first turn.
  package init(loop: EventLoop, number: Int, registry: MetricsRegistry, limits: Limits = Limits(), seed: UInt64 = 0) {
    self.loop = loop
    self.number = number
    self.registry = registry
    self.limits = limits
    pool = loop.pool
    downstreams = SlotTable(maximum: limits.downstreamConnections)
    upstreams = SlotTable(maximum: limits.upstreamConnections)
    streams = SlotTable(maximum: limits.streams)
    networkBlocks = SlotTable(maximum: limits.downstreamConnections)
    terminalOutput = Cell(ByteBuffer())
    networkDesk = Cell(unsafe NetworkDesk(worker: number, output: terminalOutput.address))
    hosts = SlotTable(maximum: limits.hosts)
    clusters = SlotTable(maximum: limits.clusters)
    requestHead = requestScratch.head
    responseHead = responseScratch.head
    replayHead = replayScratch.head
    trailerHead = trailerScratch.head
    stage = Cell(Stage())
    turn = Cell(TurnState(random: RandomSource(seed: seed == 0 ? loop.random() : seed)))
    configuration = Cell(WorkerConfiguration())
    runtime = Cell(WorkerRuntime())
    listenerTable = Cell(ListenerSet())
    inspections = Cell([:])
    connectionMetadata = Cell([:])
    connectionOrigins = Cell([:])
    connectionStates = Cell([:])
    upstreamLocals = Cell([:])
    balance = Cell(nil)
    clusterNames = Cell([:])
    listenerFailures = Cell([])
    scratch = Cell(ByteBuffer(capacity: 1024))
    prefaceBytes = Cell(ByteBuffer())
    clock = Cell(WallClock())
    filterBlocks = Cell(FilterBlocks())
    keptBytes = Cell([:])
    paces = Cell([:])
    callBody = Cell(ByteBuffer(capacity: 256))
    desk = Cell(
      unsafe FilterDesk(
        callBody: callBody.address, callHead: callScratch.head, answerHead: answerScratch.head,
        replyFields: replyFieldScratch.head, host: WorkerEngine.self, worker: number))
    unsafe desk[].engine = Unmanaged.passUnretained(self).toOpaque()
  }

  deinit {
    stage.free()
    turn.free()
    configuration.free()
    runtime.free()
    listenerTable.free()
    inspections.free()
    connectionMetadata.free()
    connectionOrigins.free()
    connectionStates.free()
    upstreamLocals.free()
    balance.free()
    clusterNames.free()
    listenerFailures.free()
    scratch.free()
    prefaceBytes.free()
    clock.free()
    filterBlocks.free()
    keptBytes.free()
    paces.free()
    callBody.free()
    desk.free()
    networkDesk.free()
    terminalOutput.free()
  }

  var now: MonotonicInstant { loop.now }

  func random() -> UInt64 { turn[].random.next() }

  // MARK: Events of the loop

  /// What the loop keeps with a connection or timer of a slot.
  static func word(_ d: DownstreamIndex) -> UInt64 { Side.downstream.rawValue << 32 | UInt64(d.index) }
  static func word(_ u: UpstreamIndex) -> UInt64 { Side.upstream.rawValue << 32 | UInt64(u.index) }
  static func word(_ cluster: ClusterIndex) -> UInt64 { Side.cluster.rawValue << 32 | UInt64(cluster.index) }

  @inline(__always)
  private func downstream(_ word: UInt64) -> DownstreamIndex? {
    word >> 32 == Side.downstream.rawValue ? downstreams.liveIndex(at: UInt32(truncatingIfNeeded: word)) : nil
  }

  @inline(__always)
  private func upstream(_ word: UInt64) -> UpstreamIndex? {
    word >> 32 == Side.upstream.rawValue ? upstreams.liveIndex(at: UInt32(truncatingIfNeeded: word)) : nil
  }

  package func accepted(_ c: ConnectionID, on listener: ListenerID, from peer: SocketAddress) {
    settlePlace(downstreamAccepted(c, listener, peer))
  }

  package func connected(_ c: ConnectionID) {
    if let u = upstream(loop.user(c)) { upstreamConnected(u) }
    flushStage()
  }

  package func secured(_ c: ConnectionID) {
    if let d = downstream(loop.user(c)) { downstreamSecured(d) }
    flushStage()
  }

  package func received(_ c: ConnectionID, _ bytes: ByteView) -> Int {
    let word = loop.user(c)
    var consumed = bytes.count
    if let d = downstream(word) {
      consumed = downstreamReceived(d, bytes)
    } else if let u = upstream(word) {
      consumed = upstreamReceived(u, bytes)
    }
    return consumed
  }

  package func readEnded(_ c: ConnectionID) {
    let word = loop.user(c)
    if let d = downstream(word) { downstreamReadEnded(d) } else if let u = upstream(word) { upstreamReadEnded(u) }
    flushStage()
  }

  package func socketEnded(_ c: ConnectionID) {
    if let d = downstream(loop.user(c)) { downstreamSocketEnded(d) }
    flushStage()
  }

  package func drained(_ c: ConnectionID) {
    let word = loop.user(c)
    if let d = downstream(word) { downstreamDrained(d) } else if let u = upstream(word) { upstreamDrained(u) }
    flushStage()
  }

  package func closed(_ c: ConnectionID, _ reason: CloseReason) {
    let word = loop.user(c)
    if let d = downstream(word) {
      downstreamClosed(d, reason)
    } else if let u = upstream(word) {
      upstreamClosed(u, reason)
    }
    flushStage()
  }

  package func timer(token: UInt64) {
    let word = token
    if let d = downstream(word) {
      downstreamTimer(d)
    } else if let u = upstream(word) {
      upstreamTimer(u)
    } else if word >> 32 == Side.cluster.rawValue {
      if let i = clusters.liveIndex(at: UInt32(truncatingIfNeeded: word)) { cleanUp(cluster: i) }
    } else {
      workerTimer(token)
    }
    flushStage()
  }

  package func endOfTurn(token: UInt64) {
    if token == Self.departing { continueDepartures() } else { turn[].endOfTurnAsked = false }
    if !turn[].openAnswers.isEmpty { resetOpenAnswers() }
    flushStage()
    flushConnections()
  }
}

/// Which listeners were ended for good.
enum StoppedListeners { case none, inbound, all }

/// What changes within a turn.
struct TurnState: ~Copyable {
  var random: RandomSource
  /// HTTP/2 connections whose output waits for the end of the turn.
  var flushDownstream: [DownstreamIndex] = []
  var flushUpstream: [UpstreamIndex] = []
  var openAnswers: [OpenAnswer] = []
  var endOfTurnAsked = false
  var spareStreams: [StreamIndex] = []
  var passed = PassedMessage()
  /// Bytes that connections of codecs keep of messages that have begun: clients', and endpoints'.
  var halfRequests = 0
  var halfAnswers = 0
  /// Connections whose network filters want to see what leaves.
  var outputFilters = 0
  /// What ends the hold of a connection by its network filters, by its slot.
  var networkHolds: [UInt32: LoopTask] = [:]
  /// Slots that stand for clients of streams from inside.
  var insideClients = 0
  /// Whether the socket that is being accepted has a place here (`ConnectionBalance`).
  var hasPlace = false
  /// Parts of hosts by the hashes of their keys.
  var parts: [Int: HostIndex] = [:]
  var departures = Departures()
  var isDraining = false
  /// Listeners that are not to open any more.
  var stopped = StoppedListeners.none
  var drainEnd = MonotonicInstant.distantFuture
  var whenDrained: (() -> Void)?

  init(random: RandomSource) { self.random = random }
}

/// A value at a fixed address, owned by a class that frees it.
///
/// Why sound: freed once, by the owner's deinit; one thread.
@safe
struct Cell<Value: ~Copyable> {
  private let pointer: UnsafeMutablePointer<Value>

  init(_ value: consuming Value) {
    unsafe pointer = .allocate(capacity: 1)
    unsafe pointer.initialize(to: value)
  }

  subscript() -> Value {
    @_transparent unsafeAddress { unsafe UnsafePointer(pointer) }
    @_transparent nonmutating unsafeMutableAddress { unsafe pointer }
  }

  /// For those who are lent the value as long as its owner lives.
  @unsafe var address: UnsafeMutablePointer<Value> { unsafe pointer }

  func free() {
    unsafe pointer.deinitialize(count: 1)
    unsafe pointer.deallocate()
  }
}

/// A stream whose answer is over, and which its server had not ended when that was known.
struct OpenAnswer: BitwiseCopyable {
  var upstream: UpstreamIndex
  var id: H2StreamID
}
