import Testing
import WeftBase
import WeftModel
import WeftTLS
import WeftTelemetry
import WeftTestKit

@testable import WeftProxyControl
@testable import WeftProxyTestKit
@testable import WeftXDSClient

@Suite("bootstrap")
struct BootstrapTests {
  static func files(_ kind: String) -> [String] { (try? Golden.files(in: "bootstrap/\(kind)")) ?? [] }

  static func bytes(_ kind: String, _ name: String) throws -> [UInt8] { try Golden.bytes("bootstrap/\(kind)/\(name)") }

  static func validate(_ bytes: [UInt8]) throws -> BootstrapLoader.Loaded {
    try BootstrapLoader.validate(bytes, extensions: .basics)
  }

  @Test("there are enough files")
  func enough() {
    #expect(Self.files("valid").count >= 30 && Self.files("invalid").count >= 15)
  }

  @Test("valid files are accepted", arguments: files("valid"))
  func valid(name: String) throws {
    let loaded = try Self.validate(try Self.bytes("valid", name))
    for warning in loaded.warnings { #expect(!warning.message.contains("unknown field"), "\(warning)") }
  }

  @Test(
    "broken files are refused with the path and the reason that their first line names", arguments: files("invalid"))
  func invalid(name: String) throws {
    let bytes = try Self.bytes("invalid", name)
    let first = String(decoding: bytes, as: UTF8.self).prefix { $0 != "\n" }
    let expected = try #require(first.hasPrefix("# error: ") ? first.dropFirst(9) : nil)
    let error = #expect(throws: ConfigError.self) { try Self.validate(bytes) }
    #expect(error?.description.contains(expected) == true, "\(error?.description ?? "accepted")")
  }

  @Test("JSON and YAML of one document give the same bootstrap")
  func sameInBothForms() throws {
    let yaml = try BootstrapLoader.load(try Self.bytes("valid", "one-route.yaml"))
    let json = try BootstrapLoader.load(try Self.bytes("valid", "as-json.json"))
    #expect(yaml.bootstrap == json.bootstrap)
  }

  @Test("a key that is another certificate's is refused where it stands; files that are not there are left aside")
  func keyOfAnother() throws {
    let authority = try TLSWorld()
    let (a, b) = (
      try authority.certificate(SubjectAltName(.dns, "a.test")),
      try authority.certificate(SubjectAltName(.dns, "b.test"))
    )
    func source(_ source: DataSource) -> String {
      guard case .inline(let bytes) = source else { return "{ filename: /nowhere/at/all.pem }" }
      return "{ inline_string: \(JSONEscape.quoted(String(decoding: bytes, as: UTF8.self))) }"
    }
    let (right, wrong, away) = (
      "{ certificate_chain: \(source(a.chain)), private_key: \(source(a.privateKey)) }",
      "{ certificate_chain: \(source(a.chain)), private_key: \(source(b.privateKey)) }",
      "{ certificate_chain: \(source(a.chain)), private_key: \(source(.file(path: ""))) }"
    )
    let type = "\"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3"
    func tls(_ side: String, _ pair: String) -> String {
      "transport_socket: { name: t, typed_config: { \(type).\(side), common_tls_context: { tls_certificates: [\(right), \(pair)] } } }"
    }
    func bootstrap(_ secret: String, _ cluster: String, _ chain: String, _ standard: String) -> [UInt8] {
      let tcp =
        "filters: [{ name: t, typed_config: { \"@type\": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: t, cluster: c } }]"
      return Array(
        """
        static_resources:
          secrets: [{ name: s, tls_certificate: \(secret) }]
          clusters: [{ name: c, type: STATIC, \(tls("UpstreamTlsContext", cluster)) }]
          listeners:
          - name: l
            address: { socket_address: { address: 127.0.0.1, port_value: 0 } }
            filter_chains: [{ filter_chain_match: { server_names: [x] }, \(tcp), \(tls("DownstreamTlsContext", chain)) }]
            default_filter_chain: { \(tcp), \(tls("DownstreamTlsContext", standard)) }
        """.utf8)
    }
    _ = try Self.validate(bootstrap(right, right, right, right))
    _ = try Self.validate(bootstrap(away, away, away, away))
    let inside = "transport_socket.typed_config.common_tls_context.tls_certificates[1]"
    for (bytes, path) in [
      (bootstrap(wrong, right, right, right), "secrets[0].tls_certificate"),
      (bootstrap(right, wrong, right, right), "clusters[0].\(inside)"),
      (bootstrap(right, right, wrong, right), "listeners[0].filter_chains[0].\(inside)"),
      (bootstrap(right, right, right, wrong), "listeners[0].default_filter_chain.\(inside)"),
    ] {
      let error = #expect(throws: ConfigError.self) { try Self.validate(bytes) }
      #expect(error.map { "\($0.path)" } == "static_resources.\(path)")
      #expect(error?.message.contains("does not fit the certificate") ?? false, "\(error?.message ?? "")")
    }
  }

  @Test("a TLS context whose files or secrets are elsewhere is left aside")
  func contextsElsewhere() throws {
    let type = "\"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
    for common in [
      "validation_context: { trusted_ca: { filename: /nowhere/at/all.pem } }, tls_params: { cipher_suites: [ECDHE-RSA-AES128-GCM-SHA256] }",
      "tls_certificate_sds_secret_configs: [{ name: s, sds_config: { path_config_source: { path: /nowhere/at/all.yaml } } }]",
    ] {
      let bytes = Array(
        """
        static_resources:
          clusters: [{ name: c, type: STATIC, transport_socket: { name: t, typed_config: { \(type), common_tls_context: { \(common) } } } }]
        """.utf8)
      #expect(try Self.validate(bytes).bootstrap.clusters.count == 1)
    }
  }

  @Test("times of a watchdog count in whole milliseconds; below one there is none")
  func watchdogTimes() throws {
    let bytes = Array("watchdogs: { main_thread_watchdog: { kill_timeout: 0.0009s, multikill_timeout: 2s } }".utf8)
    let watchdog = try BootstrapLoader.load(bytes).bootstrap.mainWatchdog
    #expect(watchdog.kill == nil && watchdog.multiKill == .seconds(2))
  }

  @Test("an error names the unknown fields that may be its cause")
  func unknownBesideAnError() throws {
    let bytes = Array(
      """
      static_resources:
        clusters: [{ name: c, typ: STATIC, lb_policy: MAGLEV, maglev_lb_config: { table_size: 8 } }]
      """.utf8)
    let error = #expect(throws: ConfigError.self) { try BootstrapLoader.load(bytes) }
    let message = error?.message ?? ""
    #expect(message.hasSuffix("; unknown: static_resources.clusters[0].typ"), "\(message)")
  }

  @Test("a bootstrap in place is merged into the file's: values replace, lists follow, objects merge")
  func merged() throws {
    let file = Array(
      """
      node: { id: a, cluster: x }
      static_resources:
        clusters: [{ name: one, type: STATIC }]
      stats_sinks: [{ name: a, typed_config: { "@type": type.googleapis.com/google.protobuf.Empty, value: 1 } }]
      """.utf8)
    let more = Array("{node: {id: b}, staticResources: {clusters: [{name: two, type: STATIC}]}}".utf8)
    let loaded = try BootstrapLoader.load(file, with: more, extensions: .basics)
    #expect(loaded.bootstrap.node.id == "b" && loaded.bootstrap.node.cluster == "x")
    #expect(loaded.bootstrap.clusters.map(\.name) == ["one", "two"])
    let error = #expect(throws: ConfigError.self) { try BootstrapLoader.load(file, with: Array("[]".utf8)) }
    #expect(error?.message.contains("must be an object") ?? false)
  }

  @Test("a static secret of another kind than its place wants is refused")
  func kindOfSecret() throws {
    let type = "\"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
    for (secret, place, reason) in [
      (
        "validation_context: {}", "tls_certificate_sds_secret_configs: [{ name: s }]",
        "must be a tls_certificate, is a validation_context"
      ),
      (
        "tls_certificate: { certificate_chain: { filename: /a }, private_key: { filename: /b } }",
        "validation_context_sds_secret_config: { name: s }", "must be a validation_context, is a tls_certificate"
      ),
      (
        "generic_secret: { secret: { inline_string: x } }", "tls_certificate_sds_secret_configs: [{ name: s }]",
        "is a generic_secret"
      ),
    ] {
      let bytes = Array(
        """
        static_resources:
          secrets: [{ name: s, \(secret) }]
          clusters: [{ name: c, type: STATIC, transport_socket: { name: t, typed_config: { \(type), common_tls_context: { \(place) } } } }]
        """.utf8)
      let error = #expect(throws: ConfigError.self) { try Self.validate(bytes) }
      #expect(error?.message.contains(reason) ?? false, "\(error?.message ?? "")")
    }
  }

  @Test("a document in flow style is YAML where it is no JSON; one that is neither says both reasons")
  func flowStyle() throws {
    let flow = Array(
      "{admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}, # why\n static_resources: {}}".utf8)
    let json = Array(
      #"{"admin":{"address":{"socket_address":{"address":"127.0.0.1","port_value":0}}},"static_resources":{}}"#.utf8)
    #expect(try BootstrapLoader.load(flow).bootstrap == BootstrapLoader.load(json).bootstrap)
    for text in ["{admin: {}", #"{"admin":{}, "admin":{}}"#, "{admin: {}, admin: {}}", "{a: *b}"] {
      let error = #expect(throws: ConfigError.self, "\(text)") { try BootstrapLoader.load(Array(text.utf8)) }
      #expect(error?.message.hasPrefix("is neither JSON (") ?? false, "\(error?.message ?? "")")
    }
  }

  @Test("fields of rate limits that have no effect say what holds instead")
  func rateLimits() throws {
    let actions = "actions: [{ remote_address: {} }]"
    let loaded = try BootstrapLoader.load(
      Array(
        """
        static_resources:
          clusters: [{ name: c, type: STATIC }]
          listeners:
          - name: l
            address: { socket_address: { address: 127.0.0.1, port_value: 1 } }
            filter_chains:
            - filters:
              - name: http
                typed_config:
                  "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                  stat_prefix: x
                  http_filters:
                  - name: envoy.filters.http.router
                    typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
                  route_config:
                    virtual_hosts:
                    - { name: v, domains: ["*"], rate_limits: [{ \(actions) }], routes: [{ match: { prefix: / }, redirect: {} },
                        { match: { prefix: /a }, route: { cluster: c, rate_limits: [{ \(actions) }], include_vh_rate_limits: true } }] }
        """.utf8), extensions: .basics)
    let said = Dictionary(
      loaded.warnings.map { ("\($0.path)".split(separator: ".").last.map(String.init) ?? "", $0.message) }
    ) { first, second in first == second ? first : "\(first) and \(second)" }
    #expect(said["rate_limits"]?.contains("rate_limits of envoy.filters.http.local_ratelimit") ?? false)
    #expect(said["include_vh_rate_limits"]?.contains("come with the service for rate limits") ?? false)
    #expect(loaded.warnings.count == 3, "\(loaded.warnings)")
  }

  private func resolver(_ config: String, cluster: String = "") -> [UInt8] {
    let type = "type.googleapis.com/envoy.extensions.network.dns_resolver"
    return Array(
      """
      typed_dns_resolver_config: { name: r, typed_config: { "@type": \(type).\(config) } }
      static_resources:
        clusters:
        - { name: a, type: STRICT_DNS, load_assignment: { cluster_name: a }\(cluster.isEmpty ? "" : ", typed_dns_resolver_config: { name: r, typed_config: { \"@type\": \(type).\(cluster) } }") }
      """.utf8)
  }

  @Test("own resolvers are asked; a cluster's win over the bootstrap's; what would ask others is refused")
  func resolvers() throws {
    let one =
      "cares.v3.CaresDnsResolverConfig, resolvers: [{ socket_address: { address: 10.0.0.1, port_value: 5353 } }]"
    let two = one.replacing("10.0.0.1", with: "10.0.0.2")
    let loaded = try BootstrapLoader.load(resolver(one + ", dns_resolver_options: { use_tcp_for_dns_lookups: true }"))
    #expect(loaded.bootstrap.clusters[0].dnsResolver?.servers == [.socket(host: "10.0.0.1", port: 5353)])
    #expect(loaded.bootstrap.clusters[0].dnsResolver?.usesTCP == true)
    let own = try BootstrapLoader.load(resolver(one, cluster: two))
    #expect(own.bootstrap.clusters[0].dnsResolver?.servers == [.socket(host: "10.0.0.2", port: 5353)])
    for bad in [
      one + ", use_resolvers_as_fallback: true", one.replacing("10.0.0.1", with: "dns.test"),
      "apple.v3.AppleDnsResolverConfig",
    ] {
      #expect(throws: ConfigError.self, "\(bad)") { try BootstrapLoader.load(resolver(bad)) }
    }
  }

  private func filters(_ more: String, perRoute: String = "") -> [UInt8] {
    Array(
      """
      static_resources:
        listeners:
        - name: l
          address: { socket_address: { address: 127.0.0.1, port_value: 1 } }
          filter_chains:
          - filters:
            - name: http
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: x
                \(more)
                http_filters:
                - name: envoy.filters.http.router
                  typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
                route_config:
                  virtual_hosts:
                  - { name: v, domains: ["*"], routes: [{ match: { prefix: / }, direct_response: { status: 200 }\(perRoute) }] }
      """.utf8)
  }

  @Test(
    "names of enum values are taken in any case, with dashes too",
    arguments: ["auto", "Auto", "AUTO", "http1", "HTTP2"])
  func enumCase(name: String) throws {
    let loaded = try Self.validate(filters("codec_type: \(name)"))
    #expect(loaded.warnings.isEmpty)
    #expect(throws: ConfigError.self) { try Self.validate(filters("codec_type: \(name)s")) }
  }

  @Test("a tracing provider that nobody knows is reported and left out")
  func tracing() throws {
    let provider = """
      tracing: { provider: { name: envoy.tracers.zipkin, typed_config: { "@type": type.googleapis.com/envoy.config.trace.v3.NoSuchConfig, x: 1 } } }
      """
    let loaded = try Self.validate(filters(provider))
    #expect(loaded.bootstrap.listeners.count == 1)
    #expect(loaded.warnings.contains { $0.path.description.hasSuffix("tracing.provider") })
    let sinks = Array(
      """
      stats_sinks: [{ name: s, typed_config: { "@type": type.googleapis.com/envoy.config.metrics.v3.NoSuchSink } }]
      bootstrap_extensions: [{ name: b, typed_config: { "@type": type.googleapis.com/envoy.extensions.nothing.v3.NoSuch } }]
      """.utf8)
    #expect(
      try Self.validate(sinks).warnings.map(\.path.description) == ["stats_sinks", "bootstrap_extensions"])
  }

  @Test("an extension that nobody knows is refused by its name, with those that are known")
  func unknownExtension() throws {
    let perRoute = """
      , typed_per_filter_config: { envoy.filters.http.nope: { "@type": type.googleapis.com/envoy.extensions.filters.http.nope.v3.Nope } }
      """
    let error = #expect(throws: ConfigError.self) { try Self.validate(filters("", perRoute: perRoute)) }
    let text = error?.description ?? ""
    #expect(
      text.contains("'envoy.filters.http.nope' with type URL: 'envoy.extensions.filters.http.nope.v3.Nope'"), "\(text)")
    #expect(text.contains("known here: ") && text.contains("envoy.extensions.filters.http.router.v3.Router"), "\(text)")
  }

