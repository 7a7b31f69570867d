// A program this process started, and how it ended.
package import Glibc
import Synchronization

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
/// whom we pass it to.
package final class ChildProcess: Sendable {
  private struct State {
    var status: ExitStatus?
    var waiters: [UInt64: CheckedContinuation<ExitStatus?, Never>] = [:]
    var lastWaiter: UInt64 = 0
  }

  /// The process id; also the id of its group.
  package let pid: pid_t
  /// What it is called in messages.
  package let name: String
  private let state = Mutex(State())

  private init(pid: pid_t, name: String) {
    self.pid = pid
    self.name = name
  }

  /// Starts `words[0]`, looked up on PATH, with the rest as its arguments.
  ///
  /// *Parameters*: `environment` replaces the child's; `output`: a file for standard output and error, nil keeps ours;
  /// `takesTerminal`: gives the child the terminal's foreground when standard input is one.
  package static func start(
    _ words: [String], name: String, environment: [String: String], output: String? = nil, takesTerminal: Bool = false
  ) throws(SpawnError) -> ChildProcess {
    guard let program = words.first, !program.isEmpty else { throw SpawnError(program: "", code: ENOENT) }
    var attributes = posix_spawnattr_t()
    unsafe posix_spawnattr_init(&attributes)
    defer { unsafe posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    unsafe sigemptyset(&none)
    var all = sigset_t()
    unsafe sigfillset(&all)
    unsafe posix_spawnattr_setsigmask(&attributes, &none)
    unsafe posix_spawnattr_setsigdefault(&attributes, &all)
    unsafe posix_spawnattr_setpgroup(&attributes, 0)
    let flags = POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF
    unsafe posix_spawnattr_setflags(&attributes, Int16(flags))

    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    defer { unsafe posix_spawn_file_actions_destroy(&actions) }
    if let output {
      unsafe posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_APPEND, 0o600)
      unsafe posix_spawn_file_actions_adddup2(&actions, 1, 2)
    }
    if !takesTerminal { unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0) }

    let variables = environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
    var pid: pid_t = 0
    let failed = unsafe withCStrings(words) { arguments in
      unsafe withCStrings(variables) { variables in
        unsafe posix_spawnp(&pid, program, &actions, &attributes, arguments, variables)
      }
    }
    guard failed == 0 else { throw SpawnError(program: program, code: failed) }
    if takesTerminal, isatty(0) == 1 {
      signal(SIGTTOU, SIG_IGN)
      tcsetpgrp(0, pid)
    }
    let child = ChildProcess(pid: pid, name: name)
    child.waitOnThread()
    return child
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

  /// Sends a signal to the whole group; does nothing once the child has ended.
  package func send(_ signal: Int32) {
    guard status == nil else { return }
    kill(-pid, signal)
  }

  /// Sends SIGTERM, and SIGKILL if the child is still there after `grace`. *Returns*: its exit status; nil when cancelled.
  package func terminate(grace: Duration) async -> ExitStatus? {
    send(SIGTERM)
    return await withTaskGroup(of: Void.self) { group in
      group.addTask {
        do { try await Task.sleep(for: grace) } catch { return }
        self.send(SIGKILL)
      }
      let status = await exit()
      group.cancelAll()
      return status
    }
  }

  private func waitOnThread() {
    startThread { [self] in
      var raw: Int32 = 0
      while unsafe waitpid(pid, &raw, 0) < 0, errno == EINTR {}
      let signal = raw & 0x7F
      let ended: ExitStatus = signal == 0 ? .exited((raw >> 8) & 0xFF) : .signalled(signal)
      let waiters = state.withLock { state in
        state.status = ended
        defer { state.waiters = [:] }
        return state.waiters
      }
      for waiter in waiters.values { waiter.resume(returning: ended) }
    }
  }
}

/// Runs `body` on a detached thread of its own: for the few calls that block for ever (`waitpid`, `sigwait`).
func startThread(_ body: @escaping @Sendable () -> Void) {
  final class Box {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }
  let box = unsafe Unmanaged.passRetained(Box(body)).toOpaque()
  var thread = pthread_t()
  let failed = unsafe pthread_create(
    &thread, nil,
    { context in
      if let context = unsafe context { unsafe Unmanaged<Box>.fromOpaque(context).takeRetainedValue().body() }
      return nil
    }, box)
  precondition(failed == 0, "no thread left")
  pthread_detach(thread)
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
