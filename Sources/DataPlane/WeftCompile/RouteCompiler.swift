import WeftBase
import WeftHTTP
import WeftModel
import WeftProxyAPI
import WeftTables
import WeftTelemetry
import WeftUpstream

/// Turns route configurations into tables.
struct RouteCompiler {
  let storage: SnapshotStorage
  /// Position of a cluster in the snapshot; −1 when it does not exist.
  let clusterPosition: (String) -> Int32
  /// Reads files that direct responses name.
  let load: (DataSource) throws(ConfigError) -> [UInt8]
  /// The filters that overrides are for; nil when there are none.
  var filters: FilterChainBuilder?
  /// The known choices of priorities for retries.
  var retryPriorities = RetryPriorityRegistry([])

  /// *Errors*: the first thing in the table that cannot be: a duplicate domain, a bad pattern, a weight sum of 0, a
  /// cluster that must exist.
  func compile(_ configuration: RouteConfiguration) throws(ConfigError) -> RouteTable {
    let hosts = try HostTable(configuration.virtualHosts.map(\.domains), arena: storage.arena)
    var routes: [ConfigRef<CompiledRoute>] = []
    var conditions: [RouteCondition] = []
    var ranges: [VirtualHostRange] = []
    let ofTable = try filters?.configs(
      [(configuration.filters, .root)], into: storage, cluster: clusterPosition)
    for (h, host) in configuration.virtualHosts.enumerated() {
      let path = FieldPath().field("virtual_hosts").index(h)
      let ofHost =
        host.filters.isEmpty
        ? ofTable
        : try filters?.configs(
          [(configuration.filters, .root), (host.filters, path)], into: storage, cluster: clusterPosition)
      var range = VirtualHostRange(first: Int32(routes.count), count: Int32(host.routes.count))
      for (r, route) in host.routes.enumerated() {
        do throws(ConfigError) {
          conditions.append(try condition(route.match))
          var compiled = try self.route(route, host, configuration)
          let told = filters?.warningCount ?? 0
          try override(&compiled, route, host, configuration, ofHost)
          filters?.placeWarnings(after: told, at: path.field("routes").index(r))
          routes.append(storage.keep(compiled))
        } catch {
          throw error.inside(path.field("routes").index(r))
        }
      }
      if host.tlsRequirement != .none {
        range.redirectsOnlyExternal = host.tlsRequirement == .externalOnly
        range.secureRedirect = Int32(routes.count)
        conditions.append(RouteCondition())
        routes.append(storage.keep(try secureRedirect(host)))
      }
      ranges.append(range)
    }
    return RouteTable(
      routes: storage.arena.table(routes), conditions: storage.arena.table(conditions),
      virtualHosts: storage.arena.table(ranges), hosts: hosts, ignoresPort: configuration.ignorePortInHostMatching,
      ignoresParameters: configuration.ignorePathParameters)
  }

  /// What the levels down to the route, and its weighted clusters, say about filters. Routes that say nothing share their host's.
  private func override(
    _ compiled: inout CompiledRoute, _ route: Route, _ host: VirtualHost, _ table: RouteConfiguration,
    _ ofHost: FilterConfigs?
  ) throws(ConfigError) {
    guard let filters else { return }
    let levels = [(filters: table.filters, path: FieldPath.root), (host.filters, .root), (route.filters, .root)]
    let own = route.filters.isEmpty ? ofHost : try filters.configs(levels, into: storage, cluster: clusterPosition)
    if let own { compiled.filterConfigs = own }
    guard case .forward(let action) = route.action, case .weighted(let split) = action.cluster else { return }
    guard split.entries.contains(where: { !$0.filters.isEmpty }) else { return }
    var entries = compiled.weighted.indices.map { compiled.weighted[$0] }
    for (i, entry) in split.entries.enumerated() where !entry.filters.isEmpty {
      let path = FieldPath().field("route").field("weighted_clusters").field("clusters").index(i)
      if let configs = try filters.configs(
        levels + [(entry.filters, path)], into: storage, cluster: clusterPosition)
      {
        entries[i].filterConfigs = configs
      }
    }
    compiled.weighted = storage.arena.table(entries)
  }

  private func secureRedirect(_ host: VirtualHost) throws(ConfigError) -> CompiledRoute {
    var redirect = Redirect()
    redirect.https = true
    var compiled = CompiledRoute()
    compiled.virtualHost = storage.text(host.name)
    compiled.action = .redirect
    compiled.status = redirect.status
    compiled.redirect = try CompiledRedirect(redirect, matched: 0, storage)
    return compiled
  }

