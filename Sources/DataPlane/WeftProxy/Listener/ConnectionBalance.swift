// ConnectionBalance: which worker serves a connection.

import Synchronization
import WeftBase
import WeftModel
package import WeftRuntime
import WeftTables
import WeftTelemetry
import WeftUpstream

/// How many connections of clients each worker has.
///
/// The kernel deals connections out by a hash of their addresses. Over many short ones that is even; a few long ones, as HTTP/2 clients and
/// sidecars make, may all meet on one worker and stay there while others idle. So the worker that accepts looks who has fewest, and hands the
/// socket over when it has clearly more itself.
/// *Cost*: a lock per connection, none per request; a hand-over wakes the other worker.
package final class ConnectionBalance: Sendable {
  /// How much one worker may have before the next connection goes elsewhere.
  package enum Mode: Sendable {
    /// Two more than the one with fewest, and a quarter.
    case even
    /// None more: `exact_balance`.
    case exact
  }

  private struct State {
    var counts: [Int]
    /// Workers that have a change of their listeners still before them.
    var changing = 0
  }

  let mailboxes: [Mailbox]
  private let state: Mutex<State>

  package init(_ mailboxes: [Mailbox]) {
    self.mailboxes = mailboxes
    state = Mutex(State(counts: Array(repeating: 0, count: mailboxes.count)))
  }

  /// The worker that is to have the connection `own` has accepted. Its place there is taken with the decision, so that two workers which place
  /// at the same moment see each other's.
  package func place(acceptedBy own: Int, _ mode: Mode) -> Int {
    state.withLock { state in
      var chosen = own
      if state.changing == 0 {
        for i in state.counts.indices where state.counts[i] < state.counts[chosen] { chosen = i }
        let spare = mode == .exact ? 0 : 1 + state.counts[chosen] / 4
        if state.counts[own] <= state.counts[chosen] + spare { chosen = own }
      }
      state.counts[chosen] += 1
      return chosen
    }
  }

  /// A worker has one more connection, for which no place was taken.
  package func came(_ worker: Int) { state.withLock { $0.counts[worker] += 1 } }

  /// Every worker is about to be told of a change. Until each has called `changed`, connections stay where they are accepted: the other
  /// worker's listener may be gone already.
  package func change() { state.withLock { $0.changing += mailboxes.count } }

  /// A worker has made the change.
  package func changed() { state.withLock { $0.changing -= 1 } }

  /// A worker has one less, or a place is given up.
  package func left(_ worker: Int) { state.withLock { $0.counts[worker] -= 1 } }

  /// Places that are taken, on each worker.
  var places: [Int] { state.withLock { $0.counts } }
}

extension WorkerEngine {
  package func takesAway(_ socket: Int32, on listener: ListenerID, from peer: SocketAddress) -> Bool {
    guard let balance = balance[] else { return false }
    giveUpPlace()
    let position = listenerTable[].position(of: listener)
    guard position >= 0 else { return false }
    let mode: ConnectionBalance.Mode =
      listenerTable[].entries[position].config[].config.exactBalance ? .exact : .even
    let chosen = balance.place(acceptedBy: number, mode)
    if chosen == number {
      turn[].hasPlace = true
      return false
    }
    let name = listenerTable[].entries[position].name
    let posted = balance.mailboxes[chosen].post { loop in
      if let engine = loop.handler as? WorkerEngine {
        engine.adopt(socket, of: name, from: peer)
      } else {
        balance.left(chosen)
        loop.driver.close(socket, reset: true)
      }
    }
    if !posted {
      balance.left(chosen)
      loop.driver.close(socket, reset: true)
    }
    return true
  }

  /// Takes a connection over that another worker has accepted on its listener of the same name, with the place it took here.
  private func adopt(_ socket: Int32, of name: String, from peer: SocketAddress) {
    giveUpPlace()
    turn[].hasPlace = true
    defer { giveUpPlace() }
    let entry = listenerTable[].entries.first { $0.life.accepts && $0.name == name && !$0.id.slot.isNone }
    guard let entry else { return loop.driver.close(socket, reset: true) }
    _ = loop.adopt(socket, on: entry.id, from: peer)
    flushStage()
  }

  /// A socket has become a connection, or was refused: what becomes of its place.
  func settlePlace(_ isServed: Bool) {
    let had = turn[].hasPlace
    turn[].hasPlace = false
    if had == isServed { return }
    if isServed { balance[]?.came(number) } else { balance[]?.left(number) }
  }

  /// The socket that had a place here did not become a connection: the loop had no room for it.
  private func giveUpPlace() {
    if turn[].hasPlace { settlePlace(false) }
  }
}
