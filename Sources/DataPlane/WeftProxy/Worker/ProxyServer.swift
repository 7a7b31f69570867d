// ProxyServer: the workers of a process, and the one entry by which configuration reaches them.

import Synchronization
package import WeftBase
package import WeftProxyAPI
package import WeftRuntime
package import WeftTables
package import WeftTelemetry
import WeftUpstream

/// A running proxy: N share-nothing workers.
///
/// *Threads*: any may call its methods. *Errors*: `init` when a thread or loop cannot be made.
package final class ProxyServer: Sendable {
  package struct Options: Sendable {
    package var concurrency: Int
    package var limits = WorkerEngine.Limits()
    package var loopLimits = WeftBase.Limits()
    /// Worker *i* is pinned to processor `pinnedTo[i]`, if there is one.
    package var pinnedTo: [Int] = []
    package init(concurrency: Int) { self.concurrency = concurrency }
  }

  package let registry: MetricsRegistry
  private let workers: [Worker]
  private let mailboxes: [Mailbox]
  private let balance: ConnectionBalance?
  private let draining = Atomic(false)
  private let configured = Atomic(false)

  package init(_ options: Options, registry: MetricsRegistry) throws {
    self.registry = registry
    var workers: [Worker] = []
    var mailboxes: [Mailbox] = []
    for number in 0..<options.concurrency {
      let cpu = number < options.pinnedTo.count ? options.pinnedTo[number] : nil
      let limits = options.limits
      let (worker, mailbox) = try Worker.loop(name: "weft-worker-\(number)", cpu: cpu, limits: options.loopLimits) {
        loop in
        WorkerEngine(loop: loop, number: number, registry: registry, limits: limits)
      }
      workers.append(worker)
      mailboxes.append(mailbox)
    }
    self.workers = workers
    self.mailboxes = mailboxes
    let balance = mailboxes.count > 1 ? ConnectionBalance(mailboxes) : nil
    self.balance = balance
    forEachWorker { $0.balance[] = balance }
  }

  package var concurrency: Int { workers.count }
  /// The workers, as a watchdog knows them.
  package var watched: [(name: String, mailbox: Mailbox)] { mailboxes.enumerated().map { ("worker_\($0)", $1) } }

  /// Hands a snapshot to every worker, which takes it over between two turns.
  package func apply(_ snapshot: Snapshot) {
    configured.store(true, ordering: .relaxed)
    let balance = balance
    balance?.change()
    forEachWorker {
      $0.apply(snapshot)
      balance?.changed()
    }
  }

  /// Hands the values of runtime keys to every worker, which takes them over between two turns.
  package func apply(_ table: RuntimeTable) { forEachWorker { $0.apply(table) } }

  /// Whether a first snapshot has been handed out: before, nobody is served.
  package var isConfigured: Bool { configured.load(ordering: .relaxed) }

  /// Runs `body` on every worker's thread, without waiting for it.
  package func forEachWorker(_ body: @escaping @Sendable (WorkerEngine) -> Void) {
    for mailbox in mailboxes {
      mailbox.post { loop in
        if let engine = loop.handler as? WorkerEngine { body(engine) }
      }
    }
  }

  /// Asks every worker and waits for the answers, in the order of workers. Not to be called from a worker.
  package func ask<Answer: Sendable>(_ question: @escaping @Sendable (WorkerEngine) -> Answer) -> [Answer] {
    var answers: [Answer] = []
    for mailbox in mailboxes {
      let handover = Handover<Answer?>()
      let posted = mailbox.post(
        { loop in handover.give((loop.handler as? WorkerEngine).map(question)) }, dropped: { handover.give(nil) })
      if posted, let answer = handover.take() { answers.append(answer) }
    }
    return answers
  }

  /// Whether clients are being sent elsewhere.
  package var isDraining: Bool { draining.load(ordering: .relaxed) }

  /// Ends the listeners, or those for inbound traffic: at once, or (`gracefully`) when the drain time is over, until when clients are
  /// still served and told to go elsewhere. Returns at once.
  package func drainListeners(inboundOnly: Bool, gracefully: Bool) {
    draining.store(true, ordering: .relaxed)
    // For good: some listeners are ended before others.
    balance?.change()
    forEachWorker { $0.drainListeners(inboundOnly: inboundOnly, gracefully: gracefully) }
  }

  /// Drains every worker (see `WorkerEngine.drain`) and waits until all are empty or `limit` has passed.
  package func drain(for limit: Duration) {
    draining.store(true, ordering: .relaxed)
    balance?.change()
    var waiting: [Handover<Bool>] = []
    for mailbox in mailboxes {
      let handover = Handover<Bool>()
      let posted = mailbox.post(
        { loop in
          guard let engine = loop.handler as? WorkerEngine else { return handover.give(true) }
          engine.drain(until: loop.now + limit) { handover.give(true) }
        }, dropped: { handover.give(true) })
      if posted { waiting.append(handover) }
    }
    for handover in waiting { _ = handover.take() }
  }

  /// Ends the workers; connections that are left are reset.
  package func stop() {
    for mailbox in mailboxes { mailbox.post { $0.stop() } }
    for worker in workers { worker.join() }
  }

  /// Where each worker listens.
  package func addresses() -> [[(name: String, address: SocketAddress)]] { ask { $0.listenerAddresses } }

  /// Listeners that some worker could not open since the last call, and why.
  package func takeListenerFailures() -> [(name: String, reason: String)] {
    ask { engine in
      defer { engine.listenerFailures[] = [] }
      return engine.listenerFailures[]
    }.flatMap { $0 }
  }
}
