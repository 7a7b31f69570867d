import WeftBase
import WeftModel
import WeftProtobuf
import WeftXDSMessages

extension Converter {
  func connectionManager(
    _ value: Envoy_Extensions_Filters_Network_HttpConnectionManager_V3_HttpConnectionManager, _ at: FieldPath
  ) throws(ConfigError) -> HTTPConnectionManager {
    let prefix = try required(value.statPrefix, at.field("stat_prefix"))
    let routes: HTTPConnectionManager.Routes
    switch value.routeSpecifier {
    case .routeConfig(let table):
      routes = .inline(try routeConfiguration(table, at: at.field("route_config"), validatesByDefault: true))
    case .rds(let rds):
      let path = at.field("rds")
      routes = .discovered(
        name: try required(rds.routeConfigName, path.field("route_config_name")),
        source: try source(rds.configSource, path.field("config_source")))
    case nil: throw fail(at, "needs one of rds, route_config")
    }
    var out = HTTPConnectionManager(statPrefix: prefix, routes: routes)
    switch value.codecType {
    case .auto: out.codec = .auto
    case .http1: out.codec = .http1
    case .http2: out.codec = .http2
    default: throw fail(at.field("codec_type"), "must be AUTO, HTTP1 or HTTP2, is \(value.codecType.name)")
    }
    out.filters = try httpFilters(value.httpFilters, at.field("http_filters"))
    out.http1 = try http1(value.httpProtocolOptions, at.field("http_protocol_options"))
    out.http2 = try http2(value.http2ProtocolOptions, at.field("http2_protocol_options"))
    out.allowConnect = value.http2ProtocolOptions?.allowConnect ?? false
    try limits(value, &out, at)
    try identity(value, &out, at)
    try paths(value, &out, at)
    try differ(value.upgradeConfigs.map(\.upgradeType), at.field("upgrade_configs"))
    for (i, upgrade) in value.upgradeConfigs.enumerated() {
      let path = at.field("upgrade_configs").index(i)
      out.upgrades.append(
        UpgradeConfiguration(
          type: upgrade.upgradeType, enabled: upgrade.enabled?.value ?? true,
          filters: upgrade.filters.isEmpty ? nil : try httpFilters(upgrade.filters, path.field("filters"))))
      let router = upgrade.filters.isEmpty ? nil : out.upgrades[i].filters?.last?.configuration
      if router != nil, router != out.filters.last?.configuration {
        let at = path.field("filters").index(upgrade.filters.count - 1)
        warn(at.field("typed_config"), "has no effect: the router of http_filters is that of upgrades, too")
      }
    }
    out.accessLogs = try accessLogs(value.accessLog, at.field("access_log"))
    unsupported(value.accessLogFlushInterval != nil, at, "access_log_flush_interval")
    unsupported(value.flushAccessLogOnNewRequest, at, "flush_access_log_on_new_request")
    unsupported(value.accessLogOptions != nil, at, "access_log_options")
    unsupported(value.tracing != nil, at, "tracing")
    unsupported(value.localReplyConfig != nil, at, "local_reply_config")
    unsupported(value.requestIdExtension != nil, at, "request_id_extension")
    unsupported(value.addUserAgent?.value ?? false, at, "add_user_agent")
    unsupported(value.pathNormalizationOptions != nil, at, "path_normalization_options")
    unsupported(!value.originalIpDetectionExtensions.isEmpty, at, "original_ip_detection_extensions")
    unsupported(value.schemeHeaderTransformation != nil, at, "scheme_header_transformation")
    unsupported(value.proxyStatusConfig != nil, at, "proxy_status_config")
    unsupported(value.appendXForwardedPort, at, "append_x_forwarded_port")
    unsupported(
      value.representIpv4RemoteAddressAsIpv4MappedIpv6, at, "represent_ipv4_remote_address_as_ipv4_mapped_ipv6")
    unsupported(value.appendLocalOverload, at, "append_local_overload")
    unsupported(value.streamFlushTimeout != nil, at, "stream_flush_timeout")
    return out
  }

