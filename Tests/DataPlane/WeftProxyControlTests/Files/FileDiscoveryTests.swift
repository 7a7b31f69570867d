import Glibc
import Testing
import WeftBase
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTLS
import WeftTelemetry
import WeftTestKit
import WeftUpstream

@testable import WeftCompile
@testable import WeftProxy
@testable import WeftProxyControl
@testable import WeftProxyTestKit
@testable import WeftTables
@testable import WeftXDSClient

@Suite("discovery from files")
struct FileDiscoveryTests {
  let directory = TemporaryDirectory()
  let metrics = MetricsRegistry(workers: 1)
  let type = "type.googleapis.com/envoy."

  @discardableResult
  private func write(_ name: String, _ text: String) -> String {
    directory.write(name, text)
    return directory.file(name)
  }

  private func discovery(clusters: String? = nil, listeners: String? = nil) -> FileDiscovery {
    var bootstrap = Bootstrap()
    bootstrap.clustersFile = clusters.map { ConfigSource(.path($0)) }
    bootstrap.listenersFile = listeners.map { ConfigSource(.path($0)) }
    return FileDiscovery(bootstrap, metrics: metrics, log: LogOutput(level: .off))
  }

  private func filled(_ files: FileDiscovery, _ base: ConfigState = ConfigState()) -> ConfigState {
    files.reread()
    var state = base
    files.fill(&state)
    return state
  }

  @Test("what a file holds and has no effect is told by path, unknown fields and settings that are not supported alike")
  func withoutEffect() throws {
    let text = """
      resources:
      - "@type": \(type)config.cluster.v3.Cluster
        name: a
        from_the_future: 1
        lrs_server: { self: {} }
      """
    var warnings: [ConfigError] = []
    let models = try FileDiscovery.parse(Array(text.utf8), .clusters, XDSModel.decode, hasStream: false, &warnings)
    #expect(models.map(\.name) == ["a"])
    #expect(warnings.map(\.path.description) == ["resources[0].from_the_future", "resources[0].lrs_server"])
    let files = discovery(clusters: write("cds.yaml", text))
    _ = filled(files)
    _ = filled(files)
    let server = metrics.scope(ScopeKey(.server))
    #expect(metrics.value(ServerMetric.dynamicUnknownFields, server) == 2)
  }

  /// A cluster whose endpoints, and a listener whose table and certificate the stream brings.
  private func needy(_ source: String) -> (clusters: String, listeners: String) {
    (
      """
      resources:
      - "@type": \(type)config.cluster.v3.Cluster
        name: needy
        type: EDS
        eds_cluster_config: { service_name: s, eds_config: { \(source): {}, resource_api_version: V3 } }
      - { "@type": \(type)config.cluster.v3.Cluster, name: plain }
      """,
      """
      resources:
      - "@type": \(type)config.listener.v3.Listener
        name: l
        address: { socket_address: { address: 127.0.0.1, port_value: 1 } }
        filter_chains:
        - filters:
          - name: http
            typed_config:
              "@type": \(type)extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
              stat_prefix: x
              http_filters:
              - name: router
                typed_config: { "@type": \(type)extensions.filters.http.router.v3.Router }
              rds: { route_config_name: t, config_source: { \(source): {}, resource_api_version: V3 } }
      """
    )
  }

  @Test("what resources of files want of the stream is told", arguments: ["ads", "self"])
  func wantsOfTheStream(source: String) {
    var bootstrap = Bootstrap()
    bootstrap.ads = Bootstrap.ADS(cluster: "xds")
    let text = needy(source)
    bootstrap.clustersFile = ConfigSource(.path(write("cds.yaml", text.clusters)))
    bootstrap.listenersFile = ConfigSource(.path(write("lds.yaml", text.listeners)))
    let files = FileDiscovery(
      bootstrap, metrics: metrics, log: LogOutput(level: .off),
      decode: XDSModel.decoder(extensions: ProxyExtensions.basics.known))
    let state = filled(files)
    #expect(state.clusters.map(\.name) == ["needy", "plain"] && state.listeners.map(\.name) == ["l"])
    #expect(files.needs == XDSNeeds(state))
    #expect(files.needs.clustersWithEndpoints == ["needy"])
    // Discovery's own cluster of the name is there in its place.
    var base = ConfigState()
    base.clusters = [Cluster(name: "needy")]
    _ = filled(files, base)
    #expect(files.needs == XDSNeeds([], state.listeners))
  }

