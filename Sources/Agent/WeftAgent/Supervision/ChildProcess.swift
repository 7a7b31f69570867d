// A program this process started, and how it ended.
import CLinux
import Dispatch
import Glibc
import Synchronization
import WeftService

/// How a child ended.
package enum ExitStatus: Sendable, Equatable {
  case exited(Int32)
  case signalled(Int32)

  /// As a shell reports it: the exit code, or 128 + the signal.
  package var code: Int32 {
    switch self {
    case .exited(let code): code
    case .signalled(let signal): 128 + signal
    }
  }
}

/// Why a program could not be started.
package struct SpawnError: Error, Equatable, CustomStringConvertible {
  package var program: String
  package var code: Int32

  package var description: String {
    let reason = unsafe String(cString: strerror(code))
    let hint = code == ENOENT ? "; is it installed and on PATH?" : ""
    return "cannot start '\(program)': \(reason)\(hint)"
  }
}

/// A started program in a process group of its own, so that a signal reaches all of it and a terminal's Ctrl-C reaches only
/// whom we pass it to. It ends when we do, however we end.
package final class ChildProcess: Sendable {
  private struct State {
    var pid: Int32 = 0
    var status: ExitStatus?
    /// Nobody is left in the group: its number may be given to others.
    var isGone = false
    var waiters: [UInt64: CheckedContinuation<ExitStatus?, Never>] = [:]
    var lastWaiter: UInt64 = 0
  }

  /// What it is called in messages.
  package let name: String
  /// Whether it gets the terminal's foreground when it asks for it.
  private let borrowsTerminal: Bool
  private let state = Mutex(State())

  /// The process id; also the id of its group.
  package var pid: Int32 { state.withLock { $0.pid } }

  private init(name: String, borrowsTerminal: Bool) {
    self.name = name
    self.borrowsTerminal = borrowsTerminal
  }

  /// Starts `words[0]`, looked up on PATH, with the rest as its arguments.
  ///
  /// *Parameters*: `environment` replaces the child's; `output`: a file for standard output and error, nil keeps ours;
  /// `borrowsTerminal`: keeps our standard input and, if that is a terminal whose foreground we have, lends it to the child
  /// once it reads from it. Until then Ctrl-C comes to us.
  package static func start(
    _ words: [String], name: String, environment: [String: String], output: String? = nil, borrowsTerminal: Bool = false
  ) throws(SpawnError) -> ChildProcess {
    guard let program = words.first, !program.isEmpty else { throw SpawnError(program: "", code: ENOENT) }
    let child = ChildProcess(name: name, borrowsTerminal: borrowsTerminal)
    let started = DispatchSemaphore(value: 0)
    // The thread that starts a child must live as long: the kernel tells the child of that thread's end, not of ours.
    DetachedThread.start {
      let pid = spawn(words, environment, output: output, readsNothing: !borrowsTerminal)
      child.state.withLock { $0.pid = pid }
      started.signal()
      if pid > 0 { child.wait(for: pid) }
    }
    started.wait()
    let pid = child.pid
    guard pid > 0 else { throw SpawnError(program: program, code: -pid) }
    return child
  }

  private static func spawn(
    _ words: [String], _ environment: [String: String], output: String?, readsNothing: Bool
  ) -> Int32 {
    let variables = environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
    return unsafe withCStrings(words) { arguments in
      unsafe withCStrings(variables) { variables in
        unsafe weft_spawn(arguments, variables, output, readsNothing ? 1 : 0, SIGTERM)
      }
    }
  }

  /// The exit status, once there is one; nil when the waiting task is cancelled first.
  package func exit() async -> ExitStatus? {
    let waiter = state.withLock { state in
      state.lastWaiter += 1
      return state.lastWaiter
    }
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let now = state.withLock { state -> ExitStatus?? in
          if let status = state.status { return .some(status) }
          if Task.isCancelled { return .some(nil) }
          state.waiters[waiter] = continuation
          return nil
        }
        if let now { continuation.resume(returning: now) }
      }
    } onCancel: {
      state.withLock { $0.waiters.removeValue(forKey: waiter) }?.resume(returning: nil)
    }
  }

  /// The exit status if the child has ended.
  package var status: ExitStatus? {
    state.withLock { $0.status }
  }

  /// Sends a signal to the whole group, or to what is left of it after the child itself has ended.
  package func send(_ signal: Int32) {
    state.withLock { state in
      guard !state.isGone, kill(-state.pid, signal) != 0, errno == ESRCH else { return }
      state.isGone = state.status != nil
    }
  }

  /// Sends `signal` once, and SIGKILL to whoever of the group is still there after `grace`.
  /// *Returns*: the child's exit status; nil when cancelled.
  @discardableResult
  package func end(with signal: Int32 = SIGTERM, grace: Duration) async -> ExitStatus? {
    send(signal)
    let deadline = ContinuousClock.now + grace
    return await withTaskGroup(of: Void.self) { group in
      group.addTask {
        do { try await Task.sleep(until: deadline) } catch { return }
        self.send(SIGKILL)
      }
      let status = await exit()
      // What the child has left behind was asked with it, and has the same time.
      while status != nil, isGroupAlive, ContinuousClock.now < deadline + .seconds(1) {
        do { try await Task.sleep(for: .milliseconds(10)) } catch { break }
      }
      group.cancelAll()
      return status
    }
  }

  private var isGroupAlive: Bool {
    send(0)
    return state.withLock { state in
      // Orphans become ours where we are the first process, as in a container.
      while waitpid(-state.pid, nil, WNOHANG) > 0 {}
      return !state.isGone
    }
  }

  private func wait(for pid: Int32) {
    var raw: Int32 = 0
    while true {
      let found = unsafe waitpid(pid, &raw, borrowsTerminal ? WUNTRACED : 0)
      if found < 0, errno == EINTR { continue }
      guard found == pid, raw & 0xFF == 0x7F else { break }
      let signal = (raw >> 8) & 0xFF
      if signal == SIGTTIN || signal == SIGTTOU { lendTerminal(to: pid) }
    }
    if borrowsTerminal, tcgetpgrp(0) == pid { tcsetpgrp(0, getpgrp()) }
    let signal = raw & 0x7F
    let ended: ExitStatus = signal == 0 ? .exited((raw >> 8) & 0xFF) : .signalled(signal)
    let waiters = state.withLock { state in
      state.status = ended
      defer { state.waiters = [:] }
      return state.waiters
    }
    for waiter in waiters.values { waiter.resume(returning: ended) }
  }

  /// A program that talks to a person gets the terminal, and its Ctrl-C. One that was started in the background stays there.
  private func lendTerminal(to pid: Int32) {
    guard tcgetpgrp(0) == getpgrp() else { return }
    signal(SIGTTOU, SIG_IGN)
    if tcsetpgrp(0, pid) == 0 { kill(-pid, SIGCONT) }
  }
}

/// Lends `body` a null-terminated array of C strings.
private func withCStrings<Result>(
  _ words: [String], _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Result
) -> Result {
  var pointers = unsafe words.map { unsafe strdup($0) } + [nil]
  defer { unsafe pointers.forEach { unsafe free($0) } }
  return unsafe pointers.withUnsafeMutableBufferPointer { buffer in
    // A null-terminated array has at least one element, so it has a base address.
    unsafe body(buffer.baseAddress.unsafelyUnwrapped)
  }
}
