package import WeftBase
package import WeftControlAPI
package import WeftTranslation
package import WeftService
import Synchronization
import WeftGRPC
import WeftProtobuf
import WeftXDSMessages

/// The bounds of a discovery server.
package struct DiscoveryLimits: Sendable {
  /// Streams at a time; further ones are refused with RESOURCE_EXHAUSTED.
  package var streams = 20_000
  /// Names that one stream may ask for, over all types.
  package var names = 100_000
  /// How often sessions look at the time.
  package var tick: Duration = .milliseconds(250)
  /// How long a client that has something to read may read nothing of it.
  package var readTimeout: Duration = .seconds(60)

  package init() {}
}

/// The ADS server: follows a source of snapshots and serves streams of both forms.
///
/// *Use*: `addMethods(to:)` puts its methods into a gRPC server's routes; `run()` follows the source until cancelled. A
/// stream that opens before the first snapshot waits for it.
package final class DiscoveryServer: Sendable {
  private let source: any SnapshotSource
  private let limits: DiscoveryLimits
  private let clock: ControlClock
  private let pool = ResourcePool()
  private let state = Mutex(State())

  /// Published by each session after each step.
  struct Published: Sendable {
    var session: Session
    /// The newest snapshot the session has looked at.
    var seen: UInt64
    var address: String
    var connectedSince: WallTime
  }

  /// One stream, whichever form it has.
  struct Stream: Sendable {
    var post: @Sendable (WeftSnapshot, SnapshotChanges) -> Void
    var wakeUp: @Sendable () -> Void
    var end: @Sendable () -> Void
    /// Ends a stream whose client reads nothing.
    var cut: @Sendable () -> Void
    var isBehind: @Sendable () -> Bool
    var progress: @Sendable () -> UInt64
    /// What its task does. Only while it is idle do others know what concerns it.
    var activity = Activity.idle
    /// The newest snapshot that it was told of.
    var posted: UInt64 = 0
    var published: Published?

    enum Activity: Sendable {
      /// Waits for requests and news; `published` is what it has.
      case idle
      /// Makes an answer; whatever changes meanwhile is posted to it.
      case working
      /// Has made answers and waits for the client to read; `published` is what it has.
      case sending(since: MonotonicInstant, progress: UInt64)
    }

    /// Takes notice of a snapshot: the stream is told of it, or has nothing to do for it.
    mutating func note(_ version: UInt64, isPosted: Bool) {
      if isPosted {
        posted = version
      } else if let seen = published?.seen, seen >= posted {
        // With something it was told of still before it, it has not come so far.
        published?.seen = max(seen, version)
      }
    }
  }

  /// The far side of a stream, as far as its readiness to read goes.
  struct Peer: Sendable {
    /// Bytes that the client has made room for; grows while it reads.
    var progress: @Sendable () -> UInt64 = { 0 }
    /// Drops what waits to be read.
    var cut: @Sendable () -> Void = {}

    init() {}

    init(_ context: GRPCServerContext) {
      progress = { context.bytesTaken }
      cut = { context.reset() }
    }
  }

  private struct State {
    var snapshot: WeftSnapshot?
    /// What proxies share of the translation of that snapshot.
    var memo: TranslationMemo?
    var streams: [UInt64: Stream] = [:]
    var nextID: UInt64 = 0
    var counters = Counters()
    /// Told whenever a proxy has come further.
    var observers: [UInt64: AsyncStream<Void>.Continuation] = [:]

    /// Streams whose clients have read nothing for `limit`; each is answered and counted once.
    mutating func takeStuck(_ now: MonotonicInstant, _ limit: Duration) -> [Stream] {
      var stuck: [Stream] = []
      for (id, stream) in streams {
        guard case .sending(let since, _) = stream.activity, now - since >= limit else { continue }
        streams[id]?.activity = .working
        counters.stuckStreams += 1
        stuck.append(stream)
      }
      return stuck
    }

    /// The time of a client that reads begins anew.
    mutating func noteProgress(_ now: MonotonicInstant) {
      for (id, stream) in streams {
        guard case .sending(_, let before) = stream.activity else { continue }
        let progress = stream.progress()
        if progress != before { streams[id]?.activity = .sending(since: now, progress: progress) }
      }
    }
  }

  /// Since the start.
  package struct Counters: Sendable, Hashable {
    package var streams: UInt64 = 0
    package var pushes: UInt64 = 0
    package var responses: [ResourceType: UInt64] = [:]
    package var refusals: [ResourceType: UInt64] = [:]
    package var snapshots: UInt64 = 0
    /// Streams turned away at a limit.
    package var refusedStreams: UInt64 = 0
    /// Changes that concerned a stream, and those that did not.
    package var concerned: UInt64 = 0
    /// Streams woken for a change.
    package var told: UInt64 = 0
    /// Streams ended because their client read nothing for `DiscoveryLimits.readTimeout`.
    package var stuckStreams: UInt64 = 0
    package var unconcerned: UInt64 = 0
  }

  package init(
    source: any SnapshotSource, limits: DiscoveryLimits = DiscoveryLimits(), clock: ControlClock = .system
  ) {
    self.clock = clock
    self.source = source
    self.limits = limits
  }

  /// Offers the two methods of the aggregated discovery service.
  package func addMethods(to routes: inout GRPCRoutes) {
    routes.bidirectional(AggregatedDiscovery.stateOfTheWorld) { requests, writer, context in
      try await self.serve(
        requests, from: context.peer.address.description, .stateOfTheWorld, node: { $0.node },
        event: { DiscoveryRequestEvent($0) }, peer: Peer(context), send: { try await writer.send($0.stateOfTheWorld) })
    }
    routes.bidirectional(AggregatedDiscovery.delta) { requests, writer, context in
      try await self.serve(
        requests, from: context.peer.address.description, .delta, node: { $0.node },
        event: { DiscoveryRequestEvent($0) }, peer: Peer(context), send: { try await writer.send($0.delta) })
    }
  }

  // MARK: Following the source

  /// Follows the source and the clock until the task is cancelled.
  package func run() async {
    await withTaskGroup(of: Void.self) { group in
      group.addTask { await self.follow() }
      group.addTask { await self.tick() }
      await group.waitForAll()
    }
    endStreams()
  }

  /// Ends every open stream in order: proxies go on with what they have and connect elsewhere, or again.
  package func endStreams() {
    let streams = state.withLock { Array($0.streams.values) }
    for stream in streams { stream.end() }
  }

  private func follow() async {
    var pacer = PushPacer()
    for await first in await source.snapshots() {
      let backlog = isBehind
      let delay = pacer.delay(now: clock.now(), backlog: backlog)
      var snapshot = first
      if delay > .zero {
        try? await Task.sleep(for: delay)
        if Task.isCancelled { return }
        snapshot = await source.current()
      }
      publish(snapshot)
      pacer.pushed(now: clock.now())
    }
  }

  /// Whether most streams still have the last push to be made for them: then it pays to collect more. One that waits for its client does not
  /// count, so that no client can slow the others.
  private var isBehind: Bool {
    state.withLock { state in
      let behind = state.streams.values.count { stream in
        if case .sending = stream.activity { return false }
        return stream.isBehind()
      }
      return behind * 2 > state.streams.count
    }
  }

  /// Makes `snapshot` the one in force and tells the streams that it concerns what changed.
  func publish(_ snapshot: WeftSnapshot) {
    let previous = state.withLock { $0.snapshot }
    if let previous, previous === snapshot { return }
    let changes = previous.map { snapshot.changes(since: $0) }
    // Streams that begin to work from here on take the new snapshot; all others are in the list, with what they depend on.
    let streams = state.withLock { state -> [UInt64: Stream] in
      state.snapshot = snapshot
      state.memo = TranslationMemo(snapshot) { [pool] in pool.share(&$0) }
      state.counters.snapshots += 1
      return state.streams
    }
    var concerned: [UInt64: Stream] = streams
    if let changes { concerned = streams.filter { Self.concerns(changes, $0.value, snapshot) } }
    let observers = state.withLock { state in
      if changes?.isEmpty == false { state.counters.unconcerned += UInt64(streams.count - concerned.count) }
      state.counters.told += UInt64(concerned.count)
      for id in streams.keys { state.streams[id]?.note(snapshot.version, isPosted: concerned[id] != nil) }
      return Array(state.observers.values)
    }
    for stream in concerned.values { stream.post(snapshot, changes ?? SnapshotChanges()) }
    for observer in observers { observer.yield() }
  }

  /// Whether a stream must look at changes. One at work may come to depend on more than was seen of it.
  private static func concerns(_ changes: SnapshotChanges, _ stream: Stream, _ snapshot: WeftSnapshot) -> Bool {
    if case .working = stream.activity { return true }
    guard let published = stream.published else { return true }
    return published.session.resources.dependencies.areTouched(by: changes, in: snapshot)
  }

  private func tick() async {
    while !Task.isCancelled {
      try? await Task.sleep(for: limits.tick)
      let now = clock.now()
      let (due, stuck) = state.withLock { state in
        state.noteProgress(now)
        let due = state.streams.values.filter { stream in
          guard let wake = stream.published?.session.nextWake else { return false }
          return wake <= now
        }
        return (due, state.takeStuck(now, limits.readTimeout))
      }
      for stream in due { stream.wakeUp() }
      for stream in stuck { stream.cut() }
    }
  }

  // MARK: Streams

  /// Serves one stream until either side ends it.
  func serve<Request: Sendable, Requests: AsyncSequence & Sendable>(
    _ requests: Requests, from address: String, _ form: DiscoveryForm,
    node: @escaping @Sendable (Request) -> Envoy_Config_Core_V3_Node?,
    event: @escaping @Sendable (Request) -> DiscoveryRequestEvent?, peer: Peer = Peer(),
    send: @escaping @Sendable (DiscoveryResponseEvent) async throws -> Void
  ) async throws where Requests.Element == Request {
    let inbox = SessionInbox<Request>()
    let (cuts, cut) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    let id = try register(inbox, peer) {
      peer.cut()
      cut.yield()
    }
    defer { forget(id) }
    try await withTaskCancellationHandler {
      try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask {
          defer { inbox.end() }
          for try await request in requests { await inbox.offer(request) }
        }
        group.addTask {
          defer { inbox.end() }
          try await self.run(inbox, id, address, form, node: node, event: event, send: send)
        }
        group.addTask {
          for await _ in cuts {
            throw GRPCStatus(.unavailable, "the client has read nothing for \(self.limits.readTimeout)")
          }
        }
        // Whichever side ends, ends the other.
        do {
          try await group.next()
          group.cancelAll()
        } catch {
          group.cancelAll()
          throw error
        }
      }
    } onCancel: {
      inbox.end()
    }
  }

  private func register<Request: Sendable>(
    _ inbox: SessionInbox<Request>, _ peer: Peer, cut: @escaping @Sendable () -> Void
  ) throws -> UInt64 {
    let limit = limits.streams
    let id = state.withLock { state -> UInt64? in
      guard state.streams.count < limit else {
        state.counters.refusedStreams += 1
        return nil
      }
      state.nextID += 1
      state.counters.streams += 1
      state.streams[state.nextID] = Stream(
        post: { inbox.post(.init(snapshot: $0, changes: $1)) }, wakeUp: { inbox.wakeUp() }, end: { inbox.end() },
        cut: cut, isBehind: { inbox.isBehind }, progress: peer.progress)
      return state.nextID
    }
    guard let id else { throw GRPCStatus(.resourceExhausted, "too many discovery streams (\(limit))") }
    return id
  }

  private func run<Request: Sendable>(
    _ inbox: SessionInbox<Request>, _ id: UInt64, _ address: String, _ form: DiscoveryForm,
    node: (Request) -> Envoy_Config_Core_V3_Node?, event: (Request) -> DiscoveryRequestEvent?,
    send: (DiscoveryResponseEvent) async throws -> Void
  ) async throws {
    var session: Session?
    let since = clock.wall()
    // Requests that came before there was a snapshot.
    var early: [Request] = []
    while let work = await inbox.next() {
      var responses: [DiscoveryResponseEvent] = []
      // At least as new as the news. What changed since and was not posted does not concern what the session has.
      let snapshot = begin(id)
      guard let current = snapshot else {
        early += work.requests
        if early.count > SessionInbox<Request>.capacity {
          throw GRPCStatus(.unavailable, "the control plane has not read its configuration yet")
        }
        continue
      }
      if let news = work.news, session != nil { responses += apply(news.changes, current, &session) }
      for request in early + work.requests {
        if session == nil { session = try open(node(request), form, current) }
        guard let event = event(request) else { continue }
        responses += try receive(event, current, &session)
      }
      early = []
      if work.isWakeUp { responses += session?.wake(now: clock.now()) ?? [] }
      publish(session, current.version, id, address, since, responses)
      for response in responses { try await send(response) }
      if !responses.isEmpty { rest(id) }
    }
  }

  /// The stream's task has something to do: the snapshot that it works with. What changes from here on is posted to it.
  private func begin(_ id: UInt64) -> WeftSnapshot? {
    state.withLock { state in
      state.streams[id]?.activity = .working
      return state.snapshot
    }
  }

  /// The client has taken everything.
  private func rest(_ id: UInt64) {
    state.withLock { $0.streams[id]?.activity = .idle }
  }

  private func open(
    _ node: Envoy_Config_Core_V3_Node?, _ form: DiscoveryForm, _ snapshot: WeftSnapshot
  ) throws -> Session {
    guard let node, !node.id.isEmpty else {
      throw GRPCStatus(.invalidArgument, "the first request of a stream must carry a node with an id")
    }
    let proxy = ProxyIdentity(node: node)
    return Session(form: form, proxy: proxy, resources: translate(snapshot, for: proxy, Interest()))
  }

  private func receive(
    _ event: DiscoveryRequestEvent, _ snapshot: WeftSnapshot, _ session: inout Session?
  ) throws -> [DiscoveryResponseEvent] {
    guard session != nil else { return [] }
    if event.refusal != nil { state.withLock { $0.counters.refusals[event.type, default: 0] += 1 } }
    let proxy = session?.proxy
    let responses =
      session?.receive(event, now: clock.now()) { interest in
        guard let proxy else { return ProxyResources() }
        return self.translate(snapshot, for: proxy, interest)
      } ?? []
    var files: [DiscoveryResponseEvent] = []
    if event.type == .listener, let refusal = event.refusal, session?.noteUnreadableFiles(refusal) == true,
      let proxy = session?.proxy, let interest = session?.interest
    {
      files = session?.update(translate(snapshot, for: proxy, interest), now: clock.now()) ?? []
    }
    let names = session?.watches.values.reduce(0) { $0 + $1.names.count } ?? 0
    if names > limits.names {
      throw GRPCStatus(.resourceExhausted, "too many resource names (\(limits.names))")
    }
    return responses + files
  }

  /// A change: nothing when it does not concern the proxy, endpoints alone when only they changed.
  private func apply(
    _ changes: SnapshotChanges, _ snapshot: WeftSnapshot, _ session: inout Session?
  ) -> [DiscoveryResponseEvent] {
    guard let old = session else { return [] }
    if changes.isEmpty { return [] }
    if changes.concernGateways, session?.forgetUnreadableFiles() == true, let proxy = session?.proxy {
      return session?.update(translate(snapshot, for: proxy, old.interest), now: clock.now()) ?? []
    }
    let dependencies = old.resources.dependencies
    guard dependencies.areTouched(by: changes, in: snapshot) else {
      state.withLock { $0.counters.unconcerned += 1 }
      return []
    }
    state.withLock { $0.counters.concerned += 1 }
    if dependencies.onlyEndpointsAreTouched(by: changes, in: snapshot),
      let refreshed = Translator.refreshEndpoints(
        of: old.resources, hosts: changes.endpoints, in: snapshot, for: old.proxy, memo: memo)
    {
      return session?.update(refreshed, now: clock.now()) ?? []
    }
    let resources = translate(snapshot, for: old.proxy, old.interest)
    return session?.update(resources, now: clock.now()) ?? []
  }

  private func translate(_ snapshot: WeftSnapshot, for proxy: ProxyIdentity, _ interest: Interest) -> ProxyResources {
    var resources = Translator.translate(snapshot, for: proxy, interest: interest, memo: memo)
    // Others are given equal ones by name; all else that is shared comes from the memo.
    if proxy.isGRPC { pool.share(&resources) }
    return resources
  }

  private var memo: TranslationMemo? { state.withLock { $0.memo } }

  private func publish(
    _ session: Session?, _ seen: UInt64, _ id: UInt64, _ address: String, _ since: WallTime,
    _ responses: [DiscoveryResponseEvent]
  ) {
    let observers = state.withLock { state in
      if let session {
        state.streams[id]?.published = Published(
          session: session, seen: seen, address: address, connectedSince: since)
      }
      let progress = state.streams[id]?.progress() ?? 0
      state.streams[id]?.activity = responses.isEmpty ? .idle : .sending(since: clock.now(), progress: progress)
      if !responses.isEmpty { state.counters.pushes += 1 }
      for response in responses { state.counters.responses[response.type, default: 0] += 1 }
      return Array(state.observers.values)
    }
    for observer in observers { observer.yield() }
  }

  private func forget(_ id: UInt64) {
    let observers = state.withLock { state in
      state.streams[id] = nil
      return Array(state.observers.values)
    }
    for observer in observers { observer.yield() }
  }

  // MARK: Status

  package var counters: Counters { state.withLock { $0.counters } }

  /// Connected proxies, by node id.
  package func proxies() -> [ProxyStatus] {
    let all = published
    return all.map { entry in
      ProxyStatus(
        proxy: entry.session.proxy, form: entry.session.form, address: entry.address,
        connectedSince: entry.connectedSince, types: entry.session.typeStatuses, issues: entry.session.resources.issues)
    }.sorted { ($0.id, $0.connectedSince) < ($1.id, $1.connectedSince) }
  }

  /// Whether every connected proxy has what the snapshot of `version` means for it, acknowledged or refused.
  package func isDelivered(_ version: UInt64) -> Bool {
    state.withLock { state in
      guard let snapshot = state.snapshot, snapshot.version >= version else { return false }
      return state.streams.values.allSatisfy { stream in
        guard let published = stream.published else { return true }
        return published.seen >= version && published.session.isSettled
      }
    }
  }

  /// What the proxy is to have now, as canonical JSON by type; nil when no such proxy is connected.
  package func configuration(of nodeID: String) -> [ResourceType: [JSONValue]]? {
    guard let session = published.last(where: { $0.session.proxy.nodeID == nodeID })?.session else { return nil }
    var registry = TypeRegistry()
    registry.add(EnvoyTypes.all)
    let options = JSONEncodingOptions(registry: registry)
    var result: [ResourceType: [JSONValue]] = [:]
    for type in ResourceType.allCases {
      result[type] = session.resources.names(type).compactMap { name in
        session.resources[type, name].flatMap { try? $0.any.json(options: options) }
      }
    }
    return result
  }

  /// How far a rule has come. With a generation, only that one counts.
  package func status(of key: ObjectKey, generation: Int64? = nil) -> RuleStatus {
    status(of: [key: RuleTarget(generation: generation)])[key] ?? RuleStatus()
  }

  /// How far rules have come; every one asked for has an entry.
  package func status(of targets: [ObjectKey: RuleTarget]) -> [ObjectKey: RuleStatus] {
    let (snapshot, entries) = state.withLock { state in
      (state.snapshot, state.streams.sorted { $0.key < $1.key }.compactMap(\.value.published))
    }
    var statuses = targets.mapValues { target in
      var status = RuleStatus()
      status.isAhead = (snapshot?.version ?? 0) < (target.revision ?? 0)
      return status
    }
    guard let snapshot else { return statuses }
    let newest = targets.values.compactMap(\.revision).max() ?? 0
    for entry in entries {
      entry.session.note(targets, into: &statuses)
      guard entry.seen < newest else { continue }
      // The stream is busy with what came before.
      for (key, target) in targets where entry.seen < target.revision ?? 0 {
        if entry.session.resources.dependencies.areTouched(by: key, in: snapshot) {
          statuses[key]?.proxies[entry.session.proxy.nodeID] = .compiled
        }
      }
    }
    return statuses
  }

  /// Returns once every proxy concerned has the rules or has refused them, or at `end`.
  package func wait(
    for targets: [ObjectKey: RuleTarget], until end: ContinuousClock.Instant
  ) async -> [ObjectKey: RuleStatus] {
    let (signals, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    let id = state.withLock { state -> UInt64 in
      state.nextID += 1
      state.observers[state.nextID] = continuation
      return state.nextID
    }
    defer { state.withLock { _ = $0.observers.removeValue(forKey: id) } }
    let timer = Task {
      try? await Task.sleep(until: end, clock: .continuous)
      continuation.finish()
    }
    defer { timer.cancel() }
    continuation.yield()
    for await _ in signals {
      let statuses = status(of: targets)
      if statuses.values.allSatisfy(\.isAnswered) { return statuses }
      // Many proxies answer at about the same time: one look for all of them.
      try? await Task.sleep(for: Self.lookInterval)
    }
    return status(of: targets)
  }

  private static let lookInterval: Duration = .milliseconds(10)

  private var published: [Published] {
    state.withLock { state in state.streams.sorted { $0.key < $1.key }.compactMap(\.value.published) }
  }
}
