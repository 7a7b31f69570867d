extension GRPCMetadata {
  /// Whether an application may use this (lower-case) name: the right characters, and not reserved for the protocol.
  package static func isAllowed(name: String) -> Bool {
    guard !name.isEmpty, !name.hasPrefix("grpc-"), !reserved.contains(name) else { return false }
    return name.utf8.allSatisfy { byte in
      switch byte {
      case 0x61...0x7A, 0x30...0x39, 0x5F, 0x2D, 0x2E: true  // a-z 0-9 _ - .
      default: false
      }
    }
  }

  /// Whether a text value may travel: printable ASCII and space only.
  package static func isAllowed(text: [UInt8]) -> Bool {
    text.allSatisfy { (0x20...0x7E).contains($0) }
  }

  /// Names that belong to HTTP or to the protocol and never reach or come from an application.
  private static let reserved: Set<String> = [
    "te", "content-type", "user-agent", "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade",
    "host", "content-length",
  ]
}
