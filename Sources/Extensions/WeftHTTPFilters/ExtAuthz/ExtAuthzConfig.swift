// What external authorization is configured with: `envoy.extensions.filters.http.ext_authz.v3`.

package import WeftBase
import WeftModel
import WeftProtobuf
package import WeftProxyAPI
import WeftTelemetry
import WeftXDS
import WeftXDSMessages

extension ExtAuthz {
  private typealias Message = Envoy_Extensions_Filters_Http_ExtAuthz_V3_ExtAuthz
  private typealias PerRoute = Envoy_Extensions_Filters_Http_ExtAuthz_V3_ExtAuthzPerRoute
  private typealias Buffer = Envoy_Extensions_Filters_Http_ExtAuthz_V3_BufferSettings
  private typealias HTTPService = Envoy_Extensions_Filters_Http_ExtAuthz_V3_HttpService

  package static var messages: FilterMessages {
    FilterMessages(chain: Message.schema.name, route: PerRoute.schema.name)
  }

  package static func compile(_ source: FilterSource, _ context: FilterContext) throws(ConfigError) -> Config {
    let read = ExtensionReader()
    let message = try read.message(source.chain, as: Message.self)
    let root = FieldPath()
    try refuse(message)
    let prefix = message.statPrefix.isEmpty ? "" : message.statPrefix + "."
    var config = Config(
      clusterStats: ClusterStats(context, ExtAuthzClusterMetric.self, "cluster.*.ext_authz.\(prefix)"))
    config.stats = context.stats(ExtAuthzMetric.self, "http.*.ext_authz.\(prefix)", name: context.statPrefix)
    switch message.services {
    case .grpcService(let service): config.service = try grpc(service, root.field("grpc_service"), context, read)
    case .httpService(let service): config.service = try http(service, root.field("http_service"), context, read)
    case nil: throw ConfigError(path: root, "needs one of grpc_service, http_service")
    }
    if let share = message.filterEnabled {
      config.enabled = context.storage.share(try read.runtimeFraction(share, root.field("filter_enabled")))
    }
    if let flag = message.denyAtDisable {
      config.deniesWhenDisabled = context.storage.flag(try read.featureFlag(flag, root.field("deny_at_disable")))
    }
    if let content = message.withRequestBody { try take(content, root.field("with_request_body"), &config) }
    config.failsOpen = message.failureModeAllow
    config.marksFailOpen = message.failureModeAllowHeaderAdd
    if let status = message.statusOnError {
      let code = Int(status.code.rawValue)
      guard (200..<600).contains(code) else {
        throw ConfigError(path: root.field("status_on_error").field("code"), "must be 200 to 599, is \(code)")
      }
      config.errorStatus = UInt16(code)
    }
    config.clearsRoute = message.clearRouteCache
    config.countsAtCluster = message.chargeClusterResponseStats?.value ?? true
    config.sendsServerName = message.includeTlsSession
    config.sendsRawHeaders = message.encodeRawHeaders
    if message.maxDeniedResponseBodyBytes > 0 { config.longestBody = Int(message.maxDeniedResponseBodyBytes) }
    config.disallowedHeaders = try patterns(message.disallowedHeaders, root.field("disallowed_headers"), context, read)
    try allow(message, &config, context, read)
    for (i, override) in source.overrides.enumerated() {
      try apply(
        try read.message(override, as: PerRoute.self), isLast: i == source.overrides.count - 1, &config, context, read)
    }
    return config
  }

  /// What is not carried out.
  private static func refuse(_ message: Message) throws(ConfigError) {
    let fields: [(String, Bool)] = [
      ("metadata_context_namespaces", !message.metadataContextNamespaces.isEmpty),
      ("typed_metadata_context_namespaces", !message.typedMetadataContextNamespaces.isEmpty),
      ("route_metadata_context_namespaces", !message.routeMetadataContextNamespaces.isEmpty),
      ("route_typed_metadata_context_namespaces", !message.routeTypedMetadataContextNamespaces.isEmpty),
      ("filter_enabled_metadata", message.filterEnabledMetadata != nil),
      ("include_peer_certificate", message.includePeerCertificate),
      ("bootstrap_metadata_labels_key", !message.bootstrapMetadataLabelsKey.isEmpty),
      ("decoder_header_mutation_rules", message.decoderHeaderMutationRules != nil),
      ("enable_dynamic_metadata_ingestion", message.enableDynamicMetadataIngestion?.value ?? false),
      ("filter_metadata", message.filterMetadata != nil),
      ("emit_filter_state_stats", message.emitFilterStateStats),
      ("enforce_response_header_limits", message.enforceResponseHeaderLimits),
    ]
    for (field, isSet) in fields where isSet { throw ConfigError(path: FieldPath().field(field), "is not supported") }
    guard message.transportApiVersion != .v2 else {
      throw ConfigError(path: FieldPath().field("transport_api_version"), "must be V3")
    }
  }

