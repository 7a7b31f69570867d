// Departures: connections that end because their host, listener or filter chain is gone, a slice in every turn.

import WeftBase
import WeftProxyAPI
import WeftRuntime
import WeftTables
import WeftUpstream

/// What is still to be ended on a worker, and how much of it this turn may do (`WorkerEngine.Limits.closesPerTurn`, for all of it together).
///
/// Whatever comes in between, another update or a drain, only adds to the lists: what stands in them is ended in its order. One that ended by
/// itself has a slot of another generation and is passed over.
struct Departures {
  /// Clients of one listener or filter chain.
  struct Clients {
    enum Step {
      /// They are to take their next request elsewhere.
      case tell
      /// The drain time is over.
      case end
    }

    let list: [DownstreamIndex]
    let step: Step
    var next = 0
  }

  /// Hosts that left and have connections still to be closed.
  var hosts: [HostIndex] = []
  private(set) var clients: [Clients] = []
  /// Whether the end of a turn was asked for, to go on.
  var isAsked = false
  private(set) var left = 0
  private var turn = UInt64.max

  var isEmpty: Bool { hosts.isEmpty && clients.isEmpty }

  /// Whether one more connection may be ended in turn number `turn` of the loop.
  mutating func maySpend(in turn: UInt64, most: Int) -> Bool {
    if self.turn != turn {
      self.turn = turn
      left = most
    }
    return left > 0
  }

  /// One connection is being ended.
  mutating func spend() { left -= 1 }

  mutating func add(_ list: [DownstreamIndex], _ step: Clients.Step) {
    clients.append(Clients(list: list, step: step))
  }

  /// The client whose turn it is, which is listed no more.
  mutating func takeClient() -> (client: DownstreamIndex, step: Clients.Step)? {
    while let first = clients.first {
      if first.next < first.list.count {
        clients[0].next += 1
        return (first.list[first.next], first.step)
      }
      clients.removeFirst()
    }
    return nil
  }
}

extension WorkerEngine {
  /// Whether this turn may end one more of the connections that are to go; else the next one goes on.
  func mayEndConnection() -> Bool {
    if turn[].departures.maySpend(in: loop.statistics.turns, most: limits.closesPerTurn) { return true }
    if !turn[].departures.isAsked {
      turn[].departures.isAsked = true
      loop.atEndOfTurn(Self.departing)
    }
    return false
  }

  /// Does this turn's share of what is listed.
  func continueDepartures() {
    turn[].departures.isAsked = false
    let list = turn[].departures.hosts
    turn[].departures.hosts = []
    for h in list where hosts.contains(h) { closeConnections(ofRemoved: h) }
    endClients()
  }

  /// Asks connections to end, and ends those that are still there when the drain time is over: as many as a turn may, the rest in later turns.
  func drainConnections(_ connections: [DownstreamIndex]) {
    if connections.isEmpty { return }
    turn[].departures.add(connections, .tell)
    endClients()
    loop.schedule(after: limits.drainTime) { [weak self] in
      guard let self else { return }
      turn[].departures.add(connections, .end)
      endClients()
      flushStage()
    }
  }

  private func endClients() {
    while !turn[].departures.clients.isEmpty, mayEndConnection() {
      guard let (d, step) = turn[].departures.takeClient() else { return }
      guard downstreams.contains(d), downstreams[d].isOpen else { continue }
      turn[].departures.spend()
      switch step {
      case .tell: beginDrain(downstream: d)
      case .end: close(downstream: d, downstreams[d].active > 0 || downstreams[d].kind == .tcp ? .reset : .gracefully)
      }
    }
  }
}
