import WeftBase
import WeftHTTP
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTables
import WeftTelemetry
import WeftUpstream

/// Turns one listener into its compiled form.
struct ListenerCompiler {
  let storage: SnapshotStorage
  let metrics: MetricsRegistry
  let logs: AccessLogFiles
  let sinks: AccessLogRegistry
  let security: (any SecurityFactory)?
  let secrets: [SecretKey: Secret]
  /// Route tables by the number of the chain that uses them.
  let tables: [Int: ConfigRef<RouteTable>]
  /// Filter chains likewise; nil where the router is alone.
  let filters: [Int: FilterChains.Unit]
  let protocols: ProtocolRegistry
  let clusterPosition: (String) -> Int32
  let listenerFilters: ListenerFilterRegistry
  /// The filters before the terminal one of a chain: the chain, its identity, its listener's name.
  let network: (FilterChain, UInt64, String) throws(ConfigError) -> NetworkChains.Unit?

  func compile(_ listener: Listener) throws(ConfigError) -> CompiledListener {
    let address = try socketAddress(listener.address)
    var chains: [ConfigRef<CompiledFilterChain>] = []
    for (i, chain) in listener.allChains.enumerated() {
      do throws(ConfigError) { chains.append(storage.keep(try compile(chain, i, listener))) } catch {
        throw error.inside(listener.path(ofChain: i))
      }
    }
    let stats = storage.scope(ScopeKey(.listener, listener.statName), metrics)
    var hasher = StableHasher()
    hasher.combine(listener.address)
    hasher.combine(listener.bindToPort)
    hasher.combine(listener.transparent)
    hasher.combine(listener.freebind)
    hasher.combine(listener.reusePort)
    hasher.combine(listener.tcpBacklog)
    hasher.combine(listener.tcpFastOpenQueueLength)
    hasher.combine(listener.maxConnectionsToAcceptPerSocketEvent)
    hasher.combine(listener.socketOptions)
    var compiled = CompiledListener(
      name: storage.text(listener.name), socketIdentity: hasher.finish(), address: address,
      chains: chains, stats: stats, config: listener)
    compiled.options.sharing = listener.reusePort ? .reusePort : .oneSocket
    if let backlog = listener.tcpBacklog { compiled.options.backlog = Int(backlog) }
    compiled.options.fastOpenQueue = Int32(clamping: listener.tcpFastOpenQueueLength ?? 0)
    compiled.options.raw = listener.socketOptions.map(RawSocketOption.init)
    compiled.options.acceptsPerTurn = Int(listener.maxConnectionsToAcceptPerSocketEvent ?? 0)
    compiled.ignoresGlobalLimit = listener.ignoreGlobalConnectionLimit
    compiled.options.transparent = listener.transparent
    compiled.options.freeBind = listener.freebind
    compiled.options.accepted.watermarks = Watermarks(high: max(4096, Int(listener.perConnectionBufferLimitBytes)))
    if let keepalive = listener.tcpKeepalive { compiled.options.accepted.keepalive = Keepalive(keepalive) }
    let implied = impliedFilter(of: listener).map {
      ConfiguredListenerFilter(ExtensionConfig(typeName: $0.message, message: []))
    }
    for (i, filter) in (listener.listenerFilters + (implied.map { [$0] } ?? [])).enumerated() {
      let at = FieldPath().field("listener_filters").index(i).field("typed_config")
      guard let type = listenerFilters[configuredBy: filter.config.typeName] else {
        throw ConfigError(path: at, "no extension is configured by \(filter.config.typeName)")
      }
      if type.asksForDestination {
        compiled.restoresOriginalDestination = true
        compiled.originalDestinationDisabled = filter.disabled
        continue
      }
      if type.bindsUpstreams { compiled.bindsUpstreams = true }
      let made: any ListenerFilter
      do throws(ConfigError) { made = try type.init(filter.config, ListenerFilterContext(metrics: metrics)) } catch {
        throw error.inside(at)
      }
      compiled.filters.append(CompiledListenerFilter(filter: made, disabled: filter.disabled))
    }
    // A listener that hands connections on has to know where they were going, as Envoy's does without the filter.
    if listener.useOriginalDestination { compiled.restoresOriginalDestination = true }
    let hasMatches = listener.filterChains.contains { $0.match != FilterChainMatch() }
    if hasMatches || listener.filterChains.count != 1 {
      compiled.match = try FilterChainTable(
        listener.filterChains.map(\.match),
        defaultChain: listener.defaultFilterChain == nil ? -1 : Int32(listener.filterChains.count))
    }
    return compiled
  }

