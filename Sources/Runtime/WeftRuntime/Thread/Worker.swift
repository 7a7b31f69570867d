// Worker: an operating-system thread for a loop.

import CLinux
import Glibc
import Synchronization
package import WeftBase

/// A named thread, pinned to a processor if asked for. Loops are made inside it.
package final class Worker: Sendable {
  private final class Start: Sendable {
    let name: String
    let cpu: Int?
    let body: @Sendable () -> Void
    init(name: String, cpu: Int?, body: @escaping @Sendable () -> Void) {
      self.name = name
      self.cpu = cpu
      self.body = body
    }
  }

  private let thread: pthread_t
  private let isJoined = Mutex(false)

  /// Starts `body` on a thread of its own. `name` shows in `ps -L` and `top -H` (15 bytes at most). `cpu` pins it, where the system permits.
  /// *Errors*: when the system refuses another thread.
  package init(name: String, cpu: Int? = nil, _ body: @escaping @Sendable () -> Void)
    throws(WeftError)
  {
    let start = Start(
      name: String(decoding: name.utf8.prefix(15), as: UTF8.self), cpu: cpu, body: body)
    var thread = pthread_t()
    let argument = unsafe Unmanaged.passRetained(start)
    let result = unsafe pthread_create(
      &thread, nil,
      { raw in
        let start = unsafe Unmanaged<Start>.fromOpaque(raw.unsafelyUnwrapped).takeRetainedValue()
        _ = unsafe weft_name_thread(start.name)
        if let cpu = start.cpu { _ = weft_pin_thread(Int32(cpu)) }
        start.body()
        return nil
      }, argument.toOpaque())
    if result != 0 {
      unsafe argument.release()
      throw .system("pthread_create", result)
    }
    self.thread = thread
  }

  /// Waits for the thread to end. Later calls return at once.
  package func join() {
    isJoined.withLock { joined in
      if !joined { pthread_join(thread, nil) }
      joined = true
    }
  }

  /// A worker that runs an epoll loop: `setUp` makes the handler and its listeners on the new thread; the loop runs until `stop`. Returns
  /// once the loop stands, with the mailbox to reach it by.
  package static func loop(
    name: String, cpu: Int? = nil, limits: Limits = Limits(),
    setUp: @escaping @Sendable (EventLoop) throws -> any LoopHandler
  ) throws -> (worker: Worker, mailbox: Mailbox) {
    let ready = Handover<Result<Mailbox, any Error>>()
    let worker = try Worker(name: name, cpu: cpu) {
      let loop = EventLoop(driver: EpollDriver(), limits: limits)
      do {
        loop.handler = try setUp(loop)
      } catch {
        ready.give(.failure(error))
        return
      }
      ready.give(.success(loop.mailbox))
      loop.run()
    }
    switch ready.take() {
    case .success(let mailbox): return (worker, mailbox)
    case .failure(let error):
      worker.join()
      throw error
    }
  }
}

/// One value handed from one thread to another that waits for it. Cold path.
package final class Handover<Value: Sendable>: Sendable {
  private let value = Mutex<Value?>(nil)
  private let filled: Int32

  package init() {
    filled = weft_blocking_eventfd()
    precondition(filled >= 0, "no descriptor left")
  }

  deinit { _ = weft_close(filled) }

  package func give(_ new: sending Value) {
    value.withLock { $0 = new }
    _ = weft_eventfd_signal(filled)
  }

  /// Waits for the value.
  package func take() -> Value {
    while true {
      _ = weft_eventfd_clear(filled)
      if let value = value.withLock({ $0 }) { return value }
    }
  }
}
