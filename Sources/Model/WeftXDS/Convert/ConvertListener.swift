package import WeftBase
package import WeftModel
import WeftProtobuf
package import WeftXDSMessages

extension Converter {
  package func listener(_ value: Envoy_Config_Listener_V3_Listener, at: FieldPath = .root) throws(ConfigError)
    -> Listener
  {
    guard value.address != nil else { throw fail(at.field("address"), "is required") }
    let address = try self.address(value.address, at.field("address"))
    var out = Listener(name: value.name.isEmpty ? address.description : value.name, address: address)
    if case .socket(let host, _) = address, IPText.parse(host) == nil {
      throw fail(
        at.field("address").field("socket_address").field("address"),
        "malformed IP address: \(host); a listener needs an IP literal")
    }
    for (i, extra) in value.additionalAddresses.enumerated() {
      let path = at.field("additional_addresses").index(i)
      out.additionalAddresses.append(try self.address(extra.address, path.field("address")))
      unsupported(true, at, "additional_addresses")
    }
    out.statPrefix = value.statPrefix
    guard !value.filterChains.isEmpty || value.defaultFilterChain != nil else {
      throw fail(at.field("filter_chains"), "no filter chains specified; a listener needs at least one")
    }
    var matches: [FilterChainMatch: Int] = [:]
    var names: [String: Int] = [:]
    for (i, chain) in value.filterChains.enumerated() {
      let path = at.field("filter_chains").index(i)
      let converted = try filterChain(chain, path)
      if let first = matches[converted.match] {
        throw fail(
          path.field("filter_chain_match"),
          "is the same as that of filter_chains[\(first)]; each chain must match something else")
      }
      matches[converted.match] = i
      if !converted.name.isEmpty, let first = names[converted.name] {
        throw fail(path.field("name"), "\"\(converted.name)\" is also the name of filter_chains[\(first)]")
      }
      names[converted.name] = i
      out.filterChains.append(converted)
    }
    out.defaultFilterChain = try value.defaultFilterChain.map { (c) throws(ConfigError) in
      try filterChain(c, at.field("default_filter_chain"))
    }
    for (i, filter) in value.listenerFilters.enumerated() {
      let path = at.field("listener_filters").index(i)
      let config = try listenerFilter(filter, path)
      let disabled = try filter.filterDisabled.map { (p) throws(ConfigError) in
        try predicate(p, path.field("filter_disabled"))
      }
      out.listenerFilters.append(ConfiguredListenerFilter(config, disabled: disabled))
    }
    if let time = try duration(value.listenerFiltersTimeout, at.field("listener_filters_timeout")) {
      out.listenerFiltersTimeout = time
    }
    out.continueOnListenerFiltersTimeout = value.continueOnListenerFiltersTimeout
    out.perConnectionBufferLimitBytes = value.perConnectionBufferLimitBytes?.value ?? 1 << 20
    out.useOriginalDestination = value.useOriginalDst?.value ?? false
    out.bindToPort = value.bindToPort?.value ?? true
    out.transparent = value.transparent?.value ?? false
    out.freebind = value.freebind?.value ?? false
    out.reusePort = value.enableReusePort?.value ?? true
    out.tcpBacklog = value.tcpBacklogSize?.value
    out.tcpFastOpenQueueLength = value.tcpFastOpenQueueLength?.value
    out.socketOptions = try socketOptions(value.socketOptions, at.field("socket_options"))
    switch value.trafficDirection {
    case .inbound: out.trafficDirection = .inbound
    case .outbound: out.trafficDirection = .outbound
    default: out.trafficDirection = .unspecified
    }
    // drain_type: a listener with MODIFY_ONLY does not drain when health checks are failed by hand. Nothing fails them here.
    out.ignoreGlobalConnectionLimit = value.ignoreGlobalConnLimit
    if let most = value.maxConnectionsToAcceptPerSocketEvent?.value {
      guard most > 0 else {
        throw fail(at.field("max_connections_to_accept_per_socket_event"), "must be 1 or more, is 0")
      }
      out.maxConnectionsToAcceptPerSocketEvent = most
    }
    if case .exactBalance? = value.connectionBalanceConfig?.balanceType { out.exactBalance = true }
    out.accessLogs = try accessLogs(value.accessLog, at.field("access_log"))
    if case .extendBalance? = value.connectionBalanceConfig?.balanceType {
      unsupported(true, at.field("connection_balance_config"), "extend_balance")
    }
    unsupported(!out.accessLogs.isEmpty, at, "access_log")
    unsupported(value.apiListener != nil, at, "api_listener")
    unsupported(value.enableMptcp, at, "enable_mptcp")
    if value.listenerSpecifier != nil {
      throw fail(at.field("internal_listener"), "internal listeners are not supported")
    }
    return out
  }

