// SocketAddress: where a stream socket listens or connects to, as a plain value.

import Glibc
import Synchronization
package import WeftBase

/// An IP address with port, or the path of a Unix-domain socket.
///
/// *Shape*: trivially copyable, 24 bytes; Unix paths are interned once per process (they come from configuration, never from peers).
@frozen @usableFromInline
package struct SocketAddress: BitwiseCopyable, Hashable, Sendable {
  /// The IP address; meaningless for Unix-domain addresses.
  @usableFromInline package let ip: IPAddress
  /// The port; 0 asks the kernel for a free one (and for Unix-domain addresses).
  @usableFromInline package let port: UInt16
  /// 0: an IP address; otherwise the number of an interned path (1 is the unnamed address).
  @usableFromInline let path: UInt32

  @inlinable
  package init(_ ip: IPAddress, port: UInt16) {
    self.ip = ip
    self.port = port
    self.path = 0
  }

  /// A Unix-domain address. A first `@` stands for Linux' abstract name space. Paths hold at most 107 bytes; `nil` when longer.
  package init?(unixPath: String) {
    guard unixPath.utf8.count <= 107 else { return nil }
    ip = .any4
    port = 0
    path = UnixPaths.intern(unixPath)
  }

  /// Parses `1.2.3.4:80`, `[::1]:80` or `unix:/path`; nil for anything else, host names included.
  package init?(_ text: String) {
    if text.hasPrefix("unix:") {
      self.init(unixPath: String(text.dropFirst(5)))
      return
    }
    guard let colon = text.utf8.lastIndex(of: UInt8(ascii: ":")) else { return nil }
    let host = String(text[..<colon])
    guard
      !host.contains(":") || host.hasPrefix("["), let ip = IPAddress(host),
      let port = UInt16(text[text.index(after: colon)...])
    else { return nil }
    self.init(ip, port: port)
  }

  /// `127.0.0.1` with `port`.
  package static func loopback(port: UInt16) -> SocketAddress {
    SocketAddress(.loopback4, port: port)
  }

  /// The unnamed Unix-domain address that a peer which never bound shows.
  package static var unnamedUnix: SocketAddress { SocketAddress(path: 1) }

  @inlinable package var isUnix: Bool { path != 0 }

  /// The path of a Unix-domain address.
  package var unixPath: String? { isUnix ? UnixPaths.name(path) : nil }

  init(path: UInt32) {
    ip = .any4
    port = 0
    self.path = path
  }

  /// Appends `ip:port`, `[ip]:port` or the path.
  package func write(to buffer: inout ByteBuffer) {
    if let name = unixPath {
      buffer.append(name)
      return
    }
    if ip.family == .v6 { buffer.append(UInt8(ascii: "[")) }
    ip.write(to: &buffer)
    if ip.family == .v6 { buffer.append(UInt8(ascii: "]")) }
    buffer.append(UInt8(ascii: ":"))
    buffer.append(decimal: UInt64(port))
  }
}

extension SocketAddress: CustomStringConvertible {
  @usableFromInline package var description: String {
    if let name = unixPath { return "unix:\(name)" }
    var buffer = ByteBuffer()
    write(to: &buffer)
    return buffer.view.string
  }
}

/// The process-wide table of Unix-domain socket paths.
private enum UnixPaths {
  private static let names = Mutex<[String]>([""])

  static func intern(_ name: String) -> UInt32 {
    names.withLock { names in
      if let known = names.firstIndex(of: name) { return UInt32(known + 1) }
      names.append(name)
      return UInt32(names.count)
    }
  }

  static func name(_ number: UInt32) -> String { names.withLock { $0[Int(number) - 1] } }
}
