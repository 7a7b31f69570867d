// XDSNeeds: what clusters and listeners that did not come over the stream want from it.

package import WeftCompile
package import WeftModel

/// The clusters and listeners of the bootstrap and of files that name the stream as a source of theirs.
package struct XDSNeeds: Sendable, Equatable {
  /// By name.
  private(set) var clusters: [String: Cluster] = [:]
  private(set) var listeners: [Listener] = []
  /// Which word of whoever says them this is; 0: the first.
  package var revision: UInt64 = 0

  package init() {}

  package init(_ state: ConfigState) { self.init(state.clusters, state.listeners) }

  package init(_ clusters: some Sequence<Cluster>, _ listeners: some Sequence<Listener>) {
    for cluster in clusters where cluster.streamSource != nil { self.clusters[cluster.name] = cluster }
    self.listeners = listeners.filter { $0.streamSource != nil }
  }

  package var isEmpty: Bool { clusters.isEmpty && listeners.isEmpty }

  /// Those of the clusters that take their endpoints from the stream.
  package var clustersWithEndpoints: Set<String> {
    Set(clusters.values.lazy.filter { XDSStore.endpointsName(of: $0) != nil }.map(\.name))
  }

  package func union(_ other: XDSNeeds) -> XDSNeeds {
    var all = self
    all.clusters.merge(other.clusters) { own, _ in own }
    all.listeners += other.listeners
    all.revision = max(revision, other.revision)
    return all
  }
}
