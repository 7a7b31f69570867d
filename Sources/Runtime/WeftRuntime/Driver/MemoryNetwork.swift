// MemoryNetwork: sockets in memory and a clock that jumps. One test runs client, proxy and server on it, repeatably.

import Glibc
package import WeftBase

/// How a `MemoryNetwork` treats bytes.
package struct MemoryBehaviour: Sendable {
  /// Bytes that may be under way or unread in one direction of a connection.
  package var windowBytes = 64 << 10
  /// Bytes arrive in pieces of random length and writes are taken in part, as the seed says; otherwise whole.
  package var splits = false
  /// How long bytes, ends and connects are under way, at least and at most. What one connection carries in one direction stays in
  /// order; connections overtake each other.
  package var latency: ClosedRange<Duration> = .zero ... .zero
  /// Which of several ready connections a loop hears of first is drawn anew each time.
  package var shuffles = false

  package init() {}
}

/// A simulated network for `MemoryDriver`s, all on one thread.
///
/// It behaves as Linux TCP does where a loop can tell: edges are reported once, unread input turns a close into a reset, what arrived
/// before a reset can still be read (an end included), what the sender's buffer held is lost with it, writing to a closed peer succeeds once
/// and then fails.
package final class MemoryNetwork {
  package private(set) var time: MonotonicInstant
  package var behaviour: MemoryBehaviour
  var random: RandomSource
  private var listeners: [SocketAddress: [MemorySocket]] = [:]
  private var nextPort: UInt16 = 40_000
  private var drivers: [Weakly<MemoryDriver>] = []
  private var cutOff: Set<SocketAddress> = []
  /// Keeps connections alive until their listener takes them (peers know each other weakly).
  var accepted: [MemorySocket] = []
  /// Sockets that one driver released and none has adopted yet, by descriptor.
  private var handed: [Int32: MemorySocket] = [:]
  private var nextDescriptor: Int32 = 1000

  /// A network whose choices follow `seed`; its clock starts at one second.
  package init(seed: UInt64 = 1, behaviour: MemoryBehaviour = MemoryBehaviour()) {
    random = RandomSource(seed: seed)
    self.behaviour = behaviour
    time = MonotonicInstant(nanoseconds: 1_000_000_000)
  }

  /// Turns `loops` until `done` says so. When all are idle the clock jumps to the next timer or arrival. Returns false when `done` still
  /// says no after `limit` of virtual time, or when nothing can happen any more.
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
      guard let next = [loops.compactMap({ $0.nextDeadline }).min(), nextArrival].compactMap({ $0 }).min(), next <= end
      else {
        time = max(time, end)
        return done()
      }
      time = max(time, next)
    }
    return true
  }

  /// Moves the clock on without turning anybody: for worlds that turn their loops themselves, and for sleeps of the whole machine.
  package func passTime(to instant: MonotonicInstant) { time = max(time, instant) }

  /// When something that is under way arrives; nil when nothing is, or all of it is cut off.
  package var nextArrival: MonotonicInstant? {
    var next = MonotonicInstant.distantFuture
    for driver in drivers { driver.value?.eachSocket { next = min(next, $0.nextArrival(after: time)) } }
    return next == .distantFuture ? nil : next
  }

  /// Turns `loops` until `duration` of virtual time has passed.
  package func advance(_ loops: [EventLoop], by duration: Duration) {
    let end = time + duration
    _ = run(loops, for: duration) { time >= end }
    time = max(time, end)
    for loop in loops { loop.turn() }
  }

  // MARK: Faults

  /// Cuts the listener at `address` off: what connections to it have under way, in both directions, and new connects wait until `restore`.
  package func cut(_ address: SocketAddress) { cutOff.insert(address) }

  /// Ends `cut`: what waited arrives a latency later.
  package func restore(_ address: SocketAddress) {
    guard cutOff.remove(address) != nil else { return }
    for driver in drivers { driver.value?.eachSocket { if $0.service == address { $0.release(network: self) } } }
  }

  /// Breaks one of the connections that `isMeant` (told its listener's address) admits, as a box in between does: both ends are reset and
  /// what was under way is lost. Returns whether there was one.
  package func breakConnection(_ isMeant: (SocketAddress) -> Bool) -> Bool {
    var found: [MemorySocket] = []
    for driver in drivers {
      driver.value?.eachSocket {
        if !$0.isListener, $0.isOpener, $0.peer != nil, isMeant($0.service) { found.append($0) }
      }
    }
    guard !found.isEmpty else { return false }
    let socket = found[random.next(below: found.count)]
    socket.peer?.breakDown()
    socket.breakDown()
    return true
  }

  /// Keeps a socket that no driver has; the descriptor by which one takes it.
  func hand(_ socket: MemorySocket) -> Int32 {
    nextDescriptor += 1
    handed[nextDescriptor] = socket
    return nextDescriptor
  }

  func take(_ descriptor: Int32, isListener: Bool) -> MemorySocket? {
    handed[descriptor]?.isListener == isListener ? handed.removeValue(forKey: descriptor) : nil
  }

  func join(_ driver: MemoryDriver) { drivers.append(Weakly(driver)) }

  func isCut(_ address: SocketAddress) -> Bool { !cutOff.isEmpty && cutOff.contains(address) }

  /// When something sent now arrives; nil: at once.
  func arrival() -> MonotonicInstant? {
    let (least, most) = (behaviour.latency.lowerBound, behaviour.latency.upperBound)
    if most == .zero { return nil }
    let span = Int((most - least) / .nanoseconds(1))
    return time + least + .nanoseconds(random.next(below: span + 1))
  }

  func bind(_ socket: MemorySocket, to address: SocketAddress) throws(WeftError) -> SocketAddress {
    var bound = address
    if !address.isUnix, address.port == 0 {
      bound = SocketAddress(address.ip, port: nextPort)
      nextPort = nextPort == .max ? 40_000 : nextPort + 1
    } else if let others = listeners[bound], let other = others.first,
      !(other.reusePort && socket.reusePort)
    {
      throw .cannotBind(address, EADDRINUSE)
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
    nextPort = nextPort == .max ? 40_000 : nextPort + 1
    return SocketAddress(address.ip, port: nextPort)
  }
}

