import WeftProtobuf

/// Checks of one HTTP route and its actions.
enum HTTPRouteValidation {
  static func check(_ http: Istio.HTTPRoute, isDelegate: Bool, _ route: inout FindingCollector) {
    checkAction(http, isDelegate: isDelegate, &route)
    route.each("match", http.match) { item, match, _ in HTTPMatchValidation.check(match, &item) }
    route.each("route", http.route) { item, destination, _ in
      check(destination: destination.destination, &item)
      item.checkNotNegative("weight", destination.weight)
      check(headers: destination.headers, allowsAuthority: false, &item)
    }
    checkWeights(http.route.map(\.weight), &route)
    if let redirect = http.redirect {
      route.at("redirect") { check(redirect, matches: http.match, &$0) }
    }
    if let response = http.directResponse { route.at("directResponse") { check(response, &$0) } }
    if let rewrite = http.rewrite { route.at("rewrite") { check(rewrite, &$0) } }
    route.checkDuration("timeout", http.timeout, .positiveOrZero)
    if let retries = http.retries { route.at("retries") { check(retries, &$0) } }
    if let fault = http.fault { route.at("fault") { FaultValidation.check(fault, &$0) } }
    if let cors = http.corsPolicy { route.at("corsPolicy") { CORSValidation.check(cors, &$0) } }
    checkMirrors(http, &route)
    check(headers: http.headers, allowsAuthority: true, &route)
    if let authority = http.rewrite?.authority, !authority.isEmpty,
      let set = http.headers?.request?.set.keys.first(where: isAuthority)
    {
      route.error("\"rewrite.authority\" and the request header \"\(set)\" both set the host; use one of them")
    }
  }

  // MARK: Which action

  private static func checkAction(_ http: Istio.HTTPRoute, isDelegate: Bool, _ route: inout FindingCollector) {
    var actions: [String] = []
    if !http.route.isEmpty { actions.append("route") }
    if http.redirect != nil { actions.append("redirect") }
    if http.directResponse != nil { actions.append("directResponse") }
    if http.delegate != nil { actions.append("delegate") }
    switch actions.count {
    case 0: route.error("one of route, redirect, directResponse and delegate must be set")
    case 1: break
    default: route.error("only one of \(actions.joined(separator: ", ")) may be set")
    }
    if let delegate = http.delegate {
      route.at("delegate") { here in
        if isDelegate { here.error("a delegate must not delegate further") }
        if delegate.name.isEmpty { here.error("name", "must not be empty") }
        if !delegate.namespace.isEmpty, !NameRules.isDNSLabel(delegate.namespace) {
          here.error("namespace", "\"\(delegate.namespace)\" is not a namespace")
        }
      }
    }
    guard http.redirect != nil || http.directResponse != nil else { return }
    let action = http.redirect != nil ? "redirect" : "directResponse"
    if http.rewrite != nil { route.error("rewrite", "must not be combined with \(action)") }
    if http.fault != nil { route.error("fault", "must not be combined with \(action)") }
    if http.mirror != nil { route.error("mirror", "must not be combined with \(action)") }
    if !http.mirrors.isEmpty { route.error("mirrors", "must not be combined with \(action)") }
    if http.timeout != nil { route.warning("timeout", "has no effect beside \(action)") }
    if http.retries != nil { route.warning("retries", "has no effect beside \(action)") }
  }

  static func checkWeights(_ weights: [Int32], _ route: inout FindingCollector) {
    guard weights.count > 1, weights.allSatisfy({ $0 >= 0 }) else { return }
    if weights.allSatisfy({ $0 == 0 }) {
      route.error("route", "the weights of several destinations must not all be 0")
    }
    let sum = weights.reduce(Int64(0)) { $0 + Int64($1) }
    if sum > Int64(UInt32.max) {
      route.error("route", "the weights add up to \(sum); a proxy takes at most \(UInt32.max)")
    }
  }

  static func check(destination: Istio.Destination?, _ item: inout FindingCollector) {
    item.at("destination") { here in
      guard let destination else {
        here.error("must be set")
        return
      }
      here.at("host") { $0.checkDestinationHost(destination.host) }
      if !destination.subset.isEmpty, !NameRules.isDNSLabel(destination.subset) {
        here.error("subset", "\"\(destination.subset)\" is not a subset name (lower-case letters, digits and \"-\")")
      }
      if let port = destination.port { here.at("port") { $0.at("number") { $0.checkPort(port.number) } } }
    }
  }

