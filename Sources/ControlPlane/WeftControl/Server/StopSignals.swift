import Dispatch
import Glibc

/// The signals that ask a program to stop, as a sequence. The first should end it gracefully, the second at once.
package enum StopSignals {
  /// From the call on, SIGTERM and SIGINT arrive here and no longer end the process by themselves.
  package static func sequence() -> AsyncStream<Int32> {
    let (stream, continuation) = AsyncStream.makeStream(of: Int32.self, bufferingPolicy: .bufferingNewest(8))
    let queue = DispatchQueue(label: "weft.signals")
    let sources = [SIGTERM, SIGINT].map { number -> any DispatchSourceSignal in
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
      source.setEventHandler { continuation.yield(number) }
      source.resume()
      return source
    }
    let held = Sources(sources: sources)
    continuation.onTermination = { _ in held.cancel() }
    return stream
  }

  /// Keeps the sources alive as long as the stream. Proof of Sendable: set once, and Dispatch's sources are thread-safe.
  private final class Sources: @unchecked Sendable {
    private let sources: [any DispatchSourceSignal]
    init(sources: [any DispatchSourceSignal]) { self.sources = sources }
    func cancel() { for source in sources { source.cancel() } }
  }
}
