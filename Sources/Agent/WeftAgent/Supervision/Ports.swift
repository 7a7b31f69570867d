// Free loopback ports, and whether something listens on one.
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

  /// Whether a TCP connection to an IPv4 address can be opened now. Blocks for a loopback round trip.
  package static func answers(host: String, port: UInt16) -> Bool {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    guard unsafe inet_pton(AF_INET, host, &address.sin_addr) == 1 else { return false }
    return unsafe withUnsafePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
        unsafe connect(descriptor, pointer, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
      }
    }
  }
}
