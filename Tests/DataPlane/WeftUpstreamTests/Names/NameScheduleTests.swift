import Testing
import WeftBase
import WeftModel
import WeftRuntime

@testable import WeftUpstream

@Suite("names of DNS clusters")
struct NameScheduleTests {
  static func cluster(_ discovery: Cluster.Discovery = .strictDNS, _ hosts: [String] = ["db.mesh"]) -> Cluster {
    var cluster = Cluster(name: "c", discovery: discovery)
    var group = LocalityEndpoints()
    group.endpoints = hosts.map { Endpoint(address: .socket(host: $0, port: 80)) }
    cluster.loadAssignment.localities = [group]
    return cluster
  }

  static func second(_ n: Double) -> MonotonicInstant { MonotonicInstant(nanoseconds: UInt64(n * 1e9)) }

  @Test("only names of DNS clusters are looked up, each once")
  func lookups() {
    #expect(
      Self.cluster(.strictDNS, ["a", "b", "a", "10.0.0.1", "::1"]).nameLookups.map(\.question.name).sorted() == [
        "a", "b",
      ])
    #expect(Self.cluster(.fixed, ["a"]).nameLookups.isEmpty)
    var v4 = Self.cluster()
    v4.dnsFamily = .v4Only
    #expect(v4.nameLookups.first?.question == DNSQuestion("db.mesh", .ipv4))
  }

  @Test(
    "a question waits for the refresh rate, or for the time to live where that counts",
    arguments: [(false, 60, 5.0), (true, 60, 60.0), (true, 0, 5.0)])
  func paces(respects: Bool, timeToLive: Int, wait: Double) {
    var cluster = Self.cluster()
    cluster.respectDNSTTL = respects
    var schedule = NameSchedule()
    schedule.want(cluster.nameLookups, now: Self.second(1))
    #expect(schedule.awaitsFirstAnswers)
    let due = schedule.begin(now: Self.second(1))
    let again = schedule.begin(now: Self.second(1))
    #expect(due.count == 1 && again.isEmpty && schedule.nextDue == nil)
    let isWanted = schedule.ended(due[0], timeToLive: .seconds(timeToLive), now: Self.second(2), draw: 0)
    #expect(isWanted)
    #expect(!schedule.awaitsFirstAnswers)
    #expect(schedule.nextDue == Self.second(2 + wait))
  }

  @Test("failures are followed up after a part of a growing interval, which a success makes short again")
  func failures() {
    var cluster = Self.cluster()
    cluster.dnsFailureRefreshBase = .seconds(1)
    cluster.dnsFailureRefreshMax = .seconds(6)
    var schedule = NameSchedule()
    schedule.want(cluster.nameLookups, now: .zero)
    let lookup = schedule.begin(now: .zero)[0]
    // The draw is one less than each interval: the longest wait there can be.
    for most in [1, 2, 4, 6, 6] as [UInt64] {
      _ = schedule.ended(lookup, timeToLive: nil, now: .zero, draw: most * 1_000_000_000 - 1)
      #expect(schedule.nextDue == MonotonicInstant(nanoseconds: most * 1_000_000_000 - 1))
      let due = schedule.begin(now: Self.second(10))
      #expect(due == [lookup])
    }
    _ = schedule.ended(lookup, timeToLive: .zero, now: .zero, draw: 0)
    #expect(schedule.nextDue == Self.second(5))
    _ = schedule.begin(now: Self.second(5))
    _ = schedule.ended(lookup, timeToLive: nil, now: .zero, draw: 999_999_999)
    #expect(schedule.nextDue == MonotonicInstant(nanoseconds: 999_999_999))
    _ = schedule.begin(now: Self.second(5))
    _ = schedule.ended(lookup, timeToLive: nil, now: .zero, draw: 0)
    #expect(schedule.nextDue == MonotonicInstant(nanoseconds: 1_000_000), "never at once")
  }

  @Test("an answer that nobody wants any more is told so")
  func forgotten() {
    var schedule = NameSchedule()
    schedule.want(Self.cluster().nameLookups, now: .zero)
    let lookup = schedule.begin(now: .zero)[0]
    schedule.want([], now: .zero)
    let isWanted = schedule.ended(lookup, timeToLive: .zero, now: .zero, draw: 0)
    #expect(!isWanted)
    #expect(schedule.nextDue == nil && !schedule.awaitsFirstAnswers)
  }

  static let four = IPAddress(v4: 0x0a00_0001)
  static let otherFour = IPAddress(v4: 0x0a00_0002)
  static let six = IPAddress("fd00::1")!

  @Test(
    "a cluster takes the addresses of its family; one logical host takes the first",
    arguments: [
      (Cluster.DNSFamily.auto, [six], six), (.v4Preferred, [four, otherFour], otherFour),
      (.all, [four, otherFour, six], otherFour),
    ])
  func families(family: Cluster.DNSFamily, all: [IPAddress], first: IPAddress) {
    let answer = [Self.otherFour, Self.four, Self.six]
    var strict = Self.cluster()
    strict.dnsFamily = family
    #expect(Set(strict.addresses(from: answer)) == Set(all))
    #expect(strict.addresses(from: answer) == strict.addresses(from: answer.reversed()))
    var logical = Self.cluster(.logicalDNS)
    logical.dnsFamily = family
    #expect(logical.addresses(from: answer) == [first])
    #expect(logical.addresses(from: []) == [])
  }
}
