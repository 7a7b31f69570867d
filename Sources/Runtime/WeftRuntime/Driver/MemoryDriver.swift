// MemoryDriver: the driver of tests. Sockets live in a MemoryNetwork; nothing ever sleeps.

import Glibc
package import WeftBase

/// `Driver` over a `MemoryNetwork`. Turn its loop with `MemoryNetwork.run` or `EventLoop.turn`, not with `EventLoop.run`: waiting returns at
/// once and only the network moves the clock.
///
/// Why sound: the raw memory it touches is what `read`, `write` and `wait` are given, within the lengths given.
@safe
package final class MemoryDriver: Driver {
  package let network: MemoryNetwork
  private var sockets: [MemorySocket?] = []
  private var free: [Int32] = []
  /// Makes the next accepts fail as if descriptors had run out.
  package var shedsNext = 0
  /// Connections made from here look to their listener as if they had been meant for this address and redirected.
  package var redirectedFrom: SocketAddress?
  /// `errno` that a connect from a local address of one's choice meets; 0 lets it be.
  package var refusesToBind: Int32 = 0
  /// What the last connect was asked for.
  package private(set) var lastOptions = ConnectionOptions()

  package init(network: MemoryNetwork) {
    self.network = network
    super.init()
    network.join(self)
  }

  func eachSocket(_ body: (MemorySocket) -> Void) {
    for case let socket? in sockets { body(socket) }
  }

  package override func now() -> MonotonicInstant { network.time }

  package override func wait(
    until deadline: MonotonicInstant?, events: UnsafeMutableBufferPointer<DriverEvent>
  ) -> Int {
    var filled = 0
    let first = network.behaviour.shuffles && sockets.count > 1 ? network.random.next(below: sockets.count) : 0
    for index in sockets.indices {
      guard filled < events.count else { break }
      guard let socket = sockets[(first + index) % sockets.count], socket.isRegistered else { continue }
      if socket.isListener {
        guard socket.backlog.contains(where: { $0.readyAt <= network.time }) else { continue }
        socket.edges.insert(.readable)
      } else {
        socket.arrive()
        socket.offerWritable()
      }
      if socket.edges.isEmpty { continue }
      unsafe events[filled] = DriverEvent(key: socket.key, flags: socket.edges)
      filled += 1
      socket.edges = []
    }
    return filled
  }

  private func insert(_ socket: MemorySocket) -> Int32 {
    if let number = free.popLast() {
      sockets[Int(number)] = socket
      return number
    }
    sockets.append(socket)
    return Int32(sockets.count - 1)
  }

  private func socket(_ number: Int32) -> MemorySocket {
    guard let socket = sockets[Int(number)] else {
      preconditionFailure("socket \(number) is closed")
    }
    return socket
  }

  package override func listen(on address: SocketAddress, _ options: ListenOptions, key: UInt64)
    throws(WeftError) -> (
      socket: Int32, address: SocketAddress
    )
  {
    let listener = MemorySocket(driver: self, local: address, remote: .unnamedUnix)
    listener.isListener = true
    listener.reusePort = options.sharing == .reusePort
    listener.key = key
    listener.isRegistered = true
    listener.local = try network.bind(listener, to: address)
    return (insert(listener), listener.local)
  }

  package override func accept(
    _ listener: Int32, _ options: ConnectionOptions, peer: inout SocketAddress
  ) -> Int32 {
    let listener = socket(listener)
    guard let next = listener.backlog.firstIndex(where: { $0.readyAt <= network.time }) else { return -EAGAIN }
    let socket = listener.backlog.remove(at: next)
    if shedsNext > 0 {
      shedsNext -= 1
      socket.peer?.send(.fin)
      socket.isClosed = true
      return -EMFILE
    }
    peer = socket.remote
    socket.driver = self
    return insert(socket)
  }

  package override func register(_ number: Int32, key: UInt64) -> Int32 {
    let socket = socket(number)
    socket.key = key
    socket.isRegistered = true
    socket.edges.insert(.writable)
    return 0
  }

  package override func connect(
    to address: SocketAddress, _ options: ConnectionOptions, key: UInt64
  ) -> Int32 {
    lastOptions = options
    var local = network.ephemeralAddress(like: address)
    if let chosen = options.bindTo {
      if refusesToBind != 0 { return -(refusesToBind + Self.bindFault) }
      if chosen.isUnix != address.isUnix || chosen.ip.family != address.ip.family { return -(EINVAL + Self.bindFault) }
      local = chosen.port == 0 && !chosen.isUnix ? SocketAddress(chosen.ip, port: local.port) : chosen
    }
    let socket = MemorySocket(driver: self, local: local, remote: address)
    socket.key = key
    socket.isRegistered = true
    socket.isOpener = true
    socket.isAnswered = false
    let arrival = network.isCut(address) ? .distantFuture : network.arrival() ?? network.time
    socket.readyAt = arrival
    if let listener = network.listener(for: address) {
      let other = MemorySocket(driver: listener.driver, local: address, remote: local)
      other.readyAt = arrival
      other.peer = socket
      other.original = redirectedFrom
      socket.peer = other
      listener.backlog.append(other)
      network.accepted.append(other)
    } else {
      socket.error = ECONNREFUSED
    }
    return insert(socket)
  }

  package override func release(_ number: Int32) -> Int32 {
    let socket = socket(number)
    sockets[Int(number)] = nil
    free.append(number)
    socket.isRegistered = false
    return network.hand(socket)
  }

  package override func adopt(_ descriptor: Int32, key: UInt64) -> Int32 {
    guard let socket = network.take(descriptor, isListener: false) else { return -EBADF }
    enlist(socket, key)
    socket.edges.insert(.writable)
    if !socket.inbox.isEmpty || socket.finArrived { socket.edges.insert(.readable) }
    if socket.finArrived { socket.edges.insert(.hangup) }
    if socket.error != 0 { socket.edges.formUnion([.readable, .hangup, .error]) }
    return insert(socket)
  }

  package override func discard(_ descriptor: Int32) {
    guard let socket = network.take(descriptor, isListener: false) else { return }
    close(insert(socket), reset: false)
  }

  package override func releaseListener(_ listener: Int32) -> Int32 { release(listener) }

  package override func adoptListener(_ descriptor: Int32, _ options: ListenOptions, key: UInt64)
    throws(WeftError) -> (
      socket: Int32, address: SocketAddress
    )
  {
    guard let socket = network.take(descriptor, isListener: true) else { throw .system("adopt a listener", EBADF) }
    enlist(socket, key)
    return (insert(socket), socket.local)
  }

  private func enlist(_ socket: MemorySocket, _ key: UInt64) {
    socket.driver = self
    socket.key = key
    socket.isRegistered = true
    socket.edges = []
  }

  package override func pendingError(_ number: Int32) -> Int32 { socket(number).error }

  package override func read(_ number: Int32, into base: UnsafeMutableRawPointer, capacity: Int)
    -> Int
  {
    let socket = socket(number)
    let n = min(capacity, socket.inbox.count)
    if n > 0 {
      unsafe socket.inbox.withUnsafeBytes {
        unsafe _ = memcpy(base, $0.baseAddress.unsafelyUnwrapped, n)
      }
      socket.inbox.removeFirst(n)
      return n
    }
    // An end that came in order before a reset is still told.
    if socket.finArrived { return 0 }
    return socket.error != 0 ? -Int(socket.error) : -Int(EAGAIN)
  }

  package override func write(_ number: Int32, _ base: UnsafeRawPointer, count: Int) -> Int {
    let socket = socket(number)
    if socket.error != 0 || socket.writeShut { return -Int(EPIPE) }
    guard let peer = socket.peer, !peer.isClosed else {
      socket.send(.reset)
      return count
    }
    var n = min(count, peer.room)
    if n > 0, network.behaviour.splits, network.random.chance(1, in: 4) {
      n = 1 + network.random.next(below: n)
    }
    if n < count { socket.wantsWritable = true }
    if n == 0 { return count == 0 ? 0 : -Int(EAGAIN) }
    peer.send(.bytes(unsafe Array(UnsafeRawBufferPointer(start: base, count: n))))
    return n
  }

  package override func write(_ number: Int32, _ vectors: UnsafeBufferPointer<WriteVector>) -> Int {
    var total = 0
    for index in 0..<vectors.count {
      let vector = unsafe vectors[index]
      let n = unsafe write(number, vector.base, count: vector.count)
      if n < 0 { return total > 0 ? total : n }
      total += n
      if n < vector.count { break }
    }
    return total
  }

  package override func unreadBytes(_ number: Int32) -> Int {
    socket(number).inbox.count + socket(number).wire.count
  }

  package override func unsentBytes(_ number: Int32) -> Int {
    socket(number).peer.map { $0.flightBytes + $0.wire.count } ?? 0
  }

  package override func shutdownWrite(_ number: Int32) {
    let socket = socket(number)
    socket.writeShut = true
    socket.peer?.send(.fin)
  }

  package override func close(_ number: Int32, reset: Bool) {
    let socket = socket(number)
    sockets[Int(number)] = nil
    free.append(number)
    socket.isClosed = true
    if socket.isListener {
      network.unbind(socket)
      for waiting in socket.backlog { waiting.peer?.send(.reset) }
      return
    }
    guard let peer = socket.peer else { return }
    if reset { peer.loseTail() }
    if reset || !socket.inbox.isEmpty || !socket.wire.isEmpty || socket.flightBytes > 0 {
      peer.send(.reset)
    } else if !socket.writeShut {
      peer.send(.fin)
    }
    network.accepted.removeAll { $0 === socket }
  }

  package override func localAddress(_ number: Int32) -> SocketAddress { socket(number).local }
  package override func peerAddress(_ number: Int32) -> SocketAddress { socket(number).remote }
  package override func originalDestination(_ number: Int32) -> SocketAddress? {
    socket(number).original
  }
}
