// Free loopback ports, and whether something listens on one.
import CLinux
import Glibc

/// Loopback port questions of the agent.
package enum Ports {
  /// A port nobody listens on at the moment of asking.
  ///
  /// All of `count` ports are held while they are chosen, so they differ. *Errors*: nil when the kernel has none.
  package static func free(_ count: Int, host: String = "127.0.0.1") -> [UInt16]? {
    var sockets: [Int32] = []
    defer { for descriptor in sockets { close(descriptor) } }
    var ports: [UInt16] = []
    for _ in 0..<count {
      let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
      guard descriptor >= 0 else { return nil }
      sockets.append(descriptor)
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      guard unsafe inet_pton(AF_INET, host, &address.sin_addr) == 1 else { return nil }
      var length = socklen_t(MemoryLayout<sockaddr_in>.size)
      let bound = unsafe withUnsafeMutablePointer(to: &address) { pointer in
        unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
          unsafe (bind(descriptor, pointer, length) == 0 && getsockname(descriptor, pointer, &length) == 0)
        }
      }
      guard bound else { return nil }
      ports.append(UInt16(bigEndian: address.sin_port))
    }
    return ports
  }

  /// Whether the port could be bound on the loopback address now.
  package static func isFree(_ port: UInt16) -> Bool {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    // Connections of a former owner that linger do not count; a listener does.
    _ = weft_set_reuse_address(descriptor)
    return unsafe with(loopback: port) { unsafe bind(descriptor, $0, $1) == 0 }
  }

  /// Whether a TCP connection to a loopback port can be opened within `limit`. Never blocks its thread.
  package static func answers(_ port: UInt16, within limit: Duration = .milliseconds(250)) async -> Bool {
    let descriptor = weft_stream_socket(AF_INET)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    let begun = unsafe with(loopback: port) { unsafe weft_connect(descriptor, $0, $1) }
    if begun == 0 { return true }
    guard begun == -EINPROGRESS else { return false }
    let deadline = ContinuousClock.now + limit
    while true {
      var poller = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
      if unsafe poll(&poller, 1, 0) > 0 { return weft_take_error(descriptor) == 0 }
      guard ContinuousClock.now < deadline else { return false }
      do { try await Task.sleep(for: .milliseconds(5)) } catch { return false }
    }
  }

  private static func with<Result>(
    loopback port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
  ) -> Result {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    return unsafe withUnsafePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
        unsafe body(pointer, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
  }
}
