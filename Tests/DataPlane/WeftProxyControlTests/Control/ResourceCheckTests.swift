import Testing
import WeftBase
import WeftModel
import WeftProxyAPI
import WeftTelemetry

@testable import WeftCompile
@testable import WeftProxyControl
@testable import WeftProxyTestKit
@testable import WeftXDSClient

/// A filter that routes configure with one byte, which must be 0.
private struct Strict: HTTPFilter {
  struct Config: BitwiseCopyable {}
  static let route = "tests.StrictPerRoute"
  static var name: StaticString { "tests.strict" }
  static var messages: FilterMessages { FilterMessages(chain: "tests.Strict", route: route) }
  static func compile(_ source: FilterSource, _ context: FilterContext) throws(ConfigError) -> Config {
    guard source.overrides.allSatisfy({ $0.message == [0] }) else {
      throw ConfigError(path: FieldPath().field("value"), "must be 0")
    }
    return Config()
  }
  init(_ config: Config) {}
}

@Suite("checks before an acknowledgement")
struct ResourceCheckTests {
  private static func check(_ model: XDSModel, known: [String] = [], store: XDSStore = XDSStore()) -> String {
    var store = store
    for name in known {
      let resource = XDSResource(name: name, typeURL: XDSType.clusters.rawValue, value: [])
      _ = store.set(.clusters, name, XDSStore.Entry(model: .cluster(Cluster(name: name)), resource: resource))
    }
    var fixed = ConfigState()
    fixed.clusters = [Cluster(name: "fixed")]
    let check = ResourceCheck(
      logs: AccessLogFiles(workers: 1, opensFiles: false), security: TLSSecurity(), fixed: fixed,
      extensions: ProxyExtensions(httpFilters: HTTPFilterRegistry([Strict.self])).withBasics)
    do throws(ConfigError) {
      try check.check(model, beside: store)
      return ""
    } catch {
      return error.description
    }
  }

  private static func routes(_ match: RouteMatch, cluster: String = "known") -> RouteConfiguration {
    var host = VirtualHost(name: "h", domains: ["*"])
    host.routes = [Route(match: match, action: .forward(RouteAction(cluster: .cluster(cluster))))]
    var routes = RouteConfiguration(name: "r")
    routes.virtualHosts = [host]
    return routes
  }

  private static func listener(_ routes: HTTPConnectionManager.Routes, tls: DownstreamTLSContext? = nil) -> Listener {
    var chain = FilterChain(name: "")
    chain.filters = [.httpConnectionManager(HTTPConnectionManager(statPrefix: "x", routes: routes))]
    chain.tls = tls
    var listener = Listener(name: "l", address: .socket(host: "127.0.0.1", port: 1))
    listener.filterChains = [chain]
    return listener
  }

