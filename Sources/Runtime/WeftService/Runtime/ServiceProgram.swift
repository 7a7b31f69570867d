import Glibc
import WeftRuntime

/// A program whose work is asynchronous and which acts on signals itself.
package enum ServiceProgram {
  /// Runs `body` and exits with its result. Call it first thing in `main.swift`, before any thread exists: from then on `signals` reach
  /// only `Signals.take`, and the others do what they always do.
  ///
  /// Why not an `await` at the top level: that gives the main thread to the dispatch library, which lets signals through
  /// there whatever is blocked, and their default ends the process.
  package static func run(taking signals: [Int32] = Signals.stopping, _ body: @escaping @Sendable () async -> Int32)
    -> Never
  {
    Signals.block(signals)
    let result = Handover<Int32>()
    // Owned by the process: its end is the end of this.
    Task { result.give(await body()) }
    exit(result.take())
  }
}
