import WeftControlAPI
import WeftKinds
import WeftProtobuf
import WeftXDSMessages

/// Writes a traffic policy into a cluster: balancing, limits, ejection, HTTP options, TLS.
struct ClusterPolicyWriter {
  let mesh: MeshSettings
  let service: Service
  let port: ServicePort
  let isGRPC: Bool
  let isEnvoy: Bool

  func write(_ policy: EffectivePolicy, to cluster: inout Cluster) {
    cluster.connectTimeout =
      policy.connectionPool?.tcp?.connectTimeout ?? Google_Protobuf_Duration(nanoseconds: mesh.connectTimeout)
    if cluster.lbPolicy != .clusterProvided { writeBalancing(policy, to: &cluster) }
    writeLimits(policy, to: &cluster)
    if let detection = policy.outlierDetection { writeOutlierDetection(detection, to: &cluster) }
    writeProtocol(policy, to: &cluster)
    if let tls = policy.tls { writeTLS(tls, to: &cluster) }
    // gRPC libraries know no such header.
    if let header = policy.proxyProtocol, !isGRPC { writeProxyProtocol(header, to: &cluster) }
    if let keepalive = policy.connectionPool?.tcp?.tcpKeepalive {
      var options = Envoy_Config_Cluster_V3_UpstreamConnectionOptions()
      var settings = Envoy_Config_Core_V3_TcpKeepalive()
      if keepalive.probes > 0 { settings.keepaliveProbes = Google_Protobuf_UInt32Value(keepalive.probes) }
      settings.keepaliveTime = keepalive.time.map { Google_Protobuf_UInt32Value(UInt32(clamping: $0.seconds)) }
      settings.keepaliveInterval = keepalive.interval.map { Google_Protobuf_UInt32Value(UInt32(clamping: $0.seconds)) }
      options.tcpKeepalive = settings
      cluster.upstreamConnectionOptions = options
    }
  }

  /// Puts the header in front of what the connections are otherwise.
  private func writeProxyProtocol(
    _ header: Istio_Networking_V1alpha3_TrafficPolicy.ProxyProtocol, to cluster: inout Cluster
  ) {
    var wrapper = Envoy_Extensions_TransportSockets_ProxyProtocol_V3_ProxyProtocolUpstreamTransport()
    var config = Envoy_Config_Core_V3_ProxyProtocolConfig()
    config.version = header.version == .v2 ? .v2 : .v1
    wrapper.config = config
    wrapper.transportSocket =
      cluster.transportSocket
      ?? Envoy_Config_Core_V3_TransportSocket(
        "envoy.transport_sockets.raw_buffer", Envoy_Extensions_TransportSockets_RawBuffer_V3_RawBuffer())
    cluster.transportSocket = Envoy_Config_Core_V3_TransportSocket(
      "envoy.transport_sockets.upstream_proxy_protocol", wrapper)
  }

  // MARK: Balancing

  private func writeBalancing(_ policy: EffectivePolicy, to cluster: inout Cluster) {
    // gRPC clients know ROUND_ROBIN and RING_HASH for certain, the others only when switched on.
    cluster.lbPolicy = isGRPC ? .roundRobin : .leastRequest
    switch policy.loadBalancer?.lbPolicy {
    case .simple(let simple):
      switch simple {
      case .roundRobin: cluster.lbPolicy = .roundRobin
      case .random: if !isGRPC { cluster.lbPolicy = .random }
      default: break
      }
    case .consistentHash(let hash):
      if case .maglev(let maglev) = hash.hashAlgorithm, !isGRPC {
        cluster.lbPolicy = .maglev
        var config = Cluster.MaglevLbConfig()
        if maglev.tableSize > 0 { config.tableSize = Google_Protobuf_UInt64Value(maglev.tableSize) }
        cluster.lbConfig = .maglevLbConfig(config)
      } else {
        cluster.lbPolicy = .ringHash
        var size = hash.minimumRingSize
        if case .ringHash(let ring) = hash.hashAlgorithm { size = ring.minimumRingSize }
        var config = Cluster.RingHashLbConfig()
        config.minimumRingSize = Google_Protobuf_UInt64Value(size > 0 ? size : 1024)
        cluster.lbConfig = .ringHashLbConfig(config)
      }
    case nil: break
    }
    if let warmup = policy.loadBalancer?.anyWarmup { writeWarmup(warmup, to: &cluster) }
    var common = Cluster.CommonLbConfig()
    common.localityConfigSpecifier = .localityWeightedLbConfig(Cluster.CommonLbConfig.LocalityWeightedLbConfig())
    cluster.commonLbConfig = common
  }

