// The messages that extensions read by themselves.
import WeftBase
import WeftHTTPFilters
import WeftLoadBalancers
import WeftModel
import WeftNetworkFilters
import WeftProtobuf
import WeftProtocols
import WeftProxyAPI
@testable import WeftTelemetry

extension CoverageRoot {
  /// What every HTTP filter is configured with, in the chain and on routes. Their bases are `ProbeTables.seeds`.
  static var httpFilters: [CoverageRoot] {
    HTTPFilters.all.flatMap { filter in
      [(filter.messages.chain, false)] + (filter.messages.route.map { [($0, true)] } ?? [])
    }.compactMap { name, isRoute in
      let filter = HTTPFilters.all.first { (isRoute ? $0.messages.route : $0.messages.chain) == name }
      guard let filter, let type = ProbeTables.registry.type(forURL: name) else { return nil }
      return CoverageRoot(
        type: type, base: ProbeTables.seeds[name] ?? [:], stops: sharedMessages
      ) { compiled(filter, type, $0, isRoute: isRoute) }
    }
  }

  /// What every balancing policy is configured with.
  static var loadBalancers: [CoverageRoot] {
    LoadBalancers.all.compactMap { policy in
      guard let type = ProbeTables.registry.type(forURL: policy.message) else { return nil }
      return CoverageRoot(type: type, base: ProbeTables.seeds[policy.message] ?? [:], stops: sharedMessages) {
        compiled(policy, type, $0)
      }
    }
  }

  /// What every policy for priorities of retries is configured with.
  static var retryPriorities: [CoverageRoot] {
    RetryPriorities.all.compactMap { policy in
      guard let type = ProbeTables.registry.type(forURL: policy.message) else { return nil }
      return CoverageRoot(type: type, base: ProbeTables.seeds[policy.message] ?? [:], stops: sharedMessages) {
        compiled(policy, type, $0)
      }
    }
  }

  /// What every network filter is configured with, but those that end a chain: these are read with the listener.
  static var networkFilters: [CoverageRoot] {
    NetworkFilters.all.compactMap { filter in
      guard let type = ProbeTables.registry.type(forURL: filter.message) else { return nil }
      return CoverageRoot(type: type, base: ProbeTables.seeds[filter.message] ?? [:], stops: sharedMessages) {
        compiled(filter, type, $0)
      }
    }
  }

  /// What every protocol is configured with.
  static var protocols: [CoverageRoot] {
    Protocols.all.flatMap { codec in
      codec.messages.compactMap { name in
        guard let type = ProbeTables.registry.type(forURL: name) else { return nil }
        return CoverageRoot(type: type, base: ProbeTables.seeds[name] ?? [:], stops: sharedMessages) {
          compiled(codec, type, $0)
        }
      }
    }
  }

  /// Read by `ExtensionReader`, in the same way as for everything else.
  private static let sharedMessages: Set<String> = [
    "envoy.config.core.v3.HeaderValueOption", "envoy.config.core.v3.RuntimeFractionalPercent",
    "envoy.config.route.v3.HeaderMatcher", "envoy.type.matcher.v3.StringMatcher", "envoy.type.v3.FractionalPercent",
  ]

  /// What `compile` makes of the document as a message of `type`, as texts.
  private static func made<M: Message>(
    _ type: M.Type, _ document: JSONValue, _ compile: (ExtensionConfig) throws(ConfigError) -> [String]
  ) -> Result {
    let config: ExtensionConfig
    do throws(ProtobufError) { config = try probe(type, document) } catch {
      return .refused(error.path, "the probe is no such message: \(error.message)")
    }
    do throws(ConfigError) { return .made(AnyHashableValue(try compile(config)), CoverageRoot.Told()) } catch {
      return .refused(error.path, error.message)
    }
  }

  private static func compiled<M: Message>(
    _ filter: any HTTPFilter.Type, _ type: M.Type, _ document: JSONValue, isRoute: Bool
  ) -> Result {
    let config: ExtensionConfig
    do throws(ProtobufError) { config = try probe(type, document) } catch {
      return .refused(error.path, "the probe is no such message: \(error.message)")
    }
    if isRoute { return compile(filter, [FilterSource(chain: standard(filter.messages.chain), overrides: [config])]) }
    // By itself, and beneath two levels of routes.
    let levels = filter.messages.route.map { [standard($0), standard($0, ProbeTables.otherOverrides)] } ?? []
    return compile(filter, [FilterSource(chain: config), FilterSource(chain: config, overrides: levels)])
  }

  private static func compiled<P: LoadBalancerPolicy, M: Message>(
    _ policy: P.Type, _ type: M.Type, _ document: JSONValue
  ) -> Result {
    let context = BalancerContext(
      storage: SnapshotStorage(), metrics: MetricsRegistry(workers: 1), cluster: "c")
    return made(type, document) { (config) throws(ConfigError) in
      let compiled = try P.compile(config, context)
      return [Shape.text(of: compiled), Shape.text(of: P.traits(compiled))]
    }
  }

