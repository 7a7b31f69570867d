// MemoryNetwork: sockets in memory and a clock that jumps. One test runs client, proxy and server on it, repeatably.

import Glibc
package import WeftBase

/// How a `MemoryNetwork` treats bytes.
package struct MemoryBehaviour: Sendable {
  /// Bytes that may be under way or unread in one direction of a connection.
  package var windowBytes = 64 << 10
  /// Bytes arrive in pieces of random length and writes are taken in part, as the seed says; otherwise whole.
  package var splits = false

  package init() {}
}

/// A simulated network for `MemoryDriver`s, all on one thread.
///
/// It behaves as Linux TCP does where a loop can tell: edges are reported once, unread input turns a close into a reset, what arrived
/// before a reset can still be read, writing to a closed peer succeeds once and then fails.
package final class MemoryNetwork {
  package private(set) var time: MonotonicInstant
  package var behaviour: MemoryBehaviour
  var random: RandomSource
  private var listeners: [SocketAddress: [MemorySocket]] = [:]
  private var nextPort: UInt16 = 40_000

  /// A network whose choices follow `seed`; its clock starts at one second.
  package init(seed: UInt64 = 1, behaviour: MemoryBehaviour = MemoryBehaviour()) {
    random = RandomSource(seed: seed)
    self.behaviour = behaviour
    time = MonotonicInstant(nanoseconds: 1_000_000_000)
  }

  /// Turns `loops` until `done` says so. When all are idle the clock jumps to the next timer. Returns false when `done` still says no after
  /// `limit` of virtual time, or when nothing can happen any more.
  package func run(_ loops: [EventLoop], for limit: Duration = .seconds(60), until done: () -> Bool)
    -> Bool
  {
    let end = time + limit
    while !done() {
      var busy = false
      // The order of loops within a round is part of what the seed decides.
      let first = loops.isEmpty ? 0 : random.next(below: loops.count)
      for index in loops.indices {
        if loops[(first + index) % loops.count].turn() { busy = true }
        if done() { return true }
      }
      if busy { continue }
      guard let next = loops.compactMap({ $0.nextDeadline }).min(), next <= end else {
        time = max(time, end)
        return done()
      }
      time = max(time, next)
    }
    return true
  }

  /// Turns `loops` until `duration` of virtual time has passed.
  package func advance(_ loops: [EventLoop], by duration: Duration) {
    let end = time + duration
    _ = run(loops, for: duration) { time >= end }
    time = max(time, end)
    for loop in loops { loop.turn() }
  }

  func bind(_ socket: MemorySocket, to address: SocketAddress) throws(WeftError) -> SocketAddress {
    var bound = address
    if !address.isUnix, address.port == 0 {
      bound = SocketAddress(address.ip, port: nextPort)
      nextPort += 1
    } else if let others = listeners[bound], let other = others.first,
      !(other.reusePort && socket.reusePort)
    {
      throw .system("bind \(address)", EADDRINUSE)
    }
    listeners[bound, default: []].append(socket)
    return bound
  }

  func unbind(_ socket: MemorySocket) {
    listeners[socket.local]?.removeAll { $0 === socket }
    if listeners[socket.local]?.isEmpty ?? false { listeners[socket.local] = nil }
  }

  /// A listener for `address`; several sharing it take turns at random.
  func listener(for address: SocketAddress) -> MemorySocket? {
    var found = listeners[address]
    if found == nil, !address.isUnix {
      found = listeners[SocketAddress(address.ip.family == .v4 ? .any4 : .any6, port: address.port)]
    }
    guard let found, !found.isEmpty else { return nil }
    return found[random.next(below: found.count)]
  }

  func ephemeralAddress(like address: SocketAddress) -> SocketAddress {
    if address.isUnix { return .unnamedUnix }
    nextPort += 1
    return SocketAddress(address.ip, port: nextPort)
  }
}

/// One end of a connection in memory, or a listener.
final class MemorySocket {
  let driver: MemoryDriver
  var key: UInt64 = 0
  var isRegistered = false
  var local: SocketAddress
  var remote: SocketAddress
  var original: SocketAddress?
  var reusePort = false

  // A listener's waiting connections.
  var isListener = false
  var backlog: [MemorySocket] = []

  weak var peer: MemorySocket?
  /// Bytes on their way to this end, then those that have arrived.
  var wire: [UInt8] = []
  var inbox: [UInt8] = []
  var finOnWire = false
  var finArrived = false
  var resetOnWire = false
  /// 0, or the error every call meets.
  var error: Int32 = 0
  var writeShut = false
  /// A write was refused or taken in part: a writable edge is owed.
  var wantsWritable = false
  var isClosed = false
  /// Edges not yet reported.
  var edges = DriverEvent.Flags()

  init(driver: MemoryDriver, local: SocketAddress, remote: SocketAddress) {
    self.driver = driver
    self.local = local
    self.remote = remote
  }

  var room: Int { max(0, driver.network.behaviour.windowBytes - wire.count - inbox.count) }

  /// Moves bytes from the wire to the inbox, and what follows them.
  func arrive() {
    if !wire.isEmpty {
      var n = wire.count
      if driver.network.behaviour.splits {
        let most = driver.network.random.chance(1, in: 2) ? min(n, 7) : n
        n = 1 + driver.network.random.next(below: most)
      }
      inbox += wire[..<n]
      wire.removeFirst(n)
      edges.insert(.readable)
    }
    guard wire.isEmpty else { return }
    // In split mode an end may come together with the last bytes or on its own.
    if driver.network.behaviour.splits, !edges.isEmpty, driver.network.random.chance(1, in: 2) {
      return
    }
    if finOnWire, !finArrived {
      finArrived = true
      edges.formUnion([.readable, .hangup])
    }
    if resetOnWire, error == 0 {
      error = ECONNRESET
      edges.formUnion([.readable, .writable, .hangup, .error])
    }
  }

  func offerWritable() {
    if wantsWritable, let peer, peer.room > 0 || peer.isClosed {
      wantsWritable = false
      edges.insert(.writable)
    }
  }
}
