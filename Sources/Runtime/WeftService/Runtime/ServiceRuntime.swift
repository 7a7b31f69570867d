import Synchronization
import WeftBase
import WeftRuntime

/// One loop thread that carries all cold-path connections of a process.
///
/// Make one in the program and pass it to the servers and clients; stop it last. Any number of servers and clients share it.
package final class ServiceRuntime: Sendable {
  package let name: String
  private let inbox = RuntimeInbox()
  private let mailbox: Mailbox
  private let worker: Worker
  private let ids = Atomic<UInt64>(0)

  /// Starts the thread. *Errors*: `WeftError` when the system gives no thread.
  package init(name: String = "weft-service") throws {
    self.name = name
    let ready = Handover<Mailbox>()
    worker = try Worker(name: name) { [inbox] in
      let loop = EventLoop(driver: EpollDriver())
      let core = LoopCore(loop: loop)
      ready.give(loop.mailbox)
      loop.run()
      inbox.ended(core)
    }
    mailbox = ready.take()
  }

  deinit {
    // A runtime nobody stopped must not leave its thread behind.
    _ = inbox.add { $0.shutDown() }
    mailbox.post { [inbox] in inbox.drain($0) }
  }

  /// A number no other exchange of this runtime has.
  func nextID() -> UInt64 { ids.wrappingAdd(1, ordering: .relaxed).newValue }

  /// Runs `work` on the loop's thread, in the order of posting. False when the loop has ended: `work` will not run.
  @discardableResult
  func post(_ work: @escaping RuntimeInbox.Work) -> Bool {
    switch inbox.add(work) {
    case .refused: return false
    case .accepted: break
    case .first: mailbox.post { [inbox] in inbox.drain($0) }
    }
    return true
  }

  /// Runs `work` on the loop and returns its result.
  func onLoop<Result: Sendable>(_ work: @escaping @Sendable (LoopCore) throws -> Result) async throws -> Result {
    try await withCheckedThrowingContinuation { continuation in
      let accepted = post { core in
        guard !core.isShutDown else { return continuation.resume(throwing: ServiceError.shutDown) }
        continuation.resume(with: Swift.Result { try work(core) })
      }
      if !accepted { continuation.resume(throwing: ServiceError.shutDown) }
    }
  }

  /// Ends every connection and the loop's thread. Idempotent; returns when the thread does nothing any more.
  package func stop() async {
    post { $0.shutDown() }
    await inbox.whenEnded()
    worker.join()
  }

  /// Runs `body` with a fresh runtime and stops it afterwards, however `body` ends.
  package static func with<Result>(
    name: String = "weft-service", _ body: (ServiceRuntime) async throws -> Result
  ) async throws -> Result {
    let runtime = try ServiceRuntime(name: name)
    do {
      let result = try await body(runtime)
      await runtime.stop()
      return result
    } catch {
      await runtime.stop()
      throw error
    }
  }
}
