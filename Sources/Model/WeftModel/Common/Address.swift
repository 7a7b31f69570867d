/// Where something listens or is reached.
package enum Address: Hashable, Sendable {
  /// A host (IP literal, or a name where names are allowed) and a TCP port.
  case socket(host: String, port: UInt16)
  /// A Unix domain socket; a leading `@` names the abstract space.
  case pipe(path: String)
  /// A listener inside the same proxy.
  case internalListener(name: String, endpointID: String)
}

extension Address: CustomStringConvertible {
  /// The way Envoy prints it: `10.0.0.1:80`, `[::1]:80`, `/run/x.sock`, `envoy://name/id`.
  package var description: String {
    switch self {
    case .socket(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    case .pipe(let path): path
    case .internalListener(let name, let id): "envoy://\(name)/\(id)"
    }
  }
}

/// A block of IP addresses, `10.0.0.0/8`.
package struct CIDRRange: Hashable, Sendable {
  /// Network-order bytes with the host part cleared: 4 for IPv4, 16 for IPv6.
  package var bytes: [UInt8]
  package var prefixLength: UInt8

  package init(bytes: [UInt8], prefixLength: UInt8) {
    let bits = min(Int(prefixLength), bytes.count * 8)
    var masked = bytes
    for i in masked.indices {
      let kept = max(0, min(8, bits - i * 8))
      masked[i] &= kept == 8 ? 0xff : ~(0xff >> UInt8(kept))
    }
    self.bytes = masked
    self.prefixLength = UInt8(bits)
  }

  /// Whether `address` (4 or 16 bytes) lies in the block. Another family never matches.
  package func contains(_ address: [UInt8]) -> Bool {
    guard address.count == bytes.count else { return false }
    return CIDRRange(bytes: address, prefixLength: prefixLength).bytes == bytes
  }
}

/// TCP keep-alive probes of a socket; `nil` leaves the system's value.
package struct TCPKeepalive: Hashable, Sendable {
  package var probes: UInt32?
  package var time: Duration?
  package var interval: Duration?
  package init(probes: UInt32? = nil, time: Duration? = nil, interval: Duration? = nil) {
    self.probes = probes
    self.time = time
    self.interval = interval
  }
}

/// One `setsockopt` call that configuration asks for.
package struct SocketOption: Hashable, Sendable {
  package enum Value: Hashable, Sendable { case integer(Int64), bytes([UInt8]) }
  package enum Stage: Hashable, Sendable { case prebind, bound, listening }
  package var level: Int64
  package var name: Int64
  package var value: Value
  package var stage: Stage
  package init(level: Int64, name: Int64, value: Value, stage: Stage = .prebind) {
    self.level = level
    self.name = name
    self.value = value
    self.stage = stage
  }
}
