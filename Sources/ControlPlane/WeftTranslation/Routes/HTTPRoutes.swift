import WeftControlAPI
import WeftKinds
import WeftProtobuf
import WeftXDSMessages

typealias VirtualServiceSpecRoute = Istio_Networking_V1alpha3_HTTPRoute
typealias HTTPMatchRequest = Istio_Networking_V1alpha3_HTTPMatchRequest

/// The HTTP routes of one VirtualService for one context: one Envoy route per match block, in the rule's order.
struct HTTPRoutes {
  let context: RouteContext
  let rule: ConfigObject<VirtualServiceSpec>
  /// Consistent hashing goes on routes: policies by host are looked up once.
  var hashing: (_ host: String, _ subset: String, _ port: UInt16) -> [RouteAction.HashPolicy] = { _, _, _ in [] }

  func make(_ sink: inout RouteSink) -> [Route] {
    var routes: [Route] = []
    sink.considered.insert(rule.key)
    defer { if !routes.isEmpty { sink.origins.append(rule.origin) } }
    for (index, http) in rule.spec.http.enumerated() {
      let matches: [HTTPMatchRequest?] = http.match.isEmpty ? [nil] : http.match.map { $0 }
      for match in matches {
        if let match, !isSelected(match) { continue }
        guard let route = route(http, match, &sink) else { continue }
        if let error = ResourceGuard.problem(route, for: context.proxy.extensions) {
          // The virtual host falls with it; here it is known which field is to blame.
          sink.issues.append(
            TranslationIssue(
              rule.origin, "spec.http[\(index)]", "a proxy would refuse it, and its virtual host is left out: \(error)",
              leftOut: .init(type: .route, name: String(context.port))))
        }
        routes.append(route)
        if Self.isCatchAll(route.match ?? RouteMatch()) { return routes }
      }
    }
    return routes
  }

  /// Conditions that the control plane decides: they do not reach the proxy.
  private func isSelected(_ match: HTTPMatchRequest) -> Bool {
    if match.port != 0, match.port != UInt32(context.port) { return false }
    if !match.sourceNamespace.isEmpty, match.sourceNamespace != context.proxy.namespace { return false }
    if !context.proxy.carries(match.sourceLabels) { return false }
    return match.gateways.isEmpty
      || context.isAmong(match.gateways, ruleNamespace: rule.namespace, whenEmpty: true)
  }

  /// Any path and no other condition: nothing after it can be reached.
  static func isCatchAll(_ match: RouteMatch) -> Bool {
    guard match.headers.isEmpty, match.queryParameters.isEmpty else { return false }
    switch match.pathSpecifier {
    case .prefix(let text): return text == "/"
    case .safeRegex(let regex): return regex.regex == ".*" || regex.regex == "/.*"
    default: return false
    }
  }

  private func route(
    _ http: VirtualServiceSpecRoute, _ match: HTTPMatchRequest?, _ sink: inout RouteSink
  ) -> Route? {
    var route = Route()
    route.name = Self.name(http, match)
    route.match = match.map { RouteMatch($0) } ?? .everything
    route.metadata = .istio(["config": .text(ResourceName.apiPath(rule.origin, plural: "virtual-service"))])
    if let match, !match.statPrefix.isEmpty { route.statPrefix = match.statPrefix }
    if http.delegate != nil { return nil }
    if let headers = http.headers { HeaderOperations(headers).write(to: &route) }
    // gRPC libraries refuse a route with filters that they do not know.
    if !context.proxy.isGRPC { RouteFilters.write(http, to: &route) }
    if let redirect = http.redirect {
      route.action = .redirect(self.redirect(redirect))
    } else if let direct = http.directResponse {
      route.action = .directResponse(Self.directResponse(direct))
    } else {
      guard let action = forward(http, match, &route, &sink) else { return nil }
      route.action = .route(action)
    }
    return route
  }

  private static func name(_ http: VirtualServiceSpecRoute, _ match: HTTPMatchRequest?) -> String {
    let own = match?.name ?? ""
    if http.name.isEmpty { return own }
    return own.isEmpty ? http.name : "\(http.name).\(own)"
  }

  // MARK: Forwarding

  private func forward(
    _ http: VirtualServiceSpecRoute, _ match: HTTPMatchRequest?, _ route: inout Route, _ sink: inout RouteSink
  ) -> RouteAction? {
    var action = RouteAction()
    var usable = http.route.filter { $0.destination != nil }
    // With one destination its weight does not matter; among several, zero means none.
    if usable.count > 1 { usable = usable.filter { $0.weight > 0 } }
    guard let first = usable.first else { return nil }
    if http.route.count == 1 {
      action.clusterSpecifier = .cluster(clusterName(first.destination, &sink, &action))
      if let headers = first.headers { HeaderOperations(headers).write(to: &route) }
      if let host = first.headers.flatMap({ HeaderOperations($0).authority }) {
        action.hostRewriteSpecifier = .hostRewriteLiteral(host)
      }
    } else {
      var weighted = Envoy_Config_Route_V3_WeightedCluster()
      for destination in usable {
        var share = Envoy_Config_Route_V3_WeightedCluster.ClusterWeight()
        share.name = clusterName(destination.destination, &sink, &action)
        share.weight = Google_Protobuf_UInt32Value(UInt32(destination.weight))
        if let headers = destination.headers {
          let operations = HeaderOperations(headers)
          operations.write(to: &share)
          if let host = operations.authority { share.hostRewriteSpecifier = .hostRewriteLiteral(host) }
        }
        weighted.clusters.append(share)
      }
      action.clusterSpecifier = .weightedClusters(weighted)
    }
    if let authority = context.authority, action.hostRewriteSpecifier == nil {
      action.hostRewriteSpecifier = .hostRewriteLiteral(authority)
    }
    if let host = http.headers.flatMap({ HeaderOperations($0).authority }) {
      action.hostRewriteSpecifier = .hostRewriteLiteral(host)
    }
    if let rewrite = http.rewrite { Self.rewrite(rewrite, &action) }
    if !context.proxy.isGRPC { action.requestMirrorPolicies = mirrors(http, &sink) }
    action.setTimeout(http.timeout ?? Google_Protobuf_Duration.none)
    action.retryPolicy = RetryDefaults.policy(http.retries, hashes: !action.hashPolicy.isEmpty)
    return action
  }

