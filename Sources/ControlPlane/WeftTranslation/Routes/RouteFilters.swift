import WeftBase
import WeftKinds
import struct WeftModel.ResourceChecks
import WeftProtobuf
import WeftXDSMessages

/// What a rule asks of HTTP filters on one route: faults and cross-origin requests, as the route's own configuration of
/// the filters that every outbound connection manager has (`HTTPConnectionManagers`).
enum RouteFilters {
  static let fault = "envoy.filters.http.fault"
  static let cors = "envoy.filters.http.cors"

  static func write(_ http: VirtualServiceSpecRoute, to route: inout Route) {
    if let settings = http.fault {
      route.typedPerFilterConfig[fault] = Google_Protobuf_Any(packing: message(settings))
    }
    if let policy = http.corsPolicy {
      // As optional as the filter itself: an older weft-proxy does not have it, and would refuse everybody's routes with this one.
      var optional = Envoy_Config_Route_V3_FilterConfig()
      optional.config = Google_Protobuf_Any(packing: message(policy))
      optional.isOptional = true
      route.typedPerFilterConfig[cors] = Google_Protobuf_Any(packing: optional)
    }
  }

  // MARK: What a proxy would refuse

  /// *Errors*: what the filters would say of `route`, by the path in it.
  static func check(_ route: Route) throws(ConfigError) {
    for (name, any) in route.typedPerFilterConfig.sorted(by: { $0.key < $1.key }) {
      let at = FieldPath().field("typed_per_filter_config").key(name)
      do throws(ConfigError) {
        switch name {
        case fault: try check(read(any, Envoy_Extensions_Filters_Http_Fault_V3_HTTPFault.self))
        case cors:
          let optional = try read(any, Envoy_Config_Route_V3_FilterConfig.self)
          guard let policy = optional.config else { continue }
          try check(read(policy, Envoy_Extensions_Filters_Http_Cors_V3_CorsPolicy.self))
        default: break
        }
      } catch { throw error.inside(at) }
    }
  }

  private static func read<M: Message>(_ any: Google_Protobuf_Any, _: M.Type) throws(ConfigError) -> M {
    do { return try M(serialized: any.value) } catch { throw ConfigError("\(error)") }
  }

  private static func check(_ fault: Envoy_Extensions_Filters_Http_Fault_V3_HTTPFault) throws(ConfigError) {
    if case .fixedDelay(let delay)? = fault.delay?.faultDelaySecifier {
      guard delay.seconds >= 0, delay.nanos >= 0, delay.seconds > 0 || delay.nanos > 0 else {
        throw ConfigError(path: FieldPath().field("delay").field("fixed_delay"), "must be more than 0s")
      }
    }
    if case .httpStatus(let status)? = fault.abort?.errorType, !(200..<600).contains(status) {
      throw ConfigError(path: FieldPath().field("abort").field("http_status"), "must be 200 to 599, is \(status)")
    }
    if case .grpcStatus(let status)? = fault.abort?.errorType, status > 16 {
      throw ConfigError(path: FieldPath().field("abort").field("grpc_status"), "must be 0 to 16, is \(status)")
    }
  }

  private static func check(_ policy: Envoy_Extensions_Filters_Http_Cors_V3_CorsPolicy) throws(ConfigError) {
    for (i, matcher) in policy.allowOriginStringMatch.enumerated() {
      guard case .safeRegex(let pattern)? = matcher.matchPattern, let problem = RegexCheck.problem(pattern.regex) else {
        continue
      }
      let at = FieldPath().field("allow_origin_string_match").index(i).field("safe_regex").field("regex")
      throw ConfigError(path: at, problem)
    }
    for (field, text) in [
      ("allow_methods", policy.allowMethods), ("allow_headers", policy.allowHeaders),
      ("expose_headers", policy.exposeHeaders),
    ] { try ResourceChecks.checkText(text, FieldPath().field(field)) }
  }

  // MARK: Faults

