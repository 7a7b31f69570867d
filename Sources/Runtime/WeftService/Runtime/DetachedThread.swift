import Glibc

/// A thread of its own for the few calls that block for ever (`waitpid`, `sigwait`).
package enum DetachedThread {
  package static func start(_ body: @escaping @Sendable () -> Void) {
    final class Box {
      let body: @Sendable () -> Void
      init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    // Sound: the box is given to the thread, which takes it once.
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
}
