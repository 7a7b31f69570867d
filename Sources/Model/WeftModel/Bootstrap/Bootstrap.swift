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

  /// When a thread that does not answer is counted, and when that ends the process.
  package struct Watchdog: Hashable, Sendable {
    package var miss: Duration = .milliseconds(200)
    package var megaMiss: Duration = .seconds(1)
    /// One thread for so long; nil: never.
    package var kill: Duration?
    /// `kill` is up to so much longer, by lot.
    package var killJitter: Duration = .zero
    /// So many threads at once for so long; nil: never.
    package var multiKill: Duration?
    /// *Units*: percent of the threads; two are needed at least.
    package var multiKillThreshold = 0.0
    package init() {}
  }

  package var node = Node()
  package var mainWatchdog = Watchdog()
  package var workerWatchdog = Watchdog()
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
  /// The file that ejections of hosts are told in; empty: none.
  package var outlierEventLog = ""
  /// The lowest first.
  package var runtime: [RuntimeLayer] = []
  package init() {}
}