  private func condition(_ match: RouteMatch) throws(ConfigError) -> RouteCondition {
    let at = FieldPath().field("match")
    var condition = RouteCondition()
    condition.isCaseSensitive = match.caseSensitive
    switch match.path {
    case .prefix(let text): (condition.path, condition.text) = (.prefix, storage.text(text))
    case .exact(let text): (condition.path, condition.text) = (.exact, storage.text(text))
    case .separatedPrefix(let text): (condition.path, condition.text) = (.separatedPrefix, storage.text(text))
    case .regex(let pattern):
      condition.path = .regex
      do throws(ConfigError) { condition.regex = try storage.regex(pattern) } catch {
        throw error.inside(at.field("safe_regex").field("regex"))
      }
    case .connect: condition.path = .connect
    }
    if let fraction = match.runtimeFraction {
      (condition.hasFraction, condition.fraction) = (true, storage.share(fraction))
    }
    do throws(ConfigError) {
      condition.headers = try storage.table(match.headers, "headers")
      condition.query = try storage.table(match.queryParameters, "query_parameters")
    } catch { throw error.inside(at) }
    condition.wantsGRPC = match.grpc
    if let presented = match.tls?.presented { condition.certificatePresented = presented ? 1 : 0 }
    if let validated = match.tls?.validated { condition.certificateValidated = validated ? 1 : 0 }
    return condition
  }

  private func route(
    _ route: Route, _ host: VirtualHost, _ table: RouteConfiguration
  ) throws(ConfigError) -> CompiledRoute {
    var compiled = CompiledRoute()
    compiled.name = storage.text(route.name)
    compiled.virtualHost = storage.text(host.name)
    compiled.metadata = storage.arena.metadata(route.metadata)
    compiled.includesAttemptCount = host.includeRequestAttemptCount
    compiled.includesAttemptCountInResponse = host.includeAttemptCountInResponse
    compiled.saysIsTimeoutRetry = host.includeIsTimeoutRetryHeader
    if let limit = route.perRequestBufferLimitBytes ?? host.perRequestBufferLimitBytes {
      compiled.bufferLimit = Int(limit)
    }
    // From the most specific level to the least; the other way round when the most specific shall have the last word.
    let levels = [route.headers, host.headers, table.headers]
    let order = table.mostSpecificHeaderMutationsWin ? levels.reversed() : levels
    compiled.requestChanges = storage.arena.table(try changes(order.map(\.request), "request_headers_to_add"))
    compiled.responseChanges = storage.arena.table(try changes(order.map(\.response), "response_headers_to_add"))

    switch route.action {
    case .nonForwarding: compiled.action = .none
    case .redirect(let redirect):
      compiled.action = .redirect
      compiled.status = redirect.status
      compiled.redirect = try CompiledRedirect(redirect, matched: matchedLength(route.match), storage)
    case .respond(let response):
      compiled.action = .respond
      compiled.status = response.status
      if let body = response.body {
        let at = FieldPath().field("direct_response").field("body")
        let bytes: [UInt8]
        do throws(ConfigError) { bytes = try load(body) } catch { throw error.inside(at) }
        guard bytes.count <= Int(table.maxDirectResponseBodyBytes) else {
          throw ConfigError(
            path: at,
            "has \(bytes.count) bytes, max_direct_response_body_size_bytes allows \(table.maxDirectResponseBodyBytes)")
        }
        compiled.body = storage.bytes(bytes)
      }
    case .forward(let action):
      do throws(ConfigError) { try forward(action, route, host, table, order, &compiled) } catch {
        throw error.inside(FieldPath().field("route"))
      }
    }
    return compiled
  }

  private func changes(_ levels: [HeaderMutations], _ field: String) throws(ConfigError) -> [CompiledHeaderChange] {
    var out: [CompiledHeaderChange] = []
    for level in levels {
      do throws(ConfigError) { out += try storage.changes(level) } catch {
        throw error.inside(FieldPath().field(field))
      }
    }
    return out
  }

  private func matchedLength(_ match: RouteMatch) -> Int {
    switch match.path {
    case .prefix(let text), .exact(let text), .separatedPrefix(let text): text.utf8.count
    // All of it, without the query.
    case .regex: .max
    case .connect: 0
    }
  }