  private func limits(
    _ value: Envoy_Extensions_Filters_Network_HttpConnectionManager_V3_HttpConnectionManager,
    _ out: inout HTTPConnectionManager, _ at: FieldPath
  ) throws(ConfigError) {
    out.streamIdleTimeout = try timeout(
      value.streamIdleTimeout, at.field("stream_idle_timeout"), default: .seconds(300))
    out.requestTimeout = try timeout(value.requestTimeout, at.field("request_timeout"), default: nil)
    out.requestHeadersTimeout = try timeout(
      value.requestHeadersTimeout, at.field("request_headers_timeout"), default: nil)
    if let drain = try duration(value.drainTimeout, at.field("drain_timeout")) { out.drainTimeout = drain }
    out.delayedCloseTimeout = try timeout(
      value.delayedCloseTimeout, at.field("delayed_close_timeout"), default: .seconds(1))
    if let kilobytes = value.maxRequestHeadersKb?.value {
      guard (1...8192).contains(kilobytes) else {
        throw fail(at.field("max_request_headers_kb"), "must be 1 to 8192, is \(kilobytes)")
      }
      out.maxRequestHeadersBytes = kilobytes * 1024
    }
    let path = at.field("common_http_protocol_options")
    if let common = value.commonHttpProtocolOptions {
      out.idleTimeout = try timeout(common.idleTimeout, path.field("idle_timeout"), default: .seconds(3600))
      out.maxConnectionDuration = try timeout(
        common.maxConnectionDuration, path.field("max_connection_duration"), default: nil)
      out.maxStreamDuration = try timeout(common.maxStreamDuration, path.field("max_stream_duration"), default: nil)
      if let count = common.maxHeadersCount?.value {
        guard count >= 1 else { throw fail(path.field("max_headers_count"), "must be 1 or more, is 0") }
        out.maxHeadersCount = count
      }
      out.maxRequestsPerConnection = common.maxRequestsPerConnection?.value
      unsupported(common.maxResponseHeadersKb != nil, path, "max_response_headers_kb")
      switch common.headersWithUnderscoresAction {
      case .rejectRequest: out.underscores = .reject
      case .dropHeader: out.underscores = .dropHeader
      default: out.underscores = .allow
      }
    }
    out.proxy100Continue = value.proxy100Continue
    // A bad message ends its stream over HTTP/2, and its connection over HTTP/1, whatever this says.
    unsupported(value.streamErrorOnInvalidHttpMessage?.value ?? false, at, "stream_error_on_invalid_http_message")
  }

  private func identity(
    _ value: Envoy_Extensions_Filters_Network_HttpConnectionManager_V3_HttpConnectionManager,
    _ out: inout HTTPConnectionManager, _ at: FieldPath
  ) throws(ConfigError) {
    out.useRemoteAddress = value.useRemoteAddress?.value ?? false
    out.trustedHopsXFF = value.xffNumTrustedHops
    out.skipXFFAppend = value.skipXffAppend
    out.internalAddressRanges = try ranges(
      value.internalAddressConfig?.cidrRanges ?? [], at.field("internal_address_config").field("cidr_ranges"))
    switch value.forwardClientCertDetails {
    case .forwardOnly: out.forwardClientCertificate = .forwardOnly
    case .appendForward: out.forwardClientCertificate = .appendForward
    case .sanitizeSet: out.forwardClientCertificate = .sanitizeSet
    case .alwaysForwardOnly: out.forwardClientCertificate = .alwaysForwardOnly
    default: out.forwardClientCertificate = .sanitize
    }
    if let details = value.setCurrentClientCertDetails {
      out.setClientCertificateDetails.subject = details.subject?.value ?? false
      out.setClientCertificateDetails.certificate = details.cert
      out.setClientCertificateDetails.chain = details.chain
      out.setClientCertificateDetails.dns = details.dns
      out.setClientCertificateDetails.uri = details.uri
    }
    if !value.serverName.isEmpty { out.serverName = try headText(value.serverName, at.field("server_name")) }
    switch value.serverHeaderTransformation {
    case .appendIfAbsent: out.serverHeader = .appendIfAbsent
    case .passThrough: out.serverHeader = .passThrough
    default: out.serverHeader = .overwrite
    }
    out.via = try headText(value.via, at.field("via"))
    out.generateRequestID = value.generateRequestId?.value ?? true
    out.preserveExternalRequestID = value.preserveExternalRequestId
    out.alwaysSetRequestIDInResponse = value.alwaysSetRequestIdInResponse
  }

