// IPAddress: an IPv4 or IPv6 address as a plain value.

import Glibc
package import WeftBase

/// An IPv4 or IPv6 address, without port and zone.
@frozen @usableFromInline
package struct IPAddress: BitwiseCopyable, Hashable, Sendable {
  @usableFromInline
  package enum Family: UInt8, Sendable, BitwiseCopyable {
    case v4, v6
  }

  @usableFromInline package let family: Family
  /// The upper 64 bits of an IPv6 address, 0 for IPv4. *Units*: host order, most significant bit first.
  @usableFromInline package let high: UInt64
  /// The lower 64 bits of an IPv6 address; the 32 bits of an IPv4 one.
  @usableFromInline package let low: UInt64

  /// An IPv4 address from its 32 bits (`127.0.0.1` is `0x7f000001`).
  @inlinable
  package init(v4 bits: UInt32) {
    family = .v4
    high = 0
    low = UInt64(bits)
  }

  /// An IPv6 address from its 128 bits.
  @inlinable
  package init(v6High high: UInt64, low: UInt64) {
    family = .v6
    self.high = high
    self.low = low
  }

  /// Parses the usual text forms (`10.0.0.1`, `::1`, `[::1]`); nil for anything else, names included.
  package init?(_ text: String) {
    var text = text
    if text.hasPrefix("["), text.hasSuffix("]") { text = String(text.dropFirst().dropLast()) }
    // Plain bytes, not in_addr: which module that belongs to depends on how the target is compiled.
    var bytes = [UInt8](repeating: 0, count: 16)
    if unsafe inet_pton(AF_INET, text, &bytes) == 1 {
      self.init(v4: UInt32(truncatingIfNeeded: Self.number(bytes[..<4])))
      return
    }
    guard unsafe inet_pton(AF_INET6, text, &bytes) == 1 else { return nil }
    self.init(v6High: Self.number(bytes[..<8]), low: Self.number(bytes[8...]))
  }

  /// Parses bytes: `10.0.0.1` or `::1`, nothing around it. *Cost*: no allocation.
  package init?(bytes text: ByteView) {
    guard text.count >= 2, text.count <= 45 else { return nil }
    let found: IPAddress? = unsafe withUnsafeTemporaryAllocation(byteCount: 64, alignment: 8) { room in
      guard let base = room.baseAddress else { return nil }
      unsafe base.copyMemory(from: text.base, byteCount: text.count)
      unsafe base.storeBytes(of: 0, toByteOffset: text.count, as: UInt8.self)
      let characters = unsafe base.assumingMemoryBound(to: CChar.self)
      let out = unsafe base + 48
      if unsafe inet_pton(AF_INET, characters, out) == 1 {
        return unsafe IPAddress(v4: UInt32(bigEndian: out.load(as: UInt32.self)))
      }
      guard unsafe inet_pton(AF_INET6, characters, out) == 1 else { return nil }
      return unsafe IPAddress(
        v6High: UInt64(bigEndian: out.load(as: UInt64.self)),
        low: UInt64(bigEndian: out.load(fromByteOffset: 8, as: UInt64.self)))
    }
    guard let found else { return nil }
    self = found
  }

  private static func number(_ bytes: ArraySlice<UInt8>) -> UInt64 {
    bytes.reduce(0) { $0 << 8 | UInt64($1) }
  }

  package static var loopback4: IPAddress { IPAddress(v4: 0x7f00_0001) }
  package static var any4: IPAddress { IPAddress(v4: 0) }
  package static var any6: IPAddress { IPAddress(v6High: 0, low: 0) }

  /// `127.0.0.0/8` or `::1`, also when mapped into IPv6.
  package var isLoopback: Bool {
    let plain = unmapped
    return plain.family == .v4 ? plain.low >> 24 == 127 : plain.high == 0 && plain.low == 1
  }

  /// The address that means "all interfaces".
  package var isAny: Bool { high == 0 && low == 0 }

  /// `::ffff:a.b.c.d` as the IPv4 address it stands for; all others as they are.
  package var unmapped: IPAddress {
    family == .v6 && high == 0 && low >> 32 == 0xffff
      ? IPAddress(v4: UInt32(truncatingIfNeeded: low)) : self
  }

  /// An IPv4 address as `::ffff:a.b.c.d`; all others as they are.
  package var mapped: IPAddress { family == .v4 ? IPAddress(v6High: 0, low: 0xffff_0000_0000 | low) : self }

  /// Whether this address lies in `network`/`prefixLength`; addresses of the other family never do.
  package func isInside(_ network: IPAddress, prefixLength: Int) -> Bool {
    guard family == network.family else { return false }
    if family == .v4 {
      let shift = UInt64(32 - max(0, min(32, prefixLength)))
      return low >> shift == network.low >> shift
    }
    if prefixLength <= 0 { return true }
    if prefixLength <= 64 {
      let shift = UInt64(64 - prefixLength)
      return high >> shift == network.high >> shift
    }
    let shift = UInt64(128 - min(128, prefixLength))
    return high == network.high && low >> shift == network.low >> shift
  }

  /// The bytes in network order: 4 or 16. *Cost*: allocates; cold path.
  package var networkBytes: [UInt8] {
    var bytes: [UInt8] = []
    if family == .v6 {
      for i in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: high >> UInt64(56 - 8 * i))) }
    }
    let width = family == .v4 ? 4 : 8
    for i in 0..<width {
      bytes.append(UInt8(truncatingIfNeeded: low >> UInt64(8 * (width - 1 - i))))
    }
    return bytes
  }

  /// Appends the canonical text. *Cost*: IPv4 without allocation beyond the buffer's own growth.
  package func write(to buffer: inout ByteBuffer) {
    if family == .v4 {
      for i in 0..<4 {
        if i > 0 { buffer.append(UInt8(ascii: ".")) }
        buffer.append(decimal: (low >> UInt64(24 - 8 * i)) & 255)
      }
      return
    }
    let address = networkBytes
    unsafe buffer.appendUninitialized(Int(INET6_ADDRSTRLEN)) { room in
      let text = unsafe room.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: CChar.self)
      unsafe inet_ntop(AF_INET6, address, text, socklen_t(INET6_ADDRSTRLEN))
      return unsafe strlen(text)
    }
  }
}

extension IPAddress: CustomStringConvertible {
  @usableFromInline package var description: String {
    var buffer = ByteBuffer()
    write(to: &buffer)
    return buffer.view.string
  }
}