  private func writeWarmup(_ warmup: Istio_Networking_V1alpha3_WarmupConfiguration, to cluster: inout Cluster) {
    var slow = Cluster.SlowStartConfig()
    slow.slowStartWindow = warmup.duration
    var minimum = Envoy_Type_V3_Percent()
    minimum.value = warmup.minimumPercent?.value ?? 10
    slow.minWeightPercent = minimum
    if let value = warmup.aggression?.value {
      var aggression = Envoy_Config_Core_V3_RuntimeDouble()
      aggression.defaultValue = value
      aggression.runtimeKey = "slowstart.aggression"
      slow.aggression = aggression
    }
    switch cluster.lbPolicy {
    case .roundRobin:
      var config = Cluster.RoundRobinLbConfig()
      config.slowStartConfig = slow
      cluster.lbConfig = .roundRobinLbConfig(config)
    case .leastRequest:
      var config = Cluster.LeastRequestLbConfig()
      config.slowStartConfig = slow
      cluster.lbConfig = .leastRequestLbConfig(config)
    default: break
    }
  }

  // MARK: Limits

  /// Envoy's own limits (1,024) are reached silently by a busy service; Istio lifts them all. Retries alone stay bounded,
  /// by a budget: a fifth of the active requests, but room for the neighbours of one dead instance.
  private func writeLimits(_ policy: EffectivePolicy, to cluster: inout Cluster) {
    func limit(_ value: Int32?) -> Google_Protobuf_UInt32Value {
      Google_Protobuf_UInt32Value(value.flatMap { $0 > 0 ? UInt32($0) : nil } ?? .max)
    }
    let http = policy.connectionPool?.http
    var thresholds = Envoy_Config_Cluster_V3_CircuitBreakers.Thresholds()
    thresholds.maxConnections = limit(policy.connectionPool?.tcp?.maxConnections)
    thresholds.maxPendingRequests = limit(http?.http1MaxPendingRequests)
    thresholds.maxRequests = limit(http?.http2MaxRequests)
    thresholds.maxRetries = limit(http?.maxRetries)
    thresholds.trackRemaining = true
    if (http?.maxRetries ?? 0) <= 0 || policy.retryBudget != nil {
      var budget = Envoy_Config_Cluster_V3_CircuitBreakers.Thresholds.RetryBudget()
      var percent = Envoy_Type_V3_Percent()
      percent.value = policy.retryBudget?.percent?.value ?? 20
      budget.budgetPercent = percent
      let least = policy.retryBudget.map { $0.minRetryConcurrency > 0 ? $0.minRetryConcurrency : 3 } ?? 100
      budget.minRetryConcurrency = Google_Protobuf_UInt32Value(least)
      thresholds.retryBudget = budget
    }
    var breakers = Envoy_Config_Cluster_V3_CircuitBreakers()
    breakers.thresholds = [thresholds]
    cluster.circuitBreakers = breakers
  }