  private func listenerFilter(_ value: Envoy_Config_Listener_V3_ListenerFilter, _ at: FieldPath) throws(ConfigError)
    -> ExtensionConfig
  {
    let name = try required(value.name, at.field("name"))
    guard case .typedConfig(let any)? = value.configType else {
      if case .configDiscovery? = value.configType { throw fail(at.field("config_discovery"), "is not supported") }
      throw unregistered(name, "", known: extensions.listenerFilters.values, at)
    }
    let path = at.field("typed_config")
    let config = try extensionConfig(any, path)
    guard extensions.hasListenerFilter(config.typeName) else {
      throw unregistered(name, config.typeName, known: extensions.listenerFilters.values, path)
    }
    // What has no effect is told where the configuration is read.
    let message = Google_Protobuf_Any(typeUrl: any.typeUrl, value: config.message)
    switch config.typeName {
    case Envoy_Extensions_Filters_Listener_TlsInspector_V3_TlsInspector.schema.name:
      _ = try tlsInspector(
        try unpack(message, Envoy_Extensions_Filters_Listener_TlsInspector_V3_TlsInspector.self, path), path)
    case Envoy_Extensions_Filters_Listener_ProxyProtocol_V3_ProxyProtocol.schema.name:
      _ = try proxyProtocol(
        try unpack(message, Envoy_Extensions_Filters_Listener_ProxyProtocol_V3_ProxyProtocol.self, path), path)
    case Envoy_Extensions_Filters_Listener_OriginalSrc_V3_OriginalSrc.schema.name:
      _ = originalSource(
        try unpack(message, Envoy_Extensions_Filters_Listener_OriginalSrc_V3_OriginalSrc.self, path), path)
    case "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector",
      "envoy.extensions.filters.listener.original_dst.v3.OriginalDst":
      nameOnly(message, path)
    default: break
    }
    return config
  }

  package func tlsInspector(
    _ value: Envoy_Extensions_Filters_Listener_TlsInspector_V3_TlsInspector, _ at: FieldPath
  ) throws(ConfigError) -> TLSInspectorSettings {
    var out = TLSInspectorSettings()
    if let most = value.maxClientHelloSize?.value {
      guard (256...16_384).contains(most) else {
        throw fail(at.field("max_client_hello_size"), "must be 256 to 16384, is \(most)")
      }
      out.maximumClientHelloBytes = Int(most)
    }
    out.closesOnErrors = value.closeConnectionOnClientHelloParsingErrors
    unsupported(value.enableJa3Fingerprinting?.value ?? false, at, "enable_ja3_fingerprinting")
    unsupported(value.enableJa4Fingerprinting?.value ?? false, at, "enable_ja4_fingerprinting")
    // What has come is looked at, however much that is.
    if let size = value.initialReadBufferSize?.value, !(256...65_536).contains(size) {
      throw fail(at.field("initial_read_buffer_size"), "must be 256 to 65536, is \(size)")
    }
    return out
  }

  package func proxyProtocol(
    _ value: Envoy_Extensions_Filters_Listener_ProxyProtocol_V3_ProxyProtocol, _ at: FieldPath
  ) throws(ConfigError) -> ProxyProtocolSettings {
    var out = ProxyProtocolSettings()
    out.allowsRequestsWithoutHeader = value.allowRequestsWithoutProxyProtocol
    out.allowsText = !value.disallowedVersions.contains(.v1)
    out.allowsBinary = !value.disallowedVersions.contains(.v2)
    guard out.allowsText || out.allowsBinary else {
      throw fail(at.field("disallowed_versions"), "leaves no version of the protocol: V1 and V2 are both disallowed")
    }
    out.statPrefix = value.statPrefix
    out.passed = try extensionTypes(value.passThroughTlvs, at.field("pass_through_tlvs"))
    for (i, rule) in value.rules.enumerated() {
      let path = at.field("rules").index(i)
      guard rule.tlvType < 256 else { throw fail(path.field("tlv_type"), "must be below 256, is \(rule.tlvType)") }
      guard let target = rule.onTlvPresent else { continue }
      out.rules.append(
        ProxyProtocolSettings.Rule(
          type: UInt8(rule.tlvType),
          space: target.metadataNamespace.isEmpty ? "envoy.filters.listener.proxy_protocol" : target.metadataNamespace,
          key: try required(target.key, path.field("on_tlv_present").field("key"))))
    }
    return out
  }