  @Test("a pattern that is none")
  func badRegex() {
    let message = Self.check(.routes(Self.routes(RouteMatch(.regex("(")))))
    #expect(
      message.hasPrefix(
        "envoy.config.route.v3.RouteConfiguration r: virtual_hosts[0].routes[0].match.safe_regex.regex: "), "\(message)"
    )
    #expect(Self.check(.routes(Self.routes(RouteMatch(.regex("a+"))))) == "")
  }

  @Test("a cluster that must exist and does not; one that exists, accepted or fixed")
  func unknownCluster() {
    var routes = Self.routes(RouteMatch(.prefix("/")), cluster: "nowhere")
    routes.validateClusters = true
    let message = Self.check(.listener(Self.listener(.inline(routes))), known: ["known"])
    #expect(
      message
        == "envoy.config.listener.v3.Listener l: filter_chains[0].filters[0].typed_config.route_config.virtual_hosts[0].routes[0].route.cluster: "
        + "unknown cluster \"nowhere\"")
    for name in ["known", "fixed"] {
      routes = Self.routes(RouteMatch(.prefix("/")), cluster: name)
      routes.validateClusters = true
      #expect(Self.check(.listener(Self.listener(.inline(routes))), known: ["known"]) == "")
      #expect(Self.check(.routes(routes), known: ["known"]) == "")
    }
  }

  @Test("a cluster that gets copies and must exist: one that is accepted does", arguments: ["known", "unknown"])
  func mirrored(name: String) {
    var routes = Self.routes(RouteMatch(.prefix("/")))
    routes.validateClusters = true
    routes.virtualHosts[0].mirrors = [MirrorPolicy(cluster: name)]
    let message = Self.check(.routes(routes), known: ["known"])
    #expect(message.isEmpty == (name == "known"), "\(message)")
  }

  @Test(
    "what a table says of filters, by the filters of who asks for it: the stream's listeners or the bootstrap's",
    arguments: [Strict.route, "another.Message"], [true, false])
  func overridden(message: String, isFixed: Bool) {
    var manager = HTTPConnectionManager(statPrefix: "x", routes: .discovered(name: "r", source: .ads))
    manager.filters = [
      ConfiguredFilter(name: "strict", .filter(ExtensionConfig(typeName: Strict.messages.chain, message: [])))
    ]
    var listener = Self.listener(.inline(RouteConfiguration(name: "other")))
    listener.filterChains[0].filters = [.httpConnectionManager(manager)]
    var store = XDSStore(fixed: isFixed ? XDSNeeds([], [listener]) : XDSNeeds())
    let resource = XDSResource(name: "l", typeURL: XDSType.listeners.rawValue, value: [])
    if !isFixed { _ = store.set(.listeners, "l", XDSStore.Entry(model: .listener(listener), resource: resource)) }
    func told(_ level: Int, _ value: UInt8, filter: String = "strict") -> String {
      var routes = Self.routes(RouteMatch(.prefix("/")))
      let said = [filter: FilterOverride(config: ExtensionConfig(typeName: message, message: [value]))]
      switch level {
      case 0: routes.filters = said
      case 1: routes.virtualHosts[0].filters = said
      default: routes.virtualHosts[0].routes[0].filters = said
      }
      return Self.check(.routes(routes), store: store)
    }
    for (level, part) in ["", "virtual_hosts[0].", "virtual_hosts[0].routes[0]."].enumerated() {
      let at = "envoy.config.route.v3.RouteConfiguration r: \(part)typed_per_filter_config"
      if message == Strict.route {
        #expect(told(level, 0) == "")
        #expect(told(level, 1).hasPrefix(at) && told(level, 1).hasSuffix(".value: must be 0"), "\(told(level, 1))")
      } else {
        #expect(
          told(level, 0).hasPrefix(at) && told(level, 0).contains("is of type another.Message"), "\(told(level, 0))")
      }
      // Of filters that nobody has it may say anything.
      #expect(told(level, 1, filter: "elsewhere") == "")
    }
  }

  @Test("a certificate file that is not there; a secret that has not come is no error")
  func missingCertificate() {
    var tls = DownstreamTLSContext()
    tls.common.certificates = [
      TLSCertificate(chain: .file(path: "/nonexistent/cert.pem"), privateKey: .file(path: "/nonexistent/key.pem"))
    ]
    let discovered = HTTPConnectionManager.Routes.discovered(name: "later", source: .ads)
    let message = Self.check(.listener(Self.listener(discovered, tls: tls)))
    #expect(message.hasPrefix("envoy.config.listener.v3.Listener l: filter_chains[0].transport_socket."), "\(message)")
    #expect(message.contains("cannot read /nonexistent/cert.pem: No such file"))
    tls.common.certificates = []
    tls.common.certificateSecrets = [SecretReference(name: "later", source: .ads)]
    #expect(Self.check(.listener(Self.listener(discovered, tls: tls))) == "")

    var cluster = Cluster(name: "c")
    var upstream = UpstreamTLSContext()
    upstream.common.validation = CertificateValidation()
    upstream.common.validation?.trustedCA = .file(path: "/nonexistent/ca.pem")
    cluster.tls = upstream
    #expect(
      Self.check(.cluster(cluster)).hasPrefix("envoy.config.cluster.v3.Cluster c: transport_socket."))
  }

  @Test("an address that is none, told as the assignment's")
  func badAddress() {
    var assignment = LoadAssignment(clusterName: "svc")
    var locality = LocalityEndpoints()
    locality.endpoints = [Endpoint(address: .socket(host: "no-address", port: 1))]
    assignment.localities = [locality]
    let message = Self.check(.endpoints(assignment))
    #expect(message.hasPrefix("endpoints[0].lb_endpoints[0].endpoint.address.socket_address.address: "), "\(message)")
  }

  @Test("a secret that is no certificate")
  func badSecret() {
    let certificate = TLSCertificate(chain: .inline(Array("x".utf8)), privateKey: .inline(Array("y".utf8)))
    #expect(Self.check(.secret(Secret(name: "s", content: .certificate(certificate)))) != "")
  }
}