  /// Who looks at a client's first bytes where chains match what a TLS client says and nobody does. *Source*: Envoy adds one, too, and warns.
  private func impliedFilter(of listener: Listener) -> (any ListenerFilter.Type)? {
    if listener.listenerFilters.contains(where: { listenerFilters[configuredBy: $0.config.typeName]?.findsTLS ?? false }
    ) {
      return nil
    }
    return listener.filterChains.contains(where: \.match.needsTLS) ? listenerFilters.members.first { $0.findsTLS } : nil
  }

  /// What `listener` leaves to be understood.
  func warnings(of listener: Listener) -> [ConfigError] {
    guard let implied = impliedFilter(of: listener) else { return [] }
    return listener.filterChains.indices.filter { listener.filterChains[$0].match.needsTLS }.map {
      ConfigError(
        path: listener.path(ofChain: $0).field("filter_chain_match"),
        "needs \(implied.name) in listener_filters, which is added")
    }
  }

  private func socketAddress(_ address: Address) throws(ConfigError) -> SocketAddress {
    let at = FieldPath().field("address")
    switch address {
    case .socket(let host, let port):
      guard let ip = IPAddress(host) else {
        throw ConfigError(
          path: at.field("socket_address").field("address"),
          "malformed IP address: \(host); a listener needs an IP literal")
      }
      return SocketAddress(ip, port: port)
    case .pipe(let path):
      guard let unix = SocketAddress(unixPath: path) else {
        throw ConfigError(
          path: at.field("pipe").field("path"), "\"\(path)\" is longer than a socket path may be (107 bytes)")
      }
      return unix
    case .internalListener:
      throw ConfigError(path: at.field("envoy_internal_address"), "internal listeners are not supported")
    }
  }

  private func compile(
    _ chain: FilterChain, _ number: Int, _ listener: Listener
  ) throws(ConfigError) -> CompiledFilterChain {
    guard let last = chain.filters.last else {
      throw ConfigError(path: FieldPath().field("filters"), "is empty; a chain needs a terminal filter")
    }
    let at = FieldPath().field("filters").index(chain.filters.count - 1).field("typed_config")
    var compiled: CompiledFilterChain
    switch last {
    case .filter: compiled = CompiledFilterChain(name: storage.text(chain.name), terminal: .filter)
    case .tcpProxy(let proxy):
      compiled = CompiledFilterChain(name: storage.text(chain.name), terminal: .tcp)
      do throws(ConfigError) { compiled.tcp = storage.keep(try compile(proxy)) } catch { throw error.inside(at) }
    case .httpConnectionManager(let manager):
      guard let table = tables[number] else { preconditionFailure("no route table for chain \(number)") }
      compiled = CompiledFilterChain(name: storage.text(chain.name), terminal: .http)
      do throws(ConfigError) {
        var http = try compile(manager, table, listener)
        if let unit = filters[number] {
          http.filters = unit.chain
          http.upstreamFilters = unit.upstream
          http.upgradeFilters = storage.arena.table(
            unit.upgrades.map { UpgradeFilters(name: storage.text($0.name), chain: $0.chain) })
        }
        compiled.http = storage.keep(http)
      } catch { throw error.inside(at) }
    }
    compiled.identity = identity(chain, compiled.terminal, isDefault: number == listener.filterChains.count)
    if let unit = try network(chain, compiled.identity, listener.name) {
      compiled.network = unit.chain
      storage.retain(unit.storage)
    }
    if case .filter(let config) = last, compiled.network?[].terminal.isEmpty ?? true {
      throw ConfigError(path: at, "\(config.typeName) configures no terminal filter; a chain must end with one")
    }
    compiled.handshakeTimeout = chain.transportSocketConnectTimeout.wholeNanoseconds
    if let tls = chain.tls {
      let at = FieldPath().field("transport_socket")
      guard let security else { throw ConfigError(path: at, "TLS is not available here") }
      if tls.common.lacks(secrets) {
        compiled.tls = MissingSecurity()
      } else {
        do throws(ConfigError) { compiled.tls = try security.downstream(tls, secrets: secrets) } catch {
          throw error.inside(at.field("typed_config"))
        }
      }
    }
    return compiled
  }

