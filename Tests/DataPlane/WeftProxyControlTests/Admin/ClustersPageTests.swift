import Testing
import WeftBase
import WeftHTTP
import WeftModel
import WeftRuntime
import WeftTelemetry
import WeftUpstream

@testable import WeftProxy
@testable import WeftProxyControl
@testable import WeftProxyTestKit

@Suite("the clusters page")
struct ClustersPageTests {
  /// What the page says of the host on `port` of `backend`.
  private func host(_ world: ProxyWorld, port: UInt16 = 8080) throws -> HostNumbers {
    let hosts = try #require(world.engine.readHosts())
    let clusters = ClusterReport.clusters([hosts], fixed: [])
    let backend = try #require(clusters.first { $0.name == "backend" })
    return try #require(backend.hosts.first { $0.address.port == port }).numbers
  }

  private func get(
    _ world: ProxyWorld, _ client: Peer, answer: String = "200 OK", sourceLocation: SourceLocation = #_sourceLocation
  ) {
    world.server.onBytes = { $0.send("HTTP/1.1 \(answer)\r\ncontent-length: 2\r\n\r\nok") }
    client.received = []
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    #expect(world.run { client.text.hasSuffix("ok") }, sourceLocation: sourceLocation)
  }

  @Test("connections and requests of a host are counted by what came of them")
  func requests() throws {
    let world = ProxyWorld()
    world.simple()
    let client = world.connect()
    get(world, client)
    get(world, client, answer: "404 Not Found")
    get(world, client, answer: "503 Service Unavailable")
    var expected = HostNumbers()
    expected.connectionsTotal = 1
    expected.connectionsActive = 1
    expected.requestsTotal = 3
    expected.requestsSucceeded = 2
    expected.requestsFailed = 1
    #expect(try host(world) == expected)
    world.server.onBytes = { _ in }
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    world.settle()
    expected.requestsTotal = 4
    expected.requestsActive = 1
    #expect(try host(world) == expected)
    world.server.accepted[0].reset()
    world.settle()
    expected.requestsActive = 0
    expected.connectionsActive = 0
    expected.requestsFailed = 2
    // A GET whose connection died is not sent again where it was not an idle one.
    let after = try host(world)
    #expect(after.requestsFailed == 2 && after.requestsSucceeded == 2)
  }

  @Test("a host that cannot be reached shows failed connections and failed requests")
  func unreachable() throws {
    let world = ProxyWorld()
    world.simple(ports: [8080])
    world.server.stopListening(8080)
    let client = world.connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    #expect(world.run { client.text.hasPrefix("HTTP/1.1 503") })
    let numbers = try host(world)
    #expect(numbers.connectionsFailed == 1 && numbers.connectionsTotal == 1 && numbers.connectionsActive == 0)
    #expect(numbers.requestsFailed == 1 && numbers.requestsActive == 0 && numbers.requestsSucceeded == 0)
  }

  @Test(
    "a time-out counts as a time-out and as a failure, of the whole request or of an attempt", arguments: [true, false])
  func timeouts(ofAttempt: Bool) throws {
    let world = ProxyWorld()
    world.simple(route: {
      $0.timeout = .seconds(2)
      if ofAttempt {
        $0.retryPolicy = RetryPolicy(retryOn: [.connectFailure])
        $0.retryPolicy?.perTryTimeout = .seconds(1)
      }
    })
    let client = world.connect()
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    #expect(world.run { client.text.hasPrefix("HTTP/1.1 504") })
    let numbers = try host(world)
    #expect(numbers.requestsTimedOut == 1 && numbers.requestsFailed == 1 && numbers.requestsSucceeded == 0)
  }

  @Test(
    "for gRPC the status at the end tells success from failure",
    arguments: [(0, true), (5, true), (13, false), (14, false), (nil, false)])
  func gRPC(status: Int?, succeeds: Bool) throws {
    let world = ProxyWorld()
    world.simple(upstream: .two)
    let client = H2Peer(.client, world.connect())
    world.server.onAccept = { peer in
      let h2 = H2Peer(.server, peer)
      h2.onRequest = { [unowned h2] id, _ in
        h2.respond(
          id, body: [0, 0, 0, 0, 0], trailers: status.map { [("grpc-status", "\($0)")] } ?? [])
      }
    }
    let id = client.request(
      .post, "/s/M", fields: [("content-type", "application/grpc"), ("te", "trailers")],
      body: [0, 0, 0, 0, 0])
    #expect(world.run { client.messages[id]?.ended ?? false })
    world.settle()
    let numbers = try host(world)
    #expect(numbers.requestsSucceeded == (succeeds ? 1 : 0))
    #expect(numbers.requestsFailed == (succeeds ? 0 : 1))
  }

