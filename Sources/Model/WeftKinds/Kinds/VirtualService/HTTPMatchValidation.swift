/// Checks of one match block of an HTTP route.
enum HTTPMatchValidation {
  static func check(_ match: Istio.HTTPMatchRequest, _ item: inout FindingCollector) {
    check("uri", match.uri, &item)
    check("scheme", match.scheme, &item)
    check("method", match.method, &item)
    check("authority", match.authority, &item)
    if match.ignoreUriCase, case .regex? = match.uri?.matchType {
      item.warning("ignoreUriCase", "has no effect on a regular expression; write (?i) into it")
    }
    check(headers: "headers", match.headers, &item)
    check(headers: "withoutHeaders", match.withoutHeaders, &item)
    item.entries("queryParams", match.queryParams) { entry, name, value in
      if name.isEmpty { entry.error("the name must not be empty") }
      checkOptional(value, &entry)
    }
    if match.port != 0 { item.at("port") { $0.checkPort(match.port) } }
    item.checkLabels("sourceLabels", match.sourceLabels)
    item.checkGatewayNames(match.gateways)
    if !match.sourceNamespace.isEmpty, !NameRules.isDNSLabel(match.sourceNamespace) {
      item.error("sourceNamespace", "\"\(match.sourceNamespace)\" is not a namespace")
    }
  }

  /// Headers that the match ignores because they have fields of their own.
  private static let ownFields: Set<String> = ["uri", "scheme", "method", "authority"]

  private static func check(
    headers field: String, _ headers: [String: Istio.StringMatch], _ item: inout FindingCollector
  ) {
    item.entries(field, headers) { entry, name, value in
      if ownFields.contains(name) {
        entry.warning("is ignored here; use the field \"\(name)\" of the match")
      } else if name.hasPrefix(":") {
        entry.error("\"\(name)\" is a pseudo-header; use the fields uri, scheme, method and authority of the match")
      } else if !NameRules.isHeaderName(name) {
        entry.error("\"\(name)\" is not a header name")
      }
      checkOptional(value, &entry)
    }
  }

  /// A match of a value that may be missing: without a condition it asks for presence, which an empty prefix does not say.
  private static func checkOptional(_ match: Istio.StringMatch, _ entry: inout FindingCollector) {
    switch match.matchType {
    case .prefix(let text):
      if text.isEmpty { entry.error("prefix", "must not be empty; {} asks for presence") }
    case .regex(let pattern): entry.at("regex") { checkPattern(pattern, &$0) }
    case .exact, nil: break
    }
  }

  /// `*` stands for any value, though RE2 does not know it.
  fileprivate static func checkPattern(_ pattern: String, _ here: inout FindingCollector) {
    if pattern != StringMatchRules.anything { here.checkRegex(pattern) }
  }

  /// A match of a value that is always there: an empty one can never be meant.
  private static func check(_ field: String, _ match: Istio.StringMatch?, _ item: inout FindingCollector) {
    guard let match else { return }
    item.at(field) { here in
      switch match.matchType {
      case .exact(let text): if text.isEmpty { here.error("exact", "must not be empty") }
      case .prefix(let text): if text.isEmpty { here.error("prefix", "must not be empty") }
      case .regex(let pattern): here.at("regex") { checkPattern(pattern, &$0) }
      case nil: here.error("one of exact, prefix and regex must be set")
      }
    }
  }
}

/// What a StringMatch means beyond its fields.
package enum StringMatchRules {
  /// The regular expression that users write for "any value"; RE2 does not know it.
  package static let anything = "*"
}

/// Checks of fault injection.
enum FaultValidation {
  static func check(_ fault: Istio.HTTPFaultInjection, _ here: inout FindingCollector) {
    if fault.delay == nil, fault.abort == nil { here.error("one of delay and abort must be set") }
    if let delay = fault.delay {
      here.at("delay") { inner in
        checkPercentage(delay.percentage, legacy: delay.percent, &inner)
        switch delay.httpDelayType {
        case .fixedDelay(let duration): inner.checkDuration("fixedDelay", duration, .positive)
        case .exponentialDelay: inner.error("exponentialDelay", "is not supported; use fixedDelay")
        case nil: inner.error("fixedDelay", "must be set")
        }
      }
    }
    if let abort = fault.abort {
      here.at("abort") { inner in
        checkPercentage(abort.percentage, legacy: 0, &inner)
        switch abort.errorType {
        case .httpStatus(let status):
          if !(200...599).contains(status) {
            inner.error("httpStatus", "\(status) is not a status of a response; allowed are 200 to 599")
          }
        case .grpcStatus(let name):
          if !grpcStatuses.contains(name.uppercased()) {
            inner.error("grpcStatus", "\"\(name)\" is not one of \(grpcStatuses.joined(separator: ", "))")
          }
        case .http2Error: inner.error("http2Error", "is not supported; use httpStatus or grpcStatus")
        case nil: inner.error("one of httpStatus and grpcStatus must be set")
        }
      }
    }
  }

  private static func checkPercentage(_ value: Istio.Percent?, legacy: Int32, _ here: inout FindingCollector) {
    if let value {
      here.at("percentage") { $0.at("value") { $0.checkPercent(value.value) } }
    } else if !(0...100).contains(legacy) {
      here.error("percent", "\(legacy) is not a percentage; allowed are 0 to 100")
    } else if legacy == 0 {
      here.warning("percentage", "is not set: nothing is injected")
    }
  }

  static let grpcStatuses = [
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
    "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
  ]
}

/// Checks of a CORS policy.
enum CORSValidation {
  private static let methods: Set<String> = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE", "*",
  ]

  static func check(_ cors: Istio.CorsPolicy, _ here: inout FindingCollector) {
    here.each("allowOrigins", cors.allowOrigins) { item, match, _ in
      switch match.matchType {
      case .regex(let pattern): item.at("regex") { HTTPMatchValidation.checkPattern(pattern, &$0) }
      case .exact(let text): if text.isEmpty { item.error("exact", "must not be empty") }
      case .prefix(let text): if text.isEmpty { item.error("prefix", "must not be empty") }
      case nil: item.error("one of exact, prefix and regex must be set")
      }
    }
    here.each("allowMethods", cors.allowMethods) { item, method, _ in
      if !methods.contains(method) { item.error("\"\(method)\" is not a method of HTTP") }
    }
    here.each("allowHeaders", cors.allowHeaders) { item, name, _ in checkHeader(name, &item) }
    here.each("exposeHeaders", cors.exposeHeaders) { item, name, _ in checkHeader(name, &item) }
    here.checkDuration("maxAge", cors.maxAge, .wholeSeconds)
  }

  private static func checkHeader(_ name: String, _ item: inout FindingCollector) {
    if name != "*", !NameRules.isHeaderName(name) { item.error("\"\(name)\" is not a header name") }
  }
}
