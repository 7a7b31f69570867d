package import WeftBase
package import WeftModel

/// Why a host looks like an outlier.
package enum OutlierRule: UInt8, CaseIterable, BitwiseCopyable, Sendable {
  case consecutive5xx, consecutiveGatewayFailure, consecutiveLocalOriginFailure, successRate, localOriginSuccessRate
  case failurePercentage
}

/// Decides which hosts of a cluster are left out, and for how long. A pure state machine: time and randomness are
/// passed in.
///
/// Hosts are numbered by whoever owns it; a number is free again after `remove`.
package struct OutlierDetector: Sendable {
  struct HostState: Sendable {
    var isEjected = false
    var ejectedAt = MonotonicInstant.zero
    var ejectedFor: UInt64 = 0
    /// Multiplies the base ejection time; grows with each ejection and shrinks with each quiet interval.
    var backoff: UInt32 = 0
    var ejections: UInt32 = 0
    /// When it was last taken back; nil: never.
    var returnedAt: MonotonicInstant?
    // Of the interval in progress.
    var successes: UInt64 = 0
    var total: UInt64 = 0
    var localSuccesses: UInt64 = 0
    var localTotal: UInt64 = 0
  }

  /// What became of a suspicion.
  package enum Verdict: Sendable, Equatable {
    case eject(until: MonotonicInstant)
    /// The rule is not enforced, or not for this draw.
    case detectedOnly
    /// Too many hosts are out already.
    case overflow
    case alreadyEjected
  }

  package var settings: OutlierDetection
  private var hosts: [UInt32: HostState] = [:]
  package private(set) var ejectedCount = 0

  /// What the last interval's comparisons of success rates saw, for whoever asks.
  package private(set) var lastRates = SuccessRates()
  package private(set) var lastLocalOriginRates = SuccessRates()

  package init(_ settings: OutlierDetection) { self.settings = settings }

  package var hostCount: Int { hosts.count }
  package mutating func add(_ host: UInt32) { if hosts[host] == nil { hosts[host] = HostState() } }

  package mutating func remove(_ host: UInt32) {
    if let state = hosts.removeValue(forKey: host), state.isEjected { ejectedCount -= 1 }
  }

  package func isEjected(_ host: UInt32) -> Bool { hosts[host]?.isEjected ?? false }

  /// How often a host was ejected, when it was last, and when it was last taken back; nil: never.
  package func history(
    _ host: UInt32
  ) -> (ejections: UInt32, ejectedAt: MonotonicInstant?, returnedAt: MonotonicInstant?)? {
    hosts[host].map { ($0.ejections, $0.ejections > 0 ? $0.ejectedAt : nil, $0.returnedAt) }
  }

  /// Adds an interval's results, for the rules that compare hosts.
  package mutating func addResults(
    _ host: UInt32, successes: UInt64, total: UInt64, localSuccesses: UInt64 = 0, localTotal: UInt64 = 0
  ) {
    guard hosts[host] != nil else { return }
    hosts[host]?.successes += successes
    hosts[host]?.total += total
    hosts[host]?.localSuccesses += localSuccesses
    hosts[host]?.localTotal += localTotal
  }

  /// A rule was broken: may the host be ejected?
  package mutating func suspect(
    _ host: UInt32, _ rule: OutlierRule, now: MonotonicInstant, random: inout RandomSource
  ) -> Verdict {
    guard let state = hosts[host] else { return .detectedOnly }
    if state.isEjected { return .alreadyEjected }
    guard isEnforced(rule, &random) else { return .detectedOnly }
    guard mayEjectOneMore else { return .overflow }
    return .eject(until: eject(host, state, now, &random))
  }

  private func isEnforced(_ rule: OutlierRule, _ random: inout RandomSource) -> Bool {
    let percent =
      switch rule {
      case .consecutive5xx: settings.enforcingConsecutive5xx
      case .consecutiveGatewayFailure: settings.enforcingConsecutiveGatewayFailure
      case .consecutiveLocalOriginFailure: settings.enforcingConsecutiveLocalOriginFailure
      case .successRate: settings.enforcingSuccessRate
      case .localOriginSuccessRate: settings.enforcingLocalOriginSuccessRate
      case .failurePercentage: settings.enforcingFailurePercentage
      }
    return percent >= 100 || random.next(below: 100) < Int(percent)
  }

  private var mayEjectOneMore: Bool {
    if 100 * (ejectedCount + 1) <= Int(settings.maxEjectionPercent) * hosts.count { return true }
    // A cluster of one has nobody else: ejecting its host would help no request.
    return settings.alwaysEjectOneHost && ejectedCount == 0 && hosts.count > 1 && settings.maxEjectionPercent > 0
  }

  private mutating func eject(
    _ host: UInt32, _ known: HostState, _ now: MonotonicInstant, _ random: inout RandomSource
  ) -> MonotonicInstant {
    var state = known
    state.backoff += 1
    let base = UInt64(max(0, settings.baseEjectionTime.nanoseconds))
    let cap = max(base, UInt64(max(0, settings.maxEjectionTime.nanoseconds)))
    let (product, overflow) = base.multipliedReportingOverflow(by: UInt64(state.backoff))
    let time = overflow ? cap : min(product, cap)
    // At the cap a larger factor only makes the way back longer.
    if time == cap, base > 0 { state.backoff = min(state.backoff, UInt32(clamping: (cap + base - 1) / base)) }
    let jitter = UInt64(max(0, settings.maxEjectionTimeJitter.nanoseconds))
    state.ejectedFor = time + (jitter > 0 ? random.next() % (jitter + 1) : 0)
    state.isEjected = true
    state.ejections &+= 1
    state.ejectedAt = now
    hosts[host] = state
    ejectedCount += 1
    return now.advanced(nanoseconds: Int64(clamping: state.ejectedFor))
  }

  /// What the end of an interval brings.
  package struct IntervalOutcome: Sendable, Equatable {
    package var unejected: [UInt32] = []
    package var ejected: [UInt32] = []
    /// Suspicions, enforced or not, for the statistics.
    package var detected: [(host: UInt32, rule: OutlierRule, verdict: Verdict, rates: OutlierEvent.Rates)] = []
    package static func == (a: IntervalOutcome, b: IntervalOutcome) -> Bool {
      a.unejected == b.unejected && a.ejected == b.ejected && a.detected.map(\.host) == b.detected.map(\.host)
    }
  }

  /// Call once per `settings.interval`: takes hosts back whose time is over, lets factors decay, compares hosts.
  package mutating func endInterval(now: MonotonicInstant, random: inout RandomSource) -> IntervalOutcome {
    var outcome = IntervalOutcome()
    for (number, state) in hosts.sorted(by: { $0.key < $1.key }) {
      if state.isEjected {
        if now >= state.ejectedAt.advanced(nanoseconds: Int64(clamping: state.ejectedFor)) {
          takeBack(number, now: now)
          outcome.unejected.append(number)
        }
      } else if state.backoff > 0 {
        hosts[number]?.backoff -= 1
      }
    }
    lastRates = SuccessRates()
    lastLocalOriginRates = SuccessRates()
    let enough: (HostState) -> Bool = { [settings] in $0.total >= UInt64(settings.successRateRequestVolume) }
    compare(
      .successRate, volume: enough, rate: { Double($0.successes) * 100 / Double(max(1, $0.total)) }, now, &random,
      &outcome)
    if settings.splitExternalLocalOriginErrors {
      compare(
        .localOriginSuccessRate, volume: { [settings] in $0.localTotal >= UInt64(settings.successRateRequestVolume) },
        rate: { Double($0.localSuccesses) * 100 / Double(max(1, $0.localTotal)) }, now, &random, &outcome)
    }
    checkFailurePercentage(now, &random, &outcome)
    for number in hosts.keys {
      hosts[number]?.successes = 0
      hosts[number]?.total = 0
      hosts[number]?.localSuccesses = 0
      hosts[number]?.localTotal = 0
    }
    return outcome
  }

  /// Hosts below mean − factor × standard deviation.
  private mutating func compare(
    _ rule: OutlierRule, volume: (HostState) -> Bool, rate: (HostState) -> Double, _ now: MonotonicInstant,
    _ random: inout RandomSource, _ outcome: inout IntervalOutcome
  ) {
    let rates = hosts.filter { volume($0.value) && !$0.value.isEjected }
      .map { (host: $0.key, rate: rate($0.value)) }.sorted { $0.host < $1.host }
    var seen = SuccessRates()
    for (host, rate) in rates { seen.hosts[host] = rate }
    defer { if rule == .successRate { lastRates = seen } else { lastLocalOriginRates = seen } }
    guard !rates.isEmpty, rates.count >= Int(settings.successRateMinimumHosts) else { return }
    let mean = rates.reduce(0) { $0 + $1.rate } / Double(rates.count)
    let variance = rates.reduce(0) { $0 + ($1.rate - mean) * ($1.rate - mean) } / Double(rates.count)
    let threshold = mean - Double(settings.successRateStdevFactor) / 1000 * variance.squareRoot()
    (seen.average, seen.threshold) = (mean, threshold)
    for (host, rate) in rates where rate < threshold {
      let rates = OutlierEvent.Rates(host: rate, average: mean, threshold: threshold)
      note(host, rule, rates, now, &random, &outcome)
    }
  }

  private mutating func checkFailurePercentage(
    _ now: MonotonicInstant, _ random: inout RandomSource, _ outcome: inout IntervalOutcome
  ) {
    let counted = hosts.filter {
      $0.value.total >= UInt64(settings.failurePercentageRequestVolume) && $0.value.total > 0 && !$0.value.isEjected
    }
    guard !counted.isEmpty, counted.count >= Int(settings.failurePercentageMinimumHosts) else { return }
    for (host, state) in counted.sorted(by: { $0.key < $1.key }) {
      let failed = 100 - Double(state.successes) * 100 / Double(state.total)
      if failed >= Double(settings.failurePercentageThreshold) {
        note(host, .failurePercentage, OutlierEvent.Rates(host: 100 - failed), now, &random, &outcome)
      }
    }
  }

  private mutating func note(
    _ host: UInt32, _ rule: OutlierRule, _ rates: OutlierEvent.Rates, _ now: MonotonicInstant,
    _ random: inout RandomSource, _ outcome: inout IntervalOutcome
  ) {
    let verdict = suspect(host, rule, now: now, random: &random)
    outcome.detected.append((host, rule, verdict, rates))
    if case .eject = verdict { outcome.ejected.append(host) }
  }

  /// Takes a host back before its time: an active health check succeeded.
  package mutating func takeBack(_ host: UInt32, now: MonotonicInstant) {
    guard hosts[host]?.isEjected == true else { return }
    hosts[host]?.isEjected = false
    hosts[host]?.returnedAt = now
    ejectedCount -= 1
  }
}

/// The success rates of an interval, in percent.
package struct SuccessRates: Sendable, Equatable {
  /// Of the hosts that had enough requests.
  package var hosts: [UInt32: Double] = [:]
  /// Over those hosts, and the rate below which one is an outlier; nil when there were too few to compare.
  package var average: Double?
  package var threshold: Double?

  package init() {}
}