  private func forward(
    _ action: RouteAction, _ route: Route, _ host: VirtualHost, _ table: RouteConfiguration, _ order: [HeaderPolicies],
    _ compiled: inout CompiledRoute
  ) throws(ConfigError) {
    compiled.action = .forward
    compiled.clusterNotFoundStatus = action.clusterNotFoundStatus
    compiled.highPriority = action.priority == .high
    switch action.cluster {
    case .cluster(let name):
      compiled.clusterKind = .fixed
      compiled.clusterName = storage.text(name)
      compiled.cluster = try position(name, table, FieldPath().field("cluster"))
    case .header(let name):
      compiled.clusterKind = .header
      compiled.clusterHeader = storage.text(name.lowercased())
    case .weighted(let split):
      compiled.clusterKind = .weighted
      try weighted(split, table, order, &compiled)
    }

    switch action.timeout {
    case nil: (compiled.timeout, compiled.timeoutIsDefault) = (RouteAction.defaultTimeout.wholeNanoseconds, true)
    case let timeout?: compiled.timeout = timeout.wholeNanoseconds
    }
    if let idle = action.idleTimeout { compiled.idleTimeout = idle.wholeNanoseconds }
    if let longest = action.maxStreamDuration { compiled.maxStreamDuration = longest.wholeNanoseconds }
    if let limit = action.grpcTimeoutHeaderMax { compiled.grpcTimeoutMax = limit.wholeNanoseconds }
    compiled.grpcTimeoutOffset = action.grpcTimeoutHeaderOffset.wholeNanoseconds
    compiled.grpcTimeoutBounds = action.grpcTimeoutBounds

    compiled.matchedPrefix = matchedLength(route.match)
    compiled.ignoresParameters = table.ignorePathParameters
    if let prefix = action.prefixRewrite {
      compiled.pathRewrite = .prefix
      compiled.prefixRewrite = storage.text(prefix)
    } else if let rewrite = action.regexRewrite {
      compiled.pathRewrite = .regex
      compiled.pathSubstitution = storage.text(rewrite.substitution)
      do throws(ConfigError) { compiled.pathRegex = try storage.regex(rewrite.pattern) } catch {
        throw error.inside(FieldPath().field("regex_rewrite").field("pattern").field("regex"))
      }
    }
    compiled.appendsForwardedHost = action.appendXForwardedHost
    switch action.hostRewrite {
    case .none: break
    case .literal(let text): (compiled.hostRewrite, compiled.hostRewriteText) = (.literal, storage.text(text))
    case .automatic: compiled.hostRewrite = .automatic
    case .header(let name):
      (compiled.hostRewrite, compiled.hostRewriteText) = (.header, storage.text(name.lowercased()))
    case .pathRegex(let rewrite):
      compiled.hostRewrite = .pathRegex
      compiled.hostRewriteText = storage.text(rewrite.substitution)
      do throws(ConfigError) { compiled.hostRegex = try storage.regex(rewrite.pattern) } catch {
        throw error.inside(FieldPath().field("host_rewrite_path_regex").field("pattern").field("regex"))
      }
    }

    compiled.hedgesOnTryTimeout = action.hedgesOnPerTryTimeout ?? host.hedgesOnPerTryTimeout
    if let policy = action.retryPolicy ?? host.retryPolicy {
      compiled.retryRules = RetryRules(policy)
      if let priority = policy.priority {
        do throws(ConfigError) { compiled.retryPriority = try retryPriorities.compile(priority, storage) } catch {
          throw error.inside(FieldPath().field("retry_policy").field("retry_priority").field("typed_config"))
        }
      }
      do throws(ConfigError) {
        compiled.retriableHeaders = try storage.table(policy.retriableHeaders, "retriable_headers")
        compiled.retriableRequestHeaders = try storage.table(
          policy.retriableRequestHeaders, "retriable_request_headers")
      } catch { throw error.inside(FieldPath().field("retry_policy")) }
      let resets = policy.rateLimitedBackoff?.resetHeaders ?? []
      compiled.resetHeaders = storage.arena.table(
        resets.map {
          CompiledRoute.ResetHeader(name: storage.text($0.name.lowercased()), isTimestamp: $0.format == .unixTimestamp)
        })
    }
    compiled.expectedTimeout = compiled.timeout
    if let perTry = compiled.retryRules?.perTryTimeout, perTry > 0, perTry < compiled.timeout || compiled.timeout == 0,
      !compiled.hedgesOnTryTimeout
    {
      compiled.expectedTimeout = perTry
    }
    compiled.expectedTimeoutText = storage.text(String(max(1, compiled.expectedTimeout / 1_000_000)))
    compiled.upgrades = storage.arena.table(
      action.upgrades.map { CompiledRoute.Upgrade(name: storage.text($0.type.lowercased()), isEnabled: $0.enabled) })
    compiled.terminatesConnect = action.upgrades.contains {
      $0.enabled && $0.terminates && $0.type.lowercased() == "connect"
    }
    var hashed: [CompiledHashPolicy] = []
    for (i, policy) in action.hashPolicies.enumerated() {
      guard i < CompiledRoute.mostHashPolicies else {
        throw ConfigError(
          path: FieldPath().field("hash_policy").index(i),
          "is one policy too many: a route may have \(CompiledRoute.mostHashPolicies)")
      }
      do throws(ConfigError) { hashed.append(try CompiledHashPolicy(policy, storage)) } catch {
        throw error.inside(FieldPath().field("hash_policy").index(i))
      }
    }
    compiled.hashPolicies = storage.arena.table(hashed)
    // The most specific level that names any has all the say.
    let mirrors = [action.mirrors, host.mirrors, table.mirrors].first { !$0.isEmpty } ?? []
    // They are found by name when a request is copied, and asked for here so that the table waits for them, too.
    for (i, mirror) in mirrors.enumerated() where !mirror.cluster.isEmpty {
      if clusterPosition(mirror.cluster) < 0, table.validateClusters {
        throw ConfigError(
          path: FieldPath().field("request_mirror_policies").index(i).field("cluster"),
          "unknown shadow cluster \"\(mirror.cluster)\"")
      }
    }
    compiled.mirrors = storage.mirrors(mirrors)
  }

