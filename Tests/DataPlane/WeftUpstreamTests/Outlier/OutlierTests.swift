import Testing
import WeftBase
import WeftModel
import WeftUpstream

@Suite("outlier detection")
struct OutlierTests {
  static func at(_ seconds: Int64) -> MonotonicInstant { MonotonicInstant.zero + .seconds(seconds) }

  static func detector(_ hosts: Int, _ change: (inout OutlierDetection) -> Void = { _ in }) -> OutlierDetector {
    var settings = OutlierDetection()
    change(&settings)
    var detector = OutlierDetector(settings)
    for host in 0..<hosts { detector.add(UInt32(host)) }
    return detector
  }

  @Test("a small cluster may lose one host, a cluster of one none")
  func smallClusters() {
    var random = RandomSource(seed: 1)
    var two = Self.detector(2)
    #expect(two.suspect(0, .consecutive5xx, now: Self.at(0), random: &random) == .eject(until: Self.at(30)))
    #expect(two.suspect(1, .consecutive5xx, now: Self.at(0), random: &random) == .overflow)
    var one = Self.detector(1)
    #expect(one.suspect(0, .consecutive5xx, now: Self.at(0), random: &random) == .overflow)
    var strict = Self.detector(9) { $0.alwaysEjectOneHost = false }
    #expect(strict.suspect(0, .consecutive5xx, now: Self.at(0), random: &random) == .overflow)
    var ten = Self.detector(10) { $0.alwaysEjectOneHost = false }
    #expect(ten.suspect(0, .consecutive5xx, now: Self.at(0), random: &random) == .eject(until: Self.at(30)))
  }