  // MARK: Actions

  private static func check(
    _ redirect: Istio.HTTPRedirect, matches: [Istio.HTTPMatchRequest], _ here: inout FindingCollector
  ) {
    if redirect.uri.isEmpty, redirect.prefixRewrite.isEmpty, redirect.authority.isEmpty, redirect.scheme.isEmpty,
      redirect.redirectPort == nil
    {
      here.error("at least one of uri, prefixRewrite, authority, scheme and port must be set")
    }
    if !redirect.uri.isEmpty, !redirect.prefixRewrite.isEmpty {
      here.error("only one of uri and prefixRewrite may be set")
    }
    if !redirect.prefixRewrite.isEmpty {
      let allPrefix =
        !matches.isEmpty
        && matches.allSatisfy { if case .prefix? = $0.uri?.matchType { true } else { false } }
      if !allPrefix { here.error("prefixRewrite", "needs a prefix match of the uri in every match of the route") }
    }
    here.at("uri") { $0.checkHeaderText(redirect.uri) }
    here.at("prefixRewrite") { $0.checkHeaderText(redirect.prefixRewrite) }
    here.at("authority") { $0.checkTargetText(redirect.authority) }
    if !redirect.scheme.isEmpty, redirect.scheme != "http", redirect.scheme != "https" {
      here.error("scheme", "\"\(redirect.scheme)\" is not a scheme; allowed are \"http\" and \"https\"")
    }
    if case .port(let port)? = redirect.redirectPort { here.at("port") { $0.checkPort(port) } }
    if redirect.redirectCode != 0, !(300...399).contains(redirect.redirectCode) {
      here.error("redirectCode", "\(redirect.redirectCode) is not a redirect; allowed are 300 to 399")
    }
  }

  private static func check(_ response: Istio.HTTPDirectResponse, _ here: inout FindingCollector) {
    if !(200...599).contains(response.status) {
      here.error("status", "\(response.status) is not a status of a response; allowed are 200 to 599")
    }
    let size: Int
    switch response.body?.specifier {
    case .string(let text): size = text.utf8.count
    case .bytes(let bytes): size = bytes.count
    case nil: size = 0
    }
    if size > 1 << 20 {
      here.error("body", "must not be larger than 1 MiB; it has \(size) bytes")
    } else if size > 100 << 10 {
      here.warning("body", "\(size) bytes are sent to every proxy; more than 100 KiB costs memory")
    }
  }

  private static func check(_ rewrite: Istio.HTTPRewrite, _ here: inout FindingCollector) {
    if rewrite.uri.isEmpty, rewrite.authority.isEmpty, rewrite.uriRegexRewrite == nil {
      here.error("one of uri, uriRegexRewrite and authority must be set")
    }
    here.at("uri") { $0.checkTargetText(rewrite.uri) }
    here.at("authority") { $0.checkTargetText(rewrite.authority) }
    if let regex = rewrite.uriRegexRewrite {
      if !rewrite.uri.isEmpty { here.error("only one of uri and uriRegexRewrite may be set") }
      here.at("uriRegexRewrite") { inner in
        inner.at("match") { $0.checkRegex(regex.match) }
        if regex.rewrite.isEmpty { inner.error("rewrite", "must not be empty") }
        inner.at("rewrite") { $0.checkTargetText(regex.rewrite) }
      }
    }
  }

  private static let retryConditions: Set<String> = [
    "5xx", "gateway-error", "reset", "reset-before-request", "connect-failure", "envoy-ratelimited", "retriable-4xx",
    "refused-stream", "retriable-status-codes", "retriable-headers", "http3-post-connect-failure", "cancelled",
    "deadline-exceeded", "internal", "resource-exhausted", "unavailable",
  ]

