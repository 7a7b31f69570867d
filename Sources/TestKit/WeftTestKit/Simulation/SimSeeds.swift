// SimSeeds: which seeds a simulation runs, and how a failing one is told and taken back.

import Glibc

/// The seeds of one run.
///
/// `make test` runs a few fixed ones. `WEFT_SEED=7` runs that one alone and prints what happens in it; `WEFT_SIM_COUNT=1000` runs that many,
/// from `WEFT_SEED` or from the fixed first one on. `WEFT_SIM_PART` says that these are a part of more: what the probes counted is then judged
/// by who adds up the parts (`make sim SEED=… N=…`, Tests/Simulation/run.py).
package enum SimSeeds {
  /// What a seed came to.
  package struct Outcome: Sendable {
    package var failures: [String]
    package init(failures: [String] = []) { self.failures = failures }
  }

  /// One seed was asked for: the world may print its story.
  package static var isSingle: Bool { number("WEFT_SEED") != nil && number("WEFT_SIM_COUNT") ?? 1 == 1 }

  /// Many seeds were asked for, or one: what happens is of interest.
  package static var tells: Bool { number("WEFT_SIM_COUNT") != nil || isSingle }

  package static func list(_ usual: Int) -> [UInt64] {
    let chosen = number("WEFT_SEED")
    let count = number("WEFT_SIM_COUNT").map { Int(clamping: $0) } ?? (chosen == nil ? usual : 1)
    let first = chosen ?? 1
    return (0..<UInt64(max(1, count))).map { first &+ $0 }
  }

  /// Runs `world` with each seed until three have failed. *Returns*: for each that failed, what went wrong and how to see it again; and the
  /// probes that `enough` seeds or more never came by.
  package static func run(
    _ name: String, usual: Int, probes: SimProbes, enough: Int, _ world: (UInt64) -> Outcome
  ) -> [String] {
    var reports: [String] = []
    let seeds = list(usual)
    for (index, seed) in seeds.enumerated() {
      // Said before: a world that traps cannot say it any more.
      if tells { say("\(name): seed \(seed) (\(index + 1) of \(seeds.count))") }
      let outcome = world(seed)
      if outcome.failures.isEmpty { continue }
      let list = outcome.failures.prefix(8)
      if tells { for failure in list { say("\(name): seed \(seed) fails: \(failure)") } }
      let lines = list.map { "  " + $0 }.joined(separator: "\n")
      reports.append("\(name) fails with seed \(seed); WEFT_SEED=\(seed) runs it again\n\(lines)")
      if reports.count == 3 { return reports }
    }
    if tells { say(probes.summary) }
    if seeds.count >= enough, unsafe getenv("WEFT_SIM_PART") == nil, !probes.missing.isEmpty {
      reports.append("\(seeds.count) seeds of \(name) never came by: \(probes.missing.joined(separator: ", "))")
    }
    return reports
  }

  package static func say(_ text: String) {
    let line = Array((text + "\n").utf8)
    unsafe line.withUnsafeBytes { _ = unsafe write(2, $0.baseAddress, $0.count) }
  }

  private static func number(_ name: String) -> UInt64? {
    unsafe getenv(name).flatMap { unsafe UInt64(String(cString: $0)) }
  }
}
