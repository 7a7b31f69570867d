// What a local rate limit is configured with: `envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit`.

package import WeftBase
import WeftModel
import WeftProtobuf
package import WeftProxyAPI
import WeftTelemetry
import WeftXDS
import WeftXDSMessages

extension LocalRateLimit {
  private typealias Message = Envoy_Extensions_Filters_Http_LocalRatelimit_V3_LocalRateLimit

  package static var messages: FilterMessages {
    FilterMessages(chain: Message.schema.name, route: Message.schema.name)
  }

  package static func compile(_ source: FilterSource, _ context: FilterContext) throws(ConfigError) -> Config {
    let read = ExtensionReader()
    let message = try read.message(source.overrides.last ?? source.chain, as: Message.self)
    let root = FieldPath()
    guard !message.statPrefix.isEmpty else { throw ConfigError(path: root.field("stat_prefix"), "is required") }
    guard message.localClusterRateLimit == nil else {
      throw ConfigError(path: root.field("local_cluster_rate_limit"), "is not supported")
    }
    guard message.stage == 0 else { throw ConfigError(path: root.field("stage"), "must be 0: there is one stage") }
    guard message.vhRateLimits == .override else {
      throw ConfigError(path: root.field("vh_rate_limits"), "is not supported: rate_limits stand in the filter")
    }
    var config = Config()
    let code = message.status.map { Int($0.code.rawValue) } ?? 0
    if code >= 400, code < 600 { config.status = UInt16(code) }
    config.isExhaustion = message.rateLimitedAsResourceExhausted
    if let bucket = message.tokenBucket {
      config.bucket = TokenBucket(TokenRate(try read.tokenBucket(bucket, root.field("token_bucket"))), context.storage)
    }
    if let share = message.filterEnabled {
      config.enabled = context.storage.share(try read.runtimeFraction(share, root.field("filter_enabled")))
    }
    if let share = message.filterEnforced {
      config.enforced = context.storage.share(try read.runtimeFraction(share, root.field("filter_enforced")))
    }
    config.isPerConnection = message.localRateLimitPerDownstreamConnection
    config.tellsLimits = message.enableXRatelimitHeaders == .draftVersion03
    guard config.bucket != nil || (config.enabled.isNever && source.overrides.isEmpty) else {
      throw ConfigError(
        path: root.field("token_bucket"),
        source.overrides.isEmpty ? "is required where the filter is enabled" : "is required of a route")
    }
    config.alwaysAsksGeneral = message.alwaysConsumeDefaultTokenBucket?.value ?? true
    config.requestHeaders = try headers(
      message.requestHeadersToAddWhenNotEnforced, root.field("request_headers_to_add_when_not_enforced"), context, read)
    config.responseHeaders = try headers(
      message.responseHeadersToAdd, root.field("response_headers_to_add"), context, read)
    config.descriptors = try descriptors(message, context, read)
    for i in config.descriptors.indices {
      config.cellCount += config.descriptors[i].byValue?.cellCount ?? 1
    }
    config.rules = try rules(message, context, read)
    guard config.descriptors.isEmpty || !config.rules.isEmpty else {
      throw ConfigError(
        path: root.field("descriptors"), "need rate_limits beside them; those of routes and virtual hosts are not read")
    }
    config.stats = context.stats(LocalRateLimitMetric.self, LocalRateLimitMetric.prefix, name: message.statPrefix)
    return config
  }

  private static func headers(
    _ options: [Envoy_Config_Core_V3_HeaderValueOption], _ at: FieldPath, _ context: FilterContext,
    _ read: ExtensionReader
  ) throws(ConfigError) -> ConstantTable<CompiledHeaderChange> {
    guard options.count <= 10 else { throw ConfigError(path: at, "has \(options.count) headers, 10 are allowed") }
    var mutations = HeaderMutations()
    for (i, option) in options.enumerated() { mutations.add.append(try read.headerOption(option, at.index(i))) }
    do throws(ConfigError) { return context.storage.arena.table(try context.storage.changes(mutations)) } catch {
      throw error.inside(at)
    }
  }