  private func identity(_ chain: FilterChain, _ terminal: CompiledFilterChain.Terminal, isDefault: Bool) -> UInt64 {
    var hasher = StableHasher()
    hasher.combine(isDefault)
    if !isDefault { hasher.combine(chain.match) }
    switch terminal {
    case .http:
      hasher.combine(0)
      if case .httpConnectionManager(let manager)? = chain.filters.last, let codec = manager.protocolCodec {
        hasher.combine(codec.typeName)
        hasher.combine(bytes: codec.message)
      }
    case .tcp: hasher.combine(1)
    case .filter: hasher.combine(2)
    }
    // Connections keep what their filters have counted of them; with other filters they drain.
    for case .filter(let config) in chain.filters { hasher.combine(config) }
    hasher.combine(chain.tls == nil)
    if let tls = chain.tls {
      // Whom the old policy let in, the new one might not.
      hasher.combine(tls.requireClientCertificate)
      hasher.combine(tls.requireSNI)
      hasher.combine(tls.common.validation)
      hasher.combine(tls.common.validationSecret?.name)
      hasher.combine(tls.common.minimumVersion.rawValue)
    }
    return hasher.finish()
  }

  private func compile(_ proxy: TCPProxy) throws(ConfigError) -> CompiledTCPProxy {
    var choices: [CompiledTCPProxy.Choice] = []
    var total: UInt64 = 0
    switch proxy.cluster {
    case .single(let name):
      total = 1
      choices = [CompiledTCPProxy.Choice(cluster: clusterPosition(name), upTo: 1)]
    case .weighted(let split):
      for entry in split {
        total += UInt64(entry.weight)
        choices.append(CompiledTCPProxy.Choice(cluster: clusterPosition(entry.name), upTo: total))
      }
    }
    guard total > 0 else {
      throw ConfigError(
        path: FieldPath().field("weighted_clusters"), "sum of weights is 0; at least one cluster needs a weight")
    }
    var compiled = CompiledTCPProxy(
      scope: storage.scope(ScopeKey(.tcp, proxy.statPrefix), metrics),
      choices: storage.arena.table(choices),
      totalWeight: total)
    compiled.idleTimeout = proxy.idleTimeout.wholeNanoseconds
    compiled.maxConnectionDuration = proxy.maxDownstreamConnectionDuration.wholeNanoseconds
    compiled.maxConnectAttempts = max(1, proxy.maxConnectAttempts)
    compiled.hashesSource = proxy.hashesSource
    compiled.accessLogs = try accessLogs(proxy.accessLogs)
    compiled.logNeeds = LogNeeds(compiled.accessLogs)
    return compiled
  }

  private func accessLogs(_ logs: [AccessLog]) throws(ConfigError) -> [CompiledAccessLog] {
    let context = AccessLogContext(storage: storage, metrics: metrics, files: self.logs)
    var compiled: [CompiledAccessLog] = []
    for (i, log) in logs.enumerated() {
      do throws(ConfigError) { compiled.append(try CompiledAccessLog(log, sinks, context)) } catch {
        throw error.inside(FieldPath().field("access_log").index(i))
      }
    }
    return compiled
  }