  private func paths(
    _ value: Envoy_Extensions_Filters_Network_HttpConnectionManager_V3_HttpConnectionManager,
    _ out: inout HTTPConnectionManager, _ at: FieldPath
  ) throws(ConfigError) {
    out.normalizePath = value.normalizePath?.value ?? false
    out.mergeSlashes = value.mergeSlashes
    switch value.pathWithEscapedSlashesAction {
    case .rejectRequest: out.escapedSlashes = .reject
    case .unescapeAndRedirect:
      out.escapedSlashes = .unescapeAndRedirect
      warn(
        at.field("path_with_escaped_slashes_action"),
        "UNESCAPE_AND_REDIRECT forwards the unescaped path without a redirect")
    case .unescapeAndForward: out.escapedSlashes = .unescapeAndForward
    default: out.escapedSlashes = .keepUnchanged
    }
    if value.stripMatchingHostPort { out.portStripping = .matching }
    if case .stripAnyHostPort(true)? = value.stripPortMode {
      guard !value.stripMatchingHostPort else {
        throw fail(
          at.field("strip_any_host_port"), "only one of strip_matching_host_port and strip_any_host_port may be set")
      }
      out.portStripping = .any
    }
    out.stripTrailingHostDot = value.stripTrailingHostDot
  }

  /// The filters of a connection manager, with the router that ends them.
  private func httpFilters(
    _ values: [Envoy_Extensions_Filters_Network_HttpConnectionManager_V3_HttpFilter], _ at: FieldPath
  ) throws(ConfigError) -> [ConfiguredFilter] {
    guard let last = values.last else {
      throw fail(at, "is empty; a http filter chain must end with a terminal filter such as envoy.filters.http.router")
    }
    let known = extensions.httpFilters.merging(
      [Envoy_Extensions_Filters_Http_Router_V3_Router.schema.name: "envoy.filters.http.router"]) { $1 }
    var out: [ConfiguredFilter] = []
    for (i, filter) in values.enumerated() {
      let path = at.index(i)
      guard let (name, config) = try configured(filter, known: known, path) else { continue }
      if let router = try terminal(config, Envoy_Extensions_Filters_Http_Router_V3_Router.self, path) {
        try checkTerminal(filter, isLast: i == values.count - 1, path)
        out.append(ConfiguredFilter(name: name, .router(try self.router(router, path.field("typed_config")))))
        continue
      }
      try add(filter, config, to: &out, known: known, path)
    }
    guard out.contains(where: { if case .router = $0.configuration { true } else { false } }) else {
      throw fail(
        at.index(values.count - 1), "non-terminal filter named \(last.name) is the last filter in a http filter chain")
    }
    return out
  }

  /// Filters in front of a cluster's endpoints, without the codec that ends them; none when there are no `values`.
  func upstreamFilters(
    _ values: [Envoy_Extensions_Filters_Network_HttpConnectionManager_V3_HttpFilter], _ at: FieldPath
  ) throws(ConfigError) -> [ConfiguredFilter] {
    guard let last = values.last else { return [] }
    let known = extensions.upstreamFilters.merging(
      [Envoy_Extensions_Filters_Http_UpstreamCodec_V3_UpstreamCodec.schema.name: "envoy.filters.http.upstream_codec"]
    ) { $1 }
    var out: [ConfiguredFilter] = []
    var ends = false
    for (i, filter) in values.enumerated() {
      let path = at.index(i)
      guard let (_, config) = try configured(filter, known: known, path) else { continue }
      if try terminal(config, Envoy_Extensions_Filters_Http_UpstreamCodec_V3_UpstreamCodec.self, path) != nil {
        try checkTerminal(filter, isLast: i == values.count - 1, path)
        ends = true
        continue
      }
      try add(filter, config, to: &out, known: known, path)
    }
    guard ends else {
      throw fail(
        at.index(values.count - 1),
        "non-terminal filter named \(last.name) is the last filter in an upstream http filter chain, which must end "
          + "with envoy.filters.http.upstream_codec")
    }
    return out
  }