  private static func descriptors(
    _ message: Message, _ context: FilterContext, _ read: ExtensionReader
  ) throws(ConfigError) -> ConstantTable<LimitDescriptor> {
    var out: [LimitDescriptor] = []
    var known: Set<[String]> = []
    // The general bucket is a connection's first.
    var cells = 1
    let places = Int(message.maxDynamicDescriptors?.value ?? 20)
    guard (1...1024).contains(places) else {
      throw ConfigError(path: FieldPath().field("max_dynamic_descriptors"), "must be 1 to 1024, is \(places)")
    }
    for (i, descriptor) in message.descriptors.enumerated() {
      let at = FieldPath().field("descriptors").index(i)
      guard !descriptor.entries.isEmpty else { throw ConfigError(path: at.field("entries"), "needs at least one") }
      guard let bucket = descriptor.tokenBucket else {
        throw ConfigError(path: at.field("token_bucket"), "is required")
      }
      var entries: [LimitDescriptor.Entry] = []
      for (e, entry) in descriptor.entries.enumerated() {
        guard !entry.key.isEmpty else {
          throw ConfigError(path: at.field("entries").index(e).field("key"), "is required")
        }
        entries.append(
          LimitDescriptor.Entry(key: context.storage.text(entry.key), value: context.storage.text(entry.value)))
      }
      guard known.insert(descriptor.entries.flatMap { [$0.key, $0.value] }).inserted else {
        throw ConfigError(path: at.field("entries"), "are those of a descriptor before")
      }
      let settings = try read.tokenBucket(bucket, at.field("token_bucket"))
      let rate = TokenRate(settings)
      let isOpen = entries.contains { $0.value.isEmpty }
      let made = LimitDescriptor(
        entries: context.storage.arena.table(entries), own: TokenBucket(rate, context.storage),
        byValue: isOpen ? TokenBucketTable(rate, places: places, context.storage) : nil,
        pace: Double(settings.tokensPerFill) / Double(settings.fillInterval.nanoseconds) * 1e9, firstCell: cells)
      cells += made.byValue?.cellCount ?? 1
      guard cells <= Self.mostCells || !message.localRateLimitPerDownstreamConnection else {
        throw ConfigError(
          path: at.field("entries"),
          "leave more values open than a connection can have buckets for; lower max_dynamic_descriptors")
      }
      out.append(made)
    }
    return context.storage.arena.table(out)
  }

  /// Numbers that a connection may keep for one limit.
  private static var mostCells: Int { 4096 }

  private static func rules(
    _ message: Message, _ context: FilterContext, _ read: ExtensionReader
  ) throws(ConfigError) -> ConstantTable<LimitRule> {
    var out: [LimitRule] = []
    guard message.rateLimits.count <= 32 else {
      throw ConfigError(path: FieldPath().field("rate_limits"), "has \(message.rateLimits.count), 32 are allowed")
    }
    for (i, rule) in message.rateLimits.enumerated() {
      let at = FieldPath().field("rate_limits").index(i)
      guard rule.disableKey.isEmpty else { throw ConfigError(path: at.field("disable_key"), "is not supported") }
      guard rule.stage?.value ?? 0 == 0 else {
        throw ConfigError(path: at.field("stage"), "must be 0: there is one stage")
      }
      guard !rule.actions.isEmpty else { throw ConfigError(path: at.field("actions"), "needs at least one") }
      var actions: [LimitRule.Action] = []
      for (a, action) in rule.actions.enumerated() {
        actions.append(try self.action(action, at.field("actions").index(a), context, read))
      }
      out.append(LimitRule(actions: context.storage.arena.table(actions)))
    }
    return context.storage.arena.table(out)
  }

  private static func action(
    _ value: Envoy_Config_Route_V3_RateLimit.Action, _ at: FieldPath, _ context: FilterContext, _ read: ExtensionReader
  ) throws(ConfigError) -> LimitRule.Action {
    func key(_ key: String, or standard: String) -> ByteView { context.storage.text(key.isEmpty ? standard : key) }
    switch value.actionSpecifier {
    case .genericKey(let generic):
      guard !generic.descriptorValue.isEmpty else {
        throw ConfigError(path: at.field("generic_key").field("descriptor_value"), "is required")
      }
      return LimitRule.Action(
        kind: .generic, key: key(generic.descriptorKey, or: "generic_key"),
        text: context.storage.text(generic.descriptorValue))
    case .requestHeaders(let header):
      let path = at.field("request_headers")
      guard !header.headerName.isEmpty else { throw ConfigError(path: path.field("header_name"), "is required") }
      guard !header.descriptorKey.isEmpty else { throw ConfigError(path: path.field("descriptor_key"), "is required") }
      var action = LimitRule.Action(
        kind: .header, key: context.storage.text(header.descriptorKey),
        text: context.storage.text(header.headerName.lowercased()))
      action.skipsIfAbsent = header.skipIfAbsent
      return action
    case .remoteAddress:
      return LimitRule.Action(kind: .remoteAddress, key: context.storage.text("remote_address"), text: .empty)
    case .destinationCluster:
      return LimitRule.Action(kind: .destinationCluster, key: context.storage.text("destination_cluster"), text: .empty)
    case .headerValueMatch(let match):
      let path = at.field("header_value_match")
      guard !match.descriptorValue.isEmpty else {
        throw ConfigError(path: path.field("descriptor_value"), "is required")
      }
      var action = LimitRule.Action(
        kind: .headerMatch, key: key(match.descriptorKey, or: "header_match"),
        text: context.storage.text(match.descriptorValue))
      do throws(ConfigError) {
        action.headers = try context.storage.table(
          try read.headers(match.headers, FieldPath().field("headers")), "headers")
      } catch { throw error.inside(path) }
      action.expectsMatch = match.expectMatch?.value ?? true
      return action
    case .sourceCluster: throw ConfigError(path: at.field("source_cluster"), "is not supported")
    case nil:
      throw ConfigError(
        path: at,
        "needs one of generic_key, request_headers, remote_address, destination_cluster, header_value_match")
    }
  }
}
