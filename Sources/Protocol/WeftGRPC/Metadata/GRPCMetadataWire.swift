import WeftBase

extension GRPCMetadata {
  /// The header fields of these entries: binary values as base64.
  package var wireFields: [(String, String)] {
    entries.map { ($0.name, $0.isBinary ? Base64.encode($0.value, padded: false) : $0.text) }
  }

  /// Metadata among received header or trailer fields. Names the protocol keeps for itself are left out, except the peer's
  /// `user-agent`; a comma-joined binary value becomes several entries; a binary value that is not base64 is dropped.
  package init(received fields: some Sequence<(String, String)>) {
    self.init()
    for (name, value) in fields {
      let lowered = name.lowercased()
      guard lowered == "user-agent" || Self.isAllowed(name: lowered) else { continue }
      if lowered.hasSuffix("-bin") {
        for part in value.utf8.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
          let trimmed = part.drop { $0 == 0x20 }
          if let bytes = Base64.decode(trimmed, .standard) { append(received: lowered, bytes) }
        }
      } else {
        append(received: lowered, Array(value.utf8))
      }
    }
  }
}
