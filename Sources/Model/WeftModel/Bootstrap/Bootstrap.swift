/// What a proxy knows before it has spoken to anyone.
package struct Bootstrap: Hashable, Sendable {
  package struct Node: Hashable, Sendable {
    package var id = ""
    package var cluster = ""
    package var locality = Locality()
    package init() {}
  }
  package struct Admin: Hashable, Sendable {
    package var address: Address
    package var accessLogs: [AccessLog] = []
    package init(address: Address) { self.address = address }
  }
  /// How resources are fetched over one aggregated stream.
  package struct ADS: Hashable, Sendable {
    package var cluster: String
    package var authority = ""
    package var delta = false
    package var initialMetadata: [MetadataEntry] = []
    /// What the server is willing to be asked; nil: no limit.
    package var requestRate: RequestRate?
    package init(cluster: String) { self.cluster = cluster }
  }
  package struct RequestRate: Hashable, Sendable {
    /// Requests at once, and how many per second follow.
    package var burst: UInt32 = 100
    package var perSecond: Double = 10
    package init() {}
  }
  package struct MetadataEntry: Hashable, Sendable {
    package var name: String
    package var value: String
    package init(name: String, value: String) {
      self.name = name
      self.value = value
    }
  }

  package var node = Node()
  package var admin: Admin?
  package var listeners: [Listener] = []
  package var clusters: [Cluster] = []
  package var secrets: [Secret] = []
  package var ads: ADS?
  package var listenersFromADS = false
  package var clustersFromADS = false
  /// Files of discovery resources that bring listeners and clusters.
  package var listenersFile: ConfigSource?
  package var clustersFile: ConfigSource?
  /// For clusters that name none.
  package var dnsResolver: DNSResolver?
  /// How long readiness waits for the first answer; nil: for ever.
  package var listenersFetchTimeout: Duration? = .seconds(15)
  package var clustersFetchTimeout: Duration? = .seconds(15)
  package var drainTimeout: Duration = .seconds(600)
  /// Runtime keys of static layers, later layers winning.
  package var runtime: [String: String] = [:]
  package init() {}
}