  private func compile(
    _ manager: HTTPConnectionManager, _ table: ConfigRef<RouteTable>, _ listener: Listener
  ) throws(ConfigError) -> CompiledHTTPManager {
    var paths = PathNormalization()
    paths.normalize = manager.normalizePath
    paths.mergeSlashes = manager.mergeSlashes
    switch manager.escapedSlashes {
    case .keepUnchanged: paths.escapedSlashes = .keep
    case .reject: paths.escapedSlashes = .reject
    case .unescapeAndForward, .unescapeAndRedirect: paths.escapedSlashes = .unescape
    }
    var compiled = CompiledHTTPManager(
      codec: manager.codec, scope: storage.scope(ScopeKey(.http, manager.statPrefix), metrics), routes: table,
      limits: HTTPLimits(downstreamOf: manager), paths: paths)
    if table[].allowsUpgrades { compiled.limits.http2.allowsExtendedConnect = true }
    compiled.streamIdleTimeout = manager.streamIdleTimeout.wholeNanoseconds
    compiled.requestTimeout = manager.requestTimeout.wholeNanoseconds
    for (time, reason) in [
      (manager.requestHeadersTimeout.wholeNanoseconds, CompiledHTTPManager.HeadTimeReason.requestHeadersTimeout),
      (compiled.requestTimeout, .requestTimeout), (compiled.streamIdleTimeout, .streamIdleTimeout),
    ] where time > 0 && time < compiled.headTime ?? .max {
      (compiled.headTime, compiled.headTimeReason) = (time, reason)
    }
    compiled.idleTimeout = manager.idleTimeout.wholeNanoseconds
    compiled.maxConnectionDuration = manager.maxConnectionDuration.wholeNanoseconds
    compiled.maxStreamDuration = manager.maxStreamDuration.wholeNanoseconds
    compiled.drainTimeout = manager.drainTimeout.wholeNanoseconds
    compiled.lingerTime = manager.delayedCloseTimeout ?? .zero
    if let keepalive = manager.http2.keepalive, let interval = keepalive.interval {
      compiled.pingInterval = UInt64(clamping: interval.nanoseconds)
      compiled.pingTimeout = UInt64(clamping: keepalive.timeout.nanoseconds)
      compiled.pingJitterPercent = UInt64(clamping: Int64(keepalive.intervalJitterPercent))
    }
    compiled.maxRequestsPerConnection = manager.maxRequestsPerConnection.flatMap { $0 == 0 ? nil : $0 } ?? .max
    compiled.bufferLimit = Int(listener.perConnectionBufferLimitBytes)
    compiled.useRemoteAddress = manager.useRemoteAddress
    compiled.trustedHops = Int(manager.trustedHopsXFF)
    compiled.skipsForwardedFor = manager.skipXFFAppend
    compiled.generatesRequestID = manager.generateRequestID
    compiled.keepsExternalRequestID = manager.preserveExternalRequestID
    compiled.clientCertificateMode = manager.forwardClientCertificate
    compiled.clientCertificateDetails = manager.setClientCertificateDetails
    compiled.requestIDInResponse = manager.alwaysSetRequestIDInResponse
    compiled.proxiesContinue = manager.proxy100Continue
    compiled.serverName = storage.text(manager.serverName)
    compiled.serverHeader = manager.serverHeader
    compiled.via = storage.text(manager.via)
    compiled.defaultHost = storage.text(manager.http1.defaultHostForHTTP10)
    for filter in manager.filters {
      if case .router(let options) = filter.configuration {
        compiled.suppressesEnvoyHeaders = options.suppressEnvoyHeaders
        compiled.respectsExpectedTimeout = options.respectExpectedRequestTimeout
      }
    }
    compiled.underscores = manager.underscores
    compiled.portStripping = manager.portStripping
    compiled.stripsTrailingDot = manager.stripTrailingHostDot
    compiled.refusesAbsoluteForm = !manager.http1.allowAbsoluteURL
    compiled.forwardsTrailersToHTTP1 = manager.http1.enableTrailers
    let enabled = manager.upgrades.filter(\.enabled).map { $0.type.lowercased() }
    compiled.upgrades = storage.arena.table(enabled.map { storage.text($0) })
    compiled.internalRanges = storage.arena.table(manager.internalAddressRanges.compactMap { CompiledRange($0) })
    if let config = manager.protocolCodec {
      guard let codec = protocols[configuredBy: config.typeName] else {
        throw ConfigError("no protocol is configured by \(config.typeName)")
      }
      compiled.protocolCodec = storage.keep(try CompiledCodec(codec, config, storage))
    }
    compiled.accessLogs = try accessLogs(manager.accessLogs)
    compiled.hasAccessLogs = !compiled.accessLogs.isEmpty
    compiled.logNeeds = LogNeeds(compiled.accessLogs)
    return compiled
  }
}

