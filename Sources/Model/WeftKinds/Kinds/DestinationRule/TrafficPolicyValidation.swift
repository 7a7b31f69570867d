import WeftProtobuf

/// Checks of a traffic policy, on any level.
enum TrafficPolicyValidation {
  static func check(_ policy: Istio.TrafficPolicy, _ here: inout FindingCollector) {
    check(policy.loadBalancer, policy.connectionPool, policy.outlierDetection, policy.tls, &here)
    var ports: Set<UInt32> = []
    here.each("portLevelSettings", policy.portLevelSettings) { item, settings, _ in
      item.at("port") { port in
        guard let number = settings.port?.number else {
          port.error("must be set")
          return
        }
        port.at("number") { inner in
          inner.checkPort(number)
          if !ports.insert(number).inserted { inner.error("duplicate settings for port \(number)") }
        }
      }
      check(settings.loadBalancer, settings.connectionPool, settings.outlierDetection, settings.tls, &item)
    }
    if let tunnel = policy.tunnel {
      here.at("tunnel") { inner in
        if !["", "CONNECT", "POST"].contains(tunnel.protocol.uppercased()) {
          inner.error("protocol", "\"\(tunnel.protocol)\" is not a tunnel protocol; allowed are CONNECT and POST")
        }
        inner.at("targetHost") { host in
          if !AddressRules.isIP(tunnel.targetHost) { host.checkHost(tunnel.targetHost) }
        }
        inner.at("targetPort") { $0.checkPort(tunnel.targetPort) }
      }
    }
    if let budget = policy.retryBudget {
      here.at("retryBudget") { inner in
        if let percent = budget.percent { inner.at("percent") { $0.checkPercent(percent.value) } }
        inner.checkDuration("budgetInterval", budget.budgetInterval, .positive)
      }
    }
  }

  private static func check(
    _ balancer: Istio.LoadBalancerSettings?, _ pool: Istio.ConnectionPoolSettings?, _ outlier: Istio.OutlierDetection?,
    _ tls: Istio.ClientTLSSettings?, _ here: inout FindingCollector
  ) {
    if let balancer { here.at("loadBalancer") { LoadBalancerValidation.check(balancer, &$0) } }
    if let pool { here.at("connectionPool") { check(pool, &$0) } }
    if let outlier { here.at("outlierDetection") { check(outlier, &$0) } }
    if let tls { here.at("tls") { check(tls, &$0) } }
  }

  static func check(_ pool: Istio.ConnectionPoolSettings, _ here: inout FindingCollector) {
    if pool.tcp == nil, pool.http == nil { here.error("one of tcp and http must be set") }
    if let tcp = pool.tcp {
      here.at("tcp") { inner in
        inner.checkNotNegative("maxConnections", tcp.maxConnections)
        inner.checkDuration("connectTimeout", tcp.connectTimeout, .positive)
        inner.checkDuration("maxConnectionDuration", tcp.maxConnectionDuration, .positive)
        inner.checkDuration("idleTimeout", tcp.idleTimeout, .positiveOrZero)
        if let keepalive = tcp.tcpKeepalive {
          inner.at("tcpKeepalive") {
            $0.checkDuration("time", keepalive.time, .wholeSeconds)
            $0.checkDuration("interval", keepalive.interval, .wholeSeconds)
          }
        }
      }
    }
    if let http = pool.http {
      here.at("http") { inner in
        inner.checkNotNegative("http1MaxPendingRequests", http.http1MaxPendingRequests)
        inner.checkNotNegative("http2MaxRequests", http.http2MaxRequests)
        inner.checkNotNegative("maxRequestsPerConnection", http.maxRequestsPerConnection)
        inner.checkNotNegative("maxRetries", http.maxRetries)
        inner.checkNotNegative("maxConcurrentStreams", http.maxConcurrentStreams)
        inner.checkDuration("idleTimeout", http.idleTimeout, .positiveOrZero)
        if http.useClientProtocol, http.h2UpgradePolicy == .upgrade {
          inner.error("useClientProtocol", "must not be combined with h2UpgradePolicy UPGRADE")
        }
        if let keepalive = http.http2KeepAlive {
          inner.at("http2KeepAlive") {
            $0.checkDuration("interval", keepalive.interval, .positive)
            $0.checkDuration("timeout", keepalive.timeout, .positive)
          }
        }
      }
    }
  }

