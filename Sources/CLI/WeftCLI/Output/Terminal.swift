// Where output goes, and whether it may be coloured.
import Glibc

/// Standard output and error of a command; tests collect instead.
package struct Terminal: Sendable {
  /// Colours are used only when standard output is a terminal and NO_COLOR is not set.
  package var colours: Bool
  private let write: @Sendable (_ text: String, _ isError: Bool) -> Void

  package init(colours: Bool, write: @escaping @Sendable (_ text: String, _ isError: Bool) -> Void) {
    self.colours = colours
    self.write = write
  }

  /// The process's own.
  package static func standard() -> Terminal {
    let plain = unsafe getenv("NO_COLOR") != nil
    return Terminal(colours: isatty(1) == 1 && !plain) { text, isError in
      var bytes = Array(text.utf8)[...]
      while !bytes.isEmpty {
        let written = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(isError ? 2 : 1, $0.baseAddress, $0.count) }
        if written < 0, errno != EINTR { return }
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
