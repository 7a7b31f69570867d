import WeftKinds
import WeftProtobuf
import WeftXDSMessages

extension RouteMatch {
  static var everything: RouteMatch {
    var match = RouteMatch()
    match.pathSpecifier = .prefix("/")
    return match
  }

  /// One match block: all its conditions. Ports, labels, namespaces and gateways were decided before.
  init(_ match: Istio_Networking_V1alpha3_HTTPMatchRequest) {
    self.init()
    switch match.uri?.matchType {
    case .exact(let text): pathSpecifier = .path(text)
    case .prefix(let text): pathSpecifier = .prefix(text)
    case .regex(let text) where text != StringMatchRules.anything:
      pathSpecifier = .safeRegex(.init(pattern: text))
    case .regex, nil: pathSpecifier = .prefix("/")
    }
    caseSensitive = Google_Protobuf_BoolValue(!match.ignoreUriCase)
    for (name, condition) in match.headers.sorted(by: { $0.key < $1.key }) where !Self.isPseudo(name) {
      headers.append(HeaderMatcher(name.lowercased(), condition))
    }
    for (name, condition) in match.withoutHeaders.sorted(by: { $0.key < $1.key }) where !Self.isPseudo(name) {
      var matcher = HeaderMatcher(name.lowercased(), condition)
      matcher.invertMatch = true
      // A header that is not there is unlike any value; for pure presence the inversion says so already.
      matcher.treatMissingHeaderAsEmpty = StringMatcher(condition) != nil
      headers.append(matcher)
    }
    for (name, condition) in [
      (":method", match.method), (":authority", match.authority), (":scheme", match.scheme),
    ] {
      if let condition { headers.append(HeaderMatcher(name, condition)) }
    }
    for (name, condition) in match.queryParams.sorted(by: { $0.key < $1.key }) {
      var matcher = Envoy_Config_Route_V3_QueryParameterMatcher()
      matcher.name = name
      if let text = StringMatcher(condition) {
        matcher.queryParameterMatchSpecifier = .stringMatch(text)
      } else {
        matcher.queryParameterMatchSpecifier = .presentMatch(true)
      }
      queryParameters.append(matcher)
    }
  }

  /// Names that have fields of their own; Istio ignores them among the headers.
  private static func isPseudo(_ name: String) -> Bool {
    ["uri", "scheme", "method", "authority"].contains(name)
  }
}

extension HeaderMatcher {
  init(_ name: String, _ condition: Istio_Networking_V1alpha3_StringMatch) {
    self.init()
    self.name = name
    if let text = StringMatcher(condition) {
      headerMatchSpecifier = .stringMatch(text)
    } else {
      headerMatchSpecifier = .presentMatch(true)
    }
  }
}
