// ProxyPreface: the PROXY protocol header that connections to a cluster's endpoints begin with.

package import WeftBase
package import WeftModel
package import WeftRuntime

/// How headers are written, compiled from what the cluster says.
///
/// *Source*: the HAProxy PROXY protocol; the order of extensions is Envoy's: those that are added, then those that came and are not replaced.
package struct ProxyPreface: Sendable {
  private let settings: ProxyProtocolHeaderSettings
  private let added: [UInt8]
  private let addedTypes: Set<UInt8>

  /// What the length field of a header can say.
  private static var largestBody: Int { 65_535 }

  package init(_ settings: ProxyProtocolHeaderSettings) {
    self.settings = settings
    var bytes: [UInt8] = []
    for extra in settings.added {
      bytes += [extra.type, UInt8(extra.value.count >> 8), UInt8(extra.value.count & 255)] + extra.value
    }
    added = bytes
    addedTypes = Set(settings.added.map(\.type))
  }

  /// Appends the header of a connection that is made for a client at `source`, who meant `destination`. `extensions` came with it: type, length,
  /// value, … *Returns*: whether all extensions had room.
  package func write(
    from source: SocketAddress, to destination: SocketAddress, _ extensions: ByteView, into out: inout ByteBuffer
  ) -> Bool {
    guard !source.isUnix, !destination.isUnix else {
      writeLocal(into: &out)
      return true
    }
    var (from, to) = (source.ip.unmapped, destination.ip.unmapped)
    // A header has one family: an address of IPv4 has a form in the other, too.
    let isIPv6 = from.family == .v6 || to.family == .v6
    if isIPv6 { (from, to) = (from.mapped, to.mapped) }
    if settings.version == .text {
      out.append(isIPv6 ? "PROXY TCP6 " : "PROXY TCP4 ")
      from.write(to: &out)
      out.append(UInt8(ascii: " "))
      to.write(to: &out)
      out.append(UInt8(ascii: " "))
      out.append(decimal: UInt64(source.port))
      out.append(UInt8(ascii: " "))
      out.append(decimal: UInt64(destination.port))
      out.append("\r\n")
      return true
    }
    let start = out.count
    out.append(Self.mark)
    out.append(0x21)
    out.append(isIPv6 ? 0x21 : 0x11)
    out.appendBigEndian(0 as UInt16)
    let body = out.count
    for address in [from, to] {
      if isIPv6 {
        out.appendBigEndian(address.high)
        out.appendBigEndian(address.low)
      } else {
        out.appendBigEndian(UInt32(truncatingIfNeeded: address.low))
      }
    }
    out.appendBigEndian(source.port)
    out.appendBigEndian(destination.port)
    out.append(added)
    let isWhole = pass(extensions, into: &out, limit: body + Self.largestBody)
    let length = UInt16(clamping: out.count - body)
    out.replace(at: start + 14, with: UInt8(length >> 8), UInt8(length & 255))
    return isWhole
  }

  /// Appends the header of a connection that is made for no client: it speaks for itself. Version 1 has no word for that; like Envoy it then names
  /// the connection's own ends.
  package func writeLocal(
    from own: SocketAddress = .unnamedUnix, to peer: SocketAddress = .unnamedUnix, into out: inout ByteBuffer
  ) {
    if settings.version == .binary {
      out.append(Self.mark)
      out.append(0x20)
      out.append(0)
      out.appendBigEndian(0 as UInt16)
    } else if own.isUnix || peer.isUnix {
      out.append("PROXY UNKNOWN\r\n")
    } else {
      _ = write(from: own, to: peer, .empty, into: &out)
    }
  }

  /// *Returns*: false when one had no room; those behind it are left out, too.
  private func pass(_ extensions: ByteView, into out: inout ByteBuffer, limit: Int) -> Bool {
    var rest = extensions
    while rest.count >= 3 {
      let size = 3 + Int(rest.loadBigEndianUInt16(at: 1))
      guard size <= rest.count else { return true }
      if settings.passed.contains(rest[0]), !addedTypes.contains(rest[0]) {
        guard out.count + size <= limit else { return false }
        out.append(rest.prefix(size))
      }
      rest = rest.dropFirst(size)
    }
    return true
  }

  private static var mark: ByteView { ByteView("\r\n\r\n\0\r\nQUIT\n" as StaticString) }
}

extension ByteBuffer {
  fileprivate mutating func replace(at offset: Int, with first: UInt8, _ second: UInt8) {
    [first, second].withByteView { replace(at: offset, with: $0) }
  }
}
