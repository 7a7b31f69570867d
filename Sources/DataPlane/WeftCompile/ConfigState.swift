package import WeftBase
package import WeftModel
package import WeftProxyAPI
package import WeftRuntime
package import WeftTables
package import WeftUpstream

/// All configuration in force, from wherever it came: what a snapshot is compiled from.
package struct ConfigState: Sendable, Equatable {
  package var listeners: [Listener] = []
  package var clusters: [Cluster] = []
  /// Clusters that are on their way: who asks one of them is not there, or goes on in its old form, until it is.
  package var awaitedClusters: Set<String> = []
  /// Whether discovery has still to say which clusters there are: then any may be on its way.
  package var awaitsClusters = false
  /// Clusters whose endpoints have not come, be it that nobody is held back for their sake any more: a form that is in force stays.
  package var incompleteClusters: Set<String> = []
  /// Up to which word on what is wanted of the stream by others `awaitedClusters` is true.
  package var needsRevision: UInt64 = 0
  /// Route configurations that connection managers name.
  package var routes: [String: RouteConfiguration] = [:]
  /// Endpoints of EDS clusters by service name.
  package var endpoints: [String: LoadAssignment] = [:]
  /// What files say of tables and endpoints: the same name may stand in several, and in the stream.
  package var routesOfFiles: [FileResource: RouteConfiguration] = [:]
  package var endpointsOfFiles: [FileResource: LoadAssignment] = [:]
  package var secrets: [SecretKey: Secret] = [:]
  /// Secrets that were waited for in vain: what needs them is there without, and its connections fail.
  package var absentSecrets: Set<SecretKey> = []
  /// Secrets that have been waited for so long that only those who need one go on waiting, not those who ask them.
  package var overdueSecrets: Set<SecretKey> = []
  /// What names of DNS clusters resolve to, in the order of the newest answer.
  package var addresses: [DNSQuestion: [IPAddress]] = [:]

  package init() {}
}

/// Makes TLS out of contexts and secrets. Lives beside WeftTLS; a compiler without one refuses resources that want TLS.
package protocol SecurityFactory: Sendable {
  func downstream(_ context: DownstreamTLSContext, secrets: [SecretKey: Secret]) throws(ConfigError)
    -> any DownstreamSecurity
  func upstream(_ context: UpstreamTLSContext, secrets: [SecretKey: Secret]) throws(ConfigError) -> any UpstreamSecurity
}

/// A resource by the file of discovery resources that it is asked of.
package struct FileResource: Hashable, Sendable {
  package var file: String
  package var name: String
  package init(_ name: String, in file: String) {
    self.file = file
    self.name = name
  }
}

extension ConfigState {
  /// The table that goes by `name` where `source` says.
  func routes(_ name: String, from source: ConfigSource) -> RouteConfiguration? {
    if case .path(let file) = source.kind { return routesOfFiles[FileResource(name, in: file)] }
    return routes[name]
  }

  /// Whether the stream is to bring a cluster's endpoints, and they are waited for. `isThere`: it has a form in force.
  func awaitsEndpoints(of cluster: Cluster, isThere: Bool) -> Bool {
    guard (isThere ? incompleteClusters : awaitedClusters).contains(cluster.name),
      case .eds(_, let source) = cluster.discovery, source.isStream, let name = cluster.endpointsName
    else { return false }
    return endpoints[name] == nil
  }

  /// The endpoints that go by `name` where `source` says.
  func endpoints(_ name: String, from source: ConfigSource) -> LoadAssignment? {
    if case .path(let file) = source.kind { return endpointsOfFiles[FileResource(name, in: file)] }
    return endpoints[name]
  }
}

/// What a compilation came to.
package struct Compilation: Sendable {
  package var snapshot: Snapshot
  /// Resources that could not be taken; for each the last good form stays in force, if there was one.
  package var rejections: [ConfigError] = []
  /// What is in force and has no effect where it stands, and only shows when resources meet.
  package var warnings: [ConfigError] = []
  /// Listeners that wait for a route configuration, a secret or a cluster, by name.
  package var warming: [String] = []
  /// Clusters to which something compiled leads.
  package var usedClusters: Set<String> = []
  /// Secrets that something waits for, and how long it does at most; nil: for ever.
  package var missingSecrets: [SecretKey: Duration?] = [:]
  /// Balancers' tables that have to be made before `snapshot` may be handed out.
  package var tables: [TableOrder] = []
  /// When changes of hosts that were held back are due; nil when there are none. Compile again then.
  package var heldUntil: MonotonicInstant?
}

/// What became of a configuration that was handed to the control loop.
package struct AppliedConfig: Sendable {
  package var rejections: [ConfigError] = []
  /// Clusters to which something compiled leads.
  package var usedClusters: Set<String> = []

  package init() {}

  package init(_ compilation: Compilation) {
    rejections = compilation.rejections
    usedClusters = compilation.usedClusters
  }
}

/// The tables that one cluster's balancer needs, and what keeps them when they are there.
package struct TableOrder: Sendable {
  package var jobs: [BalancerTableJob]
  var storage: SnapshotStorage
}
