/// What looks at a connection before its filter chain is chosen: an extension's.
package struct ConfiguredListenerFilter: Hashable, Sendable {
  /// Connections that a filter has no part in.
  package indirect enum Predicate: Hashable, Sendable {
    case any
    case destinationPorts(Range<Int32>)
    case not(Predicate)
    case all([Predicate])
    case anyOf([Predicate])

    package func matches(port: UInt16) -> Bool {
      switch self {
      case .any: true
      case .destinationPorts(let range): range.contains(Int32(port))
      case .not(let inner): !inner.matches(port: port)
      case .all(let inner): inner.allSatisfy { $0.matches(port: port) }
      case .anyOf(let inner): inner.contains { $0.matches(port: port) }
      }
    }
  }

  package var config: ExtensionConfig
  package var disabled: Predicate?

  package init(_ config: ExtensionConfig, disabled: Predicate? = nil) {
    self.config = config
    self.disabled = disabled
  }
}

/// How much of a ClientHello is looked at, and what becomes of a broken one.
package struct TLSInspectorSettings: Hashable, Sendable {
  /// Largest ClientHello; a larger one ends the connection.
  package var maximumClientHelloBytes = 16_384
  /// A broken ClientHello ends the connection, instead of being plain text.
  package var closesOnErrors = false
  package init() {}
}

/// How connections to endpoints come from the client's address.
package struct OriginalSourceSettings: Hashable, Sendable {
  /// SO_MARK of their sockets; 0 sets none.
  package var mark: UInt32 = 0
  package init() {}
}

/// Which PROXY protocol headers are taken, and what of them is kept.
package struct ProxyProtocolSettings: Hashable, Sendable {
  /// Keeps the value of one type of extension (TLV) as dynamic metadata.
  package struct Rule: Hashable, Sendable {
    package var type: UInt8
    package var space: String
    package var key: String
    package init(type: UInt8, space: String, key: String) {
      self.type = type
      self.space = space
      self.key = key
    }
  }

  /// Connections without a header are taken as they are.
  package var allowsRequestsWithoutHeader = false
  /// Version 1, and version 2.
  package var allowsText = true
  package var allowsBinary = true
  package var rules: [Rule] = []
  /// Extensions that are kept for the headers of connections to endpoints.
  package var passed = ExtensionTypes()
  package var statPrefix = ""
  package init() {}
}
