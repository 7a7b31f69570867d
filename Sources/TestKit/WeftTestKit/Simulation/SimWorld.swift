// SimWorld: processes in one process. A network in memory, a clock that jumps, one source of chance, faults that come by a plan.

package import WeftBase
package import WeftRuntime

/// A world whose every choice follows from its seed.
///
/// It turns the loops of its processes in an order the seed decides, runs what is due at its time, and moves the clock to the next thing that
/// can happen when nobody has anything to do. What breaks a promise is noted by `fail`; the first notes are the interesting ones.
package final class SimWorld {
  /// A program of the world: a loop that can be suspended as SIGSTOP does.
  package final class Process {
    package let name: String
    package let loop: EventLoop
    fileprivate(set) var stalledUntil = MonotonicInstant.zero

    init(name: String, loop: EventLoop) {
      self.name = name
      self.loop = loop
    }
  }

  private static var roundsAtOneMoment: Int { 400_000 }

  private struct Plan {
    var at: MonotonicInstant
    var order: UInt64
    var body: () -> Void
  }

  package let seed: UInt64
  /// For everything the world decides; the network draws from its own.
  package var random: RandomSource
  package let network: MemoryNetwork
  package private(set) var processes: [Process] = []
  package private(set) var failures: [String] = []
  /// Called between rounds: the place to look at what must hold at every moment.
  package var betweenRounds: () -> Void = {}
  private var plans: [Plan] = []
  private var planned: UInt64 = 0
  private let tells = SimSeeds.isSingle

  package init(seed: UInt64, behaviour: MemoryBehaviour = MemoryBehaviour()) {
    self.seed = seed
    random = RandomSource(seed: RandomSource.mix(seed, 0x5eed))
    network = MemoryNetwork(seed: RandomSource.mix(seed, 0x4e7), behaviour: behaviour)
  }

  package var now: MonotonicInstant { network.time }
  /// Time since the world began.
  package var age: Duration { network.time - MonotonicInstant(nanoseconds: 1_000_000_000) }

  package func addProcess(_ name: String, limits: Limits = Limits()) -> Process {
    let loop = EventLoop(
      driver: MemoryDriver(network: network), limits: limits, seed: RandomSource.mix(seed, UInt64(processes.count)))
    let process = Process(name: name, loop: loop)
    processes.append(process)
    return process
  }

  /// Ends all processes. The world is over.
  package func end() {
    plans = []
    // It may know the world: thousands of them run in one process.
    betweenRounds = {}
    for process in processes { process.loop.shutdown() }
  }

  // MARK: Chance

  package func chance(_ numerator: Int, in denominator: Int) -> Bool { random.chance(numerator, in: denominator) }
  package func pick(_ range: ClosedRange<Int>) -> Int { range.lowerBound + random.next(below: range.count) }
  package func pick<Value>(_ values: [Value]) -> Value { values[random.next(below: values.count)] }
  package func milliseconds(_ range: ClosedRange<Int>) -> Duration { .microseconds(pick(range) * 1000 + pick(0...999)) }

  // MARK: Time

  /// Runs `body` when `delay` has passed.
  package func after(_ delay: Duration, _ body: @escaping () -> Void) {
    planned += 1
    let plan = Plan(at: now + delay, order: planned, body: body)
    var low = 0
    var high = plans.count
    while low < high {
      let middle = (low + high) / 2
      if (plans[middle].at, plans[middle].order) > (plan.at, plan.order) { low = middle + 1 } else { high = middle }
    }
    plans.insert(plan, at: low)
  }

  /// Suspends a process: it notices nothing until `time` has passed, and then everything at once.
  package func stall(_ process: Process, for time: Duration) {
    process.stalledUntil = max(process.stalledUntil, now + time)
  }

  /// Runs until `done`, or `limit` has passed. *Returns*: whether `done` was reached.
  @discardableResult
  package func run(for limit: Duration, until done: () -> Bool = { false }) -> Bool {
    let end = now + limit
    var standing = 0
    while !done() {
      var busy = false
      standing += 1
      if standing > Self.roundsAtOneMoment {
        fail("the clock stands still: somebody is busy for ever")
        return false
      }
      let first = processes.isEmpty ? 0 : random.next(below: processes.count)
      for index in processes.indices {
        let process = processes[(first + index) % processes.count]
        if process.stalledUntil > now { continue }
        if process.loop.turn() { busy = true }
      }
      betweenRounds()
      while let next = plans.last, next.at <= now {
        plans.removeLast()
        busy = true
        next.body()
      }
      if busy { continue }
      let next = nextMoment
      standing = 0
      if next > end {
        network.passTime(to: end)
        return done()
      }
      network.passTime(to: next)
    }
    return true
  }

  private var nextMoment: MonotonicInstant {
    var next = network.nextArrival ?? .distantFuture
    if let plan = plans.last { next = min(next, plan.at) }
    for process in processes {
      if process.stalledUntil > now {
        next = min(next, process.stalledUntil)
      } else if let deadline = process.loop.nextDeadline {
        next = min(next, deadline)
      }
    }
    return next
  }

  // MARK: Findings

  package func fail(_ what: @autoclosure () -> String) {
    let line = "[\(stamp)] \(what())"
    failures.append(line)
    if tells { SimSeeds.say("FAILS " + line) }
  }

  package func expect(_ holds: Bool, _ what: @autoclosure () -> String) { if !holds { fail(what()) } }

  /// A line of the story, printed when one seed runs alone.
  package func tell(_ what: @autoclosure () -> String) { if tells { SimSeeds.say("[\(stamp)] \(what())") } }

  private var stamp: String {
    let micros = age.components.seconds * 1_000_000 + age.components.attoseconds / 1_000_000_000_000
    let text = String(micros % 1_000_000)
    return "\(micros / 1_000_000).\(String(repeating: "0", count: 6 - text.count))\(text)"
  }
}