  private func predicate(
    _ value: Envoy_Config_Listener_V3_ListenerFilterChainMatchPredicate, _ at: FieldPath, depth: Int = 0
  ) throws(ConfigError) -> ConfiguredListenerFilter.Predicate {
    guard depth < Self.maximumPredicateDepth else {
      throw fail(at, "is nested deeper than \(Self.maximumPredicateDepth)")
    }
    func all(
      _ set: Envoy_Config_Listener_V3_ListenerFilterChainMatchPredicate.MatchSet, _ name: String
    ) throws(ConfigError) -> [ConfiguredListenerFilter.Predicate] {
      let at = at.field(name).field("rules")
      guard set.rules.count >= 2 else { throw fail(at, "needs at least two rules") }
      var out: [ConfiguredListenerFilter.Predicate] = []
      for (i, rule) in set.rules.enumerated() { out.append(try predicate(rule, at.index(i), depth: depth + 1)) }
      return out
    }
    switch value.rule {
    case .orMatch(let set): return .anyOf(try all(set, "or_match"))
    case .andMatch(let set): return .all(try all(set, "and_match"))
    case .notMatch(let inner): return .not(try predicate(inner, at.field("not_match"), depth: depth + 1))
    case .anyMatch(let isAny):
      guard isAny else { throw fail(at.field("any_match"), "must be true") }
      return .any
    case .destinationPortRange(let range):
      guard range.start <= range.end else {
        throw fail(at.field("destination_port_range"), "ends before it starts: \(range.start) to \(range.end)")
      }
      return .destinationPorts(range.start..<range.end)
    case nil: throw fail(at, "needs one of or_match, and_match, not_match, any_match, destination_port_range")
    }
  }

  /// Only HTTP requests are copied. A table that comes over RDS does not know whose it is.
  private func tellOfCopies(_ manager: HTTPConnectionManager, _ codec: String, _ at: FieldPath) {
    guard case .inline(let table) = manager.routes else { return }
    func tell(_ mirrors: [MirrorPolicy], _ at: FieldPath) {
      if !mirrors.isEmpty {
        warn(at.field("request_mirror_policies"), "has no effect: messages of \(codec) are not copied")
      }
    }
    let config = at.field("route_config")
    tell(table.mirrors, config)
    for (i, host) in table.virtualHosts.enumerated() {
      let path = config.field("virtual_hosts").index(i)
      tell(host.mirrors, path)
      for (r, route) in host.routes.enumerated() {
        if case .forward(let action) = route.action {
          tell(action.mirrors, path.field("routes").index(r).field("route"))
        }
      }
    }
  }

  private static var maximumPredicateDepth: Int { 16 }

  func filterChain(_ value: Envoy_Config_Listener_V3_FilterChain, _ at: FieldPath) throws(ConfigError) -> FilterChain {
    var out = FilterChain(name: value.name)
    if let match = value.filterChainMatch { out.match = try filterChainMatch(match, at.field("filter_chain_match")) }
    guard !value.filters.isEmpty else { throw fail(at.field("filters"), "is empty; a chain needs a terminal filter") }
    var codec: (name: String, config: ExtensionConfig)?
    for (i, filter) in value.filters.enumerated() {
      let path = at.field("filters").index(i)
      if let config = try protocolCodec(filter, path) {
        guard codec == nil, i < value.filters.count - 1 else {
          throw fail(path, "protocol \(filter.name) must stand alone in front of an HTTP connection manager")
        }
        codec = (filter.name, config)
        continue
      }
      var next = try networkFilter(filter, path)
      if let (name, config) = codec {
        guard case .httpConnectionManager(var manager) = next else {
          throw fail(path, "follows protocol \(name), so it must be an HTTP connection manager")
        }
        manager.protocolCodec = config
        tellOfCopies(manager, name, path)
        next = .httpConnectionManager(manager)
        codec = nil
      }
      out.filters.append(next)
      let isTerminal =
        if case .filter(let config) = next { extensions.terminalFilters.contains(config.typeName) } else { true }
      if i < value.filters.count - 1 {
        guard !isTerminal else {
          throw fail(path, "terminal filter named \(filter.name) must be the last filter in a network filter chain")
        }
      } else if !isTerminal, !extensions.takesOthers {
        throw fail(path, "non-terminal filter named \(filter.name) is the last filter in a network filter chain")
      }
    }
    if let socket = value.transportSocket {
      out.tls = try downstreamTLS(socket, at.field("transport_socket"))
    }
    out.transportSocketConnectTimeout = try timeout(
      value.transportSocketConnectTimeout, at.field("transport_socket_connect_timeout"), default: nil)
    unsupported(value.useProxyProto?.value ?? false, at, "use_proxy_proto")
    return out
  }

