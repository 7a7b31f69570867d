import Testing
import WeftBase

@testable import WeftAgent

@Suite("what the agent writes for its proxy and application")
struct BootstrapFileTests {
  static var configuration: AgentConfiguration {
    var configuration = AgentConfiguration(service: "page", instance: "page-v1-abc", stateDirectory: "/tmp/x")
    configuration.version = "v1"
    configuration.port = 9081
    configuration.labels = ["team": "shop"]
    configuration.upstreams = [
      Upstream(host: "reviews", port: 9080, listenPort: 19080), Upstream(host: "ratings.other", port: 80),
    ]
    return configuration
  }

  static let ports = AgentPorts(admin: 15000, inbound: 31080, httpProxy: 15001, upstreams: [19080, 40001])

  static let upstreamTexts: [(String, Upstream?)] = [
    ("reviews:9080", Upstream(host: "reviews", port: 9080)),
    ("reviews:9080=127.0.0.1:19080", Upstream(host: "reviews", port: 9080, listenPort: 19080)),
    ("a.b.c:1=0.0.0.0:2", Upstream(host: "a.b.c", port: 1, listenHost: "0.0.0.0", listenPort: 2)),
    ("reviews", nil), ("reviews:x", nil), (":80", nil), ("a:1=b", nil), ("a:70000", nil), ("", nil),
  ]

  @Test("reads upstreams as the flag gives them", arguments: upstreamTexts)
  func readsUpstreams(text: String, expected: Upstream?) {
    #expect(Upstream(text) == expected)
  }

  @Test("the node says who it is and which listeners it wants")
  func node() throws {
    let node = try #require(BootstrapFile.json(Self.configuration, Self.ports)["node"])
    #expect(node["id"] == "sidecar~127.0.0.1~page-v1-abc.default~default.svc.cluster.local")
    #expect(node["cluster"] == "page.default")
    let metadata = try #require(node["metadata"])
    #expect(metadata["LABELS"] == ["app": "page", "team": "shop", "version": "v1"])
    #expect(
      metadata["WEFT_INBOUND"] == [
        ["port": 9081, "protocol": "HTTP", "app": "127.0.0.1:9081", "listen": "127.0.0.1:31080"]
      ])
    #expect(
      metadata["WEFT_UPSTREAMS"] == [
        ["host": "reviews", "port": 9080, "listen": "127.0.0.1:19080"],
        ["host": "ratings.other", "port": 80, "listen": "127.0.0.1:40001"],
      ])
    #expect(metadata["WEFT_HTTP_PROXY"] == "127.0.0.1:15001")
  }

  @Test("a gateway's node is a router with the label Gateway objects select")
  func gatewayNode() throws {
    var configuration = AgentConfiguration(service: "ingress", instance: "ingress-1", stateDirectory: "/tmp/x")
    configuration.role = .gateway("ingress")
    let ports = try #require(AgentPorts.settle(configuration))
    let node = try #require(BootstrapFile.json(configuration, ports)["node"])
    #expect(node["id"]?.stringValue?.hasPrefix("router~") == true)
    #expect(node["metadata"]?["LABELS"]?["istio"] == "ingress")
    #expect(node["metadata"]?["WEFT_INBOUND"] == nil && node["metadata"]?["WEFT_HTTP_PROXY"] == nil)
  }

  @Test("a discovery address by name is resolved by the proxy, a literal is not")
  func discoveryCluster() {
    for (address, type) in [("127.0.0.1:15010", "STATIC"), ("control.example:15010", "STRICT_DNS")] {
      var configuration = Self.configuration
      configuration.discovery = address
      let cluster = BootstrapFile.json(configuration, Self.ports)["static_resources"]?["clusters"]?[0]
      #expect(cluster?["type"]?.stringValue == type)
    }
  }

  @Test("IPv6 addresses keep their brackets where a port follows, and only there")
  func addressesInBrackets() throws {
    var configuration = Self.configuration
    configuration.address = "fd00::1"
    configuration.discovery = "[::1]:15010"
    configuration.upstreams = [try #require(Upstream("reviews:9080=[::1]:19080"))]
    #expect(configuration.upstreams[0].listenHost == "::1")
    let ports = AgentPorts(admin: 1, inbound: 31080, upstreams: [19080])
    let file = BootstrapFile.json(configuration, ports)
    let metadata = try #require(file["node"]?["metadata"])
    #expect(metadata["WEFT_INBOUND"]?[0]?["listen"] == "[fd00::1]:31080")
    #expect(metadata["WEFT_UPSTREAMS"]?[0]?["listen"] == "[::1]:19080")
    #expect(metadata["INSTANCE_IPS"] == "fd00::1")
    let cluster = file["static_resources"]?["clusters"]?[0]
    #expect(cluster?["type"] == "STATIC")
    let endpoint = cluster?["load_assignment"]?["endpoints"]?[0]?["lb_endpoints"]?[0]?["endpoint"]
    #expect(endpoint?["address"]?["socket_address"]?["address"] == "::1")
    #expect(ApplicationEnvironment.variables(configuration, ports)["REVIEWS_URL"] == "http://[::1]:19080")
  }

  @Test("the application finds its upstreams in its environment")
  func environment() {
    let variables = ApplicationEnvironment.variables(Self.configuration, Self.ports)
    #expect(variables["REVIEWS_URL"] == "http://127.0.0.1:19080")
    #expect(variables["RATINGS_OTHER_HOST"] == "127.0.0.1")
    #expect(variables["RATINGS_OTHER_PORT"] == "40001")
    #expect(variables["HTTP_PROXY"] == "http://127.0.0.1:15001")
    #expect(variables["WEFT_SERVICE"] == "page" && variables["WEFT_INSTANCE"] == "page-v1-abc")
    #expect(variables["PORT"] == "9081")
  }

  @Test("an HTTP proxy is offered when no upstreams are listed, or on demand")
  func offersHTTPProxy() throws {
    var configuration = Self.configuration
    #expect(try #require(AgentPorts.settle(configuration)).httpProxy == nil)
    configuration.offersHTTPProxy = true
    #expect(try #require(AgentPorts.settle(configuration)).httpProxy != nil)
    configuration.offersHTTPProxy = nil
    configuration.upstreams = []
    #expect(try #require(AgentPorts.settle(configuration)).httpProxy != nil)
  }

  @Test("the registration says where peers reach the workload, and how it is")
  func registration() {
    let record = Registration.record(Self.configuration, Self.ports, .draining)
    #expect(record["health"] == "DRAINING")
    #expect(record["ports"]?[0]?["inboundPort"] == 31080)
    // One name for different numbers would keep the younger instance's port out of the service.
    #expect(record["ports"]?[0]?["name"] == nil)
    #expect(record["labels"]?["version"] == "v1")
    #expect(record["leaseSeconds"] == 15)
  }
}
