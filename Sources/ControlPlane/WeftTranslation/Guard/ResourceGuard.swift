import WeftBase
import WeftControlAPI
import WeftKinds
import WeftModel
import WeftProtobuf
import WeftXDS
import WeftXDSMessages

/// The last guard before the wire: what translation has made is read back by weft-proxy's own conversion and checks, and what they
/// refuse is left out alone; of filters, what the proxy at hand has (`ProxyIdentity.extensions`). One rule that slipped through validation costs its own virtual host, filter chain or cluster, never
/// the table in which those of others stand.
///
/// *Cost*: one conversion of each resource that is made; shared parts are made once per snapshot.
enum ResourceGuard {
  /// A part that no proxy is sent, and why.
  struct Refusal {
    /// What it can be found by: names of the virtual host; server names, name and statistics prefix of a filter chain.
    var names: [String]
    /// For people.
    var part: String
    var error: ConfigError
  }

  static let checks = ResourceChecks(
    regexProblem: { RegexCheck.problem($0) }, formatProblem: { FormatCheck.problem($0) })

  // MARK: Routes

  /// What is wrong with one route of a rule; nil when nothing is.
  static func problem(_ route: Route, for extensions: KnownExtensions) -> ConfigError? {
    var host = VirtualHost()
    host.name = "route"
    host.domains = ["*"]
    host.routes = [route]
    var alone = RouteConfiguration()
    alone.maxDirectResponseBodySizeBytes = RouteConfigurations.bodyLimit
    do throws(ConfigError) {
      try check(host, in: alone, Converter(extensions: extensions))
      return nil
    } catch {
      return error.without([.field("routes"), .index(0)])
    }
  }

  /// The virtual hosts that a proxy takes.
  static func kept(
    _ configuration: RouteConfiguration, for extensions: KnownExtensions
  ) -> (message: RouteConfiguration, refusals: [Refusal]) {
    let converter = Converter(extensions: extensions)
    var claims = DomainClaims()
    var names: Set<String> = []
    var frame = configuration
    frame.virtualHosts = []
    var kept: [VirtualHost] = []
    var refusals: [Refusal] = []
    for host in configuration.virtualHosts {
      do throws(ConfigError) {
        try check(host, in: frame, converter)
        guard names.insert(host.name).inserted else {
          throw ConfigError(
            path: FieldPath().field("name"), "\"\(host.name)\" is also the name of another virtual host")
        }
        try claims.claim(host.domains)
        kept.append(host)
      } catch {
        refusals.append(Refusal(names: [host.name], part: "the virtual host \(host.name)", error: error))
      }
    }
    guard !refusals.isEmpty else { return (configuration, []) }
    frame.virtualHosts = kept
    return (frame, refusals)
  }

  private static func check(
    _ host: VirtualHost, in frame: RouteConfiguration, _ converter: Converter
  ) throws(ConfigError) {
    var alone = frame
    alone.virtualHosts = [host]
    do throws(ConfigError) {
      let model = try converter.routeConfiguration(alone)
      for (i, route) in host.routes.enumerated() {
        do throws(ConfigError) { try RouteFilters.check(route) } catch {
          throw error.inside(FieldPath().field("routes").index(i))
        }
      }
      for host in model.virtualHosts { try checks.check(host, bodyLimit: model.maxDirectResponseBodyBytes) }
    } catch {
      throw error.without([.field("virtual_hosts"), .index(0)])
    }
  }

  // MARK: Listeners

  /// The listener with the chains that a proxy takes; nil when none is left, or its address is none.
  static func kept(
    _ listener: Listener, for extensions: KnownExtensions
  ) -> (message: Listener?, refusals: [Refusal]) {
    // A gRPC client's has no address and no chains.
    if listener.apiListener != nil { return (listener, []) }
    let converter = Converter(extensions: extensions)
    var claims = FilterChainClaims()
    var frame = listener
    frame.filterChains = []
    frame.defaultFilterChain = nil
    var refusals: [Refusal] = []
    func taken(_ chain: FilterChain, isDefault: Bool) -> FilterChain? {
      do throws(ConfigError) {
        var alone = frame
        if isDefault { alone.defaultFilterChain = chain } else { alone.filterChains = [chain] }
        let model = try converter.listener(alone)
        try ResourceChecks.checkLiteral(model.address, FieldPath().field("address"))
        for chain in model.filterChains { try checks.check(chain) }
        if let chain = model.defaultFilterChain { try checks.check(chain) }
        if let match = model.filterChains.first?.match { try claims.claim(match) }
        return chain
      } catch {
        refusals.append(
          Refusal(
            names: chain.names, part: "a filter chain of \(listener.name)",
            error: error.without([.field("filter_chains"), .index(0)])))
        return nil
      }
    }
    let chains = listener.filterChains.compactMap { taken($0, isDefault: false) }
    let fallback = listener.defaultFilterChain.flatMap { taken($0, isDefault: true) }
    if refusals.isEmpty { return (listener, []) }
    guard !chains.isEmpty || fallback != nil else { return (nil, refusals) }
    frame.filterChains = chains
    frame.defaultFilterChain = fallback
    return (frame, refusals)
  }

  // MARK: Endpoints

  /// Whether a proxy can connect to a Unix socket of that path.
  static func isSocketPath(_ path: String) -> Bool {
    guard path.utf8.last != UInt8(ascii: "/") else { return false }
    do throws(ConfigError) {
      try ResourceChecks.checkSocketPath(path, .root)
      return true
    } catch {
      return false
    }
  }

  // MARK: Clusters

  /// Nil for a cluster that a proxy takes.
  static func refusal(_ cluster: Cluster) -> Refusal? {
    do throws(ConfigError) {
      let model = try Converter().cluster(cluster)
      try checks.check(model)
      return nil
    } catch {
      return Refusal(names: [cluster.name], part: "the cluster \(cluster.name)", error: error)
    }
  }
}

extension ProxyIdentity {
  /// What the proxy reads of filters' configuration, as far as one can know from here.
  var extensions: KnownExtensions { isOurs ? .shipped : .any }
}

extension FilterChain {
  /// What the chain can be found by.
  fileprivate var names: [String] {
    var names = filterChainMatch?.serverNames ?? []
    names.append(name)
    for filter in filters {
      guard case .typedConfig(let any)? = filter.configType, any.holds(TCPProxy.self),
        let proxy = try? TCPProxy(serialized: any.value)
      else { continue }
      names.append(proxy.statPrefix)
    }
    return names
  }
}

extension ConfigError {
  /// The same error as seen from a part: without what leads to it.
  fileprivate func without(_ prefix: [FieldPath.Element]) -> ConfigError {
    guard path.elements.starts(with: prefix) else { return self }
    var copy = self
    copy.path = FieldPath(Array(path.elements.dropFirst(prefix.count)))
    return copy
  }
}
