// What faults are configured with: `envoy.extensions.filters.http.fault.v3.HTTPFault`.

package import WeftBase
import WeftModel
import WeftProtobuf
package import WeftProxyAPI
import WeftTelemetry
import WeftXDS
import WeftXDSMessages

extension Fault {
  package static var messages: FilterMessages {
    let fault = Envoy_Extensions_Filters_Http_Fault_V3_HTTPFault.schema.name
    return FilterMessages(chain: fault, route: fault)
  }

  package static func compile(_ source: FilterSource, _ context: FilterContext) throws(ConfigError) -> Config {
    let read = ExtensionReader()
    let message = try read.message(
      source.overrides.last ?? source.chain, as: Envoy_Extensions_Filters_Http_Fault_V3_HTTPFault.self)
    var config = Config(active: SharedCounter(context.storage))
    if let delay = message.delay { try compile(delay, &config, read) }
    if let abort = message.abort { try compile(abort, &config, read) }
    config.cluster = context.storage.text(message.upstreamCluster)
    config.headers = try context.storage.table(
      try read.headers(message.headers, FieldPath().field("headers")), "headers")
    config.nodes = context.storage.arena.table(message.downstreamNodes.map { context.storage.text($0) })
    if let limit = message.maxActiveFaults { config.maxActive = UInt64(limit.value) }
    if let limit = message.responseRateLimit {
      try compile(limit, &config, read)
      if context.passesWhole {
        context.warn(
          FieldPath().field("response_rate_limit"),
          "has no effect: messages of the connection manager's protocol pass whole")
      }
    }
    // What a request asks for is bounded by the configured share.
    config.injects =
      config.delay != .none && config.delayShare.partsPerMillion > 0
      || config.abort != .none && config.abortShare.partsPerMillion > 0
      || config.pace != .none && config.paceShare.partsPerMillion > 0
    config.mayInject = config.delay != .none || config.abort != .none || config.pace != .none
    if config.mayInject { nameKeys(message, &config, context.storage) }
    config.stats = context.stats(FaultMetric.self, FaultMetric.prefix, name: context.statPrefix)
    return config
  }

  /// *Source*: Envoy's names for keys that are not configured.
  private static func nameKeys(
    _ message: Envoy_Extensions_Filters_Http_Fault_V3_HTTPFault, _ config: inout Config, _ storage: SnapshotStorage
  ) {
    func key(_ configured: String, _ standard: String) -> RuntimeKey {
      storage.runtimeKey(configured.isEmpty ? "fault.http." + standard : configured)
    }
    config.delayShare.key = key(message.delayPercentRuntime, "delay.fixed_delay_percent")
    config.delayTimeKey = key(message.delayDurationRuntime, "delay.fixed_duration_ms")
    config.abortShare.key = key(message.abortPercentRuntime, "abort.abort_percent")
    config.statusKey = key(message.abortHttpStatusRuntime, "abort.http_status")
    config.grpcStatusKey = key(message.abortGrpcStatusRuntime, "abort.grpc_status")
    config.maxActiveKey = key(message.maxActiveFaultsRuntime, "max_active_faults")
    config.paceShare.key = key(message.responseRateLimitPercentRuntime, "rate_limit.response_percent")
  }

  private static func compile(
    _ delay: Envoy_Extensions_Filters_Common_Fault_V3_FaultDelay, _ config: inout Config, _ read: ExtensionReader
  ) throws(ConfigError) {
    let at = FieldPath().field("delay")
    switch delay.faultDelaySecifier {
    case .fixedDelay(let value):
      let fixed = try read.duration(value, at.field("fixed_delay")) ?? .zero
      guard fixed > .zero else { throw ConfigError(path: at.field("fixed_delay"), "must be more than 0s") }
      config.delay = .fixed
      config.delayNanoseconds = UInt64(clamping: fixed.nanoseconds)
    case .headerDelay: config.delay = .header
    case nil: throw ConfigError(path: at, "needs one of fixed_delay, header_delay")
    }
    if let percentage = delay.percentage { (config.delayShare, config.delayScale) = share(percentage, read) }
  }

  private static func compile(
    _ abort: Envoy_Extensions_Filters_Http_Fault_V3_FaultAbort, _ config: inout Config, _ read: ExtensionReader
  ) throws(ConfigError) {
    let at = FieldPath().field("abort")
    switch abort.errorType {
    case .httpStatus(let status):
      guard (200..<600).contains(status) else {
        throw ConfigError(path: at.field("http_status"), "must be 200 to 599, is \(status)")
      }
      config.abort = .fixed
      config.status = UInt16(status)
    case .grpcStatus(let status):
      guard status <= 16 else { throw ConfigError(path: at.field("grpc_status"), "must be 0 to 16, is \(status)") }
      config.abort = .fixed
      config.grpcStatus = Int32(status)
    case .headerAbort: config.abort = .header
    case nil: throw ConfigError(path: at, "needs one of http_status, grpc_status, header_abort")
    }
    if let percentage = abort.percentage { (config.abortShare, config.abortScale) = share(percentage, read) }
  }

  private static func compile(
    _ limit: Envoy_Extensions_Filters_Common_Fault_V3_FaultRateLimit, _ config: inout Config, _ read: ExtensionReader
  ) throws(ConfigError) {
    let at = FieldPath().field("response_rate_limit")
    switch limit.limitType {
    case .fixedLimit(let fixed):
      guard fixed.limitKbps > 0 else {
        throw ConfigError(path: at.field("fixed_limit").field("limit_kbps"), "must be more than 0")
      }
      config.pace = .fixed
      config.kibibytesPerSecond = fixed.limitKbps
    case .headerLimit: config.pace = .header
    case nil: throw ConfigError(path: at, "needs one of fixed_limit, header_limit")
    }
    if let percentage = limit.percentage { (config.paceShare, config.paceScale) = share(percentage, read) }
  }

  /// Parts per million, and the denominator that request headers count in.
  private static func share(_ value: Envoy_Type_V3_FractionalPercent, _ read: ExtensionReader) -> (RuntimeShare, UInt64)
  {
    let fraction = read.fraction(value)
    return (RuntimeShare(fraction.partsPerMillion), UInt64(fraction.denominator.rawValue))
  }
}
