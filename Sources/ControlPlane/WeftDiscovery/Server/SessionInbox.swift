import Synchronization
import WeftControlAPI

/// What a session's task has to look at next. The meeting point of three sides: the stream's reader, the follower of
/// snapshots, and the clock.
final class SessionInbox<Request: Sendable>: Sendable {
  struct Work: Sendable {
    var requests: [Request] = []
    /// The newest snapshot and all that changed since the last one taken from here.
    var news: News?
    var isWakeUp = false
  }

  struct News: Sendable {
    var snapshot: WeftSnapshot
    var changes: SnapshotChanges
  }

  /// Requests that wait; a client that sends more is not read.
  static var capacity: Int { 16 }

  private struct State {
    var work = Work()
    var hasEnded = false
    var consumer: CheckedContinuation<Void, Never>?
    var producer: CheckedContinuation<Void, Never>?

    var isEmpty: Bool { work.requests.isEmpty && work.news == nil && !work.isWakeUp }

    mutating func takeConsumer() -> CheckedContinuation<Void, Never>? {
      defer { consumer = nil }
      return consumer
    }

    mutating func takeProducer() -> CheckedContinuation<Void, Never>? {
      defer { producer = nil }
      return producer
    }
  }

  private let state = Mutex(State())

  /// Adds a request; waits while too many are there. One caller.
  func offer(_ request: Request) async {
    await withCheckedContinuation { (producer: CheckedContinuation<Void, Never>) in
      let (consumer, isFull) = state.withLock { state -> (CheckedContinuation<Void, Never>?, Bool) in
        state.work.requests.append(request)
        let isFull = state.work.requests.count >= Self.capacity && !state.hasEnded
        if isFull { state.producer = producer }
        return (state.takeConsumer(), isFull)
      }
      consumer?.resume()
      if !isFull { producer.resume() }
    }
  }

  func post(_ news: News) {
    let consumer = state.withLock { state -> CheckedContinuation<Void, Never>? in
      if state.work.news != nil {
        state.work.news?.snapshot = news.snapshot
        state.work.news?.changes.merge(news.changes)
      } else {
        state.work.news = news
      }
      return state.takeConsumer()
    }
    consumer?.resume()
  }

  func wakeUp() {
    let consumer = state.withLock { state -> CheckedContinuation<Void, Never>? in
      state.work.isWakeUp = true
      return state.takeConsumer()
    }
    consumer?.resume()
  }

  /// No more will come.
  func end() {
    let (consumer, producer) = state.withLock { state in
      state.hasEnded = true
      return (state.takeConsumer(), state.takeProducer())
    }
    consumer?.resume()
    producer?.resume()
  }

  /// Whether a change waits here.
  var isBehind: Bool { state.withLock { $0.work.news != nil } }

  /// All that has gathered; nil at the end. One caller.
  func next() async -> Work? {
    while true {
      let (work, producer, hasEnded) = state.withLock { state -> (Work?, CheckedContinuation<Void, Never>?, Bool) in
        if state.hasEnded { return (nil, state.takeProducer(), true) }
        if state.isEmpty { return (nil, nil, false) }
        defer { state.work = Work() }
        return (state.work, state.takeProducer(), false)
      }
      producer?.resume()
      if hasEnded { return nil }
      if let work { return work }
      await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
        let resumeNow = state.withLock { state -> Bool in
          if state.hasEnded || !state.isEmpty { return true }
          state.consumer = continuation
          return false
        }
        if resumeNow { continuation.resume() }
      }
    }
  }
}