  /// A question is one message, which is held in memory.
  private static let mostContent: UInt32 = 1 << 27

  private static func take(_ content: Buffer, _ at: FieldPath, _ config: inout Config) throws(ConfigError) {
    guard content.maxRequestBytes > 0 else {
      throw ConfigError(path: at.field("max_request_bytes"), "must be more than 0")
    }
    guard content.maxRequestBytes <= Self.mostContent else {
      throw ConfigError(path: at.field("max_request_bytes"), "must be at most \(Self.mostContent)")
    }
    config.contentLimit = Int(content.maxRequestBytes)
    config.takesPartialContent = content.allowPartialMessage
    config.packsAsBytes = content.packAsBytes
  }

  /// Which headers the service sees: by gRPC all unless some are listed, by HTTP those that are listed, and `authorization`.
  private static func allow(
    _ message: Message, _ config: inout Config, _ context: FilterContext, _ read: ExtensionReader
  ) throws(ConfigError) {
    var list = message.allowedHeaders
    var at = FieldPath().field("allowed_headers")
    if case .httpService(let service)? = message.services, let older = service.authorizationRequest?.allowedHeaders {
      let path = FieldPath().field("http_service").field("authorization_request").field("allowed_headers")
      guard list == nil else { throw ConfigError(path: path, "is also said by allowed_headers") }
      (list, at) = (older, path)
    }
    config.allowsAllHeaders = list == nil && config.service.kind == .grpc
    var allowed = try patterns(list, at, context, read)
    if config.service.kind == .http {
      let authorization = try compiled(StringMatcher(.exact("authorization")), at, context)
      allowed = context.storage.arena.table(allowed.indices.map { allowed[$0] } + [authorization])
    }
    config.allowedHeaders = allowed
  }

  private static func apply(
    _ message: PerRoute, isLast: Bool, _ config: inout Config, _ context: FilterContext, _ read: ExtensionReader
  ) throws(ConfigError) {
    switch message.override {
    case nil: throw ConfigError("needs one of disabled, check_settings")
    case .disabled(let disabled):
      guard disabled else { throw ConfigError(path: FieldPath().field("disabled"), "must be true where it is set") }
      // A more specific level may say otherwise.
      config.isOff = isLast
    case .checkSettings(let settings):
      let at = FieldPath().field("check_settings")
      var extensions = config.extensions.indices.map { config.extensions[$0] }
      for (key, value) in settings.contextExtensions.sorted(by: { $0.key < $1.key }) {
        let key = context.storage.text(key)
        extensions.removeAll { $0.key.equals(key) }
        extensions.append(ContextExtension(key: key, value: context.storage.text(value)))
      }
      config.extensions = context.storage.arena.table(extensions)
      // All else is said by the most specific level alone.
      guard isLast else { return }
      if let content = settings.withRequestBody {
        guard !settings.disableRequestBodyBuffering else {
          throw ConfigError(
            path: at.field("with_request_body"), "excludes disable_request_body_buffering; both are set")
        }
        try take(content, at.field("with_request_body"), &config)
      }
      if settings.disableRequestBodyBuffering { config.contentLimit = 0 }
      try replaceService(settings, at, &config, context, read)
    }
  }

  private static func replaceService(
    _ settings: Envoy_Extensions_Filters_Http_ExtAuthz_V3_CheckSettings, _ at: FieldPath, _ config: inout Config,
    _ context: FilterContext, _ read: ExtensionReader
  ) throws(ConfigError) {
    let kind = config.service.kind
    switch settings.serviceOverride {
    case nil: break
    case .grpcService(let service):
      guard kind == .grpc else { throw ConfigError(path: at.field("grpc_service"), "the filter asks by HTTP") }
      config.service = try grpc(service, at.field("grpc_service"), context, read)
    case .httpService(let service):
      guard kind == .http else { throw ConfigError(path: at.field("http_service"), "the filter asks by gRPC") }
      guard service.authorizationRequest?.allowedHeaders == nil else {
        throw ConfigError(
          path: at.field("http_service").field("authorization_request").field("allowed_headers"), "is not supported")
      }
      config.service = try http(service, at.field("http_service"), context, read)
    }
  }

  // MARK: Services

  private static func grpc(
    _ service: Envoy_Config_Core_V3_GrpcService, _ at: FieldPath, _ context: FilterContext, _ read: ExtensionReader
  ) throws(ConfigError) -> AuthzService {
    guard case .envoyGrpc(let target)? = service.targetSpecifier else {
      throw ConfigError(path: at, "needs envoy_grpc")
    }
    let path = at.field("envoy_grpc")
    guard !target.clusterName.isEmpty else { throw ConfigError(path: path.field("cluster_name"), "is required") }
    var out = AuthzService()
    out.kind = .grpc
    out.cluster = context.cluster(target.clusterName)
    out.authority = context.storage.text(target.authority.isEmpty ? target.clusterName : target.authority)
    if let timeout = try read.duration(service.timeout, at.field("timeout")) {
      out.timeoutNanoseconds = UInt64(clamping: max(timeout, .zero).nanoseconds)
    }
    if out.timeoutNanoseconds > 0 {
      out.timeoutText = context.storage.text("\(min(99_999_999, max(1, out.timeoutNanoseconds / 1_000_000)))m")
    }
    out.headers = try headers(
      service.initialMetadata, at.field("initial_metadata"), .appendIfExistsOrAdd, context, read)
    return out
  }

