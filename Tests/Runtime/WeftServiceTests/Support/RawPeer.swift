import Glibc
import WeftRuntime
import WeftService

/// A peer that speaks raw bytes over blocking sockets, on threads of its own so that no task waits in the kernel.
enum RawPeer {
  /// Connects, sends `parts`, and returns all that came back until the other side closed (or ten seconds passed).
  static func exchange(
    with address: ServiceAddress, _ parts: [[UInt8]], pauseMilliseconds: UInt32 = 0, halfClose: Bool = false
  ) async -> String {
    await onThread {
      let socket = connected(to: address)
      defer { Glibc.close(socket) }
      for part in parts {
        send(socket, part)
        if pauseMilliseconds > 0 { usleep(pauseMilliseconds * 1000) }
      }
      if halfClose { shutdown(socket, Int32(SHUT_WR)) }
      return String(decoding: receiveAll(socket), as: UTF8.self)
    }
  }

  /// A listening socket that answers each connection with `reply` once it has received anything, then closes it.
  static func server(
    replies: [[UInt8]], _ body: @Sendable (ServiceAddress) async throws -> Void
  ) async throws {
    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    unsafe withUnsafeMutablePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
        _ = unsafe bind(listener, generic, length)
        _ = listen(listener, 16)
        _ = unsafe getsockname(listener, generic, &length)
      }
    }
    let port = UInt16(bigEndian: address.sin_port)
    async let served: Void = onThread {
      for reply in replies {
        let peer = accept(listener, nil, nil)
        guard peer >= 0 else { return }
        setTimeout(peer)
        _ = receiveSome(peer)
        send(peer, reply)
        Glibc.close(peer)
      }
    }
    defer {
      shutdown(listener, Int32(SHUT_RDWR))
      Glibc.close(listener)
    }
    try await body(.loopback(port: port))
    shutdown(listener, Int32(SHUT_RDWR))
    await served
  }

  static func onThread<Value: Sendable>(_ work: @escaping @Sendable () -> Value) async -> Value {
    await withCheckedContinuation { continuation in
      do {
        _ = try Worker(name: "raw-peer") { continuation.resume(returning: work()) }
      } catch { preconditionFailure("\(error)") }
    }
  }

  private static func connected(to address: ServiceAddress) -> Int32 {
    let client = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    setTimeout(client)
    var target = sockaddr_in()
    target.sin_family = sa_family_t(AF_INET)
    target.sin_port = (address.port ?? 0).bigEndian
    target.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    unsafe withUnsafePointer(to: &target) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
        _ = unsafe connect(client, generic, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    return client
  }

  private static func setTimeout(_ socket: Int32) {
    var time = timeval(tv_sec: 10, tv_usec: 0)
    _ = unsafe setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
  }

  private static func send(_ socket: Int32, _ bytes: [UInt8]) {
    var sent = 0
    while sent < bytes.count {
      let n = unsafe bytes.withUnsafeBytes { buffer in
        unsafe Glibc.send(
          socket, buffer.baseAddress.unsafelyUnwrapped + sent, buffer.count - sent, Int32(MSG_NOSIGNAL))
      }
      if n <= 0 { return }
      sent += n
    }
  }

  private static func receiveSome(_ socket: Int32) -> [UInt8] {
    var buffer = [UInt8](repeating: 0, count: 65_536)
    let n = unsafe buffer.withUnsafeMutableBytes { unsafe recv(socket, $0.baseAddress, $0.count, 0) }
    return n > 0 ? Array(buffer[..<n]) : []
  }

  private static func receiveAll(_ socket: Int32) -> [UInt8] {
    var all: [UInt8] = []
    while true {
      let some = receiveSome(socket)
      if some.isEmpty { return all }
      all += some
    }
  }
}