  private static func message(
    _ fault: Istio_Networking_V1alpha3_HTTPFaultInjection
  ) -> Envoy_Extensions_Filters_Http_Fault_V3_HTTPFault {
    var message = Envoy_Extensions_Filters_Http_Fault_V3_HTTPFault()
    if let delay = fault.delay, case .fixedDelay(let duration) = delay.httpDelayType {
      var made = Envoy_Extensions_Filters_Common_Fault_V3_FaultDelay()
      made.faultDelaySecifier = .fixedDelay(duration)
      // Without a share nothing is injected; the whole percent is the older form.
      made.percentage = delay.percentage.map(share) ?? .hundredths(UInt32(clamping: delay.percent))
      message.delay = made
    }
    if let abort = fault.abort, let error = abort.errorType {
      var made = Envoy_Extensions_Filters_Http_Fault_V3_FaultAbort()
      switch error {
      case .httpStatus(let status): made.errorType = .httpStatus(UInt32(clamping: status))
      case .grpcStatus(let name): made.errorType = .grpcStatus(grpcStatus(name))
      case .http2Error: return message
      }
      made.percentage = abort.percentage.map(share) ?? .hundredths(0)
      message.abort = made
    }
    return message
  }

  /// Ten-thousandths of a percent: what a rule can say to four digits.
  static func share(_ percent: Istio_Networking_V1alpha3_Percent) -> Envoy_Type_V3_FractionalPercent {
    var share = Envoy_Type_V3_FractionalPercent()
    share.numerator = UInt32(min(max(percent.value * 10_000, 0), 1_000_000))
    share.denominator = .million
    return share
  }

  /// The number of a status by its name (`UNAVAILABLE`), or as digits; UNKNOWN for one that validation let through.
  private static func grpcStatus(_ name: String) -> UInt32 {
    if let number = UInt32(name) { return number }
    return grpcStatuses.firstIndex(of: name.uppercased()).map(UInt32.init) ?? 2
  }

  private static let grpcStatuses = [
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
    "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
  ]

  // MARK: Cross-origin requests

  private static func message(
    _ policy: Istio_Networking_V1alpha3_CorsPolicy
  ) -> Envoy_Extensions_Filters_Http_Cors_V3_CorsPolicy {
    var message = Envoy_Extensions_Filters_Http_Cors_V3_CorsPolicy()
    // An origin is matched when there is one: "any" needs a pattern.
    message.allowOriginStringMatch = policy.allowOrigins.map { origin in
      if let matcher = StringMatcher(origin) { return matcher }
      var any = StringMatcher()
      any.matchPattern = .safeRegex(.init(pattern: ".*"))
      return any
    }
    if policy.allowOrigins.isEmpty { message.allowOriginStringMatch = policy.allowOrigin.map { .exact($0) } }
    message.allowMethods = policy.allowMethods.joined(separator: ",")
    message.allowHeaders = policy.allowHeaders.joined(separator: ",")
    message.exposeHeaders = policy.exposeHeaders.joined(separator: ",")
    if let age = policy.maxAge { message.maxAge = String(age.seconds) }
    message.allowCredentials = policy.allowCredentials
    message.filterEnabled = .always
    message.forwardNotMatchingPreflights = Google_Protobuf_BoolValue(policy.unmatchedPreflights != .ignore)
    return message
  }
}

extension Envoy_Type_V3_FractionalPercent {
  /// Whole percents.
  static func hundredths(_ value: UInt32) -> Envoy_Type_V3_FractionalPercent {
    var share = Envoy_Type_V3_FractionalPercent()
    share.numerator = min(value, 100)
    share.denominator = .hundred
    return share
  }
}

extension Envoy_Config_Core_V3_RuntimeFractionalPercent {
  static var always: Envoy_Config_Core_V3_RuntimeFractionalPercent { of(.hundredths(100)) }

  static func of(_ share: Envoy_Type_V3_FractionalPercent) -> Envoy_Config_Core_V3_RuntimeFractionalPercent {
    var fraction = Envoy_Config_Core_V3_RuntimeFractionalPercent()
    fraction.defaultValue = share
    return fraction
  }
}
