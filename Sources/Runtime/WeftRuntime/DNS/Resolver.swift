// Resolver: names to addresses and services, on a loop.

package import WeftBase

/// What to ask for.
package struct DNSQuestion: Hashable, Sendable {
  package enum Kind: Hashable, Sendable {
    case ipv4, ipv6
    /// Both families, whatever comes.
    case ipv4AndIPv6
    case service
  }

  package var name: String
  package var kind: Kind
  /// Whom to ask, and how; nil: the system's resolvers. Who has several `Resolver`s chooses by it.
  package var resolver: ResolverConfiguration?

  package init(_ name: String, _ kind: Kind = .ipv4AndIPv6, by resolver: ResolverConfiguration? = nil) {
    self.name = name
    self.kind = kind
    self.resolver = resolver
  }
}

/// One SRV record.
package struct DNSService: Hashable, Sendable {
  package let priority: UInt16
  package let weight: UInt16
  package let port: UInt16
  package let target: String

  package init(priority: UInt16, weight: UInt16, port: UInt16, target: String) {
    self.priority = priority
    self.weight = weight
    self.port = port
    self.target = target
  }
}

/// What a name stands for now.
package struct DNSAnswer: Hashable, Sendable {
  package var addresses: [IPAddress] = []
  package var services: [DNSService] = []
  /// The smallest time to live among the records; zero for names that need no server (hosts file, literals).
  package var timeToLive: Duration

  package init(addresses: [IPAddress] = [], services: [DNSService] = [], timeToLive: Duration) {
    self.addresses = addresses
    self.services = services
    self.timeToLive = timeToLive
  }
}

/// Names a question under way. A stale id is harmless.
package struct DNSQueryID: Hashable, Sendable {
  let number: UInt64
}

/// Resolves names on one loop.
///
/// *Errors*: `.notFound` (the name or the record type does not exist), `.timedOut`, `.dns` (everything else), `.invalidInput`.
/// *Threads*: the loop's. `done` comes exactly once, never inside `resolve`, and not at all after `cancel`.
package protocol Resolver: AnyObject {
  @discardableResult
  func resolve(_ question: DNSQuestion, _ done: @escaping (Result<DNSAnswer, WeftError>) -> Void)
    -> DNSQueryID
  func cancel(_ id: DNSQueryID)
}

/// A resolver for tests: answers from a table, after `latency` of the loop's time.
package final class FakeResolver: Resolver {
  /// What each question is answered; questions without an entry are `.notFound`.
  package var answers: [DNSQuestion: Result<DNSAnswer, WeftError>] = [:]
  package var latency = Duration.zero
  /// Every question asked, in order.
  package private(set) var asked: [DNSQuestion] = []
  private let loop: EventLoop
  private var pending: [UInt64: LoopTask] = [:]
  private var next: UInt64 = 1

  package init(_ loop: EventLoop) { self.loop = loop }

  @discardableResult
  package func resolve(
    _ question: DNSQuestion, _ done: @escaping (Result<DNSAnswer, WeftError>) -> Void
  ) -> DNSQueryID {
    asked.append(question)
    let number = next
    next += 1
    pending[number] = loop.schedule(after: latency) { [unowned self] in
      pending[number] = nil
      done(answers[question] ?? .failure(WeftError(.notFound, "no record for \(question.name)")))
    }
    return DNSQueryID(number: number)
  }

  package func cancel(_ id: DNSQueryID) {
    if let task = pending.removeValue(forKey: id.number) { loop.cancel(task) }
  }
}