  @Test("numbers are added up over workers, each address of a repeated one for itself")
  func sums() throws {
    let world = ProxyWorld()
    world.simple(ports: [8080, 8080, 8081])
    var worker = try #require(world.engine.readHosts())
    for i in worker.hosts.indices { worker.hosts[i].numbers.requestsTotal = UInt64(i + 1) }
    let clusters = ClusterReport.clusters([worker, worker, worker], fixed: ["backend"])
    #expect(clusters.count == 1 && !clusters[0].isFromAPI)
    #expect(clusters[0].hosts.map(\.numbers.requestsTotal) == [3, 6, 9])
  }

  @Test("the text has Envoy's lines in Envoy's order")
  func text() throws {
    var cluster = AdminStatus.ClusterStatus(name: "outbound|80||a")
    cluster.observabilityName = "a"
    cluster.endpointsName = "a;x"
    cluster.isFromAPI = true
    cluster.successRates = AdminStatus.SuccessRates()
    cluster.successRates?.average = 99.5
    var host = AdminStatus.Host(address: SocketAddress("10.0.0.1:80")!)
    host.hostname = "a.mesh"
    host.numbers.connectionsActive = 1
    host.numbers.connectionsFailed = 2
    host.numbers.connectionsTotal = 3
    host.numbers.requestsActive = 4
    host.numbers.requestsFailed = 5
    host.numbers.requestsSucceeded = 6
    host.numbers.requestsTimedOut = 7
    host.numbers.requestsTotal = 8
    host.locality.region = "r"
    host.locality.zone = "z"
    host.successRate = 97.25
    cluster.hosts = [host]
    let expected = """
      outbound|80||a::observability_name::a
      outbound|80||a::outlier::success_rate_average::99.5
      outbound|80||a::outlier::success_rate_ejection_threshold::-1
      outbound|80||a::outlier::local_origin_success_rate_average::-1
      outbound|80||a::outlier::local_origin_success_rate_ejection_threshold::-1
      outbound|80||a::default_priority::max_connections::1024
      outbound|80||a::default_priority::max_pending_requests::1024
      outbound|80||a::default_priority::max_requests::1024
      outbound|80||a::default_priority::max_retries::3
      outbound|80||a::high_priority::max_connections::1024
      outbound|80||a::high_priority::max_pending_requests::1024
      outbound|80||a::high_priority::max_requests::1024
      outbound|80||a::high_priority::max_retries::3
      outbound|80||a::added_via_api::true
      outbound|80||a::eds_service_name::a;x
      outbound|80||a::10.0.0.1:80::cx_active::1
      outbound|80||a::10.0.0.1:80::cx_connect_fail::2
      outbound|80||a::10.0.0.1:80::cx_total::3
      outbound|80||a::10.0.0.1:80::rq_active::4
      outbound|80||a::10.0.0.1:80::rq_error::5
      outbound|80||a::10.0.0.1:80::rq_success::6
      outbound|80||a::10.0.0.1:80::rq_timeout::7
      outbound|80||a::10.0.0.1:80::rq_total::8
      outbound|80||a::10.0.0.1:80::hostname::a.mesh
      outbound|80||a::10.0.0.1:80::health_flags::healthy
      outbound|80||a::10.0.0.1:80::weight::1
      outbound|80||a::10.0.0.1:80::region::r
      outbound|80||a::10.0.0.1:80::zone::z
      outbound|80||a::10.0.0.1:80::sub_zone::
      outbound|80||a::10.0.0.1:80::canary::false
      outbound|80||a::10.0.0.1:80::priority::0
      outbound|80||a::10.0.0.1:80::success_rate::97.25
      outbound|80||a::10.0.0.1:80::local_origin_success_rate::-1

      """
    #expect(ClustersPage([cluster]).text == expected)
    let json = ClustersPage([cluster]).json["cluster_statuses"]?[0]
    let status = json?["host_statuses"]?[0]
    #expect(json?["eds_service_name"]?.stringValue == "a;x" && json?["added_via_api"]?.boolValue == true)
    #expect(json?["circuit_breakers"]?["thresholds"]?[1]?["priority"]?.stringValue == "HIGH")
    #expect(status?["address"]?["socket_address"]?["port_value"]?.intValue == 80)
    #expect(
      status?["stats"]?[0]?["name"]?.stringValue == "cx_active" && status?["stats"]?[0]?["type"]?.stringValue == "GAUGE"
    )
    #expect(status?["stats"]?[7]?["value"]?.stringValue == "8")
    #expect(status?["success_rate"]?["value"]?.doubleValue == 97.25 && status?["local_origin_success_rate"] == nil)
    #expect(status?["health_status"]?["eds_health_status"]?.stringValue == "HEALTHY")
  }

  @Test(
    "a page takes only the part of the status that it shows",
    arguments: [
      ("/clusters?format=json", AdminStatus.Parts.clusters), ("/config_dump", AdminStatus.Parts.configDump),
      ("/ready", AdminStatus.Parts()),
      ("/stats/prometheus", AdminStatus.Parts.listeners), ("/server_info", AdminStatus.Parts()),
    ])
  func parts(target: String, parts: AdminStatus.Parts) { #expect(AdminPages.parts(of: target) == parts) }
}