  private static func http(
    _ service: HTTPService, _ at: FieldPath, _ context: FilterContext, _ read: ExtensionReader
  ) throws(ConfigError) -> AuthzService {
    let path = at.field("server_uri")
    guard let uri = service.serverUri else { throw ConfigError(path: path, "is required") }
    guard case .cluster(let cluster)? = uri.httpUpstreamType, !cluster.isEmpty else {
      throw ConfigError(path: path.field("cluster"), "is required")
    }
    guard !uri.uri.isEmpty else { throw ConfigError(path: path.field("uri"), "is required") }
    guard let timeout = try read.duration(uri.timeout, path.field("timeout"), below: .seconds(4_294_967_296)) else {
      throw ConfigError(path: path.field("timeout"), "is required")
    }
    guard service.pathPrefix.isEmpty || service.pathPrefix.hasPrefix("/") else {
      throw ConfigError(path: at.field("path_prefix"), "must begin with /, is \"\(service.pathPrefix)\"")
    }
    guard service.retryPolicy == nil else { throw ConfigError(path: at.field("retry_policy"), "is not supported") }
    var out = AuthzService()
    out.kind = .http
    out.cluster = context.cluster(cluster)
    out.timeoutNanoseconds = UInt64(clamping: max(timeout, .zero).nanoseconds)
    out.pathPrefix = context.storage.text(service.pathPrefix)
    if let request = service.authorizationRequest {
      out.headers = try headers(
        request.headersToAdd, at.field("authorization_request").field("headers_to_add"), .overwriteIfExistsOrAdd,
        context, read)
    }
    guard let response = service.authorizationResponse else { return out }
    let of = at.field("authorization_response")
    guard response.dynamicMetadataFromHeaders == nil else {
      throw ConfigError(path: of.field("dynamic_metadata_from_headers"), "is not supported")
    }
    out.toUpstream = try patterns(
      response.allowedUpstreamHeaders, of.field("allowed_upstream_headers"), context, read)
    out.addedToUpstream = try patterns(
      response.allowedUpstreamHeadersToAppend, of.field("allowed_upstream_headers_to_append"), context, read)
    out.toClient = try patterns(response.allowedClientHeaders, of.field("allowed_client_headers"), context, read)
    out.toClientOnSuccess = try patterns(
      response.allowedClientHeadersOnSuccess, of.field("allowed_client_headers_on_success"), context, read)
    return out
  }

  private static func headers(
    _ values: [Envoy_Config_Core_V3_HeaderValue], _ at: FieldPath, _ action: HeaderValueOption.Action,
    _ context: FilterContext, _ read: ExtensionReader
  ) throws(ConfigError) -> ConstantTable<CompiledHeaderChange> {
    var mutations = HeaderMutations()
    for (i, value) in values.enumerated() {
      var option = Envoy_Config_Core_V3_HeaderValueOption()
      option.header = value
      var read: HeaderValueOption
      do throws(ConfigError) { read = try ExtensionReader().headerOption(option, FieldPath()) } catch {
        // The option around the header is ours.
        throw ConfigError(path: at.index(i), error.message)
      }
      read.action = action
      mutations.add.append(read)
    }
    do throws(ConfigError) { return context.storage.arena.table(try context.storage.changes(mutations)) } catch {
      throw error.inside(at)
    }
  }

  private static func patterns(
    _ list: Envoy_Type_Matcher_V3_ListStringMatcher?, _ at: FieldPath, _ context: FilterContext,
    _ read: ExtensionReader
  ) throws(ConfigError) -> ConstantTable<CompiledStringMatcher> {
    guard let list else { return ConstantTable() }
    guard !list.patterns.isEmpty else { throw ConfigError(path: at.field("patterns"), "needs at least one") }
    var out: [CompiledStringMatcher] = []
    for (i, pattern) in list.patterns.enumerated() {
      let path = at.field("patterns").index(i)
      out.append(try compiled(try read.string(pattern, path), path, context))
    }
    return context.storage.arena.table(out)
  }

  private static func compiled(
    _ matcher: StringMatcher, _ at: FieldPath, _ context: FilterContext
  ) throws(ConfigError) -> CompiledStringMatcher {
    do throws(ConfigError) { return try CompiledStringMatcher(matcher, context.storage) } catch {
      throw error.inside(at)
    }
  }
}
