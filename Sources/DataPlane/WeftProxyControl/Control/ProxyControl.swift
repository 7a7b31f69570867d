// ProxyControl: what a proxy does besides serving: turning configuration into snapshots, looking names up, ending outlier intervals, stopping.

import Glibc
package import WeftBase
package import WeftCompile
import WeftModel
package import WeftProxy
package import WeftRuntime
import WeftTables
package import WeftTelemetry
import WeftUpstream
package import WeftXDSClient

/// The cold side of a proxy, on the program's main loop.
///
/// *Threads*: its loop's, `update` included: other threads post to the loop.
package final class ProxyControl: LoopHandler {
  package let loop: EventLoop
  package let server: ProxyServer
  private let compiler: SnapshotCompiler
  private let log: Logger
  private let drainTime: Duration
  /// What bootstrap and discovery say; `effective` is that with what files bring.
  private var state: ConfigState
  private var effective: ConfigState
  private let files: FileDiscovery?
  private var filesAreDue = false
  /// Since when each secret is waited for, and how long it is; nil: for ever.
  private var awaitedSecrets: [SecretKey: (since: MonotonicInstant, limit: Duration?)] = [:]
  private var absentSecrets: Set<SecretKey> = []
  /// Those that have been waited for longer than who only asks a cluster that needs one waits.
  private var overdueSecrets: Set<SecretKey> = []
  /// The thread that `start` was called on.
  private var thread: pthread_t?
  /// In place of `resolvers`, for tests.
  private let resolver: (any Resolver)?
  /// By whom they ask; nil: the system's.
  private var resolvers: [ResolverConfiguration?: any Resolver] = [:]
  private var names = NameSchedule()
  /// The clusters, by their names in the statistics, that use a lookup.
  private var askers: [NameLookup: [String]] = [:]
  private var secretsTimer = TimerID.none
  private var namesTimer = TimerID.none
  private var namesTimerAt = MonotonicInstant.distantFuture
  /// When changes of hosts that are held back are next due.
  private var hostsDueAt = MonotonicInstant.distantFuture
  private var memory = MemoryTrim()
  private var nextOutlierInterval: [String: MonotonicInstant] = [:]
  /// SIGTERM has come.
  private var isStopping = false
  /// What `run` returns: the program's exit code.
  package private(set) var exitCode: Int32 = 0
  /// Why the proxy could not start.
  package private(set) var startFailure: String?
  /// What the bootstrap fixes.
  private let fixed: ConfigState
  /// Called after every compilation, with what was refused.
  package var compiled: (Compilation) -> Void = { _ in }
  /// SIGUSR1: log rotation.
  package var reopenLogs: () -> Void = {}
  /// Called when clusters and listeners from files want other things of the aggregated stream than before.
  package var streamNeeds: (XDSNeeds) -> Void = { _ in }
  /// What they were told to want last, and the how-manieth word that was.
  private var toldNeeds = XDSNeeds()
  private var needsRevision: UInt64 = 0

  package init(
    loop: EventLoop, server: ProxyServer, compiler: SnapshotCompiler, state: ConfigState, log: LogOutput,
    drainTime: Duration, resolver: (any Resolver)? = nil, files: FileDiscovery? = nil
  ) {
    self.loop = loop
    self.server = server
    self.compiler = compiler
    self.state = state
    fixed = state
    effective = state
    self.files = files
    self.log = Logger(log, .main)
    self.drainTime = drainTime
    self.resolver = resolver
  }

  /// Looks up what must be looked up, then compiles and hands out the first snapshot; later changes follow by themselves.
  package func start() {
    thread = pthread_self()
    files?.follow(on: loop) { [weak self] in self?.filesMayHaveChanged() }
    gather()
    refreshNames()
    if !names.awaitsFirstAnswers { apply() } else { _ = loop.schedule(after: .seconds(5), token: Self.firstSnapshot) }
    _ = loop.schedule(after: .seconds(1), token: Self.tick)
    _ = loop.schedule(after: .milliseconds(300), token: Self.settled)
  }

  /// Changes the configuration in force. What does not compile keeps its last good form and is reported by `compiled`.
  @discardableResult
  package func update(_ change: (inout ConfigState) -> Void) -> AppliedConfig {
    assert(thread.map { pthread_equal($0, pthread_self()) != 0 } ?? true, "the control loop's business")
    change(&state)
    gather()
    refreshNames()
    if hasApplied || !names.awaitsFirstAnswers { return apply() }
    // The first snapshot comes with the first answers. Until then nobody can say what is in use.
    var applied = AppliedConfig()
    applied.usedClusters = Set(effective.clusters.map(\.name))
    return applied
  }

  /// A copy of the configuration in force.
  package var configuration: ConfigState { effective }

  /// Puts what files bring over what bootstrap and discovery say.
  private func gather() {
    effective = state
    guard let files else { return }
    files.fill(&effective)
    if files.needs != toldNeeds {
      toldNeeds = files.needs
      needsRevision += 1
      var needs = toldNeeds
      needs.revision = needsRevision
      streamNeeds(needs)
    }
    // The stream's client has not said yet which of them wait for endpoints.
    if state.needsRevision < needsRevision {
      effective.awaitedClusters.formUnion(toldNeeds.clustersWithEndpoints)
      effective.incompleteClusters.formUnion(toldNeeds.clustersWithEndpoints)
    }
  }

  /// Files come in several moves: a certificate, then its key. They are read when it has been quiet for a moment.
  private func filesMayHaveChanged() {
    if filesAreDue { return }
    filesAreDue = true
    _ = loop.schedule(after: .milliseconds(50), token: Self.filesDue)
  }

  private func filesChanged() {
    filesAreDue = false
    let before = effective
    gather()
    effective.addresses = before.addresses
    effective.absentSecrets.formUnion(absentSecrets)
    effective.overdueSecrets = before.overdueSecrets
    if effective == before { return }
    refreshNames()
    if hasApplied || !names.awaitsFirstAnswers { apply() }
  }

  // MARK: Secrets

  /// Takes note of what is waited for; who has waited long enough goes on without.
  private func waitFor(_ missing: [SecretKey: Duration?]) {
    let before = awaitedSecrets
    awaitedSecrets = [:]
    for (key, limit) in missing { awaitedSecrets[key] = (before[key]?.since ?? loop.now, limit) }
    absentSecrets = absentSecrets.filter { effective.secrets[$0] == nil }
    overdueSecrets = overdueSecrets.filter { missing[$0] != nil }
    var next = awaitedSecrets.values.compactMap { wait in wait.limit.map { wait.since + $0 } }
    next += awaitedSecrets.filter { !overdueSecrets.contains($0.key) }.map { $0.value.since + XDSStore.clusterHold }
    loop.cancel(secretsTimer)
    secretsTimer = next.min().map { loop.schedule(at: $0, token: Self.secretsDue) } ?? .none
  }

  private func giveUpSecrets() {
    var isChanged = false
    for (key, wait) in awaitedSecrets {
      if wait.since + XDSStore.clusterHold <= loop.now, overdueSecrets.insert(key).inserted { isChanged = true }
      guard let limit = wait.limit, wait.since + limit <= loop.now else { continue }
      absentSecrets.insert(key)
      isChanged = true
      log.warning("no secret in time", ("secret", .text(key.name)))
    }
    if isChanged { apply() }
  }

  private static let firstSnapshot: UInt64 = 1
  private static let tick: UInt64 = 2
  private static let namesDue: UInt64 = 3
  /// Some time after the start, when its code is not needed any more.
  private static let settled: UInt64 = 4
  private static let filesDue: UInt64 = 5
  private static let secretsDue: UInt64 = 6
  private static let hostsDue: UInt64 = 7
  private static let listenersDue: UInt64 = 8
  private static let firstListenersPause = Duration.seconds(1)
  private var hasApplied = false
  /// Compiled, and not handed out yet.
  private var newest: Compilation?
  /// A snapshot waits for tables.
  private var awaitsTables = false
  private var hasToldOfRights = false
  private var toldRefusals: Set<String> = []
  private var toldWarnings: Set<String> = []
  /// Why which listeners are not there, at last.
  private var toldFailures: [String: String] = [:]
  private var listenersAreDue = false
  private var listenersPause = firstListenersPause

  @discardableResult
  private func apply() -> AppliedConfig {
    let isStarting = !hasApplied
    hasApplied = true
    effective.addresses = state.addresses
    effective.absentSecrets.formUnion(absentSecrets)
    effective.overdueSecrets = overdueSecrets
    let result = compiler.compile(effective, now: loop.now)
    if let due = result.heldUntil, due < hostsDueAt {
      hostsDueAt = due
      _ = loop.schedule(at: due, token: Self.hostsDue)
    }
    waitFor(result.missingSecrets)
    tellRefusals(result.rejections.map(\.description))
    tellWarnings(result.warnings.map(\.description))
    if isStarting, let error = faultOfBootstrap() {
      startFailed("\(error)")
      return AppliedConfig(result)
    }
    newest = result
    compiled(result)
    handOut()
    return AppliedConfig(result)
  }

  /// Everything is compiled anew with every change of anything: what is refused for the same reason as before has been told.
  private func tellRefusals(_ refusals: [String]) {
    for refusal in refusals where !toldRefusals.contains(refusal) {
      log.error("configuration refused", ("error", .text(refusal)))
    }
    toldRefusals = Set(refusals)
  }

  /// Likewise of what has no effect.
  private func tellWarnings(_ warnings: [String]) {
    for warning in Set(warnings).subtracting(toldWarnings).sorted() {
      log.warning("configuration without effect", ("setting", .text(warning)))
    }
    toldWarnings = Set(warnings)
  }

  /// Hands out what was compiled last. Where balancers need tables that are not there, they are made first, on a thread of their own, and the
  /// snapshot in force serves meanwhile: what comes in that time is handed out behind it, the last one only.
  private func handOut() {
    guard !awaitsTables, let result = newest else { return }
    newest = nil
    if result.tables.isEmpty { return handOut(result.snapshot) }
    awaitsTables = true
    let mailbox = loop.mailbox
    compiler.order(result.tables) { made in
      mailbox.post { loop in
        guard let control = loop.handler as? ProxyControl else { return }
        control.awaitsTables = false
        control.compiler.keep(made, of: result.tables)
        control.handOut(result.snapshot)
        control.handOut()
      }
    }
  }

  private func handOut(_ snapshot: Snapshot) {
    let isStarting = !server.isConfigured
    // The keys that it is compiled with come first.
    if let table = compiler.runtime.tableOfNewKeys() { server.apply(table) }
    server.apply(snapshot)
    tellOfRights(snapshot)
    let failures = Dictionary(server.takeListenerFailures(), uniquingKeysWith: { first, _ in first })
    for (name, reason) in failures.sorted(by: { $0.key < $1.key }) where toldFailures[name] != reason {
      log.error("cannot listen", ("listener", .text(name)), ("reason", .text(reason)))
      // What the bootstrap fixes has to be had; what discovery brings may be corrected there.
      if isStarting, fixed.listeners.contains(where: { $0.name == name }) {
        startFailed("listener \(name): \(reason)")
      }
    }
    toldFailures = failures
    retryListeners()
  }

  /// Whoever has an address that a listener wants may let go of it.
  private func retryListeners() {
    if toldFailures.isEmpty { listenersPause = Self.firstListenersPause }
    if toldFailures.isEmpty || listenersAreDue { return }
    listenersAreDue = true
    _ = loop.schedule(after: listenersPause, token: Self.listenersDue)
    listenersPause = min(listenersPause * 2, .seconds(16))
  }

  /// Says once that connections which are to come from their clients' addresses cannot.
  private func tellOfRights(_ snapshot: Snapshot) {
    guard !hasToldOfRights, !SocketRights.transparent,
      let listener = snapshot.listeners.first(where: { $0[].bindsUpstreams })
    else { return }
    hasToldOfRights = true
    log.warning(
      "connections to endpoints cannot come from their clients' addresses: that needs CAP_NET_ADMIN; they fail (bind_errors)",
      ("listener", .text(listener[].config.name)))
  }

  /// What the bootstrap says and cannot be, whatever files and discovery bring beside it: its resources that were not compiled, be it that they
  /// still wait for something, are looked at alone.
  private func faultOfBootstrap() -> ConfigError? {
    var known = fixed
    known.clusters = effective.clusters
    let check = compiler.check(beside: known)
    let missing =
      fixed.clusters.filter { !compiler.hasCluster($0.name) }.map(XDSModel.cluster)
      + fixed.listeners.filter { !compiler.hasListener($0.name) }.map(XDSModel.listener)
    for model in missing {
      do throws(ConfigError) { try check.check(model, beside: XDSStore()) } catch { return error }
    }
    return nil
  }

  /// The proxy cannot be what it was started for: it ends with exit code 1. Only the first reason is kept.
  package func startFailed(_ reason: String) {
    if startFailure == nil { startFailure = reason }
    exitCode = 1
    loop.stop()
  }

  // MARK: Names

  /// Brings the schedule up to date with the clusters, asks what is due, and waits for what is due next.
  private func refreshNames() {
    askers = [:]
    for cluster in effective.clusters {
      for lookup in cluster.nameLookups { askers[lookup, default: []].append(cluster.statName) }
    }
    names.want(Set(askers.keys), now: loop.now)
    let wanted = Set(askers.keys.map(\.question))
    state.addresses = state.addresses.filter { wanted.contains($0.key) }
    let asked = Set(wanted.map(\.resolver))
    resolvers = resolvers.filter { asked.contains($0.key) }
    askDueNames()
  }

  private func askDueNames() {
    for lookup in names.begin(now: loop.now) {
      count(.updateAttempt, lookup)
      guard let resolver = resolver ?? ownResolver(lookup.question.resolver) else {
        answered(lookup, .failure(WeftError(.dns, "names cannot be looked up")))
        continue
      }
      _ = resolver.resolve(lookup.question) { [weak self] answer in
        guard let self else { return }
        answered(lookup, answer)
        armNames()
      }
    }
    armNames()
  }

  /// The resolver for a configuration, made when first asked for; those that no cluster names any more go in `refreshNames`.
  private func ownResolver(_ configuration: ResolverConfiguration?) -> (any Resolver)? {
    if let known = resolvers[configuration] { return known }
    do throws(WeftError) {
      let made = try SystemResolver(loop, configuration ?? ResolverConfiguration())
      resolvers[configuration] = made
      return made
    } catch {
      log.error("names cannot be looked up", ("error", .text(error.description)))
      return nil
    }
  }

  private func armNames() {
    guard let due = names.nextDue, due != namesTimerAt else { return }
    if namesTimerAt != .distantFuture { loop.cancel(namesTimer) }
    namesTimer = loop.schedule(at: due, token: Self.namesDue)
    namesTimerAt = due
  }

  private func answered(_ lookup: NameLookup, _ answer: Result<DNSAnswer, WeftError>) {
    let found = try? answer.get()
    let timeToLive = found.flatMap { $0.addresses.isEmpty ? nil : $0.timeToLive }
    guard names.ended(lookup, timeToLive: timeToLive, now: loop.now, draw: loop.random()) else { return }
    var isChanged = false
    switch answer {
    case .success(let found) where !found.addresses.isEmpty:
      count(.updateSuccess, lookup)
      let known = state.addresses.updateValue(found.addresses, forKey: lookup.question) ?? []
      isChanged = known != found.addresses && changes(lookup, from: known, to: found.addresses)
      if !isChanged { count(.updateNoRebuild, lookup) }
    case .success:
      count(.updateSuccess, lookup)
      count(.updateEmpty, lookup)
    case .failure(let error):
      // What was known before stays: a resolver that fails must not empty a cluster.
      count(.updateFailure, lookup)
      log.warning("lookup failed", ("name", .text(lookup.question.name)), ("error", .text(error.description)))
    }
    if hasApplied ? isChanged : !names.awaitsFirstAnswers { apply() }
  }

  /// Whether any cluster sees the difference between two answers: their order matters to few.
  private func changes(_ lookup: NameLookup, from old: [IPAddress], to new: [IPAddress]) -> Bool {
    effective.clusters.contains { cluster in
      guard cluster.nameLookups.contains(where: { $0.question == lookup.question }) else { return false }
      return cluster.addresses(from: old) != cluster.addresses(from: new)
    }
  }

  private func count(_ metric: ClusterMetric, _ lookup: NameLookup) {
    for name in askers[lookup] ?? [] {
      server.registry.add(metric, server.registry.scope(ScopeKey(.cluster, name)))
    }
  }

  // MARK: Time

  package func timer(token: UInt64) {
    switch token {
    case Self.firstSnapshot: if !hasApplied { apply() }
    case Self.namesDue:
      namesTimerAt = .distantFuture
      askDueNames()
    case Self.filesDue: filesChanged()
    case Self.secretsDue: giveUpSecrets()
    case Self.hostsDue:
      hostsDueAt = .distantFuture
      apply()
    case Self.listenersDue:
      listenersAreDue = false
      if !isStopping { apply() }
    case Self.settled: ProcessMemory.releaseStartUpPages()
    case Self.tick:
      endOutlierIntervals()
      if files?.retry() ?? false { filesMayHaveChanged() }
      compiler.publishLevels()
      memory.tick(loop.now)
      _ = loop.schedule(after: .seconds(1), token: Self.tick)
    default: break
    }
  }

  private func endOutlierIntervals() {
    let now = loop.now
    // A cluster that is gone, or has no detection any more, begins anew when it comes back.
    nextOutlierInterval = nextOutlierInterval.filter { compiler.outlierMonitors[$0.key] != nil }
    for (name, monitor) in compiler.outlierMonitors {
      guard let next = nextOutlierInterval[name] else {
        nextOutlierInterval[name] = now + monitor.settings.interval
        continue
      }
      if next > now { continue }
      let scope = compiler.scope(ofCluster: name)
      for event in monitor.endInterval(now: now) {
        for metric in event.metrics { server.registry.add(metric, scope) }
      }
      server.registry.publishLevels(of: monitor, scope)
      nextOutlierInterval[name] = now + monitor.settings.interval
    }
  }

  // MARK: The end

  /// SIGTERM: clients are told, requests in flight end, then the program does. A second signal stops at once.
  package func received(_ signal: SignalWatch.Signal) {
    switch signal {
    case .terminate where !isStopping:
      isStopping = true
      let listeners = server.registry.scope(ScopeKey(.listenerManager))
      server.registry.add(ListenerManagerMetric.listenerStopped, listeners, UInt64(effective.listeners.count))
      log.info("draining")
      let server = server
      let limit = drainTime
      let mailbox = loop.mailbox
      // The wait for the workers must not hold up this loop: signals still matter.
      let waiter = try? Worker(name: "weft-drain") {
        server.drain(for: limit)
        mailbox.post { $0.stop() }
      }
      drainer = waiter
    case .terminate, .interrupt:
      loop.stop()
    case .user1: reopenLogs()
    case .hangup: break
    }
  }

  private var drainer: Worker?

  // The main loop serves no connection of its own.
  package func accepted(_ c: ConnectionID, on listener: ListenerID, from peer: SocketAddress) {}
  package func connected(_ c: ConnectionID) {}
  package func received(_ c: ConnectionID, _ bytes: ByteView) -> Int { bytes.count }
  package func readEnded(_ c: ConnectionID) {}
  package func closed(_ c: ConnectionID, _ reason: CloseReason) {}
}
