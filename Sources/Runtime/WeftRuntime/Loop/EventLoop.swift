// EventLoop: connections, timers and a handler on one thread. This file holds the loop's state and its plain accessors; LoopTurn runs it,
// LoopConnections opens, LoopInput reads, LoopOutput writes, LoopClosing ends.

public import WeftBase

/// One thread's loop over a `Driver`.
///
/// *Threads*: create, use and drop it on one thread; `mailbox` is the only part others may touch.
/// *Cost*: no allocation, lock or reference counting per event after warm-up. An idle connection costs its slot (about 150 bytes).
///
/// Why sound: the raw buffers and state cells live as long as the object.
@safe @usableFromInline
package final class EventLoop {
  /// What changes every turn, behind a pointer: class properties would be checked for exclusive access each time.
  @usableFromInline
  struct State {
    @usableFromInline var now: MonotonicInstant
    var handler: (any LoopHandler)?
    var statistics = LoopStatistics()
    var random: RandomSource
    var isStopped = false
  }

  struct ListenerState: BitwiseCopyable {
    var socket: Int32
    var address: SocketAddress
    /// Index into `listenOptions`.
    var options: Int
  }

  /// Kinds of event keys, in bits 28–31.
  enum Kind {
    static let connection: UInt64 = 0
    static let listener: UInt64 = 1
    static let watch: UInt64 = 2
    static let mask: UInt64 = 0xf000_0000
    static func key(_ slot: SlabIndex, _ kind: UInt64) -> UInt64 { slot.rawValue | kind << 28 }
  }

  static let inputCapacity = 64 << 10
  static let vectorCapacity = 16

  /// How other threads reach this loop.
  package let mailbox: Mailbox
  package let driver: Driver
  package let limits: Limits
  /// Blocks for stashes and queues; handlers on this loop may use it, too.
  package let pool = BufferPool()

  /// Whom events go to. The loop keeps it until `run` or `shutdown` ends.
  package var handler: (any LoopHandler)? {
    get { unsafe state.pointee.handler }
    set { unsafe state.pointee.handler = newValue }
  }

  @usableFromInline let state: UnsafeMutablePointer<State>
  let connections: Slab<Connection>
  let listeners: Slab<ListenerState>
  let timers: TimerWheel
  let lingering: TimerWheel
  let events: UnsafeMutableBufferPointer<DriverEvent>
  let vectors: UnsafeMutableBufferPointer<WriteVector>
  /// The shared read buffer.
  let input: UnsafeMutableRawPointer
  /// Connections whose consequences are owed.
  let consequences = IndexList()
  /// Connections whose read budget was spent.
  let unread = IndexList()
  let turnTokens = IndexList()

  // Cold or only used with transports.
  var listenOptions: [ListenOptions] = []
  var freeListenOptions: [Int] = []
  var transports: [(any TransportSession)?] = []
  var watches: [DescriptorWatch?] = []
  var tasks: [UInt64: () -> Void] = [:]
  var nextTask: UInt64 = 0
  var plaintext = ByteBuffer()
  var ciphertext = ByteBuffer()

  /// A loop over `driver`. Set `handler` before the first turn. `seed` makes `random` repeatable.
  package init(driver: Driver, limits: Limits = Limits(), seed: UInt64? = nil) {
    precondition(limits.connections < 1 << 28)
    self.driver = driver
    self.limits = limits
    mailbox = Mailbox(wake: driver.waker)
    let now = driver.now()
    unsafe state = .allocate(capacity: 1)
    unsafe state.initialize(
      to: State(now: now, random: seed.map { RandomSource(seed: $0) } ?? .fromSystem()))
    connections = Slab(maximum: limits.connections)
    listeners = Slab(maximum: 4096)
    timers = TimerWheel(now: now, maximum: limits.timers)
    lingering = TimerWheel(now: now, maximum: limits.connections)
    unsafe events = .allocate(capacity: limits.eventsPerTurn)
    unsafe vectors = .allocate(capacity: Self.vectorCapacity)
    unsafe input = .allocate(byteCount: Self.inputCapacity, alignment: 64)
    unsafe input.initializeMemory(
      as: UInt8.self, repeating: 0, count: Self.inputCapacity)
  }

  deinit {
    unsafe state.deinitialize(count: 1)
    unsafe state.deallocate()
    unsafe events.deallocate()
    unsafe vectors.deallocate()
    unsafe input.deallocate()
  }

  /// The time of this turn. *Cost*: a load.
  @inlinable package var now: MonotonicInstant { unsafe state.pointee.now }

  /// Counters since the loop began.
  package var statistics: LoopStatistics {
    var copy = unsafe state.pointee.statistics
    copy.connections = connections.count
    return copy
  }

  /// A draw of this loop's random source.
  package func random() -> UInt64 { unsafe state.pointee.random.next() }

  // MARK: Time

  /// Arms a timer: `timer(token:)` comes once `deadline` has passed, never early, about 1 ms late at most. `.none` at `Limits.timers`.
  package func schedule(at deadline: MonotonicInstant, token: UInt64) -> TimerID {
    timers.schedule(at: deadline, token: token)
  }

  /// Arms a timer `delay` from this turn's time.
  package func schedule(after delay: Duration, token: UInt64) -> TimerID {
    timers.schedule(at: now + delay, token: token)
  }

  /// Disarms; a stale id is harmless.
  package func cancel(_ timer: TimerID) { timers.cancel(timer) }

  /// Asks for `endOfTurn(token:)` once, after the current batch of events.
  package func atEndOfTurn(_ token: UInt64) { turnTokens.append(token) }

  /// Runs `work` in one of the next turns; from other threads use `mailbox`.
  package func post(_ work: @escaping @Sendable (EventLoop) -> Void) { mailbox.post(work) }

  // MARK: A connection's plain properties

  /// Whether `closed` has not come yet for `c`.
  package func isLive(_ c: ConnectionID) -> Bool { connections.contains(c.slot) }

  /// The handler's own word for a connection, 0 at first (the tag for `connect`). *Cost*: a load.
  package func user(_ c: ConnectionID) -> UInt64 {
    connections.contains(c.slot) ? connections[c.slot].user : 0
  }

  package func setUser(_ c: ConnectionID, _ value: UInt64) {
    if connections.contains(c.slot) { connections[c.slot].user = value }
  }

  /// The listener a connection came in on, `.none` for connections made.
  package func listener(of c: ConnectionID) -> ListenerID {
    connections.contains(c.slot) ? connections[c.slot].listener : .none
  }

  /// Bytes queued and not yet taken by the socket.
  package func queuedBytes(_ c: ConnectionID) -> Int {
    connections.contains(c.slot) ? connections[c.slot].queue.count : 0
  }

  package func isPaused(_ c: ConnectionID) -> Bool {
    reference(c)?.it.facts.contains(.paused) ?? false
  }

  /// The transport of a connection, readable until `closed` has returned.
  package func transport(_ c: ConnectionID) -> (any TransportSession)? {
    guard connections.contains(c.slot), connections[c.slot].transport.isSecure else {
      return nil
    }
    return transports[c.index]
  }

  // `closed` comes after the socket is gone, so addresses wanted there must be asked for earlier.

  package func localAddress(_ c: ConnectionID) -> SocketAddress {
    guard let c = alive(c) else { return .unnamedUnix }
    return driver.localAddress(c.it.socket)
  }

  package func peerAddress(_ c: ConnectionID) -> SocketAddress {
    guard let c = alive(c) else { return .unnamedUnix }
    return driver.peerAddress(c.it.socket)
  }

  /// Where the client wanted to go before REDIRECT sent it here (SO_ORIGINAL_DST); nil when nothing redirected it. Behind TPROXY it is
  /// `localAddress`.
  package func originalDestination(_ c: ConnectionID) -> SocketAddress? {
    guard let c = alive(c) else { return nil }
    return driver.originalDestination(c.it.socket)
  }

  // MARK: References

  /// The slot of `c`, also when its socket is closed and only `closed` is owed.
  func reference(_ c: ConnectionID) -> ConnectionReference? {
    guard connections.contains(c.slot) else { return nil }
    return unsafe ConnectionReference(c, connections.pointer(c.slot))
  }

  /// The slot of `c` while its socket is open.
  func alive(_ c: ConnectionID) -> ConnectionReference? {
    guard let c = reference(c), !c.it.life.isDead else { return nil }
    return c
  }

  /// Notes that something about `c` is owed to the handler later in this turn.
  func list(_ c: ConnectionReference) {
    if c.it.facts.contains(.inConsequences) { return }
    c.it.facts.insert(.inConsequences)
    consequences.append(c.id.rawValue)
  }
}