/// Does not keep what it names.
struct Weakly<Object: AnyObject> {
  weak var value: Object?
  init(_ value: Object) { self.value = value }
}

/// One end of a connection in memory, or a listener.
final class MemorySocket {
  /// Something on its way to this end that has not come near yet.
  struct Flight {
    enum Cargo { case bytes([UInt8]), fin, reset }
    /// Distant while it is cut off.
    var due: MonotonicInstant
    var cargo: Cargo
  }

  var driver: MemoryDriver
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
  /// This end connected.
  var isOpener = false
  /// When a connect is answered, or an accepted connection reaches its listener.
  var readyAt = MonotonicInstant.zero
  /// The answer of a connect has been reported.
  var isAnswered = true
  var flights: [Flight] = []
  var flightBytes = 0
  /// Bytes about to arrive at this end, then those that have arrived.
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

  var room: Int { max(0, driver.network.behaviour.windowBytes - flightBytes - wire.count - inbox.count) }

  /// The listener's address, on both ends.
  var service: SocketAddress { isOpener ? remote : local }

  // MARK: Under way

  /// Sends something to this end.
  func send(_ cargo: Flight.Cargo) {
    let network = driver.network
    let due = network.isCut(service) ? .distantFuture : network.arrival()
    guard var due = due ?? flights.last.map({ _ in network.time }) else { return land(cargo) }
    if let last = flights.last { due = max(due, last.due) }
    if case .bytes(let bytes) = cargo { flightBytes += bytes.count }
    flights.append(Flight(due: due, cargo: cargo))
  }

  private func land(_ cargo: Flight.Cargo) {
    switch cargo {
    case .bytes(let bytes): wire += bytes
    case .fin: finOnWire = true
    case .reset: resetOnWire = true
    }
  }

  func nextArrival(after now: MonotonicInstant) -> MonotonicInstant {
    var next = MonotonicInstant.distantFuture
    if !isAnswered, readyAt > now { next = readyAt }
    if let first = flights.first, first.due > now { next = min(next, first.due) }
    for waiting in backlog where waiting.readyAt > now { next = min(next, waiting.readyAt) }
    return next
  }

  /// Lets what was cut off go on.
  func release(network: MemoryNetwork) {
    var due = network.arrival() ?? network.time
    if readyAt == .distantFuture { readyAt = due }
    for waiting in backlog { waiting.release(network: network) }
    for index in flights.indices where flights[index].due == .distantFuture {
      flights[index].due = due
      due = max(due, network.arrival() ?? due)
    }
  }

  /// The sender resets: what its buffer still held is lost, what had left it arrives.
  func loseTail() {
    guard !flights.isEmpty else { return }
    for flight in flights[driver.network.random.next(below: flights.count + 1)...] {
      if case .bytes(let bytes) = flight.cargo { flightBytes -= bytes.count }
      flights.removeLast()
    }
  }

  /// The connection is broken from outside.
  func breakDown() {
    flights = []
    flightBytes = 0
    resetOnWire = true
    readyAt = min(readyAt, driver.network.time)
  }

  /// Moves bytes from the wire to the inbox, and what follows them.
  func arrive() {
    let network = driver.network
    if !isAnswered {
      guard readyAt <= network.time else { return }
      isAnswered = true
      edges.insert(.writable)
      if error != 0 { edges.formUnion([.error, .hangup]) }
    }
    while let first = flights.first, first.due <= network.time {
      flights.removeFirst()
      if case .bytes(let bytes) = first.cargo { flightBytes -= bytes.count }
      land(first.cargo)
    }
    if !wire.isEmpty {
      var n = wire.count
      if network.behaviour.splits {
        let most = network.random.chance(1, in: 2) ? min(n, 7) : n
        n = 1 + network.random.next(below: most)
      }
      inbox += wire[..<n]
      wire.removeFirst(n)
      edges.insert(.readable)
    }
    guard wire.isEmpty else { return }
    // In split mode an end may come together with the last bytes or on its own.
    if network.behaviour.splits, !edges.isEmpty, network.random.chance(1, in: 2) { return }
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