  private func writeOutlierDetection(
    _ settings: Istio_Networking_V1alpha3_OutlierDetection, to cluster: inout Cluster
  ) {
    var detection = Envoy_Config_Cluster_V3_OutlierDetection()
    let off = Google_Protobuf_UInt32Value(0)
    let on = Google_Protobuf_UInt32Value(100)
    detection.interval = settings.interval
    detection.baseEjectionTime = settings.baseEjectionTime
    detection.enforcingSuccessRate = off
    if let count = settings.consecutive5xxErrors {
      detection.consecutive5xx = count
      detection.enforcingConsecutive5xx = count.value == 0 ? off : on
    }
    if let count = settings.consecutiveGatewayErrors {
      detection.consecutiveGatewayFailure = count
      detection.enforcingConsecutiveGatewayFailure = count.value == 0 ? off : on
    }
    if settings.splitExternalLocalOriginErrors {
      detection.splitExternalLocalOriginErrors = true
      detection.enforcingLocalOriginSuccessRate = off
      if let count = settings.consecutiveLocalOriginFailures {
        detection.consecutiveLocalOriginFailure = count
        detection.enforcingConsecutiveLocalOriginFailure = count.value == 0 ? off : on
      }
    }
    if settings.maxEjectionPercent > 0 {
      detection.maxEjectionPercent = Google_Protobuf_UInt32Value(UInt32(settings.maxEjectionPercent))
    }
    // Ten percent of two instances is none: one may always go.
    detection.alwaysEjectOneHost = Google_Protobuf_BoolValue(true)
    cluster.outlierDetection = detection
    var common = cluster.commonLbConfig ?? Cluster.CommonLbConfig()
    var panic = Envoy_Type_V3_Percent()
    panic.value = Double(max(settings.minHealthPercent, 0))
    common.healthyPanicThreshold = panic
    cluster.commonLbConfig = common
  }

  // MARK: HTTP

  private func writeProtocol(_ policy: EffectivePolicy, to cluster: inout Cluster) {
    guard port.protocol.isHTTP, !isGRPC else {
      if isGRPC { cluster.typedExtensionProtocolOptions = HTTPProtocolOptions.http2().asExtension }
      return
    }
    let http = policy.connectionPool?.http
    var options = HTTPProtocolOptions()
    var isNeeded = false
    if http?.useClientProtocol == true {
      options.upstreamProtocolOptions = .useDownstreamProtocolConfig(.init())
      isNeeded = true
    } else if port.protocol.isHTTP2 || http?.h2UpgradePolicy == .upgrade {
      options = .http2(
        maxConcurrentStreams: http?.maxConcurrentStreams ?? 0, keepAlive: http?.http2KeepAlive)
      isNeeded = true
    } else {
      options = .http1()
    }
    var common = Envoy_Config_Core_V3_HttpProtocolOptions()
    if let idle = http?.idleTimeout ?? policy.connectionPool?.tcp?.idleTimeout {
      common.idleTimeout = idle
      isNeeded = true
    }
    if let duration = policy.connectionPool?.tcp?.maxConnectionDuration {
      common.maxConnectionDuration = duration
      isNeeded = true
    }
    if let count = http?.maxRequestsPerConnection, count > 0 {
      common.maxRequestsPerConnection = Google_Protobuf_UInt32Value(UInt32(count))
      isNeeded = true
    }
    guard isNeeded else { return }
    options.commonHttpProtocolOptions = common
    cluster.typedExtensionProtocolOptions = options.asExtension
  }

  // MARK: TLS

  private func writeTLS(
    _ tls: Istio_Networking_V1alpha3_ClientTLSSettings, to cluster: inout Cluster
  ) {
    switch tls.mode {
    case .disable: return
    case .simple, .mutual: break
    default:
      // Identities are not issued yet. Sending in the clear what a rule wants encrypted is worse than not sending.
      failClosed(&cluster)
      return
    }
    if !tls.credentialName.isEmpty {
      failClosed(&cluster)
      return
    }
    var context = UpstreamTLSContext()
    let serverName = !tls.sni.isEmpty ? tls.sni : Hostname.isWildcard(service.host) ? "" : service.host
    context.sni = serverName
    var common = CommonTLSContext()
    if tls.mode == .mutual {
      var certificate = Envoy_Extensions_TransportSockets_Tls_V3_TlsCertificate()
      certificate.certificateChain = .file(tls.clientCertificate)
      certificate.privateKey = .file(tls.privateKey)
      common.tlsCertificates = [certificate]
    }
    if tls.insecureSkipVerify?.value != true {
      common.validationContextType = .validationContext(validation(tls, serverName: serverName))
    }
    if port.protocol.isHTTP2 {
      common.alpnProtocols = ["h2"]
    } else if port.protocol.isHTTP {
      common.alpnProtocols = ["http/1.1"]
    }
    context.commonTlsContext = common
    cluster.transportSocket = Envoy_Config_Core_V3_TransportSocket("envoy.transport_sockets.tls", context)
  }

