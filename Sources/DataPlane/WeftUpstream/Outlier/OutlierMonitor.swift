import CAtomics
import Synchronization
package import WeftBase
package import WeftModel

/// What one attempt says about a host.
package enum UpstreamOutcome: UInt8, BitwiseCopyable, Sendable {
  case success
  /// 5xx, but no gateway error.
  case serverError
  /// 502, 503, 504.
  case gatewayError
  /// The answer did not come: refused, reset, timed out.
  case localFailure

  /// The outcome of a response.
  @inlinable package static func response(_ status: UInt16) -> UpstreamOutcome {
    status < 500 || status > 599 ? .success : (status >= 502 && status <= 504 ? .gatewayError : .serverError)
  }
}

/// Outlier detection of one cluster, shared by all workers.
///
/// *Shape*: each host has a block of atomic cells that workers add to; the rules themselves sit behind a lock that is
/// taken only when a run
/// of failures is complete, when hosts change, and once per interval. Ejections are published by `version`: a worker
/// that sees it change
/// reads `isEjected` of its hosts again.
@safe
package final class OutlierMonitor: @unchecked Sendable {  // atomic cells; rules behind the lock
  /// A host's cells. *Shape*: trivial; valid while the `Block` they came from lives.
  @safe
  package struct HostCells: BitwiseCopyable, @unchecked Sendable {  // atomic cells
    let cells: UnsafeMutablePointer<UInt64>
    package let number: UInt32
    init(cells: UnsafeMutablePointer<UInt64>, number: UInt32) {
      unsafe self.cells = cells
      self.number = number
    }
    package var isEjected: Bool { unsafe weft_load(cells + Cell.ejected) != 0 }
  }

  enum Cell {
    static let run5xx = 0
    static let runGateway = 1
    static let runLocal = 2
    static let successes = 3
    static let total = 4
    static let localSuccesses = 5
    static let localTotal = 6
    static let ejected = 7
    static let count = 8
  }

  /// Owns a host's cells: kept by the monitor while the host is a member, and by each compiled cluster that hands them to workers.
  @safe
  package final class Block: @unchecked Sendable {  // atomic cells
    let cells: UnsafeMutablePointer<UInt64>
    package let number: UInt32

    init(number: UInt32) {
      self.number = number
      unsafe cells = .allocate(capacity: Cell.count)
      unsafe cells.initialize(repeating: 0, count: Cell.count)
    }

    deinit { unsafe cells.deallocate() }

    package var host: HostCells { unsafe HostCells(cells: cells, number: number) }
  }

  /// How many of the cluster's hosts take requests, and how many are left out.
  package struct Levels: Sendable, Equatable {
    package var healthy = 0
    package var degraded = 0
    package var ejected = 0
    package init() {}
  }

  struct State: Sendable {
    var detector: OutlierDetector
    var blocks: [String: Block] = [:]
    /// Their names by number, for events.
    var names: [UInt32: String] = [:]
    /// Never given twice: what a worker still says of a host that left finds nobody.
    var nextNumber: UInt32 = 0
    /// What is said of the hosts' health elsewhere, by entry of the list that `setHosts` was given.
    var entries: [(number: UInt32, availability: HostAvailability)] = []
    var random: RandomSource
  }

  /// Something for the statistics: `outlier_detection.ejections_…`.
  package struct Event: Sendable {
    package var rule: OutlierRule
    package var verdict: OutlierDetector.Verdict
  }

  private let state: Mutex<State>
  private let versionCell: UnsafeMutablePointer<UInt64>
  package let settings: OutlierDetection
  private let cluster: String
  private let tell: (@Sendable (OutlierEvent) -> Void)?

  /// `tell` hears of every ejection and of its end, in their order, on the thread where it happens and under the lock.
  package init(
    _ settings: OutlierDetection, random: RandomSource, cluster: String = "",
    tell: (@Sendable (OutlierEvent) -> Void)? = nil
  ) {
    self.settings = settings
    self.cluster = cluster
    self.tell = tell
    state = Mutex(State(detector: OutlierDetector(settings), random: random))
    unsafe versionCell = .allocate(capacity: 1)
    unsafe versionCell.initialize(to: 0)
  }

  deinit { unsafe versionCell.deallocate() }

  /// Changes whenever a host was ejected or taken back.
  package var version: UInt64 { unsafe weft_load(versionCell) }

  package var ejectedCount: Int { state.withLock { $0.detector.ejectedCount } }

  /// The success rates of the last interval by the numbers of `HostCells`: of all failures, of those that arose here.
  package var successRates: (all: SuccessRates, localOrigin: SuccessRates) {
    state.withLock { ($0.detector.lastRates, $0.detector.lastLocalOriginRates) }
  }

  /// Calls `body` with the levels of this moment; whoever is called last has the newest, however many threads eject at once.
  package func publishLevels(_ body: (Levels) -> Void) {
    state.withLock { state in
      var levels = Levels()
      levels.ejected = state.detector.ejectedCount
      for entry in state.entries where !state.detector.isEjected(entry.number) {
        switch entry.availability {
        case .healthy: levels.healthy += 1
        case .degraded: levels.degraded += 1
        default: break
        }
      }
      body(levels)
    }
  }

  /// Takes the cluster's hosts, by address; those already known keep their state, those that left are forgotten when nobody holds their block.
  /// `availability` is what is said of them elsewhere; healthy where it says nothing. *Cost*: cold path.
  package func setHosts(_ addresses: [String], availability: [HostAvailability] = []) -> [Block] {
    state.withLock { state in
      let wanted = Set(addresses)
      for (address, block) in state.blocks where !wanted.contains(address) {
        state.detector.remove(block.number)
        state.blocks[address] = nil
        state.names[block.number] = nil
      }
      let list = addresses.map { address in
        if let block = state.blocks[address] { return block }
        let block = Block(number: state.nextNumber)
        state.nextNumber &+= 1
        state.blocks[address] = block
        state.names[block.number] = address
        state.detector.add(block.number)
        return block
      }
      state.entries = list.enumerated().map { i, block in
        (block.number, i < availability.count ? availability[i] : .healthy)
      }
      return list
    }
  }

  /// Records an attempt; call it from the worker. A non-nil result is an ejection or one that did not happen.
  /// *Cost*: two or three atomic additions; the lock only when a run of failures is complete.
  package func record(_ host: HostCells, _ outcome: UpstreamOutcome, now: MonotonicInstant) -> Event? {
    let cells = unsafe host.cells
    let split = settings.splitExternalLocalOriginErrors
    if outcome == .localFailure, split {
      _ = unsafe weft_fetch_add(cells + Cell.localTotal, 1)
      return unsafe advance(
        host, cells + Cell.runLocal, settings.consecutiveLocalOriginFailure, .consecutiveLocalOriginFailure, now)
    }
    if split {
      _ = unsafe weft_fetch_add(cells + Cell.localTotal, 1)
      _ = unsafe weft_fetch_add(cells + Cell.localSuccesses, 1)
      unsafe weft_store(cells + Cell.runLocal, 0)
    }
    _ = unsafe weft_fetch_add(cells + Cell.total, 1)
    if outcome == .success {
      _ = unsafe weft_fetch_add(cells + Cell.successes, 1)
      if unsafe weft_load(cells + Cell.run5xx) != 0 { unsafe weft_store(cells + Cell.run5xx, 0) }
      if unsafe weft_load(cells + Cell.runGateway) != 0 { unsafe weft_store(cells + Cell.runGateway, 0) }
      return nil
    }
    var event: Event?
    if outcome == .serverError {
      unsafe weft_store(cells + Cell.runGateway, 0)
    } else {
      event = unsafe advance(
        host, cells + Cell.runGateway, settings.consecutiveGatewayFailure, .consecutiveGatewayFailure, now)
    }
    let second = unsafe advance(host, cells + Cell.run5xx, settings.consecutive5xx, .consecutive5xx, now)
    guard let second else { return event }
    if case .eject = event?.verdict { return event }
    return second
  }

  private func advance(
    _ host: HostCells, _ cell: UnsafeMutablePointer<UInt64>, _ limit: UInt32, _ rule: OutlierRule,
    _ now: MonotonicInstant
  ) -> Event? {
    guard limit > 0 else { return nil }
    guard unsafe weft_fetch_add(cell, 1) &+ 1 >= UInt64(limit) else { return nil }
    unsafe weft_store(cell, 0)
    let verdict = state.withLock { state in
      let verdict = state.detector.suspect(host.number, rule, now: now, random: &state.random)
      if case .eject = verdict { unsafe publish(host.cells, true) }
      say(rule, verdict, host.number, now, state)
      return verdict
    }
    return Event(rule: rule, verdict: verdict)
  }

  /// Tells of a suspicion, unless nothing comes of it because enough hosts are out, or this one.
  private func say(
    _ rule: OutlierRule, _ verdict: OutlierDetector.Verdict, _ host: UInt32, _ now: MonotonicInstant, _ state: State,
    _ rates: OutlierEvent.Rates? = nil
  ) {
    guard let tell, let name = state.names[host], let history = state.detector.history(host) else { return }
    let enforced: Bool
    switch verdict {
    case .eject: enforced = true
    case .detectedOnly: enforced = false
    case .overflow, .alreadyEjected: return
    }
    tell(
      OutlierEvent(
        .ejected(rule, enforced: enforced), cluster: cluster, host: name, ejections: history.ejections,
        sinceLastAction: history.returnedAt.map { now - $0 }, rates: rates))
  }

  private func sayReturn(_ host: UInt32, _ now: MonotonicInstant, _ state: State) {
    guard let tell, let name = state.names[host], let history = state.detector.history(host) else { return }
    tell(
      OutlierEvent(
        .takenBack, cluster: cluster, host: name, ejections: history.ejections,
        sinceLastAction: history.ejectedAt.map { now - $0 }))
  }

  private func publish(_ cells: UnsafeMutablePointer<UInt64>, _ ejected: Bool) {
    unsafe weft_store(cells + Cell.ejected, ejected ? 1 : 0)
    if !ejected {
      unsafe weft_store(cells + Cell.run5xx, 0)
      unsafe weft_store(cells + Cell.runGateway, 0)
      unsafe weft_store(cells + Cell.runLocal, 0)
    }
    _ = unsafe weft_fetch_add(versionCell, 1)
  }

  /// Call once per `settings.interval`, from any one thread.
  package func endInterval(now: MonotonicInstant) -> [Event] {
    state.withLock { state in
      var byNumber: [UInt32: Block] = [:]
      for block in state.blocks.values {
        byNumber[block.number] = block
        let cells = unsafe block.cells
        state.detector.addResults(
          block.number, successes: unsafe take(cells + Cell.successes), total: unsafe take(cells + Cell.total),
          localSuccesses: unsafe take(cells + Cell.localSuccesses), localTotal: unsafe take(cells + Cell.localTotal))
      }
      let outcome = state.detector.endInterval(now: now, random: &state.random)
      for block in outcome.unejected.compactMap({ byNumber[$0] }) { unsafe publish(block.cells, false) }
      for block in outcome.ejected.compactMap({ byNumber[$0] }) { unsafe publish(block.cells, true) }
      for host in outcome.unejected { sayReturn(host, now, state) }
      for found in outcome.detected { say(found.rule, found.verdict, found.host, now, state, found.rates) }
      return outcome.detected.map { Event(rule: $0.rule, verdict: $0.verdict) }
    }
  }

  private func take(_ cell: UnsafeMutablePointer<UInt64>) -> UInt64 {
    let value = unsafe weft_load(cell)
    _ = unsafe weft_fetch_add(cell, 0 &- value)
    return value
  }
}

/// A monitor as workers see it for every attempt.
///
/// *Cost*: one pointer; calls through it count no references.
///
/// Why sound: the compiled cluster it was made from owns the monitor, and whoever holds the handle keeps that cluster's snapshot.
@safe
package struct OutlierHandle: BitwiseCopyable {
  private let monitor: Unmanaged<OutlierMonitor>

  package init(_ monitor: OutlierMonitor) { unsafe self.monitor = .passUnretained(monitor) }

  /// `OutlierMonitor.version`.
  package var version: UInt64 { unsafe monitor._withUnsafeGuaranteedRef { $0.version } }

  /// `OutlierMonitor.publishLevels`.
  package func publishLevels(_ body: (OutlierMonitor.Levels) -> Void) {
    unsafe monitor._withUnsafeGuaranteedRef { $0.publishLevels(body) }
  }

  /// `OutlierMonitor.record`.
  package func record(
    _ host: OutlierMonitor.HostCells, _ outcome: UpstreamOutcome, now: MonotonicInstant
  ) -> OutlierMonitor.Event? {
    unsafe monitor._withUnsafeGuaranteedRef { $0.record(host, outcome, now: now) }
  }
}