  /// A filter's name and configuration; nil for an optional one that has none.
  private func configured(
    _ filter: Envoy_Extensions_Filters_Network_HttpConnectionManager_V3_HttpFilter, known: [String: String],
    _ path: FieldPath
  ) throws(ConfigError) -> (name: String, config: ExtensionConfig)? {
    let name = try required(filter.name, path.field("name"))
    if case .configDiscovery? = filter.configType { throw fail(path.field("config_discovery"), "is not supported") }
    if case .typedConfig(let any)? = filter.configType {
      return (name, try extensionConfig(any, path.field("typed_config")))
    }
    guard filter.isOptional else { throw unregistered(name, "", known: known.values, path.field("typed_config")) }
    warn(path, "optional filter \(name) has no typed_config and is left out")
    return nil
  }

  /// The message of a filter that ends a chain, typed or as a structure; nil when it is another one's.
  private func terminal<M: Message>(_ config: ExtensionConfig, _: M.Type, _ path: FieldPath) throws(ConfigError) -> M? {
    guard config.typeName == M.schema.name else { return nil }
    do throws(ProtobufError) { return try M(serialized: config.message) } catch {
      throw fail(path.field("typed_config"), "is not a valid \(M.schema.name): \(error.message)")
    }
  }

  private func checkTerminal(
    _ filter: Envoy_Extensions_Filters_Network_HttpConnectionManager_V3_HttpFilter, isLast: Bool, _ path: FieldPath
  ) throws(ConfigError) {
    guard isLast else {
      throw fail(path, "terminal filter named \(filter.name) must be the last filter in a http filter chain")
    }
    guard !filter.disabled else {
      throw fail(path.field("disabled"), "must be false: the terminal filter cannot be disabled")
    }
  }

  private func add(
    _ filter: Envoy_Extensions_Filters_Network_HttpConnectionManager_V3_HttpFilter, _ config: ExtensionConfig,
    to out: inout [ConfiguredFilter], known: [String: String], _ path: FieldPath
  ) throws(ConfigError) {
    guard extensions.takesOthers || known[config.typeName] != nil else {
      guard filter.isOptional else {
        throw unregistered(filter.name, config.typeName, known: known.values, path.field("typed_config"))
      }
      return warn(path, "optional filter \(filter.name) is not supported and left out")
    }
    if out.contains(where: { $0.name == filter.name }) {
      throw fail(
        path.field("name"), "\"\(filter.name)\" is also the name of another filter of the chain; names must be unique")
    }
    var converted = ConfiguredFilter(name: filter.name, .filter(config))
    converted.isDisabled = filter.disabled
    out.append(converted)
  }

  private func router(
    _ value: Envoy_Extensions_Filters_Http_Router_V3_Router, _ at: FieldPath
  ) throws(ConfigError) -> RouterOptions {
    var out = RouterOptions()
    out.suppressEnvoyHeaders = value.suppressEnvoyHeaders
    unsupported(value.startChildSpan, at, "start_child_span")
    out.respectExpectedRequestTimeout = value.respectExpectedRqTimeout
    unsupported(!value.upstreamLog.isEmpty, at, "upstream_log")
    unsupported(!value.strictCheckHeaders.isEmpty, at, "strict_check_headers")
    out.upstreamFilters = try upstreamFilters(value.upstreamHttpFilters, at.field("upstream_http_filters"))
    return out
  }

  /// Absent options mean Weft's own defaults: HTTP/1.0 accepted. Present ones mean what they say.
  private func http1(
    _ value: Envoy_Config_Core_V3_Http1ProtocolOptions?, _ at: FieldPath
  ) throws(ConfigError) -> HTTP1Options {
    var out = HTTP1Options()
    guard let value else { return out }
    out.allowAbsoluteURL = value.allowAbsoluteUrl?.value ?? true
    out.acceptHTTP10 = value.acceptHttp10 || value.serialized().isEmpty
    out.defaultHostForHTTP10 = value.defaultHostForHttp10
    out.enableTrailers = value.enableTrailers
    try withoutEffect(value, at)
    return out
  }

