// Where output goes, and whether it may be coloured.
import Glibc
import Synchronization

/// Standard output and error of a command; tests collect instead.
package struct Terminal: Sendable {
  /// Colours are used only when standard output is a terminal and NO_COLOR is not set.
  package var colours: Bool
  private let write: @Sendable (_ text: String, _ isError: Bool) -> Void
  /// The system's error number when standard output took not all of it: a full disk, a reader that has gone.
  package let failure: @Sendable () -> Int32?

  package init(
    colours: Bool, failure: @escaping @Sendable () -> Int32? = { nil },
    write: @escaping @Sendable (_ text: String, _ isError: Bool) -> Void
  ) {
    self.colours = colours
    self.failure = failure
    self.write = write
  }

  private final class Failure: Sendable {
    let number = Mutex<Int32?>(nil)
  }

  /// The process's own.
  package static func standard() -> Terminal {
    let plain = unsafe getenv("NO_COLOR") != nil
    let failure = Failure()
    return Terminal(colours: isatty(1) == 1 && !plain, failure: { failure.number.withLock { $0 } }) { text, isError in
      var bytes = Array(text.utf8)[...]
      while !bytes.isEmpty {
        let written = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(isError ? 2 : 1, $0.baseAddress, $0.count) }
        if written < 0, errno != EINTR {
          let number = errno
          if !isError { failure.number.withLock { $0 = $0 ?? number } }
          return
        }
        if written > 0 { bytes = bytes.dropFirst(written) }
      }
    }
  }

  /// One line on standard output.
  package func print(_ text: String) {
    write(text + "\n", false)
  }

  /// One line on standard error.
  package func complain(_ text: String) {
    write(text + "\n", true)
  }

  package func good(_ text: String) -> String { coloured(text, "32") }
  package func bad(_ text: String) -> String { coloured(text, "31") }
  package func faint(_ text: String) -> String { coloured(text, "2") }

  private func coloured(_ text: String, _ code: String) -> String {
    colours ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
  }
}
