package import WeftControlAPI
package import WeftKinds
import WeftProtobuf

/// What a valid rule may say and nobody, or not every proxy, does yet: warnings for whoever applies the rule, and for the
/// status of the proxies that use it. A list of its own, so that support for one is added here and at one place more.
package enum UnsupportedFeatures {
  /// Who does not do it.
  package enum Scope: Hashable, Sendable {
    /// Translation: no proxy is told.
    case everywhere
    /// Our proxy and gRPC libraries; stock Envoy does.
    case exceptEnvoy
    /// gRPC libraries; proxies do.
    case libraries
  }

  package struct Feature: Hashable, Sendable {
    /// As the rule spells it: `spec.http[0].fault`.
    package var path: String
    package var message: String
    package var scope = Scope.everywhere

    /// Whether it is without effect on `proxy`.
    func concerns(_ proxy: ProxyIdentity) -> Bool {
      switch scope {
      case .everywhere: true
      case .exceptEnvoy: !proxy.isEnvoy
      case .libraries: proxy.isGRPC
      }
    }
  }

  /// Those of an object that the snapshot holds; nil when it holds none of that name.
  package static func of(_ key: ObjectKey, in snapshot: WeftSnapshot) -> (origin: Origin, features: [Feature])? {
    func all<Spec>(_ object: ConfigObject<Spec>?, _ list: (Spec) -> [Feature]) -> (Origin, [Feature])? {
      object.map { ($0.origin, list($0.spec)) }
    }
    return switch key.kind {
    case .destinationRule: all(snapshot.destinationRules[key]) { of($0) }
    case .gateway: all(snapshot.gateways[key]) { of($0) }
    case .sidecar: all(snapshot.sidecars[key]) { of($0) }
    case .virtualService: all(snapshot.virtualServices[key]) { of($0) }
    default: nil
    }
  }

  package static func of(_ rule: VirtualServiceSpec) -> [Feature] {
    var list: [Feature] = []
    for (index, http) in rule.http.enumerated() {
      let path = "spec.http[\(index)]"
      if http.delegate != nil {
        list.append(Feature(path: path + ".delegate", message: "is not supported yet and leaves the route out"))
      }
      let proxiesOnly = [
        ("fault", http.fault != nil), ("corsPolicy", http.corsPolicy != nil), ("mirror", http.mirror != nil),
        ("mirrors", !http.mirrors.isEmpty),
      ]
      for (field, isSet) in proxiesOnly where isSet {
        list.append(
          Feature(
            path: "\(path).\(field)",
            message: "is not sent to gRPC libraries and has no effect there; proxies obey it", scope: .libraries))
      }
    }
    for (index, tcp) in rule.tcp.enumerated() {
      for (place, match) in tcp.match.enumerated() where !match.sourceSubnet.isEmpty {
        list.append(
          Feature(
            path: "spec.tcp[\(index)].match[\(place)].sourceSubnet",
            message: "is not supported yet and leaves the match out"))
      }
    }
    return list
  }

  private static let ignored = "is not supported by weft-proxy yet and has no effect there; Envoy obeys it"

  package static func of(_ rule: DestinationRuleSpec) -> [Feature] {
    var list: [Feature] = []
    func note(_ path: String, _ message: String) { list.append(Feature(path: path, message: message)) }
    func balancing(_ settings: Istio_Networking_V1alpha3_LoadBalancerSettings?, _ path: String) {
      guard let settings else { return }
      if case .consistentHash(let hash) = settings.lbPolicy, let key = hash.hashKey, let name = key.beyondLibraries {
        list.append(
          Feature(
            path: path + ".loadBalancer.consistentHash." + name,
            message:
              "means nothing to gRPC libraries, which hash headers only and spread requests at random; proxies obey it",
            scope: .libraries))
      }
      for (field, isSet) in [
        ("warmup", settings.warmup != nil), ("warmupDurationSecs", settings.warmupDurationSecs != nil),
      ] where isSet {
        list.append(Feature(path: "\(path).loadBalancer.\(field)", message: ignored, scope: .exceptEnvoy))
      }
      if settings.zoneAwareLbSetting != nil {
        note(path + ".loadBalancer.zoneAwareLbSetting", "is not supported yet and has no effect")
      }
      if let locality = settings.localityLbSetting,
        locality.enabled != nil || !locality.distribute.isEmpty || !locality.failover.isEmpty
          || !locality.failoverPriority.isEmpty
      {
        note(path + ".loadBalancer.localityLbSetting", "is not supported yet and has no effect")
      }
    }
    func security(_ settings: Istio_Networking_V1alpha3_ClientTLSSettings?, _ path: String) {
      guard let settings else { return }
      if settings.mode == .istioMutual {
        note(
          path + ".tls.mode", "ISTIO_MUTUAL needs identities, which are not supported yet; traffic to the host fails")
      } else if settings.mode != .disable, !settings.credentialName.isEmpty {
        note(path + ".tls.credentialName", "is not supported yet (name files instead); traffic to the host fails")
      }
    }
    func ejection(_ settings: Istio_Networking_V1alpha3_OutlierDetection?, _ path: String) {
      guard let settings, !settings.outlierDetectionHttpErrorCodes.isEmpty else { return }
      note(
        path + ".outlierDetection.outlierDetectionHttpErrorCodes",
        "is not supported yet and has no effect; statuses of 500 and above count as errors")
    }
    func policy(_ policy: Istio_Networking_V1alpha3_TrafficPolicy?, _ path: String) {
      guard let policy else { return }
      balancing(policy.loadBalancer, path)
      ejection(policy.outlierDetection, path)
      security(policy.tls, path)
      if policy.retryBudget?.budgetInterval != nil {
        note(path + ".retryBudget.budgetInterval", "is not supported yet and has no effect")
      }
      if policy.tunnel != nil { note(path + ".tunnel", "is not supported yet and has no effect") }
      for (index, port) in policy.portLevelSettings.enumerated() {
        balancing(port.loadBalancer, "\(path).portLevelSettings[\(index)]")
        ejection(port.outlierDetection, "\(path).portLevelSettings[\(index)]")
        security(port.tls, "\(path).portLevelSettings[\(index)]")
      }
    }
    policy(rule.trafficPolicy, "spec.trafficPolicy")
    for (index, subset) in rule.subsets.enumerated() {
      policy(subset.trafficPolicy, "spec.subsets[\(index)].trafficPolicy")
    }
    return list
  }

  package static func of(_ sidecar: SidecarSpec) -> [Feature] {
    var list: [Feature] = []
    for (index, listener) in sidecar.ingress.enumerated() {
      let path = "spec.ingress[\(index)]"
      if let tls = listener.tls {
        list += settings(tls, path + ".tls")
        if ServerTLS.transportSocket(tls) == nil {
          list.append(
            Feature(
              path: path + ".tls",
              message:
                "only certificates from files (serverCertificate, privateKey) are supported yet; the port is closed"
            ))
        }
      }
    }
    func note(_ path: String, _ isSet: Bool) {
      if isSet { list.append(Feature(path: "spec.\(path)", message: "is not supported yet and has no effect")) }
    }
    for (index, listener) in sidecar.ingress.enumerated() {
      note("ingress[\(index)].connectionPool", listener.connectionPool != nil)
    }
    for (index, listener) in sidecar.egress.enumerated() {
      note("egress[\(index)].bind", !listener.bind.isEmpty)
      note("egress[\(index)].captureMode", listener.captureMode != .default)
    }
    note("inboundConnectionPool", sidecar.inboundConnectionPool != nil)
    note("outboundTrafficPolicy.egressProxy", sidecar.outboundTrafficPolicy?.egressProxy != nil)
    return list
  }

  /// What no server does yet, whatever its mode.
  private static func settings(_ tls: Istio_Networking_V1alpha3_ServerTLSSettings, _ path: String) -> [Feature] {
    let fields = [
      ("caCertCredentialName", !tls.caCertCredentialName.isEmpty),
      ("insecureSkipVerify", tls.insecureSkipVerify?.value ?? false),
    ]
    return fields.filter(\.1).map {
      Feature(path: "\(path).\($0.0)", message: "is not supported yet and has no effect")
    }
  }

  package static func of(_ gateway: GatewaySpec) -> [Feature] {
    var list: [Feature] = []
    for (index, server) in gateway.servers.enumerated() {
      if !server.defaultEndpoint.isEmpty {
        list.append(
          Feature(path: "spec.servers[\(index)].defaultEndpoint", message: "is not supported yet and has no effect"))
      }
      guard let tls = server.tls else { continue }
      let path = "spec.servers[\(index)].tls"
      list += settings(tls, path)
      switch tls.mode {
      case .autoPassthrough, .istioMutual:
        list.append(Feature(path: path + ".mode", message: "is not supported yet and leaves the server out"))
      case .simple, .mutual, .optionalMutual:
        if tls.serverCertificate.isEmpty, !tls.httpsRedirect {
          list.append(
            Feature(
              path: path,
              message:
                "only certificates from files (serverCertificate, privateKey) are supported yet; the server is left out"
            ))
        }
      default: break
      }
    }
    return list
  }
}

extension Istio_Networking_V1alpha3_LoadBalancerSettings.ConsistentHashLB.HashKeyOneOf {
  /// The field's name, of what gRPC libraries do not hash.
  fileprivate var beyondLibraries: String? {
    switch self {
    case .httpHeaderName: nil
    case .httpCookie: "httpCookie"
    case .useSourceIp: "useSourceIp"
    case .httpQueryParameterName: "httpQueryParameterName"
    }
  }
}
