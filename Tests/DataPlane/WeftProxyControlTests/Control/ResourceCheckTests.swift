import Testing
import WeftBase
import WeftModel
import WeftTelemetry

@testable import WeftCompile
@testable import WeftProxyControl
@testable import WeftProxyTestKit
@testable import WeftXDSClient

@Suite("checks before an acknowledgement")
struct ResourceCheckTests {
  private static func check(_ model: XDSModel, known: [String] = []) -> String {
    var store = XDSStore()
    for name in known {
      let resource = XDSResource(name: name, typeURL: XDSType.clusters.rawValue, value: [])
      _ = store.set(.clusters, name, XDSStore.Entry(model: .cluster(Cluster(name: name)), resource: resource))
    }
    var fixed = ConfigState()
    fixed.clusters = [Cluster(name: "fixed")]
    let check = ResourceCheck(
      logs: AccessLogFiles(workers: 1, opensFiles: false), security: TLSSecurity(), fixed: fixed,
      extensions: .basics)
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