  @Test("a file that names the stream is refused by path where there is none", arguments: ["ads", "self"])
  func noStream(source: String) {
    let text = needy(source)
    for (text, kind, path) in [
      (text.clusters, XDSType.clusters, "resources[0].eds_cluster_config.eds_config.\(source)"),
      (
        text.listeners, .listeners,
        "resources[0].filter_chains[0].filters[0].typed_config.rds.config_source.\(source)"
      ),
    ] {
      let decode = XDSModel.decoder(extensions: ProxyExtensions.basics.known)
      var error: ConfigError?
      do throws(ConfigError) {
        var warnings: [ConfigError] = []
        _ = try FileDiscovery.parse(Array(text.utf8), kind, decode, hasStream: false, &warnings)
      } catch let found { error = found }
      #expect(error?.path.description == path)
      #expect(error?.message == "needs dynamic_resources.ads_config in the bootstrap")
    }
  }

  @Test("a file without resources, as one that misspells them, leaves the last good form; an empty list takes all away")
  func misspelt() {
    let files = discovery(
      clusters: write("cds.yaml", "resources: [{\"@type\": \(type)config.cluster.v3.Cluster, name: a}]"))
    #expect(filled(files).clusters.map(\.name) == ["a"])
    for text in [
      "resource: [{\"@type\": \(type)config.cluster.v3.Cluster, name: b}]", "version_info: x", "", "[]", "{",
    ] {
      write("cds.yaml", text)
      #expect(filled(files).clusters.map(\.name) == ["a"], "\(text)")
    }
    write("cds.yaml", "resources: []")
    #expect(filled(files).clusters.isEmpty)
  }