  private static func check(_ retries: Istio.HTTPRetry, _ here: inout FindingCollector) {
    here.checkNotNegative("attempts", retries.attempts)
    if retries.attempts == 0, retries.perTryTimeout != nil || !retries.retryOn.isEmpty || retries.backoff != nil {
      here.error("attempts", "must be at least 1 when perTryTimeout, retryOn or backoff is set; 0 switches retries off")
    }
    here.checkDuration("perTryTimeout", retries.perTryTimeout, .positiveOrZero)
    here.checkDuration("backoff", retries.backoff, .positive)
    if retries.retryOn.isEmpty { return }
    for condition in retries.retryOn.split(separator: ",", omittingEmptySubsequences: false) {
      let word = String(condition).trimmed
      if retryConditions.contains(word) { continue }
      if let code = UInt16(word), (100...599).contains(code) { continue }
      here.error(
        "retryOn",
        "\"\(word)\" is neither a status code nor one of \(retryConditions.sorted().joined(separator: ", "))")
    }
  }

  private static func checkMirrors(_ http: Istio.HTTPRoute, _ route: inout FindingCollector) {
    if let mirror = http.mirror {
      if !http.mirrors.isEmpty { route.error("only one of mirror and mirrors may be set") }
      checkMirror(mirror, at: "mirror", &route)
    }
    if let percent = http.mirrorPercent {
      if percent.value > 100 {
        route.error("mirrorPercent", "\(percent.value) is not a percentage; allowed are 0 to 100")
      }
    }
    if let percentage = http.mirrorPercentage {
      route.at("mirrorPercentage") { $0.at("value") { $0.checkPercent(percentage.value) } }
    }
    if http.mirror == nil, http.mirrorPercent != nil || http.mirrorPercentage != nil {
      route.warning("mirrorPercentage", "has no effect without mirror")
    }
    route.each("mirrors", http.mirrors) { item, mirror, _ in
      check(destination: mirror.destination, &item)
      if let percentage = mirror.percentage {
        item.at("percentage") { $0.at("value") { $0.checkPercent(percentage.value) } }
      }
    }
  }

  private static func checkMirror(_ mirror: Istio.Destination, at field: String, _ route: inout FindingCollector) {
    route.at(field) { here in
      here.at("host") { $0.checkDestinationHost(mirror.host) }
      if let port = mirror.port { here.at("port") { $0.at("number") { $0.checkPort(port.number) } } }
    }
  }

  // MARK: Headers

  static func check(headers: Istio.Headers?, allowsAuthority: Bool, _ item: inout FindingCollector) {
    guard let headers else { return }
    item.at("headers") { here in
      if let request = headers.request {
        here.at("request") { check(request, allowsAuthority: allowsAuthority, &$0) }
      }
      if let response = headers.response { here.at("response") { check(response, allowsAuthority: false, &$0) } }
    }
  }

  private static func check(
    _ operations: Istio.HeaderOperations, allowsAuthority: Bool, _ here: inout FindingCollector
  ) {
    func check(_ name: String, isSet: Bool, _ item: inout FindingCollector) {
      if isAuthority(name) {
        if !(isSet && allowsAuthority) {
          item.error("\"\(name)\" may only be set on the request of a route, not added, removed or set elsewhere")
        }
      } else if name.hasPrefix(":") {
        item.error("\"\(name)\" is a pseudo-header; header operations work on header fields only")
      } else if !NameRules.isHeaderName(name) {
        item.error("\"\(name)\" is not a header name")
      }
    }
    func checkValue(_ name: String, _ value: String, _ item: inout FindingCollector) {
      // The authority is sent as it stands: no operators.
      if isAuthority(name) { item.checkTargetText(value) } else { item.checkHeaderFormat(value) }
    }
    here.entries("set", operations.set) { item, name, value in
      check(name, isSet: true, &item)
      checkValue(name, value, &item)
    }
    here.entries("add", operations.add) { item, name, value in
      check(name, isSet: false, &item)
      checkValue(name, value, &item)
    }
    here.each("remove", operations.remove) { item, name, _ in check(name, isSet: false, &item) }
  }

  static func isAuthority(_ name: String) -> Bool {
    let lower = name.lowercased()
    return lower == "host" || lower == ":authority"
  }
}

extension String {
  /// Without spaces at both ends.
  var trimmed: String {
    let bytes = self[...].drop { $0 == " " }
    return String(bytes.reversed().drop { $0 == " " }.reversed())
  }
}