  @Test("the discovery cluster's keep-alive bounds how long a silent control plane is waited for")
  func discoveryKeepAlive() throws {
    func configuration(_ pings: String) throws -> XDSClientConfiguration {
      let text = """
        node: { id: a, cluster: b }
        dynamic_resources:
          ads_config: { api_type: GRPC, grpc_services: [{ envoy_grpc: { cluster_name: xds } }] }
          cds_config: { ads: {} }
        static_resources:
          clusters:
            - name: xds
              type: STATIC
              http2_protocol_options: { \(pings) }
              load_assignment:
                cluster_name: xds
                endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: 1 } } } }] }]
        """
      let loaded = try BootstrapLoader.load(Array(text.utf8))
      return try #require(try XDSClientConfiguration(loaded.bootstrap, document: loaded.document))
    }
    let asked = try configuration("connection_keepalive: { interval: 30s, timeout: 10s }").keepAlive
    #expect(asked?.time == .seconds(30) && asked?.timeout == .seconds(10))
    #expect(try configuration("").keepAlive == nil)
  }

  @Test("unknown fields and settings without effect are reported by path")
  func warnings() throws {
    let text = """
      admin: { address: { socket_address: { address: 127.0.0.1, port_value: 0 } }, colour: red }
      static_resources:
        clusters:
          - name: a
            common_lb_config: { ignore_new_hosts_until_first_hc: true }
            health_checks:
              - { timeout: 1s, interval: 5s, unhealthy_threshold: 2, healthy_threshold: 2, tcp_health_check: {} }
      """
    let loaded = try BootstrapLoader.load(Array(text.utf8))
    let paths = loaded.warnings.map(\.path.description)
    #expect(paths.contains("admin.colour"))
    #expect(paths.contains("static_resources.clusters[0].common_lb_config.ignore_new_hosts_until_first_hc"))
    #expect(paths.contains("static_resources.clusters[0].health_checks"))
    let error = #expect(throws: ConfigError.self) {
      try BootstrapLoader.load(Array(text.utf8), refuseUnknownFields: true)
    }
    #expect(error?.description.contains("colour") == true)
  }

  @Test("a file that is not there is refused with the system's reason")
  func missing() {
    let error = #expect(throws: ConfigError.self) { try BootstrapLoader.load(path: "/nonexistent.yaml") }
    #expect(error?.message.contains("No such file") == true)
  }

  @Test("node, streams and runtime are read")
  func contents() throws {
    let ads = try BootstrapLoader.load(try Self.bytes("valid", "ads-delta.yaml")).bootstrap
    #expect(ads.node.id == "n1" && ads.node.cluster == "c1")
    #expect(ads.ads?.cluster == "xds" && ads.ads?.delta == true && ads.clustersFromADS && !ads.listenersFromADS)
    let runtime = try BootstrapLoader.load(try Self.bytes("valid", "pipes-and-runtime.yaml")).bootstrap.runtime
    #expect(runtime.count == 1)
    guard case .fixed(let values)? = runtime.first?.kind else { return #expect(Bool(false)) }
    #expect(values == ["overload.global_downstream_max_connections": RuntimeValue(text: "50000")])
  }
}