  private func clusterName(
    _ destination: Istio_Networking_V1alpha3_Destination?, _ sink: inout RouteSink, _ action: inout RouteAction
  ) -> String {
    let target = self.target(destination)
    sink.destinations.insert(target)
    if action.hashPolicy.isEmpty { action.hashPolicy = hashing(target.host, target.subset, target.port) }
    return ResourceName.outbound(port: target.port, subset: target.subset, host: target.host)
  }

  private func target(_ destination: Istio_Networking_V1alpha3_Destination?) -> RouteSink.Destination {
    let host = Hostname.resolve(destination?.host ?? "", namespace: rule.namespace, domain: context.scope.domain)
    let service = context.scope.destination(host)
    var port = context.port
    if let number = destination?.port?.number, number > 0 {
      port = UInt16(truncatingIfNeeded: number)
    } else if let service, service.service.ports.count == 1, let only = service.service.ports.first {
      port = only.number
    }
    return RouteSink.Destination(host: host, port: port, subset: destination?.subset ?? "")
  }

  /// Copies of requests, whose answers nobody sees. A share of zero is none.
  private func mirrors(
    _ http: VirtualServiceSpecRoute, _ sink: inout RouteSink
  ) -> [RouteAction.RequestMirrorPolicy] {
    var wanted: [(Istio_Networking_V1alpha3_Destination?, Envoy_Type_V3_FractionalPercent)] = []
    if let single = http.mirror {
      let older = http.mirrorPercent.map { Envoy_Type_V3_FractionalPercent.hundredths($0.value) }
      wanted.append((single, http.mirrorPercentage.map(RouteFilters.share) ?? older ?? .hundredths(100)))
    }
    for mirror in http.mirrors {
      wanted.append((mirror.destination, mirror.percentage.map(RouteFilters.share) ?? .hundredths(100)))
    }
    return wanted.compactMap { destination, share in
      guard destination != nil, share.numerator > 0 else { return nil }
      let target = target(destination)
      sink.destinations.insert(target)
      var policy = RouteAction.RequestMirrorPolicy()
      policy.cluster = ResourceName.outbound(port: target.port, subset: target.subset, host: target.host)
      policy.runtimeFraction = .of(share)
      policy.traceSampled = Google_Protobuf_BoolValue(false)
      policy.disableShadowHostSuffixAppend = true
      return policy
    }
  }

  private static func rewrite(_ rewrite: Istio_Networking_V1alpha3_HTTPRewrite, _ action: inout RouteAction) {
    if let regex = rewrite.uriRegexRewrite {
      var substitute = Envoy_Type_Matcher_V3_RegexMatchAndSubstitute()
      substitute.pattern = .init(pattern: regex.match)
      substitute.substitution = regex.rewrite
      action.regexRewrite = substitute
    } else if !rewrite.uri.isEmpty {
      // Replaces the prefix that matched; for exact and regex matches that is the whole path.
      action.prefixRewrite = rewrite.uri
    }
    if !rewrite.authority.isEmpty { action.hostRewriteSpecifier = .hostRewriteLiteral(rewrite.authority) }
  }

  // MARK: Answers without an upstream

  private func redirect(_ redirect: Istio_Networking_V1alpha3_HTTPRedirect) -> Envoy_Config_Route_V3_RedirectAction {
    var action = Envoy_Config_Route_V3_RedirectAction()
    action.hostRedirect = redirect.authority
    if !redirect.scheme.isEmpty { action.schemeRewriteSpecifier = .schemeRedirect(redirect.scheme) }
    switch redirect.redirectPort {
    case .port(let port): action.portRedirect = port
    case .derivePort(.fromRequestPort): action.portRedirect = UInt32(context.port)
    case .derivePort:
      let isTLS = redirect.scheme.isEmpty ? context.isTLS : redirect.scheme == "https"
      action.portRedirect = isTLS ? 443 : 80
    case nil: break
    }
    if !redirect.prefixRewrite.isEmpty {
      action.pathRewriteSpecifier = .prefixRewrite(redirect.prefixRewrite)
    } else if !redirect.uri.isEmpty {
      action.pathRewriteSpecifier = .pathRedirect(redirect.uri)
    }
    switch redirect.redirectCode {
    case 302: action.responseCode = .found
    case 303: action.responseCode = .seeOther
    case 307: action.responseCode = .temporaryRedirect
    case 308: action.responseCode = .permanentRedirect
    default: action.responseCode = .movedPermanently
    }
    return action
  }

  private static func directResponse(
    _ direct: Istio_Networking_V1alpha3_HTTPDirectResponse
  ) -> Envoy_Config_Route_V3_DirectResponseAction {
    var action = Envoy_Config_Route_V3_DirectResponseAction()
    action.status = direct.status
    switch direct.body?.specifier {
    case .string(let text): action.body = .text(text)
    case .bytes(let bytes):
      var source = Envoy_Config_Core_V3_DataSource()
      source.specifier = .inlineBytes(bytes)
      action.body = source
    case nil: break
    }
    return action
  }
}
