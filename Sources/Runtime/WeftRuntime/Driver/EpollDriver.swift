// EpollDriver: the real driver. Sockets are registered once, edge-triggered, for both directions; listeners level-triggered.

import CLinux
import Glibc
import Synchronization
package import WeftBase

/// The descriptor that wakes a waiting loop; shared with the threads that post to it.
private final class Waker: Sendable {
  let descriptor: Int32
  init() {
    descriptor = weft_eventfd()
    precondition(descriptor >= 0, "no descriptor left for a loop")
  }
  deinit { _ = weft_close(descriptor) }
  func wake() { _ = weft_eventfd_signal(descriptor) }
}

/// `Driver` over epoll.
///
/// *Errors*: when the process is out of descriptors, a spare one is given up to accept and close the waiting connection, so that clients
/// see an end instead of a hang and the loop does not spin.
///
/// Why sound: the event array lives as long as the object and holds `capacity` events.
@safe
package final class EpollDriver: Driver {
  private static let wakeKey = UInt64.max
  private static let capacity = 512

  private let poller: Int32
  private let wakeUp = Waker()
  private let received: UnsafeMutablePointer<epoll_event>
  private let bytes = AddressBytes()
  private var spare: Int32
  /// Descriptors under `watch`.
  private var watched: Set<Int32> = []
  /// The listening sockets of this loop that others of the process may stand beside.
  private var shared: [Int32: SocketAddress] = [:]

  package override init() {
    poller = weft_epoll_create()
    precondition(poller >= 0, "no descriptor left for a loop")
    unsafe received = .allocate(capacity: Self.capacity)
    spare = weft_spare_descriptor()
    super.init()
    _ = weft_epoll_add(poller, wakeUp.descriptor, EPOLLIN.rawValue, Self.wakeKey)
  }

  deinit {
    unsafe received.deallocate()
    if spare >= 0 { _ = weft_close(spare) }
    _ = weft_close(poller)
  }

  package override var waker: @Sendable () -> Void {
    let wakeUp = wakeUp
    return { wakeUp.wake() }
  }

  package override func now() -> MonotonicInstant {
    MonotonicInstant(nanoseconds: weft_monotonic_nanoseconds())
  }

  package override func wait(
    until deadline: MonotonicInstant?, events: UnsafeMutableBufferPointer<DriverEvent>
  ) -> Int {
    let capacity = min(Self.capacity, events.count)
    let count = unsafe Int(weft_epoll_wait(poller, received, Int32(capacity), timeout(deadline)))
    var filled = 0
    for index in 0..<max(count, 0) {
      let event = unsafe received[index]
      let key = unsafe event.data.u64
      if key == Self.wakeKey {
        _ = weft_eventfd_clear(wakeUp.descriptor)
        continue
      }
      unsafe events[filled] = DriverEvent(key: key, flags: Self.flags(event.events))
      filled += 1
    }
    return filled
  }

  /// Milliseconds, rounded up so that timers are never early.
  private func timeout(_ deadline: MonotonicInstant?) -> Int32 {
    guard let deadline else { return -1 }
    if deadline == .zero { return 0 }
    let now = now()
    if deadline <= now { return 0 }
    let rest = deadline.nanoseconds - now.nanoseconds
    return Int32(clamping: rest / 1_000_000 + (rest % 1_000_000 == 0 ? 0 : 1))
  }

  private static func flags(_ bits: UInt32) -> DriverEvent.Flags {
    var flags = DriverEvent.Flags()
    if bits & EPOLLIN.rawValue != 0 { flags.insert(.readable) }
    if bits & EPOLLOUT.rawValue != 0 { flags.insert(.writable) }
    if bits & (EPOLLRDHUP.rawValue | EPOLLHUP.rawValue) != 0 { flags.insert(.hangup) }
    if bits & EPOLLERR.rawValue != 0 { flags.insert(.error) }
    return flags
  }

  private static let edge =
    EPOLLIN.rawValue | EPOLLOUT.rawValue | EPOLLRDHUP.rawValue | EPOLLET.rawValue

  // MARK: Opening

  package override func listen(on address: SocketAddress, _ options: ListenOptions, key: UInt64)
    throws(WeftError) -> (
      socket: Int32, address: SocketAddress
    )
  {
    let socket = try open(address, options)
    do throws(WeftError) {
      try Self.check("watch \(address)", weft_epoll_add(poller, socket, EPOLLIN.rawValue, key))
    } catch {
      stopListening(socket)
      throw error
    }
    return (socket, address.isUnix ? address : localAddress(socket))
  }

  /// A socket that listens, alone or with others of this process.
  private func open(_ address: SocketAddress, _ options: ListenOptions) throws(WeftError) -> Int32 {
    if options.sharing == .none { return try openAlone(address, options) }
    // Two threads of this process must not both be the first.
    let result = SharedListeners.ofProcess.places.withLock { places -> Result<Int32, WeftError> in
      do throws(WeftError) {
        let socket: Int32
        let key: SocketAddress
        if let place = places[address] {
          key = address
          if place.socket >= 0 {
            socket = weft_duplicate(place.socket)
            try Self.check("another descriptor for \(address)", socket)
          } else {
            socket = try openBeside(address, options)
          }
        } else {
          let isShared = options.sharing == .reusePort && !address.isUnix
          // An address within one of this process, or around one, cannot be had alone.
          let overlaps = isShared && places.keys.contains { $0.overlaps(address) }
          socket = try overlaps ? openBeside(address, options) : openAlone(address, options)
          key = address.isUnix ? address : localAddress(socket)
          var place = SharedListeners.Place()
          if isShared {
            if !overlaps { _ = weft_set_reuse_port(socket) }
          } else {
            place.socket = weft_duplicate(socket)
          }
          places[key] = place
        }
        places[key]?.users += 1
        shared[socket] = key
        return .success(socket)
      } catch { return .failure(error) }
    }
    return try result.get()
  }

  /// The only socket at its address. *Errors*: anybody else listens there.
  private func openAlone(_ address: SocketAddress, _ options: ListenOptions) throws(WeftError) -> Int32 {
    if address.isUnix, isAnswering(address) { throw .cannotBind(address, EADDRINUSE) }
    return try openSocket(address, options, reusePort: false)
  }

  /// A socket beside others of this process that share their port.
  private func openBeside(_ address: SocketAddress, _ options: ListenOptions) throws(WeftError) -> Int32 {
    try openSocket(address, options, reusePort: true)
  }

  private func openSocket(_ address: SocketAddress, _ options: ListenOptions, reusePort: Bool) throws(WeftError)
    -> Int32
  {
    let socket = weft_stream_socket(AddressBytes.family(of: address))
    guard socket >= 0 else { throw .system("socket for \(address)", -socket) }
    do throws(WeftError) {
      try configure(listener: socket, address, options, reusePort: reusePort)
      try set(options.raw, .beforeBind, on: socket, address)
      let length = bytes.write(address)
      let bound = unsafe weft_bind(socket, bytes.base, length)
      if bound < 0 { throw .cannotBind(address, -bound) }
      if let path = address.unixPath, !path.hasPrefix("@") {
        try Self.check("chmod \(path)", unsafe weft_change_mode(path, options.unixMode))
      }
      try set(options.raw, .afterBind, on: socket, address)
      if options.fastOpenQueue > 0, !address.isUnix {
        try Self.check("TCP_FASTOPEN on \(address)", weft_set_fast_open(socket, options.fastOpenQueue))
      }
      // Of two that bound at the same time without SO_REUSEPORT only one may listen.
      let listening = weft_listen(socket, Int32(clamping: options.backlog))
      if listening < 0 { throw .cannotBind(address, -listening) }
      try set(options.raw, .afterListen, on: socket, address)
      return socket
    } catch {
      _ = weft_close(socket)
      throw error
    }
  }

  private func set(
    _ options: [RawSocketOption], _ stage: RawSocketOption.Stage, on socket: Int32, _ address: SocketAddress
  ) throws(WeftError) {
    for option in options where option.stage == stage {
      let result = unsafe option.value.withUnsafeBytes { value in
        unsafe weft_set_option(socket, option.level, option.name, value.baseAddress, UInt32(value.count))
      }
      try Self.check("socket option \(option.level)/\(option.name) on \(address)", result)
    }
  }

  /// Whether somebody accepts connections at a Unix-domain address. A socket file that nobody listens behind is left over from a program
  /// that is gone; it may be replaced.
  private func isAnswering(_ address: SocketAddress) -> Bool {
    let socket = weft_stream_socket(AddressBytes.family(of: address))
    guard socket >= 0 else { return false }
    defer { _ = weft_close(socket) }
    let length = bytes.write(address)
    let result = unsafe weft_connect(socket, bytes.base, length)
    // EAGAIN: its queue is full.
    return result == 0 || result == -EAGAIN
  }

  package override func stopListening(_ listener: Int32) { leave(listener) { _ = weft_close(listener) } }

  /// `listener` is not one of this loop's any more: does `end`, after which the last one to leave an address closes what the process shared.
  private func leave(_ listener: Int32, _ end: () -> Void) {
    guard let address = shared.removeValue(forKey: listener) else { return end() }
    SharedListeners.ofProcess.places.withLock { places in
      end()
      guard var place = places[address] else { return }
      place.users -= 1
      if place.users == 0, place.socket >= 0 { _ = weft_close(place.socket) }
      places[address] = place.users == 0 ? nil : place
    }
  }

  package override func releaseListener(_ listener: Int32) -> Int32 {
    var result: Int32 = 0
    leave(listener) { result = weft_epoll_remove(poller, listener) }
    return result < 0 ? result : listener
  }

  package override func adoptListener(_ descriptor: Int32, _ options: ListenOptions, key: UInt64)
    throws(WeftError) -> (
      socket: Int32, address: SocketAddress
    )
  {
    let address = localAddress(descriptor)
    try Self.check("watch \(address)", weft_epoll_add(poller, descriptor, EPOLLIN.rawValue, key))
    if options.sharing != .none {
      SharedListeners.ofProcess.places.withLock { places in
        var place = places[address] ?? SharedListeners.Place()
        if place.users == 0, options.sharing == .oneSocket || address.isUnix {
          place.socket = weft_duplicate(descriptor)
        }
        place.users += 1
        places[address] = place
      }
      shared[descriptor] = address
    }
    return (descriptor, address)
  }

  private func configure(
    listener socket: Int32, _ address: SocketAddress, _ options: ListenOptions, reusePort: Bool
  ) throws(WeftError) {
    if let path = address.unixPath {
      if !path.hasPrefix("@") { _ = unsafe weft_remove_socket_file(path) }
      return
    }
    let v6 = address.ip.family == .v6
    try Self.check("SO_REUSEADDR on \(address)", weft_set_reuse_address(socket))
    if reusePort {
      try Self.check("SO_REUSEPORT on \(address)", weft_set_reuse_port(socket))
    }
    if options.transparent {
      try Self.check("IP_TRANSPARENT on \(address)", weft_set_transparent(socket, v6 ? 1 : 0))
    }
    if options.freeBind { try Self.check("IP_FREEBIND on \(address)", weft_set_free_bind(socket)) }
    if v6 {
      try Self.check("IPV6_V6ONLY on \(address)", weft_set_v6_only(socket, options.v6Only ? 1 : 0))
    }
  }

  private static func check(_ call: String, _ result: Int32) throws(WeftError) {
    if result < 0 { throw .system(call, -result) }
  }

  package override func accept(
    _ listener: Int32, _ options: ConnectionOptions, peer: inout SocketAddress
  ) -> Int32 {
    var length: UInt32 = 0
    let socket = unsafe weft_accept(listener, bytes.base, &length)
    if socket >= 0 {
      peer = bytes.read(length)
      if !peer.isUnix { configure(socket, options) }
      return socket
    }
    guard socket == -EMFILE || socket == -ENFILE else { return socket }
    if spare >= 0 { _ = weft_close(spare) }
    let shed = unsafe weft_accept(listener, bytes.base, &length)
    if shed >= 0 { _ = weft_close(shed) }
    spare = weft_spare_descriptor()
    return shed >= 0 ? -EMFILE : -EAGAIN
  }

  /// Best effort: an option the kernel refuses does not cost the connection.
  private func configure(_ socket: Int32, _ options: ConnectionOptions) {
    if options.noDelay { _ = weft_set_no_delay(socket) }
    if let keepalive = options.keepalive {
      let idle = Int32(clamping: max(1, keepalive.idle.components.seconds))
      let interval = Int32(clamping: max(1, keepalive.interval.components.seconds))
      _ = weft_set_keepalive(socket, idle, interval, Int32(clamping: keepalive.probes))
    }
    if let limit = options.userTimeout {
      _ = weft_set_user_timeout(socket, UInt32(clamping: limit.wholeMilliseconds))
    }
    if options.kernelBufferBytes > 0 {
      _ = weft_set_buffers(socket, Int32(clamping: options.kernelBufferBytes))
    }
  }

  package override func register(_ socket: Int32, key: UInt64) -> Int32 {
    weft_epoll_add(poller, socket, Self.edge, key)
  }

  package override func release(_ socket: Int32) -> Int32 {
    let result = weft_epoll_remove(poller, socket)
    return result < 0 ? result : socket
  }

  package override func adopt(_ descriptor: Int32, key: UInt64) -> Int32 {
    // Registering reports at once what the socket is ready for.
    let result = weft_epoll_add(poller, descriptor, Self.edge, key)
    return result < 0 ? result : descriptor
  }

  package override func discard(_ descriptor: Int32) { _ = weft_close(descriptor) }

  package override func connect(
    to address: SocketAddress, _ options: ConnectionOptions, key: UInt64
  ) -> Int32 {
    let socket = weft_stream_socket(AddressBytes.family(of: address))
    guard socket >= 0 else { return socket }
    var result: Int32 = 0
    if !address.isUnix { configure(socket, options) }
    if options.mark != 0 { result = weft_set_mark(socket, options.mark) }
    if result >= 0, options.transparent {
      result = weft_set_transparent(socket, address.ip.family == .v6 ? 1 : 0)
    }
    if result >= 0, options.freeBind { result = weft_set_free_bind(socket) }
    if result >= 0, !options.raw.isEmpty { result = set(options.raw, on: socket) }
    if result >= 0, let local = options.bindTo {
      // The port is chosen with the peer in mind, so that one address has more than 28,000 connections. Old kernels cannot.
      if local.port == 0, !local.isUnix { _ = weft_defer_port(socket) }
      let length = bytes.write(local)
      result = unsafe weft_bind(socket, bytes.base, length)
    }
    if result < 0 { result -= Self.bindFault }
    if result >= 0 {
      let length = bytes.write(address)
      result = unsafe weft_connect(socket, bytes.base, length)
      if result == -EINPROGRESS { result = 0 }
    }
    if result >= 0 { result = weft_epoll_add(poller, socket, Self.edge, key) }
    if result >= 0 { return socket }
    _ = weft_close(socket)
    return result
  }

  /// What the kernel says of the first option that it refuses.
  private func set(_ options: [RawSocketOption], on socket: Int32) -> Int32 {
    for option in options {
      let result = unsafe option.value.withUnsafeBytes { value in
        unsafe weft_set_option(socket, option.level, option.name, value.baseAddress, UInt32(value.count))
      }
      if result < 0 { return result }
    }
    return 0
  }

  package override func pendingError(_ socket: Int32) -> Int32 { weft_take_error(socket) }

  // MARK: Bytes

  package override func read(_ socket: Int32, into base: UnsafeMutableRawPointer, capacity: Int)
    -> Int
  {
    unsafe Int(weft_receive(socket, base, capacity))
  }

  package override func write(_ socket: Int32, _ base: UnsafeRawPointer, count: Int) -> Int {
    unsafe Int(weft_send(socket, base, count))
  }

  package override func write(_ socket: Int32, _ vectors: UnsafeBufferPointer<WriteVector>) -> Int {
    // A WriteVector is laid out as struct iovec: an address and a size.
    unsafe Int(weft_send_vectors(socket, vectors.baseAddress, vectors.count))
  }

  package override func unreadBytes(_ socket: Int32) -> Int { Int(weft_unread_bytes(socket)) }

  package override func unsentBytes(_ socket: Int32) -> Int { Int(weft_unsent_bytes(socket)) }

  // MARK: Closing

  package override func shutdownWrite(_ socket: Int32) { _ = weft_shutdown_write(socket) }

  package override func close(_ socket: Int32, reset: Bool) {
    if reset { _ = weft_linger_reset(socket) }
    _ = weft_close(socket)
  }

  // MARK: Addresses

  package override func localAddress(_ socket: Int32) -> SocketAddress {
    var length: UInt32 = 0
    return unsafe weft_local_address(socket, bytes.base, &length) < 0
      ? .unnamedUnix : bytes.read(length)
  }

  package override func peerAddress(_ socket: Int32) -> SocketAddress {
    var length: UInt32 = 0
    return unsafe weft_peer_address(socket, bytes.base, &length) < 0
      ? .unnamedUnix : bytes.read(length)
  }

  package override func originalDestination(_ socket: Int32) -> SocketAddress? {
    let local = localAddress(socket)
    if local.isUnix { return nil }
    // An IPv4 client of a dual-stack listener is tracked as IPv4.
    let v6 = local.ip.unmapped.family == .v6
    var length: UInt32 = 0
    guard unsafe weft_original_destination(socket, v6 ? 1 : 0, bytes.base, &length) >= 0 else {
      return nil
    }
    let address = bytes.read(length)
    return address.isUnix
      || (address.port == local.port && address.ip.unmapped == local.ip.unmapped) ? nil : address
  }

  // MARK: Foreign descriptors

  package override func watch(_ descriptor: Int32, _ interest: DriverEvent.Flags, key: UInt64)
    -> Int32
  {
    if interest.isEmpty {
      return watched.remove(descriptor) == nil ? 0 : weft_epoll_remove(poller, descriptor)
    }
    var bits: UInt32 = 0
    if interest.contains(.readable) { bits |= EPOLLIN.rawValue }
    if interest.contains(.writable) { bits |= EPOLLOUT.rawValue }
    if watched.contains(descriptor) { return weft_epoll_modify(poller, descriptor, bits, key) }
    let result = weft_epoll_add(poller, descriptor, bits, key)
    if result >= 0 { watched.insert(descriptor) }
    return result
  }
}