  @Test("ejection time grows with each ejection, shrinks with quiet intervals, and is capped")
  func backoff() {
    var random = RandomSource(seed: 2)
    var detector = Self.detector(4) { $0.maxEjectionTime = .seconds(70) }
    var now: Int64 = 0
    for expected in [30, 60, 70, 70] as [Int64] {
      #expect(
        detector.suspect(0, .consecutive5xx, now: Self.at(now), random: &random)
          == .eject(until: Self.at(now + expected)))
      #expect(detector.endInterval(now: Self.at(now + expected - 1), random: &random).unejected == [])
      now += expected
      #expect(detector.endInterval(now: Self.at(now), random: &random).unejected == [0])
      #expect(!detector.isEjected(0) && detector.ejectedCount == 0)
    }
    for _ in 0..<5 { _ = detector.endInterval(now: Self.at(now), random: &random) }
    #expect(
      detector.suspect(0, .consecutive5xx, now: Self.at(now), random: &random) == .eject(until: Self.at(now + 30)))
  }

  @Test("rules that are not enforced only tell")
  func notEnforced() {
    var random = RandomSource(seed: 3)
    var detector = Self.detector(4)
    #expect(detector.suspect(0, .consecutiveGatewayFailure, now: Self.at(0), random: &random) == .detectedOnly)
    #expect(detector.ejectedCount == 0)
  }

  @Test("success rate ejects the host far below the mean")
  func successRate() {
    var random = RandomSource(seed: 4)
    var detector = Self.detector(6) { $0.maxEjectionPercent = 50 }
    for host in 0..<5 as Range<UInt32> { detector.addResults(host, successes: 99, total: 100) }
    detector.addResults(5, successes: 20, total: 100)
    #expect(detector.endInterval(now: Self.at(10), random: &random).ejected == [5])
    // Too little traffic says nothing.
    detector.addResults(0, successes: 0, total: 99)
    #expect(detector.endInterval(now: Self.at(20), random: &random).ejected == [])
  }

  @Test("failure percentage looks at each host alone")
  func failurePercentage() {
    var random = RandomSource(seed: 5)
    var detector = Self.detector(5) {
      $0.enforcingSuccessRate = 0
      $0.enforcingFailurePercentage = 100
      $0.maxEjectionPercent = 40
    }
    for host in 0..<5 as Range<UInt32> { detector.addResults(host, successes: host == 2 ? 7 : 8, total: 50) }
    // 86 % failed against 84 %.
    #expect(detector.endInterval(now: Self.at(10), random: &random).ejected == [2])
  }

  @Test("the monitor ejects after a run of failures that a success breaks")
  func monitorRuns() {
    let monitor = OutlierMonitor(OutlierDetection(), random: RandomSource(seed: 6))
    let hosts = monitor.setHosts(["a", "b"]).map(\.host)
    for _ in 0..<4 { #expect(monitor.record(hosts[0], .serverError, now: Self.at(0)) == nil) }
    #expect(monitor.record(hosts[0], .success, now: Self.at(0)) == nil)
    for _ in 0..<4 { #expect(monitor.record(hosts[0], .localFailure, now: Self.at(0))?.verdict == nil) }
    let before = monitor.version
    let event = monitor.record(hosts[0], .serverError, now: Self.at(0))
    #expect(event?.rule == .consecutive5xx && event?.verdict == .eject(until: Self.at(30)))
    #expect(hosts[0].isEjected && !hosts[1].isEjected && monitor.version != before)
    _ = monitor.endInterval(now: Self.at(31))
    #expect(!hosts[0].isEjected && monitor.ejectedCount == 0)
  }

  @Test("split errors count failures to connect apart from answers")
  func split() {
    var settings = OutlierDetection()
    settings.splitExternalLocalOriginErrors = true
    settings.consecutiveLocalOriginFailure = 2
    let monitor = OutlierMonitor(settings, random: RandomSource(seed: 7))
    let hosts = monitor.setHosts(["a", "b"]).map(\.host)
    #expect(monitor.record(hosts[0], .localFailure, now: Self.at(0)) == nil)
    #expect(monitor.record(hosts[0], .localFailure, now: Self.at(0))?.rule == .consecutiveLocalOriginFailure)
    #expect(hosts[0].isEjected)
  }

  @Test("hosts keep their state while others come and go, and lose it when they leave")
  func membership() {
    let monitor = OutlierMonitor(OutlierDetection(), random: RandomSource(seed: 8))
    let first = monitor.setHosts(["a", "b"]).map(\.host)
    for _ in 0..<5 { _ = monitor.record(first[0], .serverError, now: Self.at(0)) }
    let second = monitor.setHosts(["c", "a"]).map(\.host)
    #expect(second[1].isEjected && second[1].number == first[0].number)
    _ = monitor.setHosts(["c"])
    #expect(monitor.ejectedCount == 0)
    #expect(!monitor.setHosts(["a", "c"])[0].host.isEjected)
  }

  @Test("a host that left is forgotten with its last user, and its late results strike nobody")
  func departure() {
    var settings = OutlierDetection()
    settings.consecutive5xx = 1
    let monitor = OutlierMonitor(settings, random: RandomSource(seed: 9))
    var user: OutlierMonitor.Block? = monitor.setHosts(["old", "b"])[0]
    weak let left = user
    for i in 0..<1000 { _ = monitor.setHosts(["host \(i)", "b"]) }
    #expect(left != nil && left?.number == 0)
    if let user { #expect(monitor.record(user.host, .serverError, now: Self.at(0))?.verdict == .detectedOnly) }
    #expect(monitor.ejectedCount == 0)
    user = nil
    #expect(left == nil)
  }

  @Test("levels count what is said of hosts elsewhere, and leave out who is ejected")
  func levels() {
    var settings = OutlierDetection()
    settings.consecutive5xx = 1
    settings.maxEjectionPercent = 100
    let monitor = OutlierMonitor(settings, random: RandomSource(seed: 10))
    let hosts = monitor.setHosts(
      ["a", "b", "c", "d"], availability: [.healthy, .healthy, .degraded, .unhealthy])
    func levels() -> [Int] {
      var list: [Int] = []
      monitor.publishLevels { list = [$0.healthy, $0.degraded, $0.ejected] }
      return list
    }
    #expect(levels() == [2, 1, 0])
    _ = monitor.record(hosts[0].host, .serverError, now: Self.at(0))
    _ = monitor.record(hosts[2].host, .serverError, now: Self.at(0))
    #expect(levels() == [1, 0, 2])
    _ = monitor.endInterval(now: Self.at(31))
    #expect(levels() == [2, 1, 0])
  }
}