  /// A cluster's options: nothing is left of them but what is said about them.
  func clientHTTP1(_ value: Envoy_Config_Core_V3_Http1ProtocolOptions?, _ at: FieldPath) throws(ConfigError) {
    guard let value else { return }
    for (isSet, field) in [
      (value.allowAbsoluteUrl != nil, "allow_absolute_url"), (value.acceptHttp10, "accept_http_10"),
      (!value.defaultHostForHttp10.isEmpty, "default_host_for_http_10"),
    ] where isSet {
      warn(at.field(field), "has no effect: it is about requests that a listener takes")
    }
    try withoutEffect(value, at)
  }

  /// What neither side can do. The case of names is kept by both, as `preserve_case` asks.
  private func withoutEffect(_ value: Envoy_Config_Core_V3_Http1ProtocolOptions, _ at: FieldPath) throws(ConfigError) {
    let path = at.field("header_key_format")
    switch value.headerKeyFormat?.headerFormat {
    case nil: break
    case .properCaseWords: unsupported(true, path, "proper_case_words")
    case .statefulFormatter(let formatter):
      let url = formatter.typedConfig?.typeUrl ?? ""
      guard
        Self.typeName(url) == "envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig"
      else { throw unregistered(formatter.name, url, path.field("stateful_formatter").field("typed_config")) }
      if let any = formatter.typedConfig { nameOnly(any, path.field("stateful_formatter").field("typed_config")) }
    }
    unsupported(value.sendFullyQualifiedUrl, at, "send_fully_qualified_url")
    unsupported(value.allowChunkedLength, at, "allow_chunked_length")
    unsupported(!value.ignoreHttp11Upgrade.isEmpty, at, "ignore_http_11_upgrade")
    unsupported(
      value.overrideStreamErrorOnInvalidHttpMessage != nil, at, "override_stream_error_on_invalid_http_message")
  }

  func http2(_ value: Envoy_Config_Core_V3_Http2ProtocolOptions?, _ at: FieldPath) throws(ConfigError) -> HTTP2Options {
    var out = HTTP2Options()
    guard let value else { return out }
    if let size = value.hpackTableSize?.value { out.hpackTableBytes = size }
    if let streams = value.maxConcurrentStreams?.value {
      guard (1...2_147_483_647).contains(streams) else {
        throw fail(at.field("max_concurrent_streams"), "must be 1 to 2147483647, is \(streams)")
      }
      out.maxConcurrentStreams = streams
    }
    if let window = value.initialStreamWindowSize?.value {
      guard (65_535...2_147_483_647).contains(window) else {
        throw fail(at.field("initial_stream_window_size"), "must be 65535 to 2147483647, is \(window)")
      }
      out.initialStreamWindowBytes = window
    }
    if let window = value.initialConnectionWindowSize?.value {
      guard (65_535...2_147_483_647).contains(window) else {
        throw fail(at.field("initial_connection_window_size"), "must be 65535 to 2147483647, is \(window)")
      }
      out.initialConnectionWindowBytes = window
    }
    if let frames = value.maxOutboundControlFrames?.value { out.maxOutboundControlFrames = frames }
    if let frames = value.maxConsecutiveInboundFramesWithEmptyPayload?.value { out.maxConsecutiveEmptyFrames = frames }
    if let keepalive = value.connectionKeepalive {
      let path = at.field("connection_keepalive")
      guard let time = try duration(keepalive.timeout, path.field("timeout"), atLeast: .milliseconds(1)) else {
        throw fail(path.field("timeout"), "is required")
      }
      var converted = HTTP2Options.Keepalive(timeout: time)
      converted.interval = try duration(keepalive.interval, path.field("interval"), atLeast: .milliseconds(1))
      converted.connectionIdleInterval = try duration(
        keepalive.connectionIdleInterval, path.field("connection_idle_interval"), atLeast: .milliseconds(1))
      converted.intervalJitterPercent = try percent(
        keepalive.intervalJitter, path.field("interval_jitter"), default: 15)
      out.keepalive = converted
    }
    // What is queued is bounded in bytes, and in frames where the peer can ask for them (max_outbound_control_frames).
    unsupported(value.maxOutboundFrames != nil, at, "max_outbound_frames")
    unsupported(value.allowMetadata, at, "allow_metadata")
    unsupported(!value.customSettingsParameters.isEmpty, at, "custom_settings_parameters")
    return out
  }
}
