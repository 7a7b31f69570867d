import Glibc
import Synchronization
import WeftRuntime

/// A program whose work is asynchronous and which ends in order at SIGTERM and SIGINT.
package enum ServiceProgram {
  /// Runs `body` and exits with its result. Call it first thing in `main.swift`, before any thread exists; inside, wait for
  /// `ServiceRuntime.terminated()`.
  ///
  /// Why not an `await` at the top level: that gives the main thread to the dispatch library, which lets signals through
  /// there whatever is blocked, and their default ends the process.
  package static func run(_ body: @escaping @Sendable () async -> Int32) -> Never {
    SignalWatch.block([.terminate, .interrupt])
    let result = Handover<Int32>()
    Task { result.give(await body()) }
    exit(result.take())
  }
}

extension ServiceRuntime {
  /// Returns when the process is asked to end (SIGTERM or SIGINT, in a `ServiceProgram`), the runtime has stopped, or the
  /// task is cancelled.
  package func terminated() async {
    let wait = TerminationWait()
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        wait.begin(continuation)
        let accepted = post { core in
          guard !core.isShutDown else { return wait.end() }
          core.watchTermination { wait.end() }
        }
        if !accepted { wait.end() }
      }
    } onCancel: {
      wait.end()
    }
  }
}

/// A continuation that may be resumed from several places, once.
private final class TerminationWait: Sendable {
  private struct State {
    var isOver = false
    var continuation: CheckedContinuation<Void, Never>?
  }

  private let state = Mutex(State())

  func begin(_ continuation: CheckedContinuation<Void, Never>) {
    let isOver = state.withLock { state -> Bool in
      if !state.isOver { state.continuation = continuation }
      return state.isOver
    }
    if isOver { continuation.resume() }
  }

  func end() {
    let continuation = state.withLock { state in
      state.isOver = true
      defer { state.continuation = nil }
      return state.continuation
    }
    continuation?.resume()
  }
}