extension Listener {
  /// The name under which statistics are kept: the configured prefix, else the address.
  var statName: String { statPrefix.isEmpty ? address.description : statPrefix }
}

extension HTTPLimits {
  init(downstreamOf manager: HTTPConnectionManager) {
    self.init()
    headerBytes = Int(manager.maxRequestHeadersBytes)
    requestLine = max(requestLine, min(headerBytes, 64 << 10))
    headerCount = Int(manager.maxHeadersCount)
    acceptsHTTP10 = manager.http1.acceptHTTP10
    http2 = HTTP2Limits(manager.http2)
    // An upgrade that is allowed over HTTP/1 is so over HTTP/2, too.
    http2.allowsExtendedConnect = manager.allowConnect || manager.upgrades.contains(where: \.enabled)
  }

  init(upstreamOf cluster: Cluster) {
    self.init()
    headerBytes = Int(cluster.maxResponseHeadersBytes)
    http2 = HTTP2Limits(cluster.http2)
  }
}

extension HTTP2Limits {
  init(_ options: HTTP2Options) {
    self.init()
    maxConcurrentStreams = options.maxConcurrentStreams
    initialStreamWindow = options.initialStreamWindowBytes
    initialConnectionWindow = options.initialConnectionWindowBytes
    decoderTableSize = options.hpackTableBytes
    encoderTableSize = options.hpackTableBytes
    maxOutboundControlFrames = Int(options.maxOutboundControlFrames)
    maxEmptyFrames = Int(options.maxConsecutiveEmptyFrames)
  }
}

extension RawSocketOption {
  init(_ option: SocketOption) {
    let value: [UInt8]
    switch option.value {
    case .integer(let number):
      value = unsafe withUnsafeBytes(of: Int32(clamping: number)) { unsafe Array($0) }
    case .bytes(let bytes): value = bytes
    }
    let stage: RawSocketOption.Stage =
      switch option.stage {
      case .prebind: .beforeBind
      case .bound: .afterBind
      case .listening: .afterListen
      }
    self.init(level: Int32(clamping: option.level), name: Int32(clamping: option.name), value: value, stage: stage)
  }
}

extension Keepalive {
  init(_ keepalive: TCPKeepalive) {
    self.init()
    if let time = keepalive.time { idle = time }
    if let interval = keepalive.interval { self.interval = interval }
    if let probes = keepalive.probes { self.probes = Int(probes) }
  }
}

extension SocketAddress {
  /// Nil for what is no IP address with a port.
  init?(_ address: Address) {
    guard case .socket(let host, let port) = address, let ip = IPAddress(host) else { return nil }
    self.init(ip, port: port)
  }
}

extension ConnectionOptions {
  init(_ cluster: Cluster) {
    self.init()
    watermarks = Watermarks(high: max(4096, Int(cluster.perConnectionBufferLimitBytes)))
    if let keepalive = cluster.tcpKeepalive { self.keepalive = Keepalive(keepalive) }
    bindTo = cluster.binding?.address.flatMap(SocketAddress.init)
    freeBind = cluster.binding?.freebind ?? false
    raw = (cluster.binding?.socketOptions ?? []).filter { $0.stage == .prebind }.map(RawSocketOption.init)
  }
}

extension FilterChainMatch {
  /// Whether only a TLS client's first bytes tell if it matches.
  fileprivate var needsTLS: Bool {
    transportProtocol == "tls"
      || transportProtocol.isEmpty && !(serverNames.isEmpty && applicationProtocols.isEmpty)
  }
}