  private func weighted(
    _ split: WeightedClusters, _ table: RouteConfiguration, _ order: [HeaderPolicies], _ compiled: inout CompiledRoute
  ) throws(ConfigError) {
    let at = FieldPath().field("weighted_clusters")
    compiled.totalWeight = split.totalWeight
    try split.checkWeights(at)
    var entries: [CompiledRoute.WeightedCluster] = []
    var sum: UInt64 = 0
    for (i, entry) in split.entries.enumerated() {
      sum += UInt64(entry.weight)
      let path = at.field("clusters").index(i)
      var compiledEntry = CompiledRoute.WeightedCluster(
        cluster: entry.header.isEmpty ? try position(entry.name, table, path.field("name")) : -1,
        name: storage.text(entry.name), upTo: sum)
      compiledEntry.header = storage.text(entry.header.lowercased())
      if let host = entry.hostRewriteLiteral { compiledEntry.hostRewrite = storage.text(host) }
      // The entry's own changes are the most specific ones; they run where the route's begin (or, reversed, end).
      do throws(ConfigError) {
        compiledEntry.requestChanges = storage.arena.table(try storage.changes(entry.headers.request))
        compiledEntry.responseChanges = storage.arena.table(try storage.changes(entry.headers.response))
      } catch { throw error.inside(path) }
      entries.append(compiledEntry)
    }
    compiled.weighted = storage.arena.table(entries)
    if !split.runtimeKeyPrefix.isEmpty {
      compiled.weightKeys = storage.arena.table(
        split.entries.map { storage.runtimeKey("\(split.runtimeKeyPrefix).\($0.name)") })
    }
    compiled.entryChangesLast = table.mostSpecificHeaderMutationsWin
  }

  private func position(_ name: String, _ table: RouteConfiguration, _ path: FieldPath) throws(ConfigError) -> Int32 {
    let found = clusterPosition(name)
    if found < 0, table.validateClusters {
      throw ConfigError(path: path, "unknown cluster \"\(name)\"")
    }
    return found
  }
}

extension SnapshotStorage {
  func mirrors(_ policies: [MirrorPolicy]) -> ConstantTable<CompiledMirror> {
    arena.table(
      policies.map {
        CompiledMirror(
          cluster: text($0.cluster), clusterHeader: text($0.clusterHeader.lowercased()),
          share: share($0.fraction), appendsSuffix: !$0.disableShadowHostSuffix,
          host: text($0.hostRewriteLiteral))
      })
  }
}

extension Duration {
  /// Nanoseconds, at least 0.
  var wholeNanoseconds: UInt64 { UInt64(clamping: nanoseconds) }
}

extension Duration? {
  /// Nanoseconds; 0 for none.
  var wholeNanoseconds: UInt64 { self?.wholeNanoseconds ?? 0 }
}