  private static func compiled<P: RetryPriorityPolicy, M: Message>(
    _ policy: P.Type, _ type: M.Type, _ document: JSONValue
  ) -> Result {
    made(type, document) { (config) throws(ConfigError) in [Shape.text(of: try P.compile(config))] }
  }

  /// Compiled twice, as for two chains of a configuration, so that what they share shows.
  private static func compiled<F: NetworkFilter, M: Message>(
    _ filter: F.Type, _ type: M.Type, _ document: JSONValue
  ) -> Result {
    let metrics = MetricsRegistry(workers: 1)
    let keys = RuntimeKeys()
    let context = NetworkFilterContext(storage: SnapshotStorage(runtime: keys), metrics: metrics) { source in
      if case .inline(let bytes) = source { bytes } else { Array("\(source)".utf8) }
    }
    return made(type, document) { (config) throws(ConfigError) in
      let chains = [try F.compile(config, context), try F.compile(config, context)]
      return [Shape.text(of: chains), names(of: keys, context.storage)]
        + metrics.contents().keys.map { "\($0)" }.sorted()
    }
  }

  private static func compiled<C: ProtocolCodec, M: Message>(
    _ codec: C.Type, _ type: M.Type, _ document: JSONValue
  ) -> Result {
    made(type, document) { (config) throws(ConfigError) in [Shape.text(of: try C.compile(CodecSource(config)))] }
  }

  /// The runtime keys that were asked for, as long as `storage` keeps their places.
  private static func names(of keys: RuntimeKeys, _ storage: SnapshotStorage) -> String {
    withExtendedLifetime(storage) { "\(keys.names.list)" }
  }

  private static func probe<M: Message>(_: M.Type, _ document: JSONValue) throws(ProtobufError) -> ExtensionConfig {
    let message = try M(json: document, options: JSONDecodingOptions(registry: ProbeTables.registry))
    return ExtensionConfig(typeName: M.schema.name, message: message.serialized())
  }

  /// A message that is good by itself.
  private static func standard(
    _ name: String, _ table: [String: JSONValue] = ProbeTables.seeds
  ) -> ExtensionConfig {
    func bytes<M: Message>(_ type: M.Type) -> [UInt8] {
      let options = JSONDecodingOptions(registry: ProbeTables.registry)
      return (try? M(json: table[name] ?? ProbeTables.seeds[name] ?? [:], options: options))?.serialized() ?? []
    }
    return ExtensionConfig(typeName: name, message: ProbeTables.registry.type(forURL: name).map { bytes($0) } ?? [])
  }

  private static func compile<F: HTTPFilter>(_ filter: F.Type, _ sources: [FilterSource]) -> Result {
    let metrics = MetricsRegistry(workers: 1)
    let keys = RuntimeKeys()
    let context = FilterContext(storage: SnapshotStorage(runtime: keys), metrics: metrics, statPrefix: "p") {
      Int32(truncatingIfNeeded: $0.utf8.count)
    }
    do throws(ConfigError) {
      var compiled: [String] = []
      for source in sources { compiled.append(Shape.text(of: try F.compile(source, context))) }
      compiled.append(names(of: keys, context.storage))
      let scopes = metrics.contents().keys.map { "\($0)" }.sorted()
      return .made(AnyHashableValue(compiled + scopes), CoverageRoot.Told())
    } catch { return .refused(error.path, error.message) }
  }
}

/// What a compiled value holds, whatever memory it lies in. Pointers are numbered as they come: what is shared shows, where it lies does not.
enum Shape {
  static func text(of value: Any) -> String {
    var out = ""
    var pointers: [String] = []
    write(value, &out, &pointers)
    return out
  }

  private static func write(_ value: Any, _ out: inout String, _ pointers: inout [String]) {
    if let view = value as? ByteView { return out += "\"\(unsafe String(decoding: view.raw, as: UTF8.self))\"" }
    if let table = value as? any Table {
      out += "["
      for element in table.elements {
        write(element, &out, &pointers)
        out += ","
      }
      return out += "]"
    }
    let type = String(describing: Swift.type(of: value))
    if type.hasPrefix("Unsafe") {
      let pointer = "\(value)"
      if !pointers.contains(pointer) { pointers.append(pointer) }
      return out += "&\(pointers.firstIndex(of: pointer) ?? 0)"
    }
    let mirror = Mirror(reflecting: value)
    if mirror.children.isEmpty { return out += "\(value)" }
    out += "\(type){"
    for child in mirror.children {
      out += "\(child.label ?? ""):"
      write(child.value, &out, &pointers)
      out += ";"
    }
    out += "}"
  }
}

private protocol Table { var elements: [Any] { get } }
extension ConstantTable: Table {
  fileprivate var elements: [Any] { indices.map { self[$0] } }
}
