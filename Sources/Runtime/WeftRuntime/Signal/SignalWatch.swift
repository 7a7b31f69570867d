// Signals as loop events.

import CLinux
import Glibc
package import WeftBase

/// Delivers signals to a loop through a signalfd. *Threads*: the loop's.
package final class SignalWatch {
  /// The signals programs of the mesh care for.
  package enum Signal: Int32, Sendable, CaseIterable {
    case terminate = 15
    case interrupt = 2
    case hangup = 1
    case user1 = 10
  }

  /// Blocks `signals` in the calling thread; threads started later inherit that. Call it first thing in a program, before any other thread
  /// exists, or a signal may kill the process on a thread that does not block it.
  package static func block(_ signals: [Signal] = Signal.allCases) {
    let descriptor = unsafe weft_signalfd(signals.map(\.rawValue), signals.count)
    if descriptor >= 0 { _ = weft_close(descriptor) }
  }

  private let descriptor: Int32
  private weak var loop: EventLoop?

  /// Calls `received` on `loop` for each of `signals` until `stop`.
  package init(
    _ loop: EventLoop, _ signals: [Signal] = Signal.allCases, received: @escaping (Signal) -> Void
  )
    throws(WeftError)
  {
    let descriptor = unsafe weft_signalfd(signals.map(\.rawValue), signals.count)
    guard descriptor >= 0 else { throw .system("signalfd", -descriptor) }
    self.descriptor = descriptor
    self.loop = loop
    do throws(WeftError) {
      try loop.watch(descriptor, .readable) { _ in
        while let signal = Signal(rawValue: weft_signalfd_next(descriptor)) { received(signal) }
      }
    } catch {
      _ = weft_close(descriptor)
      throw error
    }
  }

  /// Ends the delivery; the signals stay blocked.
  package func stop() {
    loop?.unwatch(descriptor)
    loop = nil
  }

  deinit {
    loop?.unwatch(descriptor)
    _ = weft_close(descriptor)
  }
}
