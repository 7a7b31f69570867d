package import WeftBase
package import WeftModel
import WeftProtobuf
import WeftTelemetry
import WeftXDSMessages

/// Turns Envoy's messages into the model: the only place that knows them.
///
/// What is invalid is refused with the field's path and what is allowed there. What is valid but not supported is taken
/// and reported in `warnings`, so that nobody
/// believes in a setting which does nothing.
/// Paths are spelled as in the protobuf schema (`filter_chains[0].filters[0]`).
/// *Threads*: one converter per conversion.
package final class Converter {
  /// Settings that were understood and have no effect.
  package private(set) var warnings: [ConfigError] = []

  /// The extensions that can be configured here.
  let extensions: KnownExtensions

  /// Asked for the names of clusters that configure none: the bootstrap's.
  let dnsResolver: DNSResolver?

  package init(extensions: KnownExtensions = .none, dnsResolver: DNSResolver? = nil) {
    self.extensions = extensions
    self.dnsResolver = dnsResolver
  }

  // MARK: Reporting

  func warn(_ at: FieldPath, _ message: String) { warnings.append(ConfigError(path: at, message)) }

  /// Reports a field that is set but not supported.
  func unsupported(_ isSet: Bool, _ at: FieldPath, _ field: String) {
    if isSet { warn(at.field(field), "is not supported and has no effect") }
  }

  /// Reports what `message` holds and nobody here knows. *Errors*: the value of an enum without a name, where Envoy refuses that: what is meant
  /// by it would be guessed.
  func unknown(_ message: some Message, _ at: FieldPath) throws(ConfigError) {
    for part in message.unknownParts() {
      if let field = part.enumField, !Self.isOpen(field) { throw fail(at.appending(part.path), part.message) }
      warn(at.appending(part.path), part.message + " and has no effect")
    }
  }

  /// Whether Envoy takes any number in an enum field. *Source*: the rules beside the published messages; typed balancing policies are not checked by
  /// theirs.
  private static func isOpen(_ field: String) -> Bool {
    field.hasPrefix("envoy.extensions.load_balancing_policies.") || openEnums.contains(field)
  }

  private static let openEnums: Set<String> = [
    "envoy.config.cluster.v3.Cluster.protocol_selection",
    "envoy.config.core.v3.HttpProtocolOptions.headers_with_underscores_action",
    "envoy.config.core.v3.ProxyProtocolConfig.version",
    "envoy.config.core.v3.ProxyProtocolPassThroughTLVs.match_type",
    "envoy.config.endpoint.v3.LbEndpoint.health_status", "envoy.config.listener.v3.Listener.drain_type",
    "envoy.config.listener.v3.Listener.traffic_direction",
    "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol.disallowed_versions",
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.path_with_escaped_slashes_action",
    "envoy.extensions.transport_sockets.tls.v3.TlsParameters.compliance_policies",
  ]

  /// An extension of which only the name is looked at: reports settings beside it.
  func nameOnly(_ any: Google_Protobuf_Any, _ at: FieldPath) {
    if !any.value.isEmpty { warn(at, "has settings that are not supported and have no effect") }
  }

  /// Names the resource in everything that was reported since `mark`.
  func attribute(since mark: Int, kind: String, name: String) {
    for i in mark..<warnings.count { warnings[i] = warnings[i].of(kind: kind, name: name) }
  }

  func fail(_ at: FieldPath, _ message: String) -> ConfigError { ConfigError(path: at, message) }

  // MARK: Scalars

  /// `least`, `limit`: what it must be at least, and less than.
  ///
  /// *Errors*: negative, or out of range.
  func duration(
    _ value: Google_Protobuf_Duration?, _ at: FieldPath, atLeast least: Duration = .zero, below limit: Duration? = nil
  ) throws(ConfigError) -> Duration? {
    guard let value else { return nil }
    guard value.isValid, value.seconds >= 0, value.nanos >= 0, let nanoseconds = value.totalNanoseconds else {
      throw fail(at, "must be 0 or more and less than 292 years, is \(value.seconds).\(abs(value.nanos)) s")
    }
    let duration = Duration.nanoseconds(nanoseconds)
    guard duration >= least else { throw fail(at, "must be \(least) or more, is \(duration)") }
    if let limit, duration >= limit { throw fail(at, "must be less than \(limit), is \(duration)") }
    return duration
  }

  /// A time-out of which 0 means "none".
  func timeout(_ value: Google_Protobuf_Duration?, _ at: FieldPath, default standard: Duration?) throws(ConfigError)
    -> Duration?
  {
    guard let value = try duration(value, at) else { return standard }
    return value == .zero ? nil : value
  }

  /// A duration that must be more than `least`.
  func positive(
    _ value: Google_Protobuf_Duration?, _ at: FieldPath, default standard: Duration, moreThan least: Duration = .zero
  ) throws(ConfigError) -> Duration {
    guard let value = try duration(value, at) else { return standard }
    guard value > least else { throw fail(at, "must be more than \(least == .zero ? "0s" : "\(least)")") }
    return value
  }

  func percent(_ value: Envoy_Type_V3_Percent?, _ at: FieldPath, default standard: Double) throws(ConfigError) -> Double
  {
    guard let value = value?.value else { return standard }
    guard value >= 0, value <= 100 else { throw fail(at.field("value"), "must be 0 to 100, is \(value)") }
    return value
  }

  func percent(_ value: Google_Protobuf_UInt32Value?, _ at: FieldPath, default standard: UInt32) throws(ConfigError)
    -> UInt32
  {
    guard let value = value?.value else { return standard }
    guard value <= 100 else { throw fail(at, "must be 0 to 100, is \(value)") }
    return value
  }

  func fraction(_ value: Envoy_Type_V3_FractionalPercent) -> FractionalPercent {
    switch value.denominator {
    case .tenThousand: FractionalPercent(value.numerator, of: .tenThousand)
    case .million: FractionalPercent(value.numerator, of: .million)
    default: FractionalPercent(value.numerator)
    }
  }

  func runtimeFraction(_ value: Envoy_Config_Core_V3_RuntimeFractionalPercent, _ at: FieldPath) throws(ConfigError)
    -> RuntimeFraction
  {
    guard let standard = value.defaultValue else { throw fail(at.field("default_value"), "is required") }
    return RuntimeFraction(fraction(standard), runtimeKey: value.runtimeKey)
  }

  func required(_ text: String, _ at: FieldPath) throws(ConfigError) -> String {
    guard !text.isEmpty else { throw fail(at, "is required and must not be empty") }
    return text
  }

  /// The message inside an `Any`.
  func unpack<M: Message>(_ any: Google_Protobuf_Any, _ type: M.Type, _ at: FieldPath) throws(ConfigError) -> M {
    let message: M
    do throws(ProtobufError) { message = try M(serialized: any.value) } catch {
      throw fail(at, "is not a valid \(M.schema.name): \(error.message)")
    }
    try unknown(message, at)
    return message
  }

  /// Envoy's words for an extension that nobody registered.
  func unregistered(_ name: String, _ url: String, _ at: FieldPath) -> ConfigError {
    fail(at, "Didn't find a registered implementation for '\(name)' with type URL: '\(Self.typeName(url))'")
  }

  /// A message nobody reads, among those of `known`.
  func unregistered(_ name: String, _ url: String, known: some Sequence<String>, _ at: FieldPath) -> ConfigError {
    fail(
      at,
      "Didn't find a registered implementation for '\(name)' with type URL: '\(Self.typeName(url))'; known are "
        + known.sorted().joined(separator: ", "))
  }

  /// The messages that are known here, for what is told by name.
  static let registry = TypeRegistry(EnvoyTypes.all)

  static func typeName(_ url: String) -> String {
    String(url[(url.lastIndex(of: "/").map { url.index(after: $0) } ?? url.startIndex)...])
  }

  // MARK: Addresses

  func address(_ value: Envoy_Config_Core_V3_Address?, _ at: FieldPath) throws(ConfigError) -> Address {
    switch value?.address {
    case .socketAddress(let socket): return try socketAddress(socket, at.field("socket_address"))
    case .pipe(let pipe):
      unsupported(pipe.mode != 0, at.field("pipe"), "mode")
      return .pipe(path: try required(pipe.path, at.field("pipe").field("path")))
    case .envoyInternalAddress(let inner):
      guard case .serverListenerName(let name)? = inner.addressNameSpecifier else {
        throw fail(at.field("envoy_internal_address").field("server_listener_name"), "is required")
      }
      return .internalListener(name: name, endpointID: inner.endpointId)
    case nil: throw fail(at, "is required: one of socket_address, pipe")
    }
  }

  func socketAddress(_ socket: Envoy_Config_Core_V3_SocketAddress, _ at: FieldPath) throws(ConfigError) -> Address {
    guard socket.protocol == .tcp else { throw fail(at.field("protocol"), "must be TCP; UDP is not supported") }
    let host = try required(socket.address, at.field("address"))
    switch socket.portSpecifier {
    case .portValue(let port):
      guard port <= 65_535 else { throw fail(at.field("port_value"), "must be 0 to 65535, is \(port)") }
      return .socket(host: host, port: UInt16(port))
    case .namedPort: throw fail(at.field("named_port"), "is not supported; use port_value")
    case nil: throw fail(at, "needs port_value")
    }
  }

  func range(_ value: Envoy_Config_Core_V3_CidrRange, _ at: FieldPath) throws(ConfigError) -> CIDRRange {
    guard let bytes = IPText.parse(value.addressPrefix) else {
      throw fail(at.field("address_prefix"), "must be an IP address, is \"\(value.addressPrefix)\"")
    }
    let length = value.prefixLen?.value ?? 0
    guard length <= UInt32(bytes.count * 8) else {
      throw fail(at.field("prefix_len"), "must be 0 to \(bytes.count * 8), is \(length)")
    }
    return CIDRRange(bytes: bytes, prefixLength: UInt8(length))
  }

  func ranges(_ values: [Envoy_Config_Core_V3_CidrRange], _ at: FieldPath) throws(ConfigError) -> [CIDRRange] {
    var out: [CIDRRange] = []
    for (i, value) in values.enumerated() { out.append(try range(value, at.index(i))) }
    return out
  }

  func keepalive(_ value: Envoy_Config_Core_V3_TcpKeepalive?) -> TCPKeepalive? {
    value.map {
      TCPKeepalive(
        probes: $0.keepaliveProbes?.value, time: $0.keepaliveTime.map { .seconds(Int64($0.value)) },
        interval: $0.keepaliveInterval.map { .seconds(Int64($0.value)) })
    }
  }

  func socketOptions(_ values: [Envoy_Config_Core_V3_SocketOption], _ at: FieldPath) throws(ConfigError)
    -> [SocketOption]
  {
    var out: [SocketOption] = []
    for (i, value) in values.enumerated() {
      let stage: SocketOption.Stage =
        switch value.state {
        case .stateBound: .bound
        case .stateListening: .listening
        default: .prebind
        }
      switch value.value {
      case .intValue(let number):
        out.append(SocketOption(level: value.level, name: value.name, value: .integer(number), stage: stage))
      case .bufValue(let bytes):
        out.append(SocketOption(level: value.level, name: value.name, value: .bytes(bytes), stage: stage))
      case nil: throw fail(at.index(i), "needs int_value or buf_value")
      }
    }
    return out
  }

  func locality(_ value: Envoy_Config_Core_V3_Locality?) -> Locality {
    Locality(region: value?.region ?? "", zone: value?.zone ?? "", subZone: value?.subZone ?? "")
  }

  // MARK: Data and sources

  func data(_ value: Envoy_Config_Core_V3_DataSource?, _ at: FieldPath) throws(ConfigError) -> DataSource {
    switch value?.specifier {
    case .filename(let path): return .file(path: try required(path, at.field("filename")))
    case .inlineBytes(let bytes): return .inline(bytes)
    case .inlineString(let text): return .inline(Array(text.utf8))
    case .environmentVariable(let name):
      return .environment(variable: try required(name, at.field("environment_variable")))
    case nil: throw fail(at, "needs one of filename, inline_bytes, inline_string, environment_variable")
    }
  }

  func source(_ value: Envoy_Config_Core_V3_ConfigSource?, _ at: FieldPath) throws(ConfigError) -> ConfigSource {
    var out = ConfigSource(try kind(value, at))
    guard value?.resourceApiVersion != .v2 else { throw fail(at.field("resource_api_version"), "must be V3") }
    if let timeout = try duration(value?.initialFetchTimeout, at.field("initial_fetch_timeout")) {
      out.initialFetchTimeout = timeout == .zero ? nil : timeout
    }
    if case .pathConfigSource(let source)? = value?.configSourceSpecifier {
      out.watchedDirectory = source.watchedDirectory?.path ?? ""
    }
    return out
  }

  private func kind(_ value: Envoy_Config_Core_V3_ConfigSource?, _ at: FieldPath) throws(ConfigError)
    -> ConfigSource.Kind
  {
    switch value?.configSourceSpecifier {
    case .ads: return .ads
    case .self_(let own):
      guard own.transportApiVersion != .v2 else {
        throw fail(at.field("self").field("transport_api_version"), "must be V3")
      }
      return .selfStream
    case .path(let path): return .path(path)
    case .pathConfigSource(let source):
      return .path(try required(source.path, at.field("path_config_source").field("path")))
    case .apiConfigSource: throw fail(at.field("api_config_source"), "is not supported; use ads or path_config_source")
    case nil: throw fail(at, "needs one of ads, self, path_config_source")
    }
  }

  func grpcSource(
    _ api: Envoy_Config_Core_V3_ApiConfigSource, _ at: FieldPath
  ) throws(ConfigError) -> (cluster: String, delta: Bool, authority: String, metadata: [Bootstrap.MetadataEntry]) {
    let delta: Bool
    switch api.apiType {
    case .grpc, .aggregatedGrpc: delta = false
    case .deltaGrpc, .aggregatedDeltaGrpc: delta = true
    default: throw fail(at.field("api_type"), "must be GRPC or DELTA_GRPC, is \(api.apiType.name)")
    }
    guard api.transportApiVersion != .v2 else { throw fail(at.field("transport_api_version"), "must be V3") }
    guard let service = api.grpcServices.first else { throw fail(at.field("grpc_services"), "needs an entry") }
    let path = at.field("grpc_services").index(0)
    guard case .envoyGrpc(let grpc)? = service.targetSpecifier else {
      throw fail(path, "needs envoy_grpc; google_grpc is not supported")
    }
    for (i, entry) in service.initialMetadata.enumerated() {
      try bounded(entry, path.field("initial_metadata").index(i))
    }
    let metadata = service.initialMetadata.map { Bootstrap.MetadataEntry(name: $0.key, value: text(of: $0)) }
    unsupported(service.timeout != nil, path, "timeout")
    return (
      try required(grpc.clusterName, path.field("envoy_grpc").field("cluster_name")), delta, grpc.authority, metadata
    )
  }

  // MARK: Matchers

  func regex(_ value: Envoy_Type_Matcher_V3_RegexMatcher, _ at: FieldPath) throws(ConfigError) -> String {
    if case .googleRe2(let engine)? = value.engineType {
      unsupported(engine.maxProgramSize != nil, at.field("google_re2"), "max_program_size")
    }
    return try required(value.regex, at.field("regex"))
  }

  func rewrite(_ value: Envoy_Type_Matcher_V3_RegexMatchAndSubstitute, _ at: FieldPath) throws(ConfigError)
    -> RegexRewrite
  {
    guard let pattern = value.pattern else { throw fail(at.field("pattern"), "is required") }
    return RegexRewrite(
      pattern: try regex(pattern, at.field("pattern")),
      substitution: try headText(value.substitution, at.field("substitution")))
  }

  /// A text that becomes part of a head: one line of it could become two.
  func headText(_ text: String, _ at: FieldPath) throws(ConfigError) -> String {
    guard HeaderText.isValue(text) else { throw fail(at, "must not hold line breaks or NUL") }
    return text
  }

  func string(_ value: Envoy_Type_Matcher_V3_StringMatcher, _ at: FieldPath) throws(ConfigError) -> StringMatcher {
    switch value.matchPattern {
    case .exact(let text): return StringMatcher(.exact(text), ignoreCase: value.ignoreCase)
    case .prefix(let text):
      return StringMatcher(.prefix(try required(text, at.field("prefix"))), ignoreCase: value.ignoreCase)
    case .suffix(let text):
      return StringMatcher(.suffix(try required(text, at.field("suffix"))), ignoreCase: value.ignoreCase)
    case .contains(let text):
      return StringMatcher(.contains(try required(text, at.field("contains"))), ignoreCase: value.ignoreCase)
    case .safeRegex(let pattern):
      guard !value.ignoreCase else {
        throw fail(at.field("ignore_case"), "has no effect on safe_regex; write (?i) instead")
      }
      return StringMatcher(.regex(try regex(pattern, at.field("safe_regex"))))
    case nil: throw fail(at, "needs one of exact, prefix, suffix, contains, safe_regex")
    }
  }

  func header(_ value: Envoy_Config_Route_V3_HeaderMatcher, _ at: FieldPath) throws(ConfigError) -> HeaderMatcher {
    let name = try required(value.name, at.field("name"))
    guard HeaderText.isValue(name) else { throw fail(at.field("name"), "must not hold line breaks or NUL") }
    let condition: HeaderMatcher.Condition
    switch value.headerMatchSpecifier {
    case nil: condition = .present(true)
    case .presentMatch(let wanted): condition = .present(wanted)
    case .exactMatch(let text): condition = .string(StringMatcher(.exact(text)))
    case .prefixMatch(let text): condition = .string(StringMatcher(.prefix(text)))
    case .suffixMatch(let text): condition = .string(StringMatcher(.suffix(text)))
    case .containsMatch(let text): condition = .string(StringMatcher(.contains(text)))
    case .safeRegexMatch(let pattern):
      condition = .string(StringMatcher(.regex(try regex(pattern, at.field("safe_regex_match")))))
    case .rangeMatch(let range): condition = .range(start: range.start, end: range.end)
    case .stringMatch(let matcher): condition = .string(try string(matcher, at.field("string_match")))
    }
    return HeaderMatcher(
      name: name, condition, invert: value.invertMatch, treatMissingAsEmpty: value.treatMissingHeaderAsEmpty)
  }

  func headers(_ values: [Envoy_Config_Route_V3_HeaderMatcher], _ at: FieldPath) throws(ConfigError) -> [HeaderMatcher]
  {
    var out: [HeaderMatcher] = []
    for (i, value) in values.enumerated() { out.append(try header(value, at.index(i))) }
    return out
  }

  // MARK: Header changes

  func mutations(
    add: [Envoy_Config_Core_V3_HeaderValueOption], remove: [String], _ at: FieldPath, _ prefix: String
  ) throws(ConfigError) -> HeaderMutations {
    var out = HeaderMutations()
    for (i, option) in add.enumerated() {
      out.add.append(try headerOption(option, at.field("\(prefix)_headers_to_add").index(i)))
    }
    for (i, name) in remove.enumerated() {
      out.remove.append(try removableHeader(name, at.field("\(prefix)_headers_to_remove").index(i)))
    }
    return out
  }

  func headerOption(
    _ option: Envoy_Config_Core_V3_HeaderValueOption, _ at: FieldPath
  ) throws(ConfigError) -> HeaderValueOption {
    guard let header = option.header else { throw fail(at.field("header"), "is required") }
    let name = try required(header.key, at.field("header").field("key"))
    // The host is what routes are found by: it is rewritten by `host_rewrite_*`, never by a list of headers.
    guard !name.hasPrefix(":"), name.lowercased() != "host" else {
      throw fail(at.field("header").field("key"), "\":-prefixed or host headers may not be modified\", is \"\(name)\"")
    }
    guard HeaderText.isToken(name) else {
      throw fail(at.field("header").field("key"), "must be a header name, is \"\(name)\"")
    }
    let value = text(of: header)
    try bounded(header, at.field("header"))
    guard HeaderText.isValue(value) else {
      throw fail(at.field("header").field("value"), "must not hold line breaks or NUL")
    }
    // An empty value changes nothing: what the client wrote under the name would be taken for what the operator tells.
    if let text = FormatProgram.operatorsWithoutValue(in: value, of: .header).first {
      throw fail(at.field("header").field("value"), "\(text) has no value here")
    }
    var action: HeaderValueOption.Action =
      switch option.appendAction {
      case .addIfAbsent: .addIfAbsent
      case .overwriteIfExistsOrAdd: .overwriteIfExistsOrAdd
      case .overwriteIfExists: .overwriteIfExists
      default: .appendIfExistsOrAdd
      }
    if let append = option.append { action = append.value ? .appendIfExistsOrAdd : .overwriteIfExistsOrAdd }
    return HeaderValueOption(name: name, value: value, action: action, keepEmptyValue: option.keepEmptyValue)
  }

  /// What a field of a head may be made of. *Source*: Envoy's rules for `HeaderValue`.
  private func bounded(_ header: Envoy_Config_Core_V3_HeaderValue, _ at: FieldPath) throws(ConfigError) {
    let most = 16_384
    for (count, field) in [
      (header.key.utf8.count, "key"), (header.value.utf8.count, "value"), (header.rawValue_.count, "raw_value"),
    ] where count > most {
      throw fail(at.field(field), "may have \(most) bytes, has \(count)")
    }
  }

  private func text(of header: Envoy_Config_Core_V3_HeaderValue) -> String {
    header.value.isEmpty ? String(decoding: header.rawValue_, as: UTF8.self) : header.value
  }

  func removableHeader(_ name: String, _ at: FieldPath) throws(ConfigError) -> String {
    guard !name.isEmpty, !name.hasPrefix(":"), name.lowercased() != "host" else {
      throw fail(at, "\":-prefixed or host headers may not be removed\", is \"\(name)\"")
    }
    return name
  }
}