  private func filterChainMatch(_ value: Envoy_Config_Listener_V3_FilterChainMatch, _ at: FieldPath) throws(ConfigError)
    -> FilterChainMatch
  {
    var out = FilterChainMatch()
    if let port = value.destinationPort?.value {
      guard (1...65_535).contains(port) else {
        throw fail(at.field("destination_port"), "must be 1 to 65535, is \(port)")
      }
      out.destinationPort = UInt16(port)
    }
    out.destinationPrefixes = try ranges(value.prefixRanges, at.field("prefix_ranges"))
    for (i, name) in value.serverNames.enumerated() {
      guard !name.isEmpty, !name.dropFirst().contains("*"), !name.hasPrefix("*") || name.hasPrefix("*.") else {
        throw fail(
          at.field("server_names").index(i),
          "partial wildcards are not supported; use a name or *.suffix, is \"\(name)\"")
      }
      out.serverNames.append(name)
    }
    guard ["", "raw_buffer", "tls"].contains(value.transportProtocol) else {
      throw fail(at.field("transport_protocol"), "must be raw_buffer or tls, is \"\(value.transportProtocol)\"")
    }
    out.transportProtocol = value.transportProtocol
    out.applicationProtocols = value.applicationProtocols
    out.directSourcePrefixes = try ranges(value.directSourcePrefixRanges, at.field("direct_source_prefix_ranges"))
    switch value.sourceType {
    case .sameIpOrLoopback: out.sourceType = .sameIPOrLoopback
    case .external: out.sourceType = .external
    default: out.sourceType = .any
    }
    out.sourcePrefixes = try ranges(value.sourcePrefixRanges, at.field("source_prefix_ranges"))
    for (i, port) in value.sourcePorts.enumerated() {
      guard (1...65_535).contains(port) else {
        throw fail(at.field("source_ports").index(i), "must be 1 to 65535, is \(port)")
      }
      out.sourcePorts.append(UInt16(port))
    }
    guard value.addressSuffix.isEmpty, value.suffixLen == nil else {
      throw fail(at.field("address_suffix"), "is not implemented; use prefix_ranges")
    }
    return out
  }

  private func networkFilter(_ value: Envoy_Config_Listener_V3_Filter, _ at: FieldPath) throws(ConfigError)
    -> ConfiguredNetworkFilter
  {
    let name = try required(value.name, at.field("name"))
    guard case .typedConfig(let any)? = value.configType else {
      if case .configDiscovery? = value.configType { throw fail(at.field("config_discovery"), "is not supported") }
      throw unregistered(name, "", known: extensions.networkFilters.values, at)
    }
    let path = at.field("typed_config")
    let config = try extensionConfig(any, path)
    guard extensions.hasNetworkFilter(config.typeName) else {
      throw unregistered(name, config.typeName, known: extensions.networkFilters.values, path)
    }
    let message = Google_Protobuf_Any(typeUrl: any.typeUrl, value: config.message)
    switch TerminalNetworkFilter(rawValue: config.typeName) {
    case .httpConnectionManager:
      return .httpConnectionManager(
        try connectionManager(
          try unpack(
            message, Envoy_Extensions_Filters_Network_HttpConnectionManager_V3_HttpConnectionManager.self, path), path))
    case .tcpProxy:
      return .tcpProxy(
        try tcpProxy(try unpack(message, Envoy_Extensions_Filters_Network_TcpProxy_V3_TcpProxy.self, path), path))
    case .dubboProxy:
      return .httpConnectionManager(
        try dubboProxy(try unpack(message, Envoy_Extensions_Filters_Network_DubboProxy_V3_DubboProxy.self, path), path))
    case nil: return .filter(config)
    }
  }

