package import WeftControlAPI
import Synchronization

/// What proxies have in common, made once per snapshot: a change that concerns a thousand sidecars is translated once for
/// each thing they share, not a thousand times.
///
/// A part is a function of the snapshot and of the proxy's traits without what makes it one of many (`ProxyIdentity.shared`):
/// whoever makes a part cannot see the rest, so a key cannot leave out what matters.
///
/// *Shape*: belongs to one snapshot and goes with it. *Threads*: any; two that ask for the same part at once may both make
/// it.
package final class TranslationMemo: Sendable {
  enum Part: Hashable, Sendable {
    /// Everything outbound of a captured sidecar.
    case captured
    case gateway
    case upstream(UniversalBindings.Upstream)
    case forwardProxy(UniversalBindings.Binding)
  }

  struct Key: Hashable, Sendable {
    var traits: ProxyIdentity
    var part: Part
  }

  struct EndpointKey: Hashable, Sendable {
    var traits: ProxyIdentity
    var host: String
  }

  package let snapshot: WeftSnapshot
  /// Puts resources that are there already in place of equal ones.
  private let intern: @Sendable (inout ProxyResources) -> Void
  private let parts = Mutex<[Key: ProxyResources]>([:])
  private let endpoints = Mutex<[EndpointKey: EndpointPart]>([:])

  package init(_ snapshot: WeftSnapshot, intern: @escaping @Sendable (inout ProxyResources) -> Void = { _ in }) {
    self.snapshot = snapshot
    self.intern = intern
  }

  func part(_ key: Key, make: () -> ProxyResources) -> ProxyResources {
    if let known = parts.withLock({ $0[key] }) { return known }
    var made = make()
    intern(&made)
    parts.withLock { $0[key] = made }
    return made
  }

  func endpoints(_ key: EndpointKey, make: () -> EndpointPart) -> EndpointPart {
    if let known = endpoints.withLock({ $0[key] }) { return known }
    var made = make()
    if case .assignments(var resources) = made {
      intern(&resources)
      made = .assignments(resources)
    }
    endpoints.withLock { $0[key] = made }
    return made
  }
}

/// The load assignments of one service, for every port and subset.
enum EndpointPart: Sendable {
  case assignments(ProxyResources)
  /// Nobody knows the service: what there is stays.
  case unknown
  /// More than load assignments depends on the instances.
  case needsTranslation
}

extension ProxyIdentity {
  /// The traits that a proxy shares with others: without its name, its addresses, and its own list of bindings.
  var shared: ProxyIdentity {
    var traits = self
    traits.nodeID = ""
    traits.cluster = ""
    traits.workload = ""
    traits.addresses = []
    traits.problems = []
    traits.universal = UniversalBindings()
    traits.universal.accessLogPath = universal.accessLogPath
    return traits
  }
}
