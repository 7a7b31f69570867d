import Synchronization
import Testing
import WeftBase
import WeftModel
import WeftRuntime
import WeftTelemetry
import WeftTestKit

@testable import WeftCompile
@testable import WeftProxy
@testable import WeftProxyControl
@testable import WeftProxyTestKit

@Suite("start")
struct StartTests {
  /// What a proxy of `state` comes to when it is started, with what discovery has brought by then.
  private static func start(
    _ state: ConfigState, file: String = "", log: LogOutput = LogOutput(level: .off),
    then: (inout ConfigState) -> Void = { _ in }
  ) throws -> (
    control: ProxyControl, snapshots: Int, isServing: Bool
  ) {
    let network = MemoryNetwork(seed: 1)
    let loop = EventLoop(driver: MemoryDriver(network: network), seed: 1)
    let metrics = MetricsRegistry(workers: 0)
    let server = try ProxyServer(ProxyServer.Options(concurrency: 0), registry: metrics)
    let control = ProxyControl(
      loop: loop, server: server,
      compiler: SnapshotCompiler(
        metrics: metrics, logs: AccessLogFiles(workers: 0), security: TLSSecurity(), random: RandomSource(seed: 1),
        extensions: .basics),
      state: state, log: log, drainTime: .seconds(1), files: files(file, metrics))
    loop.handler = control
    var snapshots = 0
    control.compiled = { _ in snapshots += 1 }
    control.start()
    if control.startFailure == nil { control.update(then) }
    loop.shutdown()
    return (control, snapshots, server.isConfigured)
  }

  /// Listeners come from a file.
  private static func files(_ path: String, _ metrics: MetricsRegistry) -> FileDiscovery? {
    if path.isEmpty { return nil }
    var bootstrap = Bootstrap()
    bootstrap.listenersFile = ConfigSource(.path(path))
    return FileDiscovery(bootstrap, metrics: metrics, log: LogOutput(level: .off))
  }

  private static let pattern: HTTPConnectionManager.Routes = .inline(routes(RouteMatch(.regex("("))))

  private static func routes(_ match: RouteMatch, name: String = "") -> RouteConfiguration {
    var host = VirtualHost(name: "h", domains: ["*"])
    host.routes = [Route(match: match, action: .forward(RouteAction(cluster: .cluster("c"))))]
    var routes = RouteConfiguration(name: name)
    routes.virtualHosts = [host]
    return routes
  }

  private static func listener(
    _ routes: HTTPConnectionManager.Routes, _ change: (inout CommonTLSContext) -> Void = { _ in }
  ) -> Listener {
    var chain = FilterChain(name: "")
    chain.filters = [.httpConnectionManager(HTTPConnectionManager(statPrefix: "x", routes: routes))]
    var tls = DownstreamTLSContext()
    change(&tls.common)
    if tls != DownstreamTLSContext() { chain.tls = tls }
    var listener = Listener(name: "l", address: .socket(host: "127.0.0.1", port: 1))
    listener.filterChains = [chain]
    return listener
  }

  private static func cluster(_ discovery: Cluster.Discovery = .fixed, host: String) -> Cluster {
    var cluster = Cluster(name: "c", discovery: discovery)
    cluster.loadAssignment = endpoints(host)
    return cluster
  }

  private static func endpoints(_ host: String) -> LoadAssignment {
    var assignment = LoadAssignment(clusterName: "c")
    var locality = LocalityEndpoints()
    locality.endpoints = [Endpoint(address: .socket(host: host, port: 1))]
    assignment.localities = [locality]
    return assignment
  }

  private static let lost = TLSCertificate(
    chain: .file(path: "/nonexistent/c"), privateKey: .file(path: "/nonexistent/k"))
  private static let listenerKind = "envoy.config.listener.v3.Listener l: filter_chains[0]"
  private static let clusterKind = "envoy.config.cluster.v3.Cluster c: "

  struct Fault: CustomTestStringConvertible, Sendable {
    var testDescription: String
    var state: ConfigState
    var tells: String

    init(_ name: String, _ listeners: [Listener] = [], _ clusters: [Cluster] = [], tells: String) {
      testDescription = name
      state = ConfigState()
      (state.listeners, state.clusters) = (listeners, clusters)
      self.tells = tells
    }
  }

  static let faults: [Fault] = [
    Fault(
      "a pattern that is none", [listener(pattern)],
      tells: listenerKind + ".filters[0].typed_config.route_config.virtual_hosts[0].routes[0].match.safe_regex.regex: "),
    Fault(
      "a file of a certificate", [listener(.inline(routes(RouteMatch(.prefix("/"))))) { $0.certificates = [lost] }],
      tells: listenerKind + ".transport_socket."),
    Fault(
      "the same, of a listener that waits for its routes",
      [listener(.discovered(name: "r", source: .ads)) { $0.certificates = [lost] }],
      tells: listenerKind + ".transport_socket."),
    Fault(
      "a pattern of a listener that waits for a secret",
      [listener(pattern) { $0.certificateSecrets = [SecretReference(name: "s", source: .ads)] }],
      tells: listenerKind + ".filters[0].typed_config.route_config."),
    Fault(
      "a secret nobody defines",
      [listener(.inline(routes(RouteMatch(.prefix("/"))))) { $0.certificateSecrets = [SecretReference(name: "s")] }],
      tells: "envoy.config.listener.v3.Listener l: transport_socket: "),
    Fault("a host that is a name", [], [cluster(host: "name")], tells: clusterKind + "load_assignment.endpoints[0]."),
  ]