  /// What a filter says that is no filter but a protocol: what the connection manager behind it reads instead of HTTP.
  private func protocolCodec(_ value: Envoy_Config_Listener_V3_Filter, _ at: FieldPath) throws(ConfigError)
    -> ExtensionConfig?
  {
    guard case .typedConfig(let any)? = value.configType else { return nil }
    // A structure may be anything else's, too: its own type tells.
    let name = Self.typeName(any.typeUrl)
    guard extensions.hasProtocol(name) || Self.isFreeForm(name) else { return nil }
    let config = try extensionConfig(any, at.field("typed_config"))
    return extensions.hasProtocol(config.typeName) ? config : nil
  }

  private func tcpProxy(
    _ value: Envoy_Extensions_Filters_Network_TcpProxy_V3_TcpProxy, _ at: FieldPath
  ) throws(ConfigError) -> TCPProxy {
    let prefix = try required(value.statPrefix, at.field("stat_prefix"))
    var out: TCPProxy
    switch value.clusterSpecifier {
    case .cluster(let name):
      out = TCPProxy(statPrefix: prefix, cluster: .single(try required(name, at.field("cluster"))))
    case .weightedClusters(let split):
      let path = at.field("weighted_clusters").field("clusters")
      guard !split.clusters.isEmpty else { throw fail(path, "needs at least one cluster") }
      var entries: [TCPProxy.Weighted] = []
      for (i, entry) in split.clusters.enumerated() {
        guard entry.weight >= 1 else {
          throw fail(path.index(i).field("weight"), "must be 1 or more, is \(entry.weight)")
        }
        entries.append(
          TCPProxy.Weighted(name: try required(entry.name, path.index(i).field("name")), weight: entry.weight))
      }
      out = TCPProxy(statPrefix: prefix, cluster: .weighted(entries))
    case nil: throw fail(at, "needs one of cluster, weighted_clusters")
    }
    out.idleTimeout = try timeout(value.idleTimeout, at.field("idle_timeout"), default: .seconds(3600))
    out.maxDownstreamConnectionDuration = try duration(
      value.maxDownstreamConnectionDuration, at.field("max_downstream_connection_duration"), atLeast: .milliseconds(1))
    if let attempts = value.maxConnectAttempts?.value {
      guard attempts >= 1 else { throw fail(at.field("max_connect_attempts"), "must be 1 or more, is 0") }
      out.maxConnectAttempts = attempts
    }
    guard value.hashPolicy.count <= 1 else {
      throw fail(at.field("hash_policy"), "must be one at most, has \(value.hashPolicy.count)")
    }
    for (i, policy) in value.hashPolicy.enumerated() {
      let path = at.field("hash_policy").index(i)
      switch policy.policySpecifier {
      case .sourceIp: out.hashesSource = true
      case .filterState: throw fail(path.field("filter_state"), "is not supported: nothing sets filter state")
      case nil: throw fail(path, "needs source_ip")
      }
    }
    out.accessLogs = try accessLogs(value.accessLog, at.field("access_log"))
    unsupported(value.metadataMatch != nil, at, "metadata_match")
    unsupported(value.tunnelingConfig != nil, at, "tunneling_config")
    unsupported(value.accessLogFlushInterval != nil, at, "access_log_flush_interval")
    unsupported(value.flushAccessLogOnConnected, at, "flush_access_log_on_connected")
    unsupported(value.accessLogOptions != nil, at, "access_log_options")
    unsupported(value.downstreamIdleTimeout != nil, at, "downstream_idle_timeout")
    unsupported(value.upstreamIdleTimeout != nil, at, "upstream_idle_timeout")
    unsupported(value.backoffOptions != nil, at, "backoff_options")
    unsupported(value.upstreamConnectMode != .immediate, at, "upstream_connect_mode")
    unsupported(!value.proxyProtocolTlvs.isEmpty, at, "proxy_protocol_tlvs")
    return out
  }
}