  private static func check(_ outlier: Istio.OutlierDetection, _ here: inout FindingCollector) {
    here.checkNotNegative("consecutiveErrors", outlier.consecutiveErrors)
    if outlier.consecutiveErrors != 0 {
      here.warning(
        "consecutiveErrors", "is deprecated and has no effect; use consecutive5xxErrors or consecutiveGatewayErrors")
    }
    here.checkDuration("interval", outlier.interval, .positive)
    here.checkDuration("baseEjectionTime", outlier.baseEjectionTime, .positive)
    here.at("maxEjectionPercent") { $0.checkPercent(Double(outlier.maxEjectionPercent)) }
    here.at("minHealthPercent") { $0.checkPercent(Double(outlier.minHealthPercent)) }
    if !outlier.splitExternalLocalOriginErrors, (outlier.consecutiveLocalOriginFailures?.value ?? 0) > 0 {
      here.error("consecutiveLocalOriginFailures", "needs splitExternalLocalOriginErrors")
    }
    here.each("outlierDetectionHttpErrorCodes", outlier.outlierDetectionHttpErrorCodes) { item, code, _ in
      if !(100...599).contains(code) { item.error("\(code) is not a status; allowed are 100 to 599") }
    }
  }

  static func check(_ tls: Istio.ClientTLSSettings, _ here: inout FindingCollector) {
    let files: [(String, String)] = [
      ("clientCertificate", tls.clientCertificate), ("privateKey", tls.privateKey),
      ("caCertificates", tls.caCertificates), ("caCrl", tls.caCrl),
    ]
    let set = files.filter { !$0.1.isEmpty }.map(\.0)
    switch tls.mode {
    case .istioMutual:
      for field in set {
        here.error(field, "must not be set with mode ISTIO_MUTUAL, whose certificates the mesh issues")
      }
      if !tls.credentialName.isEmpty {
        here.error("credentialName", "must not be set with mode ISTIO_MUTUAL, whose certificates the mesh issues")
      }
    case .mutual:
      if tls.credentialName.isEmpty {
        if tls.clientCertificate.isEmpty {
          here.error("clientCertificate", "must be set with mode MUTUAL, or credentialName")
        }
        if tls.privateKey.isEmpty { here.error("privateKey", "must be set with mode MUTUAL, or credentialName") }
      } else {
        for field in set { here.error(field, "must not be set beside credentialName") }
      }
    case .simple:
      for field in ["clientCertificate", "privateKey"] where set.contains(field) {
        here.warning(field, "has no effect with mode SIMPLE; mode MUTUAL presents a certificate")
      }
      if !tls.credentialName.isEmpty {
        for field in ["caCertificates", "caCrl"] where set.contains(field) {
          here.error(field, "must not be set beside credentialName")
        }
      }
    default:
      // The mode that a block without one has.
      let others = [
        ("credentialName", !tls.credentialName.isEmpty), ("subjectAltNames", !tls.subjectAltNames.isEmpty),
        ("sni", !tls.sni.isEmpty), ("insecureSkipVerify", tls.insecureSkipVerify != nil),
      ]
      for field in set + others.filter(\.1).map(\.0) {
        here.warning(field, "has no effect with mode DISABLE, which is meant when none is set")
      }
    }
    if tls.insecureSkipVerify?.value == true {
      if !tls.caCertificates.isEmpty { here.error("caCertificates", "must not be set with insecureSkipVerify") }
      if !tls.subjectAltNames.isEmpty { here.error("subjectAltNames", "must not be set with insecureSkipVerify") }
    }
    here.at("sni") { inner in
      inner.checkTargetText(tls.sni)
      if tls.sni.utf8.count > 255 { inner.error("a server name must not be longer than 255 bytes") }
    }
    here.each("subjectAltNames", tls.subjectAltNames) { item, name, _ in
      if name.isEmpty { item.error("must not be empty") }
    }
  }
}