  @Test("a look at a bootstrap looks into the files that it names, as far as they are there")
  func validated() {
    let text = needy("ads")
    let clusters = write("cds.yaml", text.clusters)
    let listeners = write("lds.yaml", text.listeners.replacing("ads: {}", with: "path: \(directory.file("rds.yaml"))"))
    func told(ads: Bool = true) -> String {
      let stream = """
        ads_config: { api_type: GRPC, transport_api_version: V3, grpc_services: [{ envoy_grpc: { cluster_name: xds } }] }
        """
      let bootstrap = """
        node: { id: a, cluster: b }
        dynamic_resources:
          \(ads ? stream : "")
          cds_config: { path_config_source: { path: \(clusters) } }
          lds_config: { path_config_source: { path: \(listeners) } }
        static_resources: { clusters: [{ name: xds }] }
        """
      do throws(ConfigError) {
        _ = try BootstrapLoader.validate(Array(bootstrap.utf8), extensions: .basics)
        return ""
      } catch { return error.description }
    }
    #expect(told() == "")
    #expect(
      told(ads: false)
        == "\(clusters): resources[0].eds_cluster_config.eds_config.ads: needs dynamic_resources.ads_config in the bootstrap"
    )
    let table = "\(type)config.route.v3.RouteConfiguration"
    write(
      "rds.yaml",
      "resources: [{\"@type\": \(table), name: t, virtual_hosts: [{name: h, domains: ['*'], routes: [{match: {prefix: /}, rout: {}}]}]}]"
    )
    #expect(told().hasPrefix("\(directory.file("rds.yaml")): resources[0].virtual_hosts[0].routes[0]"), "\(told())")
    write(
      "rds.yaml",
      "resources: [{\"@type\": \(table), name: t, virtual_hosts: [{name: h, domains: ['*'], routes: [{match: {safe_regex: {regex: '('}}, direct_response: {status: 200}}]}]}]"
    )
    #expect(told().contains("virtual_hosts[0].routes[0].match.safe_regex.regex"), "\(told())")
    write("rds.yaml", "resources: []")
    write("cds.yaml", "resources: [{\"@type\": \(type)config.cluster.v3.Cluster, name: a, connect_timeout: 1}]")
    #expect(told().hasPrefix("\(clusters): resources[0].connect_timeout"), "\(told())")
  }

  @Test("a file that is cut anywhere, or has any byte another, is read or refused by itself")
  func damage() throws {
    let cluster = """
      {"resources": [{"@type": "\(type)config.cluster.v3.Cluster", "name": "a", "connect_timeout": "0.5s",
      "load_assignment": {"cluster_name": "a", "endpoints": [{"priority": 1}]}}, {"@type": "\(type)config.cluster.v3.Cluster", "name": "é"}]}
      """
    let secret = """
      resources:
      - "@type": \(type)extensions.transport_sockets.tls.v3.Secret
        name: s
        tls_certificate:
          certificate_chain: { inline_string: "a\\nb" }
          private_key: { filename: /k }
      """
    for (text, kind) in [(cluster, XDSType.clusters), (secret, .secrets)] {
      let bytes = Array(text.utf8)
      func names(_ bytes: [UInt8]) -> [String]? {
        var warnings: [ConfigError] = []
        return (try? FileDiscovery.parse(bytes, kind, XDSModel.decode, hasStream: false, &warnings))?.map(\.name)
      }
      let whole = try #require(names(bytes))
      for count in bytes.indices { #expect((names(Array(bytes[..<count])) ?? []).count <= whole.count) }
      // JSON ends where it ends; half of it is nothing.
      if kind == .clusters {
        for count in 0..<bytes.count - 1 { #expect(names(Array(bytes[..<count]))?.isEmpty != false) }
      }
      for i in bytes.indices {
        for byte: UInt8 in [0, 0x0a, 0x22, 0x3a, 0x80, 0xff] {
          var other = bytes
          other[i] = byte
          #expect((names(other) ?? []).count <= whole.count)
        }
      }
    }
  }

  @Test("what is named as a file and is a pipe, a folder or too large is refused, and nobody waits for it")
  func noFile() throws {
    let pipe = directory.file("pipe")
    try #require(unsafe mkfifo(pipe, 0o600) == 0)
    let large = directory.file("large")
    let descriptor = unsafe open(large, O_CREAT | O_WRONLY, 0o600)
    try #require(ftruncate(descriptor, off_t(DataSource.maxFileBytes) + 1) == 0)
    _ = close(descriptor)
    for (path, reason) in [
      (pipe, "is a pipe, whose writer nobody here waits for; it must be a file"), (directory.path, "cannot read"),
      (large, "is larger than 16777216 bytes"), (directory.file("none"), "cannot read"),
    ] {
      let error = #expect(throws: ConfigError.self) { try DataSource.file(path: path).load() }
      #expect(error?.description.contains(reason) ?? false, "\(path): \(error?.description ?? "")")
    }
  }

  @Test("a key that is cut anywhere is refused, and so is a certificate without its end")
  func damagedPEM() throws {
    let issued = try TLSWorld().certificate(SubjectAltName(.dns, "a.test"))
    guard case .inline(let chain) = issued.chain, case .inline(let key) = issued.privateKey else { return }
    let security = TLSSecurity()
    func isTaken(_ chain: [UInt8], _ key: [UInt8]) -> Bool {
      var tls = UpstreamTLSContext()
      var pair = issued
      pair.chain = .inline(chain)
      pair.privateKey = .inline(key)
      tls.common.certificates = [pair]
      return (try? security.upstream(tls, secrets: [:])) != nil
    }
    #expect(isTaken(chain, key))
    let lineEnd = "-----\n".utf8.count
    for count in stride(from: 0, to: key.count - lineEnd, by: 5) {
      #expect(!isTaken(chain, Array(key[..<count])), "\(count)")
    }
    // Well before the end of the first one.
    for count in stride(from: 0, to: 200, by: 5) { #expect(!isTaken(Array(chain[..<count]), key), "\(count)") }
  }

  @Test("clusters and listeners with their endpoints and routes, each from a file")
  func everything() throws {
    let endpoints = write(
      "eds.yaml",
      """
      resources:
      - "@type": \(type)config.endpoint.v3.ClusterLoadAssignment
        cluster_name: other
      - "@type": \(type)config.endpoint.v3.ClusterLoadAssignment
        cluster_name: a
        endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: 7 } } } }] }]
      """)
    let routes = write(
      "rds.yaml",
      """
      resources:
      - "@type": \(type)config.route.v3.RouteConfiguration
        name: r
        virtual_hosts: [{ name: v, domains: ["*"], routes: [{ match: { prefix: / }, route: { cluster: a } }] }]
      """)
    let clusters = write(
      "cds.yaml",
      """
      version_info: "1"
      resources:
      - "@type": \(type)config.cluster.v3.Cluster
        name: a
        type: eds
        eds_cluster_config: { eds_config: { path_config_source: { path: "\(endpoints)" } } }
      """)
    let listeners = write(
      "lds.json",
      """
      {"resources": [{"@type": "\(type)config.listener.v3.Listener", "name": "l",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 1}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": {
          "@type": "\(type)extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
          "stat_prefix": "x", "rds": {"route_config_name": "r", "config_source": {"path_config_source": {"path": "\(routes)"}}},
          "http_filters": [{"name": "envoy.filters.http.router",
            "typed_config": {"@type": "\(type)extensions.filters.http.router.v3.Router"}}]}}]}]}]}
      """)
    let files = discovery(clusters: clusters, listeners: listeners)
    var state = filled(files)
    #expect(state.clusters.map(\.name) == ["a"] && state.listeners.map(\.name) == ["l"])
    let (a, r) = (FileResource("a", in: endpoints), FileResource("r", in: routes))
    #expect(state.endpointsOfFiles[a]?.localities.first?.endpoints.count == 1 && state.endpointsOfFiles.count == 1)
    #expect(state.routesOfFiles[r]?.virtualHosts.count == 1)
    // A file that is broken, or gone, leaves what was there.
    for text in ["resources: [", "resources: [{ '@type': \(type)config.listener.v3.Listener, name: x }]"] {
      write("cds.yaml", text)
      state = filled(files)
      #expect(state.clusters.map(\.name) == ["a"])
    }
    #expect(metrics.value(SubscriptionMetric.updateRejected, metrics.scope(ScopeKey(.cds))) == 2)
    // One that says nothing more of what is asked for takes nothing away: only who asks may go.
    for file in ["eds.yaml", "rds.yaml"] { write(file, "resources: []") }
    state = filled(files)
    #expect(state.endpointsOfFiles[a]?.localities.first?.endpoints.count == 1)
    #expect(state.routesOfFiles[r]?.virtualHosts.count == 1)
    // Two files, and the stream, may be asked for one name: each answers for itself.
    let asked = { Cluster(name: $0, discovery: .eds(serviceName: "a", source: ConfigSource(.path($1)))) }
    let other = write(
      "eds-2.yaml",
      """
      resources:
      - "@type": \(type)config.endpoint.v3.ClusterLoadAssignment
        cluster_name: a
      """)
    var both = ConfigState()
    both.clusters = [asked("x", other), asked("y", endpoints)]
    both.endpoints["a"] = LoadAssignment(clusterName: "of the stream")
    both = filled(files, both)
    #expect(both.endpointsOfFiles[FileResource("a", in: other)]?.localities.isEmpty == true)
    #expect(both.endpointsOfFiles[a]?.localities.count == 1)
    #expect(both.endpoints["a"]?.clusterName == "of the stream")
    write("cds.yaml", "resources: []")
    write("lds.json", #"{"resources": []}"#)
    #expect(filled(files).endpointsOfFiles.isEmpty && filled(files).routesOfFiles.isEmpty)
    write(
      "eds.yaml",
      """
      resources:
      - "@type": \(type)config.endpoint.v3.ClusterLoadAssignment
        cluster_name: a
      """)
    write("cds.yaml", "resources: []")
    #expect(filled(files).clusters.isEmpty)
    // Endpoints that nobody asked for in between are there for the next who does.
    var asks = ConfigState()
    asks.clusters = [Cluster(name: "a", discovery: .eds(serviceName: "", source: ConfigSource(.path(endpoints))))]
    var again = asks
    files.fill(&again)
    #expect(again.endpointsOfFiles[a] != nil)
    // What the bootstrap fixed wins.
    var base = ConfigState()
    base.listeners = [Listener(name: "l", address: .pipe(path: "/own"))]
    #expect(filled(files, base).listeners.map(\.address) == [.pipe(path: "/own")])
  }

  private func secretFile(_ i: Int, _ certificate: String, _ key: String) -> String {

    write(
      "sds\(i).yaml",
      """
      resources:
      - "@type": \(type)extensions.transport_sockets.tls.v3.Secret
        name: cert
        tls_certificate: { certificate_chain: { filename: "\(certificate)" }, private_key: { filename: "\(key)" } }
      """)
  }

  @Test("one rotated certificate file is one changed secret; half a pair leaves the last good one")
  func rotation() throws {
    let authority = try TLSWorld()
    func pair(_ i: Int) throws -> (String, String) {
      let issued = try authority.certificate(SubjectAltName(.dns, "\(i).test"))
      guard case .inline(let chain) = issued.chain, case .inline(let key) = issued.privateKey else { return ("", "") }
      return (
        write("cert\(i).pem", String(decoding: chain, as: UTF8.self)),
        write("key\(i).pem", String(decoding: key, as: UTF8.self))
      )
    }
    var base = ConfigState()
    for i in 0..<5 {
      let (certificate, key) = try pair(i)
      var cluster = Cluster(name: "c\(i)")
      var tls = UpstreamTLSContext()
      tls.common.certificateSecrets = [
        SecretReference(name: "cert", source: ConfigSource(.path(secretFile(i, certificate, key))))
      ]
      cluster.tls = tls
      base.clusters.append(cluster)
    }
    let files = discovery()
    let before = filled(files, base)
    #expect(before.secrets.count == 5)
    let security = TLSSecurity()
    let compiler = SnapshotCompiler(
      metrics: metrics, logs: AccessLogFiles(workers: 1, opensFiles: false), security: security,
      random: RandomSource(seed: 1), extensions: .basics)
    let first = compiler.compile(before)
    #expect(first.rejections == [] && security.contextCount == 5)
    _ = try pair(3)
    let after = filled(files, base)
    let changed = before.secrets.filter { after.secrets[$0.key] != $0.value }.map(\.key)
    #expect(changed == [base.clusters[3].tls?.common.certificateSecrets[0].key].compactMap { $0 })
    let second = compiler.compile(after)
    for i in 0..<5 {
      #expect((first.snapshot.clusters[i]! == second.snapshot.clusters[i]!) == (i != 3))
    }
    // A key that does not fit: refused, the last good form stays.
    write("key1.pem", "no key")
    let third = compiler.compile(filled(files, base))
    #expect(third.rejections.count == 1 && third.snapshot.clusters[1]! == second.snapshot.clusters[1]!)
    // A file that is gone: nothing changes.
    directory.remove("key1.pem")
    #expect(filled(files, base).secrets[try #require(base.clusters[1].tls?.common.secrets[0].key)] != nil)
  }
}

@Suite("secrets that are waited for")
struct SecretWaitTests {
  @Test("after its source's time whoever needs a secret goes on without it")
  func timeout() throws {
    let network = MemoryNetwork(seed: 1)
    let loop = EventLoop(driver: MemoryDriver(network: network), seed: 1)
    let metrics = MetricsRegistry(workers: 0)
    var state = ConfigState()
    var cluster = Cluster(name: "c")
    var tls = UpstreamTLSContext()
    tls.common.certificateSecrets = [SecretReference(name: "s", source: .ads)]
    cluster.tls = tls
    state.clusters = [cluster]
    let control = ProxyControl(
      loop: loop, server: try ProxyServer(ProxyServer.Options(concurrency: 0), registry: metrics),
      compiler: SnapshotCompiler(
        metrics: metrics, logs: AccessLogFiles(workers: 0), security: ToySecurity(), random: RandomSource(seed: 1),
        extensions: .basics),
      state: state, log: LogOutput(level: .off), drainTime: .seconds(1))
    loop.handler = control
    var seen: [Bool?] = []
    control.compiled = { seen.append($0.snapshot.clusters.first.flatMap { $0?[].security?.isReady }) }
    control.start()
    network.advance([loop], by: .seconds(14))
    #expect(seen == [nil])
    network.advance([loop], by: .seconds(2))
    #expect(seen == [nil, false])
    control.update { $0.secrets[SecretKey("s", .stream)] = Secret(name: "s", content: .generic([])) }
    #expect(seen == [nil, false, true])
    loop.shutdown()
  }
}
