import Synchronization
import Testing
import WeftBase
import WeftModel

@testable import WeftUpstream

@Suite("events of ejections")
struct OutlierEventTests {
  private final class Heard: Sendable {
    private let list = Mutex<[OutlierEvent]>([])
    func take() -> [OutlierEvent] {
      list.withLock { events in
        defer { events = [] }
        return events
      }
    }
    var tell: @Sendable (OutlierEvent) -> Void { { event in self.list.withLock { $0.append(event) } } }
  }

  private static func at(_ seconds: UInt64) -> MonotonicInstant {
    MonotonicInstant(nanoseconds: seconds * 1_000_000_000)
  }

  @Test("an ejection and its end are told with the host's history, and a rule that is not enforced without")
  func history() {
    var settings = OutlierDetection()
    settings.consecutive5xx = 2
    settings.consecutiveGatewayFailure = 2
    settings.enforcingConsecutiveGatewayFailure = 0
    settings.maxEjectionPercent = 100
    let heard = Heard()
    let monitor = OutlierMonitor(settings, random: RandomSource(seed: 1), cluster: "c", tell: heard.tell)
    let blocks = monitor.setHosts(["a:1", "b:1"])
    func fail() { for _ in 0..<2 { _ = monitor.record(blocks[0].host, .gatewayError, now: Self.at(10)) } }
    fail()
    #expect(
      heard.take() == [
        OutlierEvent(
          .ejected(.consecutiveGatewayFailure, enforced: false), cluster: "c", host: "a:1", ejections: 0),
        OutlierEvent(.ejected(.consecutive5xx, enforced: true), cluster: "c", host: "a:1", ejections: 1),
      ])
    // Out already: nothing comes of it.
    fail()
    #expect(heard.take().isEmpty)
    _ = monitor.endInterval(now: Self.at(39))
    #expect(heard.take().isEmpty)
    _ = monitor.endInterval(now: Self.at(41))
    #expect(
      heard.take() == [
        OutlierEvent(.takenBack, cluster: "c", host: "a:1", ejections: 1, sinceLastAction: .seconds(31))
      ])
    for _ in 0..<2 { _ = monitor.record(blocks[0].host, .serverError, now: Self.at(45)) }
    #expect(
      heard.take() == [
        OutlierEvent(
          .ejected(.consecutive5xx, enforced: true), cluster: "c", host: "a:1", ejections: 2,
          sinceLastAction: .seconds(4))
      ])
  }

  @Test("rules that compare hosts tell what they saw")
  func rates() {
    var settings = OutlierDetection()
    settings.consecutive5xx = 0
    settings.consecutiveGatewayFailure = 0
    settings.successRateMinimumHosts = 2
    settings.successRateRequestVolume = 10
    settings.successRateStdevFactor = 500
    settings.maxEjectionPercent = 100
    let heard = Heard()
    let monitor = OutlierMonitor(settings, random: RandomSource(seed: 1), cluster: "c", tell: heard.tell)
    let blocks = monitor.setHosts(["a:1", "b:1"])
    for i in 0..<10 {
      _ = monitor.record(blocks[0].host, i < 5 ? .success : .serverError, now: Self.at(1))
      _ = monitor.record(blocks[1].host, .success, now: Self.at(1))
    }
    _ = monitor.endInterval(now: Self.at(10))
    let events = heard.take()
    #expect(events.count == 1 && events.first?.host == "a:1")
    #expect(events.first?.action == .ejected(.successRate, enforced: true))
    #expect(events.first?.rates == OutlierEvent.Rates(host: 50, average: 75, threshold: 62.5))
  }

  @Test("a host that may not be ejected, because too many are out, is not told of")
  func overflow() {
    var settings = OutlierDetection()
    settings.consecutive5xx = 1
    settings.maxEjectionPercent = 0
    let heard = Heard()
    let monitor = OutlierMonitor(settings, random: RandomSource(seed: 1), cluster: "c", tell: heard.tell)
    let blocks = monitor.setHosts(["a:1", "b:1"])
    let event = monitor.record(blocks[0].host, .serverError, now: Self.at(1))
    #expect(event?.verdict == .overflow && heard.take().isEmpty)
  }
}
