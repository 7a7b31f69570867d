// AddressBytes: socket addresses as the kernel writes them.

import Glibc
import WeftBase

/// Room for a `sockaddr` of any family, read and written field by field.
///
/// Why sound: `base` holds 128 bytes for the life of the object; every offset below is inside.
@safe
final class AddressBytes {
  static let capacity = 128

  let base: UnsafeMutableRawPointer

  init() {
    unsafe base = .allocate(byteCount: Self.capacity, alignment: 8)
    unsafe base.initializeMemory(as: UInt8.self, repeating: 0, count: Self.capacity)
  }

  deinit { unsafe base.deallocate() }

  static func family(of address: SocketAddress) -> Int32 {
    if address.isUnix { return AF_UNIX }
    return address.ip.family == .v4 ? AF_INET : AF_INET6
  }

  /// Writes `address`; returns its length.
  func write(_ address: SocketAddress) -> UInt32 {
    unsafe memset(base, 0, Self.capacity)
    unsafe base.storeBytes(of: UInt16(Self.family(of: address)), as: UInt16.self)
    if let path = address.unixPath {
      var n = 0
      for byte in path.utf8 where n < 107 {
        unsafe base.storeBytes(of: byte, toByteOffset: 2 + n, as: UInt8.self)
        n += 1
      }
      if path.utf8.first == UInt8(ascii: "@") {
        unsafe base.storeBytes(of: 0, toByteOffset: 2, as: UInt8.self)  // abstract name
        return UInt32(2 + n)
      }
      return UInt32(2 + n + 1)
    }
    unsafe base.storeBytes(of: address.port.bigEndian, toByteOffset: 2, as: UInt16.self)
    if address.ip.family == .v4 {
      unsafe base.storeBytes(
        of: UInt32(truncatingIfNeeded: address.ip.low).bigEndian, toByteOffset: 4, as: UInt32.self)
      return 16
    }
    unsafe base.storeBytes(of: address.ip.high.bigEndian, toByteOffset: 8, as: UInt64.self)
    unsafe base.storeBytes(of: address.ip.low.bigEndian, toByteOffset: 16, as: UInt64.self)
    return 28
  }

  /// Reads an address of `length` bytes that the kernel wrote.
  func read(_ length: UInt32) -> SocketAddress {
    switch length >= 2 ? Int32(unsafe base.load(as: UInt16.self)) : AF_UNSPEC {
    case AF_INET:
      let bits = unsafe UInt32(bigEndian: base.load(fromByteOffset: 4, as: UInt32.self))
      return SocketAddress(IPAddress(v4: bits), port: port)
    case AF_INET6:
      let high = unsafe UInt64(bigEndian: base.load(fromByteOffset: 8, as: UInt64.self))
      let low = unsafe UInt64(bigEndian: base.load(fromByteOffset: 16, as: UInt64.self))
      return SocketAddress(IPAddress(v6High: high, low: low), port: port)
    default:
      return .unnamedUnix
    }
  }

  private var port: UInt16 {
    unsafe UInt16(bigEndian: base.load(fromByteOffset: 2, as: UInt16.self))
  }
}
