import Testing
import WeftBase
import WeftCompile
import WeftModel
import WeftRuntime
import WeftTelemetry

@testable import WeftProxy
@testable import WeftProxyControl
@testable import WeftProxyTestKit

@Suite("admin pages")
struct AdminPagesTests {
  static func pages(_ change: (inout AdminStatus) -> Void = { _ in }) -> AdminPages {
    var status = AdminStatus()
    status.version = "abc/1.0/Clean/RELEASE"
    status.listeners = [.init(name: "in", address: .loopback(port: 8080))]
    var cluster = AdminStatus.ClusterStatus(name: "a\nb")
    var host = AdminStatus.Host(address: SocketAddress("10.0.0.1:80")!)
    host.isEjected = true
    cluster.hosts = [host]
    status.clusters = [cluster]
    change(&status)
    let metrics = MetricsRegistry(workers: 1)
    metrics.add(ClusterMetric.upstreamRqTotal, metrics.scope(ScopeKey(.cluster, "a")), 3)
    return AdminPages(status, metrics: metrics, log: LogOutput(level: .info))
  }

  @Test("ready says 200 only when live")
  func ready() {
    #expect(Self.pages().respond(method: "GET", target: "/ready") == AdminResponse(body: "LIVE\n"))
    let draining = Self.pages { $0.state = .draining }.respond(method: "GET", target: "/ready")
    #expect(draining.status == 503 && draining.body == "DRAINING\n")
  }

  @Test(
    "what changes something must be a POST",
    arguments: ["/drain_listeners", "/quitquitquit", "/logging", "/reopen_logs"])
  func mutations(path: String) {
    for method in ["GET", "HEAD", "PUT"] {
      let response = Self.pages().respond(method: method, target: path)
      #expect(response.status == 405 && response.action == nil)
    }
    #expect(Self.pages().respond(method: "POST", target: path).status == 200)
  }