  private func validation(
    _ tls: Istio_Networking_V1alpha3_ClientTLSSettings, serverName: String
  ) -> Envoy_Extensions_TransportSockets_Tls_V3_CertificateValidationContext {
    var validation = Envoy_Extensions_TransportSockets_Tls_V3_CertificateValidationContext()
    // Without a CA of its own the rule means the machine's: our proxy and gRPC libraries know where those are, Envoy wants a file.
    if !tls.caCertificates.isEmpty {
      validation.trustedCa = .file(tls.caCertificates)
    } else if isEnvoy {
      validation.trustedCa = .file(Self.systemCertificates)
    } else {
      validation.systemRootCerts = .init()
    }
    if !tls.caCrl.isEmpty { validation.crl = .file(tls.caCrl) }
    var names = tls.subjectAltNames.isEmpty ? service.subjectAltNames : tls.subjectAltNames
    if names.isEmpty, !serverName.isEmpty { names = [serverName] }
    for name in names {
      var matcher = Envoy_Extensions_TransportSockets_Tls_V3_SubjectAltNameMatcher()
      matcher.sanType = name.contains("://") ? .uri : .dns
      matcher.matcher = .exact(name)
      validation.matchTypedSubjectAltNames.append(matcher)
    }
    return validation
  }

  /// Where Debian and its relatives keep the machine's certificates.
  private static let systemCertificates = "/etc/ssl/certs/ca-certificates.crt"

  private func failClosed(_ cluster: inout Cluster) {
    cluster.clusterDiscoveryType = .type(.static)
    cluster.edsClusterConfig = nil
    cluster.loadAssignment = nil
    if cluster.lbPolicy == .clusterProvided { cluster.lbPolicy = .roundRobin }
  }

}

extension Istio_Networking_V1alpha3_LoadBalancerSettings {
  /// In the newer form, in whichever it is written.
  var anyWarmup: Istio_Networking_V1alpha3_WarmupConfiguration? {
    if let warmup { return warmup }
    guard let warmupDurationSecs else { return nil }
    var older = Istio_Networking_V1alpha3_WarmupConfiguration()
    older.duration = warmupDurationSecs
    return older
  }
}

extension HTTPProtocolOptions {
  static func http2(
    maxConcurrentStreams: Int32 = 0,
    keepAlive: Istio_Networking_V1alpha3_ConnectionPoolSettings.HTTPSettings.ConnectionKeepalive? = nil
  ) -> HTTPProtocolOptions {
    var http2 = Envoy_Config_Core_V3_Http2ProtocolOptions()
    if maxConcurrentStreams > 0 {
      http2.maxConcurrentStreams = Google_Protobuf_UInt32Value(UInt32(maxConcurrentStreams))
    }
    if let keepAlive {
      var settings = Envoy_Config_Core_V3_KeepaliveSettings()
      settings.interval = keepAlive.interval
      settings.timeout = keepAlive.timeout ?? Google_Protobuf_Duration(seconds: 20)
      http2.connectionKeepalive = settings
    }
    var explicit = HTTPProtocolOptions.ExplicitHttpConfig()
    explicit.protocolConfig = .http2ProtocolOptions(http2)
    var options = HTTPProtocolOptions()
    options.upstreamProtocolOptions = .explicitHttpConfig(explicit)
    return options
  }

  static func http1() -> HTTPProtocolOptions {
    var explicit = HTTPProtocolOptions.ExplicitHttpConfig()
    explicit.protocolConfig = .httpProtocolOptions(Envoy_Config_Core_V3_Http1ProtocolOptions())
    var options = HTTPProtocolOptions()
    options.upstreamProtocolOptions = .explicitHttpConfig(explicit)
    return options
  }

  var asExtension: [String: Google_Protobuf_Any] {
    ["envoy.extensions.upstreams.http.v3.HttpProtocolOptions": Google_Protobuf_Any(packing: self)]
  }
}
