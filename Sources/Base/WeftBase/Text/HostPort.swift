/// A host (a name or an IP address) and a port, as people write them: `name:80`, `192.0.2.1:80`, `[2001:db8::1]:80`.
package struct HostPort: Hashable, Sendable, CustomStringConvertible {
  /// Without brackets.
  package var host: String
  package var port: UInt16

  package init(host: String, port: UInt16) {
    self.host = host
    self.port = port
  }

  /// Nil when it is not of that form: an IPv6 address needs its brackets, and the port may be missing only where
  /// `defaultPort` says what it is then.
  package init?(_ text: some StringProtocol, defaultPort: UInt16? = nil) {
    let text = String(text)
    let end: String.Index
    if text.hasPrefix("[") {
      guard let bracket = text.firstIndex(of: "]") else { return nil }
      host = String(text[text.index(after: text.startIndex)..<bracket])
      end = text.index(after: bracket)
      guard host.contains(":") else { return nil }
    } else {
      end = text.firstIndex(of: ":") ?? text.endIndex
      host = String(text[..<end])
    }
    guard !host.isEmpty else { return nil }
    let rest = text[end...]
    if rest.isEmpty, let defaultPort {
      port = defaultPort
      return
    }
    let digits = rest.dropFirst()
    guard rest.first == ":", !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
      let number = UInt16(digits)
    else { return nil }
    port = number
  }

  package var description: String { host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
