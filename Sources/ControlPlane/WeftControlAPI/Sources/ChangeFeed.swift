import Synchronization
import WeftKinds

/// What a source holds, and its readers: the part that every source in memory shares. An adapter tells it what it hears; the feed finds what
/// differs, keeps each reader's place, and merges what a slow one has not taken.
///
/// *Use*: `replace` with each complete list, `apply` for single changes, `stale` when the far side cannot be reached.
/// *Cost*: memory for what the source holds once, and for what readers have not taken.
package final class ChangeFeed<Element: SourceElement>: Sendable {
  private struct Reader {
    var pending: SourceBatch<Element>?
    var waiter: CheckedContinuation<Void, Never>?
  }

  private struct State {
    var elements: [ObjectKey: Element] = [:]
    var version: UInt64
    var state = SourceState.starting
    var readers: [UInt64: Reader] = [:]
    var nextReader: UInt64 = 0
    var isEnded = false

    /// Adds a batch to what each reader has before it; those that wait are woken.
    mutating func tell(_ batch: SourceBatch<Element>) -> [CheckedContinuation<Void, Never>] {
      guard state.isKnown else { return [] }
      var woken: [CheckedContinuation<Void, Never>] = []
      for id in readers.keys {
        if readers[id]?.pending == nil { readers[id]?.pending = batch } else { readers[id]?.pending?.merge(batch) }
        if let waiter = readers[id]?.waiter { woken.append(waiter) }
        readers[id]?.waiter = nil
      }
      return woken
    }

    /// Everything, once there is something to serve: readers that came before learn all of it.
    mutating func become(_ new: SourceState) -> [CheckedContinuation<Void, Never>] {
      let wasKnown = state.isKnown
      state = new
      return wasKnown ? [] : tell(whole)
    }

    var whole: SourceBatch<Element> { SourceBatch(isWhole: true, upserts: elements, version: version) }
  }

  private let shared: Mutex<State>

  /// *Parameter* `version`: where the count begins; one that grows from start to start lets nobody mistake an old place for a new one.
  package init(version: UInt64 = 0) { shared = Mutex(State(version: version)) }

  package var state: SourceState { shared.withLock { $0.state } }
  package var version: UInt64 { shared.withLock { $0.version } }
  package var elements: [ObjectKey: Element] { shared.withLock { $0.elements } }

  // MARK: What the source says

  /// What the last-good file has; call it before anything else. Nothing of it is served later than what the source says.
  package func remember(_ elements: some Sequence<Element>) {
    let woken = shared.withLock { state -> [CheckedContinuation<Void, Never>] in
      guard state.state == .starting else { return [] }
      for element in elements { state.elements[element.key] = element }
      return state.become(.remembered)
    }
    for waiter in woken { waiter.resume() }
  }

  /// The complete list: it is compared with what was known.
  package func replace(with list: some Sequence<Element>) {
    var all: [ObjectKey: Element] = [:]
    for element in list { all[element.key] = element }
    change { state in
      let gone = state.elements.keys.filter { all[$0] == nil }
      return (all, Set(gone))
    }
    settle()
  }

  /// Single changes.
  package func apply(_ upserts: [Element], removing removals: Set<ObjectKey> = []) {
    change { _ in (Dictionary(upserts.map { ($0.key, $0) }) { $1 }, removals) }
  }

  /// Everything that the source holds has been told.
  package func settle() { become(.synced) }

  /// The source cannot be reached; what it last said holds.
  package func stale(_ reason: String) {
    if state.isKnown { become(.stale(reason: reason)) }
  }

  private func become(_ new: SourceState) {
    let woken = shared.withLock { $0.become(new) }
    for waiter in woken { waiter.resume() }
  }

  private func change(_ body: (State) -> ([ObjectKey: Element], Set<ObjectKey>)) {
    let woken = shared.withLock { state -> [CheckedContinuation<Void, Never>] in
      let (upserts, removals) = body(state)
      let news = upserts.filter { state.elements[$0.key] != $0.value }
      let gone = removals.filter { state.elements[$0] != nil && upserts[$0] == nil }
      if news.isEmpty, gone.isEmpty { return [] }
      for (key, element) in news { state.elements[key] = element }
      for key in gone { state.elements[key] = nil }
      state.version += 1
      return state.tell(SourceBatch(upserts: news, removals: gone, version: state.version))
    }
    for waiter in woken { waiter.resume() }
  }

  /// Ends every reader's stream.
  package func end() {
    let waiting = shared.withLock { state -> [CheckedContinuation<Void, Never>] in
      state.isEnded = true
      defer { for id in state.readers.keys { state.readers[id]?.waiter = nil } }
      return state.readers.values.compactMap(\.waiter)
    }
    for waiter in waiting { waiter.resume() }
  }

  // MARK: Readers

  /// As `Source.changes(after:)`.
  package func changes(after version: UInt64? = nil) -> AsyncStream<SourceBatch<Element>> {
    let id = shared.withLock { state -> UInt64 in
      state.nextReader += 1
      // Only the present place is known; from any other one the whole is the answer.
      let isCurrent = version != nil && version == state.version
      state.readers[state.nextReader] = Reader(pending: state.state.isKnown && !isCurrent ? state.whole : nil)
      return state.nextReader
    }
    let place = Place(feed: self, id: id)
    return AsyncStream {
      await place.feed.next(place.id)
    } onCancel: {
      place.feed.forget(place.id)
    }
  }

  /// A reader's place, for as long as somebody has its stream.
  private final class Place: Sendable {
    let feed: ChangeFeed
    let id: UInt64

    init(feed: ChangeFeed, id: UInt64) {
      self.feed = feed
      self.id = id
    }

    deinit { feed.forget(id) }
  }

  private func next(_ id: UInt64) async -> SourceBatch<Element>? {
    while true {
      let (batch, isOver) = shared.withLock { state -> (SourceBatch<Element>?, Bool) in
        defer { state.readers[id]?.pending = nil }
        return (state.readers[id]?.pending, state.isEnded || state.readers[id] == nil)
      }
      if let batch { return batch }
      if isOver || Task.isCancelled {
        forget(id)
        return nil
      }
      await withTaskCancellationHandler {
        await withCheckedContinuation { (waiter: CheckedContinuation<Void, Never>) in
          let mustWait = shared.withLock { state -> Bool in
            guard !Task.isCancelled, !state.isEnded, let reader = state.readers[id], reader.pending == nil else {
              return false
            }
            state.readers[id]?.waiter = waiter
            return true
          }
          if !mustWait { waiter.resume() }
        }
      } onCancel: {
        forget(id)
      }
    }
  }

  private func forget(_ id: UInt64) {
    let waiter = shared.withLock { $0.readers.removeValue(forKey: id)?.waiter }
    waiter?.resume()
  }
}
