import Synchronization
import WeftTranslation

/// One copy of each resource, however many proxies are given it: most have most of theirs in common.
///
/// *Cost*: a look-up per resource and translation; memory follows what sessions hold.
final class ResourcePool: Sendable {
  private struct Key: Hashable {
    var type: ResourceType
    var name: String
    var hash: ContentHash
  }

  private struct Entry {
    weak var resource: Resource?
  }

  private struct State {
    var entries: [Key: Entry] = [:]
    /// Dead entries are swept when the table has grown to this.
    var sweepAt = 1024
  }

  private let state = Mutex(State())

  var count: Int { state.withLock { $0.entries.count } }

  /// Replaces resources by equal ones that are there already, and remembers the others.
  func share(_ resources: inout ProxyResources) {
    var changed: [Resource] = []
    state.withLock { state in
      for type in ResourceType.allCases {
        for resource in resources.all(type).values {
          let key = Key(type: type, name: resource.name, hash: resource.hash)
          if let known = state.entries[key]?.resource, known == resource {
            if known !== resource { changed.append(known) }
          } else {
            state.entries[key] = Entry(resource: resource)
          }
        }
      }
      if state.entries.count >= state.sweepAt {
        state.entries = state.entries.filter { $0.value.resource != nil }
        state.sweepAt = max(1024, state.entries.count * 2)
      }
    }
    for resource in changed { resources.set(resource) }
  }
}
