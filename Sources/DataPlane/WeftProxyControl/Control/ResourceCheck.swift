// ResourceCheck: whether a discovered resource can be used, found out before it is acknowledged.

package import WeftBase
package import WeftCompile
import WeftModel
package import WeftProxyAPI
package import WeftTelemetry
import WeftUpstream
package import WeftXDSClient

/// Compiles single resources for the sake of their errors: patterns, certificate files, clusters that must exist.
///
/// What depends on a resource that has not come yet is no error: routes and secrets a listener waits for are left out.
/// *Threads*: any; each check works on its own.
package struct ResourceCheck: Sendable {
  private let logs: AccessLogFiles
  private let security: (any SecurityFactory)?
  /// What the bootstrap fixed.
  private let fixed: ConfigState
  private let extensions: ProxyExtensions

  package init(
    logs: AccessLogFiles, security: (any SecurityFactory)?, fixed: ConfigState, extensions: ProxyExtensions = .none
  ) {
    self.extensions = extensions
    self.logs = logs
    self.security = security
    self.fixed = fixed
  }

  /// *Errors*: the first thing in `model` that cannot be used, with its field path. `store` is what has been accepted so far.
  package func check(_ model: XDSModel, beside store: XDSStore) throws(ConfigError) {
    var state = ConfigState()
    state.secrets = fixed.secrets
    for case .secret(let secret) in store.resources(.secrets).values.map(\.model) {
      state.secrets[SecretKey(secret.name, .stream)] = secret
    }
    switch model {
    case .cluster(var cluster):
      cluster.tls = cluster.tls.flatMap { has($0.common, state) ? $0 : nil }
      state.clusters = [cluster]
      try compile(state, "")
    case .endpoints(let assignment):
      state.clusters = [Cluster(name: assignment.clusterName, discovery: .eds(serviceName: "", source: .ads))]
      state.endpoints[assignment.clusterName] = assignment
      // The error is told as one of the cluster's; the assignment is the resource that has it.
      do throws(ConfigError) { try compile(state, "load_assignment") } catch {
        throw ConfigError(path: error.path, error.message)
      }
    case .routes(let routes):
      state.listeners = managers(of: routes, store).enumerated().map { number, manager in
        var chain = FilterChain(name: "")
        chain.filters = [.httpConnectionManager(manager)]
        var listener = Listener(name: "\(number)", address: .socket(host: "127.0.0.1", port: 0))
        listener.filterChains = [chain]
        return listener
      }
      state.routes[routes.name] = routes
      state.clusters = stubs(XDSStore.clusterNames(of: routes), store)
      try compile(state, "")
    case .listener(var listener):
      var named: Set<String> = []
      for i in listener.filterChains.indices { prepare(&listener.filterChains[i], state, &named) }
      if var chain = listener.defaultFilterChain {
        prepare(&chain, state, &named)
        listener.defaultFilterChain = chain
      }
      state.listeners = [listener]
      for name in XDSStore.routeNames(of: listener) { state.routes[name] = RouteConfiguration(name: name) }
      state.clusters = stubs(named, store)
      try compile(state, "")
    case .secret(let secret): try check(secret)
    }
  }

  /// Connection managers that a table is compiled for: what it says of filters is theirs to check. Those that ask for it, by what their filters
  /// make a difference by; one without filters when it says nothing of any, or nobody is known to ask.
  private func managers(of routes: RouteConfiguration, _ store: XDSStore) -> [HTTPConnectionManager] {
    let source = HTTPConnectionManager.Routes.discovered(name: routes.name, source: .ads)
    var bare = HTTPConnectionManager(statPrefix: "", routes: source)
    bare.filters = []
    var found: [HTTPConnectionManager] = []
    for manager in routes.namesFilters ? store.managers(of: routes.name) : [] {
      var probe = bare
      (probe.filters, probe.upgrades, probe.protocolCodec) = (manager.filters, manager.upgrades, manager.protocolCodec)
      if !found.contains(probe) { found.append(probe) }
    }
    return found.isEmpty ? [bare] : found
  }

  private func compile(_ state: ConfigState, _ field: String) throws(ConfigError) {
    let compiler = SnapshotCompiler(
      metrics: MetricsRegistry(workers: 0), logs: logs, security: security, random: RandomSource(seed: 1),
      extensions: extensions, tables: BalancerTables(.none))
    guard var error = compiler.compile(state).rejections.first else { return }
    if case .field(field)? = error.path.elements.first {
      error.path = FieldPath(Array(error.path.elements.dropFirst()))
    }
    throw error
  }

  /// Takes note of the clusters a chain names, and leaves out TLS whose secrets have not come.
  private func prepare(_ chain: inout FilterChain, _ state: ConfigState, _ named: inout Set<String>) {
    chain.tls = chain.tls.flatMap { has($0.common, state) ? $0 : nil }
    for case .httpConnectionManager(let manager) in chain.filters {
      if case .inline(let routes) = manager.routes { named.formUnion(XDSStore.clusterNames(of: routes)) }
    }
  }

  private func has(_ tls: CommonTLSContext, _ state: ConfigState) -> Bool {
    tls.secrets.allSatisfy { reference in
      reference.source == nil || state.secrets[reference.key] != nil
    }
  }

  /// Clusters without hosts, for those of `names` that exist.
  private func stubs(_ names: Set<String>, _ store: XDSStore) -> [Cluster] {
    let known = store.resources(.clusters)
    let own = Set(fixed.clusters.map(\.name))
    return names.filter { known[$0] != nil || own.contains($0) }.sorted().map { Cluster(name: $0) }
  }

  private func check(_ secret: Secret) throws(ConfigError) {
    guard let security else { return }
    var context = UpstreamTLSContext()
    let reference = SecretReference(name: secret.name)
    switch secret.content {
    case .certificate: context.common.certificateSecrets = [reference]
    case .validation: context.common.validationSecret = reference
    case .generic: return
    }
    do throws(ConfigError) {
      _ = try security.upstream(context, secrets: [SecretKey(secret.name, .fixed): secret])
    } catch {
      throw ConfigError(error.message)
    }
  }
}

extension SnapshotCompiler {
  /// A check of single resources, by the same means.
  func check(beside fixed: ConfigState) -> ResourceCheck {
    ResourceCheck(logs: logs, security: security, fixed: fixed, extensions: extensions)
  }
}
