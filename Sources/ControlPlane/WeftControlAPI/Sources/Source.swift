/// Where something that the control plane knows came from: `store`, `directory /etc/weft`, `agents`, `consul dc1`.
package struct SourceOrigin: Hashable, Sendable, Comparable, CustomStringConvertible {
  package var kind: String
  /// Which of several of that kind; empty for the only one.
  package var name: String

  package init(_ kind: String, _ name: String = "") {
    self.kind = kind
    self.name = name
  }

  package var description: String { name.isEmpty ? kind : "\(kind) \(name)" }

  package static func < (a: SourceOrigin, b: SourceOrigin) -> Bool { (a.kind, a.name) < (b.kind, b.name) }
}

/// How well a source is known.
package enum SourceState: Sendable, Hashable {
  /// It has not been heard of, and nothing is remembered from last time. Exits: `remembered`, `synced`.
  case starting
  /// What it said before the start is served; it has not been heard of since. Exit: `synced`.
  case remembered
  /// All that it holds is known. Exit: `stale`.
  case synced
  /// It was known and cannot be reached now: what it last said holds. Exit: `synced`.
  case stale(reason: String)

  /// Whether there is something to serve, be it nothing at all.
  package var isKnown: Bool { self != .starting }
}

/// Something that a source tells: it has a name, and two of one name can be compared.
package protocol SourceElement: Sendable, Hashable {
  var key: ObjectKey { get }
}

extension Envelope: SourceElement {}

/// What changed at a source since the batch before.
package struct SourceBatch<Element: SourceElement>: Sendable, Equatable {
  /// These are all that the source holds; what is not among them is gone.
  package var isWhole: Bool
  package var upserts: [ObjectKey: Element]
  package var removals: Set<ObjectKey>
  /// The source's own count after this: grows, and a reader can go on from it.
  package var version: UInt64

  package init(
    isWhole: Bool = false, upserts: [ObjectKey: Element] = [:], removals: Set<ObjectKey> = [], version: UInt64
  ) {
    self.isWhole = isWhole
    self.upserts = upserts
    self.removals = removals
    self.version = version
  }

  /// Both together, for a reader that is slow.
  package mutating func merge(_ later: SourceBatch) {
    if later.isWhole {
      self = later
      return
    }
    for (key, element) in later.upserts {
      upserts[key] = element
      removals.remove(key)
    }
    for key in later.removals {
      upserts[key] = nil
      if !isWhole { removals.insert(key) }
    }
    version = later.version
  }
}

/// A place that things come from, as a list with changes.
///
/// The contract, which `SourceLaws` (tests) holds every source to:
/// - The first batch of `changes` is whole. It comes as soon as there is something to serve: when the source has told everything, or at once
///   when what it said last time is remembered. A source that holds nothing sends an empty whole batch.
/// - Later batches come in the order of the changes. A reader that is slow gets one batch with all of them; of one key only the last.
/// - What changes nothing is not told: neither an equal element nor the removal of one that is not there.
/// - A source that cannot be reached keeps what it last said (`stale`); one that comes back is compared with that, and only what differs is told.
/// - `changes(after:)` goes on from a version that an earlier batch had, if the source still can; else its first batch is whole again.
/// - Cancelling the reader's task ends the stream. Reading and `state` never wait for a disk or for the network.
package protocol Source<Element>: Sendable {
  associatedtype Element: SourceElement

  var origin: SourceOrigin { get }
  var state: SourceState { get }
  /// What the source holds, then what changes. *Parameter* `version`: of the last batch the reader has taken.
  func changes(after version: UInt64?) -> AsyncStream<SourceBatch<Element>>
}

/// Where rules come from: what people wrote. They are validated, and kept on disk with their history.
package protocol ConfigSource: Source where Element == Envelope {}

/// Where services and their instances come from: what registries and agents report. Facts, not rules: they are held in memory, with a last-good
/// file beside them, and changed as often as they change.
package protocol ServiceRegistry: Source where Element == RegistryFact {}
