// The world loop laws are proved in: the same tests run over sockets in memory and over real ones.

import Testing
import WeftBase
import WeftRuntime

/// Which driver a law runs over.
enum WorldKind: Sendable, Equatable, CustomTestStringConvertible {
  case memory(seed: UInt64, splits: Bool)
  case epoll

  static let all: [WorldKind] = [
    .epoll, .memory(seed: 1, splits: false), .memory(seed: 2, splits: true), .memory(seed: 3, splits: true),
    .memory(seed: 4, splits: true),
  ]

  /// Those with virtual time.
  static let inMemory = all.filter { $0 != .epoll }

  var testDescription: String {
    switch self {
    case .memory(let seed, let splits): "memory, seed \(seed)\(splits ? ", split" : "")"
    case .epoll: "epoll"
    }
  }
}

final class World {
  let kind: WorldKind
  let network: MemoryNetwork?
  private(set) var loops: [EventLoop] = []

  init(_ kind: WorldKind) {
    self.kind = kind
    switch kind {
    case .memory(let seed, let splits):
      var behaviour = MemoryBehaviour()
      behaviour.splits = splits
      network = MemoryNetwork(seed: seed, behaviour: behaviour)
    case .epoll:
      network = nil
    }
  }

  deinit { for loop in loops { loop.shutdown() } }

  func makeLoop(_ handler: RecordingHandler, limits: Limits = Limits()) -> EventLoop {
    let driver: Driver = network.map { MemoryDriver(network: $0) } ?? EpollDriver()
    let loop = EventLoop(driver: driver, limits: limits, seed: 7)
    loop.handler = handler
    handler.loop = loop
    loops.append(loop)
    return loop
  }

  /// Turns all loops until `done`; false when that does not come within `seconds`.
  func run(seconds: Int = 20, until done: () -> Bool) -> Bool {
    if let network { return network.run(loops, for: .seconds(seconds), until: done) }
    let end = loops[0].driver.now() + .seconds(seconds)
    while !done() {
      var busy = false
      for loop in loops where loop.turn(until: .zero) { busy = true }
      if done() { return true }
      let now = loops[0].driver.now()
      if now > end { return false }
      // Nothing to do anywhere: let the kernel wait a millisecond on one of them.
      if !busy { loops[0].turn(until: now + .milliseconds(1)) }
    }
    return true
  }

  /// Turns all loops for `duration`.
  func advance(by duration: Duration) {
    if let network { return network.advance(loops, by: duration) }
    let end = loops[0].driver.now() + duration
    _ = run { loops[0].driver.now() >= end }
  }

  /// Turns all loops often enough for everything that is under way to arrive.
  func settle() { advance(by: .milliseconds(20)) }
}

/// A handler that records what it is told and does what its closures say.
final class RecordingHandler: LoopHandler {
  enum Event: Equatable, CustomStringConvertible {
    case accepted, connected, secured, readEnded, drained
    case closed(CloseReason.Kind)

    var description: String {
      switch self {
      case .accepted: "accepted"
      case .connected: "connected"
      case .secured: "secured"
      case .readEnded: "readEnded"
      case .drained: "drained"
      case .closed(let kind): "closed(\(kind))"
      }
    }
  }

  unowned var loop: EventLoop!
  /// Per connection, in order.
  var events: [ConnectionID: [Event]] = [:]
  /// Bytes consumed per connection.
  var bytes: [ConnectionID: [UInt8]] = [:]
  var connections: [ConnectionID] = []
  var timers: [UInt64] = []
  var turns: [UInt64] = []
  var peer: SocketAddress?
  /// How deep callbacks are nested; more than one is a broken promise.
  private var depth = 0

  var onAccepted: (ConnectionID) -> Void = { _ in }
  var onConnected: (ConnectionID) -> Void = { _ in }
  var onSecured: (ConnectionID) -> Void = { _ in }
  var onReceived: (ConnectionID, ByteView) -> Int = { $1.count }
  var onReadEnded: (ConnectionID) -> Void = { _ in }
  var onDrained: (ConnectionID) -> Void = { _ in }
  var onClosed: (ConnectionID) -> Void = { _ in }
  var onTimer: (UInt64) -> Void = { _ in }

  private func note(_ c: ConnectionID, _ event: Event, _ body: () -> Void) {
    if let last = events[c]?.last, case .closed = last { Issue.record("\(event) after \(last)") }
    if events[c] == nil { connections.append(c) }
    events[c, default: []].append(event)
    guarded(body)
  }

  private func guarded<R>(_ body: () -> R) -> R {
    depth += 1
    defer { depth -= 1 }
    if depth > 1 { Issue.record("a callback inside a callback") }
    return body()
  }

  func accepted(_ c: ConnectionID, on listener: ListenerID, from peer: SocketAddress) {
    self.peer = peer
    note(c, .accepted) { onAccepted(c) }
  }
  func connected(_ c: ConnectionID) { note(c, .connected) { onConnected(c) } }
  func secured(_ c: ConnectionID) { note(c, .secured) { onSecured(c) } }
  func received(_ c: ConnectionID, _ view: ByteView) -> Int {
    if view.isEmpty { Issue.record("an empty delivery") }
    if loop.isPaused(c) { Issue.record("delivered while paused") }
    let n = guarded { onReceived(c, view) }
    bytes[c, default: []] += view.prefix(n).array
    return n
  }
  func readEnded(_ c: ConnectionID) { note(c, .readEnded) { onReadEnded(c) } }
  func drained(_ c: ConnectionID) { note(c, .drained) { onDrained(c) } }
  func closed(_ c: ConnectionID, _ reason: CloseReason) { note(c, .closed(reason.kind)) { onClosed(c) } }
  func timer(token: UInt64) {
    timers.append(token)
    guarded { onTimer(token) }
  }
  func endOfTurn(token: UInt64) { turns.append(token) }

  func isClosed(_ c: ConnectionID) -> Bool {
    if let last = events[c]?.last, case .closed = last { return true }
    return false
  }
  var allClosed: Bool { !connections.isEmpty && connections.allSatisfy(isClosed) }
  func received(_ c: ConnectionID) -> [UInt8] { bytes[c] ?? [] }
}

/// Bytes that show their own position, so that a lost or doubled one is seen.
func pattern(_ count: Int, from start: Int = 0) -> [UInt8] {
  (start..<start + count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
}

extension EventLoop {
  @discardableResult
  func write(_ c: ConnectionID, _ bytes: [UInt8]) -> WriteOutcome { bytes.withByteView { write(c, $0) } }
}