  @Test("runtime values are shown by layer, with the one that holds")
  func runtime() throws {
    let page = Self.pages {
      $0.runtime.layers = ["base", "admin"]
      $0.runtime.entries = ["a.b": ["5", "6"], "c": ["1", ""]]
    }.respond(method: "GET", target: "/runtime")
    #expect(
      try JSONValue(parsing: Array(page.body.utf8)) == [
        "entries": [
          "a.b": ["final_value": "6", "layer_values": ["5", "6"]],
          "c": ["final_value": "1", "layer_values": ["1", ""]],
        ], "layers": ["base", "admin"],
      ])
  }

  @Test(
    "runtime values are changed by query or form; the first of a key counts, an empty one takes it away",
    arguments: [
      ("?a=5&a=6", "", [RuntimeChange(key: "a", value: RuntimeValue(text: "5"))]),
      ("?a=", "b=2", [RuntimeChange(key: "a", value: nil)]),
      ("", "a=x%20y", [RuntimeChange(key: "a", value: RuntimeValue(text: "x y"))]),
      ("?a=null", "", [RuntimeChange(key: "a", value: RuntimeValue(text: "null"))]),
    ])
  func runtimeChanges(query: String, form: String, changes: [RuntimeChange]) {
    let pages = Self.pages { $0.runtime.hasAdminLayer = true }
    let answer = pages.respond(method: "POST", target: "/runtime_modify" + query, form: form)
    #expect(answer.status == 200 && answer.body == "OK\n" && answer.action == .modifyRuntime(changes))
  }

  @Test("a share may be set as an object")
  func runtimeShare() {
    let pages = Self.pages { $0.runtime.hasAdminLayer = true }
    let share = "{\"numerator\":5,\"denominator\":\"MILLION\"}"
    let answer = pages.respond(method: "POST", target: "/runtime_modify?a=\(share)")
    guard case .modifyRuntime(let changes)? = answer.action else { return #expect(Bool(false)) }
    #expect(changes.first?.value?.fraction == FractionalPercent(5, of: .million) && changes.first?.value?.text == share)
  }

  @Test(
    "what cannot be a change of runtime values says why",
    arguments: [("", true, 400, "usage"), ("?a=1", false, 503, "No admin layer"), ("?a={b", true, 503, "a: ")])
  func runtimeRefusals(query: String, hasLayer: Bool, status: Int, text: String) {
    let pages = Self.pages { $0.runtime.hasAdminLayer = hasLayer }
    let answer = pages.respond(method: "POST", target: "/runtime_modify" + query)
    #expect(answer.status == status && answer.body.hasPrefix(text) && answer.action == nil)
  }

  @Test("a page from elsewhere cannot make a browser change anything")
  func crossOrigin() {
    let pages = Self.pages()
    let foreign = pages.respond(method: "POST", target: "/quitquitquit", origin: "http://evil", host: "127.0.0.1:15000")
    #expect(foreign.status == 403 && foreign.action == nil)
    let own = pages.respond(
      method: "POST", target: "/quitquitquit", origin: "http://127.0.0.1:15000", host: "127.0.0.1:15000")
    #expect(own.action == .quit)
  }

  @Test("a page that has made its own name mean our address can change nothing, and reads nothing of a loopback page")
  func rebinding() {
    let pages = Self.pages()
    for host in [
      "evil.example:15000", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "[::1].evil",
    ] {
      let post = pages.respond(method: "POST", target: "/quitquitquit", origin: "http://\(host)", host: host)
      #expect(post.status == 403 && post.action == nil, "\(host)")
      #expect(pages.respond(method: "GET", target: "/config_dump", host: host, isLocal: true).status == 403, "\(host)")
      #expect(pages.respond(method: "GET", target: "/stats", host: host).status == 200, "scraped by name")
    }
    for host in ["127.0.0.1:15000", "localhost:15000", "LOCALHOST", "[::1]:15000", "[::1]", "10.0.0.7", ""] {
      #expect(pages.respond(method: "GET", target: "/stats", host: host, isLocal: true).status == 200, "\(host)")
      if host.isEmpty { continue }
      let post = pages.respond(
        method: "POST", target: "/quitquitquit", origin: "http://\(host)", host: host, isLocal: true)
      #expect(post.action == .quit, "\(host)")
    }
    // A program, no browser.
    #expect(pages.respond(method: "POST", target: "/quitquitquit", host: "proxy.example").action == .quit)
  }

  @Test(
    "a page of another site changes nothing, whatever it says of its origin",
    arguments: [
      ("cross-site", nil, nil), ("cross-site", "http://127.0.0.1:15000", nil), ("same-origin", nil, .quit),
      ("same-site", nil, .quit), ("none", nil, .quit), (nil, nil, .quit), ("same-origin", "http://evil.example", nil),
    ] as [(String?, String?, AdminAction?)])
  func site(site: String?, origin: String?, action: AdminAction?) {
    let pages = Self.pages()
    let post = pages.respond(
      method: "POST", target: "/quitquitquit", origin: origin, site: site, host: "127.0.0.1:15000", isLocal: true)
    #expect(post.action == action && post.status == (action == nil ? 403 : 200))
    let read = pages.respond(method: "GET", target: "/stats", site: site, host: "127.0.0.1:15000", isLocal: true)
    #expect(read.status == 200)
  }

  @Test("actions carry their options")
  func actions() {
    let pages = Self.pages()
    #expect(
      pages.respond(method: "POST", target: "/drain_listeners?graceful&inboundonly").action
        == .drainListeners(inboundOnly: true, graceful: true))
    #expect(pages.respond(method: "POST", target: "/quitquitquit").action == .quit)
    let logging = pages.respond(method: "POST", target: "/logging?xds=debug")
    #expect(logging.action == .setLogLevel(component: "xds", level: "debug") && logging.body.contains("  xds: debug\n"))
    #expect(pages.respond(method: "POST", target: "/logging?xds=loud").status == 400)
    #expect(pages.respond(method: "POST", target: "/logging?nobody=debug").status == 400)
  }

  @Test("statistics: filter, formats, a broken pattern")
  func stats() throws {
    let pages = Self.pages()
    #expect(
      pages.respond(method: "GET", target: "/stats?usedonly&filter=rq_tot").body == "cluster.a.upstream_rq_total: 3\n")
    #expect(pages.respond(method: "GET", target: "/stats?usedonly&filter=%5Enothing").body == "")
    #expect(pages.respond(method: "GET", target: "/stats?filter=(").status == 400)
    let json = pages.respond(method: "GET", target: "/stats?format=json")
    #expect(json.contentType == "application/json" && (try? JSONValue(parsing: json.body)) != nil)
    #expect(
      pages.respond(method: "GET", target: "/stats/prometheus").body.contains(
        "envoy_cluster_upstream_rq_total{envoy_cluster_name=\"a\"} 3\n"))
    #expect(pages.respond(method: "GET", target: "/stats?format=xml").status == 400)
  }

  @Test("the server's own gauges come from its status")
  func serverGauges() {
    let text = Self.pages {
      $0.state = .draining
      $0.uptimeSeconds = 77
    }.respond(method: "GET", target: "/stats").body
    for line in [
      "server.live: 0", "server.state: 1", "server.uptime: 77", "listener_manager.total_listeners_active: 1",
    ] {
      #expect(text.contains(line + "\n"), "\(line)")
    }
  }

  @Test("clusters and listeners as text and JSON; names cannot break lines")
  func clusters() throws {
    let pages = Self.pages()
    let text = pages.respond(method: "GET", target: "/clusters").body
    #expect(text.contains("a?b::10.0.0.1:80::health_flags::/failed_outlier_check\n"))
    #expect(text.contains("a?b::default_priority::max_connections::1024\n"))
    let json = try JSONValue(parsing: pages.respond(method: "GET", target: "/clusters?format=json").body)
    #expect(json["cluster_statuses"]?[0]?["name"]?.stringValue == "a\nb")
    #expect(pages.respond(method: "GET", target: "/listeners").body == "in::127.0.0.1:8080\n")
    let listeners = try JSONValue(parsing: pages.respond(method: "GET", target: "/listeners?format=json").body)
    #expect(listeners["listener_statuses"]?[0]?["local_address"]?["socket_address"]?["port_value"]?.intValue == 8080)
  }

  @Test("the configuration dump shows no key material")
  func redaction() throws {
    let dump = try JSONValue(
      parsing: """
        {"@type":"x","dynamic_active_secrets":[{"name":"s","secret":{"tls_certificate":{"certificate_chain":{"inline_string":"CERT"},
        "private_key":{"inline_string":"SECRETKEY"},"password":{"filename":"/etc/pw"}}}}],
        "headers":[{"key":"Authorization","value":"Bearer SECRETTOKEN"}]}
        """)
    let pages = Self.pages { $0.configDump = [dump] }
    let body = pages.respond(method: "GET", target: "/config_dump").body
    #expect(
      !body.contains("SECRET") && body.contains("CERT") && body.contains("[redacted]") && body.contains("/etc/pw"))
    let one = pages.respond(method: "GET", target: "/config_dump?resource=dynamic_active_secrets&name_regex=^s$")
    #expect(one.status == 200 && one.body.contains("CERT"))
    #expect(pages.respond(method: "GET", target: "/config_dump?resource=nothing").status == 404)
  }

  @Test("unknown paths get the list, and no page is HTML")
  func help() {
    let pages = Self.pages()
    #expect(pages.respond(method: "GET", target: "/nope").status == 404)
    for path in ["/", "/help", "/server_info", "/stats", "/clusters", "/nope<script>"] {
      let type = pages.respond(method: "GET", target: path).contentType
      #expect(type.hasPrefix("text/plain") || type == "application/json")
    }
    #expect(pages.respond(method: "GET", target: "/server_info").body.contains("\"state\": \"LIVE\""))
  }

  @Test("versions as numbers", arguments: [("1.2.3", 1_002_003), ("0.1.0-dev", 1000), ("", 0), ("7", 7_000_000)])
  func version(text: String, number: UInt64) {
    #expect(ServerLevels.number(text) == number)
  }
}
