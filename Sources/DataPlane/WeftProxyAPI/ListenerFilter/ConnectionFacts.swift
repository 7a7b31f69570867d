// ConnectionFacts: what is known of a connection before its filter chain is chosen.

package import WeftRuntime

/// From its socket, then from its listener filters.
package struct ConnectionFacts {
  package var destination: SocketAddress
  package var source: SocketAddress
  /// The peer of the socket, whatever a PROXY protocol header says.
  package let directSource: SocketAddress
  package var isTLS = false
  package var serverName = ""
  package var applicationProtocols: [String] = []
  /// What filters found for others to use.
  package var values: [ConnectionValue] = []
  /// From where connections to endpoints come that serve this one; nil: from an address of ours.
  package var upstreamSource: SourceBinding?
  /// Extensions (TLVs) of its PROXY protocol header that headers to endpoints may carry, as they came.
  package var passedExtensions: [UInt8] = []
  /// Bytes that the filter at work was shown before.
  package var seen = 0
  package let worker: Int

  package init(destination: SocketAddress, source: SocketAddress, worker: Int = 0) {
    self.destination = destination
    self.source = source
    directSource = source
    self.worker = worker
  }
}

/// A local address that need not be the machine's (IP_TRANSPARENT).
package struct SourceBinding: BitwiseCopyable, Hashable, Sendable {
  /// Port 0: any.
  package var address: SocketAddress
  /// SO_MARK; 0 sets none.
  package var mark: UInt32
  package init(address: SocketAddress, mark: UInt32 = 0) {
    self.address = address
    self.mark = mark
  }
}

/// A value that a listener filter found: dynamic metadata of the connection and of every request on it.
package struct ConnectionValue: Hashable, Sendable {
  /// Metadata namespace.
  package var space: String
  package var key: String
  package var value: [UInt8]

  package init(space: String, key: String, value: [UInt8]) {
    self.space = space
    self.key = key
    self.value = value
  }
}