  @Test("what the bootstrap fixes and only compiling refuses keeps the proxy from starting", arguments: faults)
  func refused(_ fault: Fault) throws {
    let (control, snapshots, isServing) = try Self.start(fault.state)
    #expect(control.startFailure?.hasPrefix(fault.tells) ?? false, "\(control.startFailure ?? "started")")
    #expect(control.exitCode == 1 && snapshots == 0 && !isServing)
  }

  struct Later: CustomTestStringConvertible, Sendable {
    var testDescription: String
    var state = ConfigState()
    var then: @Sendable (inout ConfigState) -> Void
  }

  static let later: [Later] = [
    Later(
      testDescription: "routes", state: Fault("", [listener(.discovered(name: "r", source: .ads))], tells: "").state
    ) { $0.routes["r"] = routes(RouteMatch(.regex("(")), name: "r") },
    Later(
      testDescription: "endpoints",
      state: Fault("", [], [cluster(.eds(serviceName: "", source: .ads), host: "127.0.0.1")], tells: "").state
    ) { $0.endpoints["c"] = endpoints("name") },
    Later(
      testDescription: "a secret",
      state: Fault(
        "",
        [
          listener(.inline(routes(RouteMatch(.prefix("/"))))) {
            $0.certificateSecrets = [SecretReference(name: "s", source: .ads)]
          }
        ], tells: ""
      ).state
    ) { $0.secrets[SecretKey("s", .stream)] = Secret(name: "s", content: .certificate(lost)) },
    Later(testDescription: "a listener") { $0.listeners = [listener(pattern)] },
  ]

  @Test("what discovery brings and is refused does not, be it the first there is", arguments: later)
  func refusedLater(_ case: Later) throws {
    let after = try Self.start(`case`.state, then: `case`.then)
    #expect(after.control.startFailure == nil && after.snapshots == 2 && after.isServing)
    #expect(after.control.exitCode == 0)
    // What files bring is there at once.
    #expect(!after.control.update { $0.listeners += [] }.rejections.isEmpty, "it was refused")
  }

  @Test("what is refused is told once, and again when it is refused for another reason or after it was good")
  func toldOnce() throws {
    let lines = Mutex(0)
    let log = LogOutput(level: .error, write: { _ in lines.withLock { $0 += 1 } })
    func told() -> Int { lines.withLock { $0 } }
    let control = try Self.start(ConfigState(), log: log).control
    var routes = Self.routes(RouteMatch(.prefix("/")))
    routes.validateClusters = true
    control.update {
      $0.clusters = [Self.cluster(host: "127.0.0.1")]
      $0.listeners = [Self.listener(.inline(routes))]
    }
    #expect(told() == 0)
    // The cluster of an inline route goes: each change of anything after it finds the same fault.
    control.update { $0.clusters = [] }
    #expect(told() == 1)
    for _ in 0..<3 { #expect(!control.update { $0.endpoints["x"] = Self.endpoints("127.0.0.1") }.rejections.isEmpty) }
    #expect(told() == 1)
    control.update { $0.listeners = [Self.listener(Self.pattern)] }
    #expect(told() == 2)
    control.update { $0.listeners = [] }
    control.update { $0.listeners = [Self.listener(Self.pattern)] }
    #expect(told() == 3)
  }

  @Test("nor does what a file brings, which is there when the first snapshot is made")
  func refusedFile() throws {
    let directory = TemporaryDirectory()
    directory.write(
      "lds.yaml",
      """
      resources:
      - "@type": type.googleapis.com/envoy.config.listener.v3.Listener
        name: l
        address: { socket_address: { address: 127.0.0.1, port_value: 1 } }
        filter_chains:
        - filters:
          - name: http
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
              stat_prefix: x
              http_filters:
              - name: router
                typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
              route_config:
                virtual_hosts:
                - { name: h, domains: ["*"], routes: [{ match: { safe_regex: { regex: "(" } }, direct_response: { status: 200 } }] }
      """)
    let after = try Self.start(ConfigState(), file: directory.file("lds.yaml"))
    #expect(after.control.startFailure == nil && after.isServing)
    let refused = after.control.update { _ in }.rejections
    #expect(refused.map(\.path.description).first?.hasSuffix("safe_regex.regex") ?? false, "\(refused)")
  }
}
