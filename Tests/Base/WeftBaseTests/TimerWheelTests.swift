import Testing
import WeftBase

/// The test macros cannot hold noncopyable values; a class can.
private final class Wheel {
  let wheel: TimerWheel
  init(now: MonotonicInstant) { wheel = TimerWheel(now: now, maximum: 100_000) }

  var nextDeadline: MonotonicInstant? { wheel.nextDeadline }
  var count: Int { wheel.count }
  func schedule(_ deadline: MonotonicInstant, _ token: UInt64) -> TimerID { wheel.schedule(at: deadline, token: token) }
  func cancel(_ id: TimerID) -> Bool { wheel.cancel(id) }
  func fire(at now: MonotonicInstant) -> [UInt64] {
    wheel.advance(to: now)
    var tokens: [UInt64] = []
    while let token = wheel.popDue() { tokens.append(token) }
    return tokens
  }
}

@Suite("timer wheel")
struct TimerWheelTests {
  /// Longest a timer may be late by the wheel's own grain.
  private let tick = Duration.nanoseconds(1 << 20)

  @Test(
    "a timer fires at its deadline, never before, at most one tick after",
    arguments: [0, 1, 3_600_000, 86_400_000, 20 * 86_400_000] as [Int64],
    [0, 1, 2, 63, 64, 65, 66, 67, 127, 4_095, 4_096, 4_300, 262_143, 262_145, 16_777_300, 1_400_000_000] as [Int64])
  func deadlines(_ startMilliseconds: Int64, _ delayMilliseconds: Int64) throws {
    let start = MonotonicInstant(nanoseconds: 12_345_678) + .milliseconds(startMilliseconds)
    let wheel = Wheel(now: start)
    let deadline = start + .milliseconds(delayMilliseconds)
    _ = wheel.schedule(deadline, 7)
    // Follow the wheel's own wishes, as a loop does.
    var now = start
    var wakes = 0
    while wheel.count > 0 {
      let next = try #require(wheel.nextDeadline)
      #expect(next <= deadline + tick, "the wheel would sleep past the deadline")
      now = max(now, next)
      let fired = wheel.fire(at: now)
      if !fired.isEmpty {
        #expect(fired == [7])
        #expect(now >= deadline)
        #expect(now <= deadline + tick)
      }
      wakes += 1
      try #require(wakes < 100)
    }
    #expect(wheel.nextDeadline == nil)
  }

  @Test("many timers, cancelled and fired at random, agree with a sorted list", arguments: 1...6 as ClosedRange<UInt64>)
  func property(_ seed: UInt64) {
    var random = RandomSource(seed: seed)
    var now = MonotonicInstant(nanoseconds: UInt64(random.next(below: 1 << 40)))
    let wheel = Wheel(now: now)
    var armed: [UInt64: (id: TimerID, deadline: MonotonicInstant)] = [:]
    var token: UInt64 = 0
    for _ in 0..<4_000 {
      switch random.next(below: 10) {
      case 0...5:
        let span = [1 << 20, 1 << 26, 1 << 30, 1 << 34, 1 << 41][random.next(below: 5)]
        let deadline = now.advanced(nanoseconds: Int64(random.next(below: span)))
        token += 1
        armed[token] = (wheel.schedule(deadline, token), deadline)
      case 6, 7:
        if let victim = armed.keys.sorted().randomElement(using: &random), let entry = armed.removeValue(forKey: victim)
        {
          #expect(wheel.cancel(entry.id))
          #expect(!wheel.cancel(entry.id))
        }
      default:
        let jump = [1 << 19, 1 << 24, 1 << 30, 1 << 36][random.next(below: 4)]
        now = now.advanced(nanoseconds: Int64(random.next(below: jump)))
        var last: MonotonicInstant?
        for fired in wheel.fire(at: now) {
          guard let entry = armed.removeValue(forKey: fired) else {
            Issue.record("timer \(fired) fired though it was not armed (seed \(seed))")
            continue
          }
          #expect(entry.deadline <= now, "early, seed \(seed)")
          if let last { #expect(entry.deadline + tick >= last, "out of order, seed \(seed)") }
          last = max(last ?? entry.deadline, entry.deadline)
        }
        for (token, entry) in armed where entry.deadline + tick <= now {
          Issue.record("timer \(token) is overdue (seed \(seed))")
        }
      }
      #expect(wheel.count == armed.count)
      if let next = wheel.nextDeadline, let first = armed.values.map(\.deadline).min() { #expect(next <= first + tick) }
    }
  }

  @Test("a due timer that is cancelled before its turn does not fire")
  func cancelDue() {
    let start = MonotonicInstant(nanoseconds: 0)
    let wheel = Wheel(now: start)
    let id = wheel.schedule(start + .milliseconds(5), 1)
    _ = wheel.schedule(start + .milliseconds(5), 2)
    wheel.wheel.advance(to: start + .milliseconds(10))
    #expect(wheel.cancel(id))
    let first = wheel.wheel.popDue()
    let second = wheel.wheel.popDue()
    #expect(first == 2)
    #expect(second == nil)
  }

  @Test("a full wheel refuses and stays sound")
  func full() {
    let wheel = TimerWheel(now: .zero, maximum: 2)
    let ids = (0..<3).map { wheel.schedule(at: .zero + .seconds(1), token: $0) }
    #expect(!ids[1].isNone)
    #expect(ids[2].isNone)
  }
}
