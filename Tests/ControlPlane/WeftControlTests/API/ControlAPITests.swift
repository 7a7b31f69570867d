import Testing
import WeftBase
import WeftControlAPI
import WeftDiscovery
import WeftKinds
import WeftProtobuf
import WeftTranslation
import WeftTestKit

@testable import WeftConfig
@testable import WeftControl

@Suite("control API")
struct ControlAPITests {
  private typealias W = ControlWorld

  @Test("apply takes good documents, refuses bad ones with path and place, and answers 422 when any was refused")
  func apply() async throws {
    let world = try await ControlWorld()
    let body = W.rule("a") + "---\n" + W.rule("b", timeout: "soon")
    let answer = await world.call("POST", "/api/v1/apply", body)
    #expect(answer.status == 422)
    let results = answer.json["results"]
    #expect(results?[0]?["action"] == "created")
    #expect(results?[0]?["resourceVersion"] == "1")
    #expect(results?[1]?["action"] == "refused")
    #expect(results?[1]?["errors"]?[0]?["path"] == "spec.http[0].timeout")
    #expect(results?[1]?["errors"]?[0]?["line"] == 16)
    let answer1 = await world.call("POST", "/api/v1/apply", W.rule("a"))
    #expect(answer1.json["results"]?[0]?["action"] == "unchanged")
    #expect(await world.call("POST", "/api/v1/apply", "").status == 400)
    #expect(await world.call("GET", "/api/v1/apply").status == 405)
  }

  @Test("a refused change leaves the last good object in force")
  func lastGood() async throws {
    let world = try await ControlWorld()
    try await world.following {
      await world.call("POST", "/api/v1/apply", W.rule("a", timeout: "3s"))
      await world.call("POST", "/api/v1/apply", W.rule("a", timeout: "soon"))
      let snapshot = try await world.settled()
      let rule = try #require(snapshot.virtualServices.all.first)
      #expect(rule.spec.http.first?.timeout?.seconds == 3)
    }
  }

  @Test("a dry run and a diff change nothing and say what would")
  func dryRun() async throws {
    let world = try await ControlWorld()
    await world.call("POST", "/api/v1/apply", W.rule("a"))
    let dry = await world.call("POST", "/api/v1/apply?dryRun=true&namespace=default", W.rule("a", timeout: "2s"))
    #expect(dry.json["results"]?[0]?["action"] == "configured")
    let diff = await world.call("POST", "/api/v1/diff", W.rule("a", timeout: "2s") + "---\n" + W.rule("b"))
    #expect(diff.status == 200)
    #expect(diff.json["results"]?[0]?["action"] == "change")
    #expect(diff.json["results"]?[0]?["before"]?["spec"]?["http"]?[0]?["timeout"] == "1s")
    #expect(diff.json["results"]?[0]?["after"]?["spec"]?["http"]?[0]?["timeout"] == "2s")
    #expect(diff.json["results"]?[0]?["changes"]?[0]?["path"] == "spec.http[0].timeout")
    #expect(diff.json["results"]?[1]?["action"] == "create")
    #expect(diff.json["results"]?[1]?["before"]?.isNull == true)
    #expect(try await world.store.perform { $0.revision } == 1)
  }

  @Test("objects are found by kind, plural and short name, written optimistically, and deleted")
  func objects() async throws {
    let world = try await ControlWorld()
    await world.call("POST", "/api/v1/apply", W.rule("a") + "---\n" + W.rule("b", namespace: "other"))
    for kind in ["VirtualService", "virtualservices", "VS"] {
      let found = await world.call("GET", "/api/v1/objects/\(kind)").json
      #expect(found["items"]?.arrayValue?.count == 2)
    }
    let others = await world.call("GET", "/api/v1/objects/vs?namespace=other").json
    #expect(others["items"]?.arrayValue?.count == 1)
    #expect(await world.call("GET", "/api/v1/objects/pods").status == 404)

    let path = "/api/v1/namespaces/default/vs/a"
    var object = await world.call("GET", path).json
    #expect(object["metadata"]?["resourceVersion"] == "1")
    object["spec"]?["http"] = [["timeout": "4s", "route": [["destination": ["host": "a"]]]]]
    let written = await world.call("PUT", path, object.text())
    #expect(written.status == 200)
    #expect(written.json["metadata"]?["generation"] == 2)
    #expect(await world.call("PUT", path, object.text()).status == 409)
    #expect(await world.call("POST", path, W.rule("a")).status == 409)
    #expect(await world.call("PUT", path, W.rule("elsewhere")).status == 400)
    #expect(await world.call("PUT", path, W.rule("a", timeout: "x")).status == 422)

    let answer2 = await world.call("GET", path + "/history")
    #expect(answer2.json["items"]?.arrayValue?.count == 2)
    #expect(answer2.json["items"]?[0]?["changes"] == ["spec.http[0].timeout"])
    #expect(answer2.json["items"]?.arrayValue?.map { $0["generation"] } == [2, 1])
    #expect(await world.call("POST", path + "/rollback?generation=7").status == 404)
    #expect(await world.call("POST", path + "/rollback").status == 400)
    let dry = await world.call("POST", path + "/rollback?generation=1&dryRun")
    #expect(dry.json["spec"]?["http"]?[0]?["timeout"] == "1s")
    #expect(await world.call("GET", path).json["metadata"]?["generation"] == 2)
    let rolled = await world.call("POST", path + "/rollback?generation=1")
    #expect(rolled.json["spec"]?["http"]?[0]?["timeout"] == "1s")
    #expect(await world.call("DELETE", path).status == 200)
    #expect(await world.call("DELETE", path).status == 404)
    #expect(await world.call("GET", path).status == 404)
    #expect(await world.call("PATCH", path).status == 405)
  }

  @Test(
    "a revision that no store reaches is answered, not fatal",
    arguments: ["2", "9223372036854775807", "9223372036854775808", "18446744073709551615"])
  func futureRevisions(revision: String) async throws {
    let world = try await ControlWorld()
    await world.call("POST", "/api/v1/apply", W.rule("a"))
    let answer = await world.call("POST", "/api/v1/namespaces/default/vs/a/rollback?revision=\(revision)")
    #expect(answer.status == 400)
    #expect(await world.call("GET", "/api/v1/namespaces/default/vs/a").json["metadata"]?["resourceVersion"] == "1")
  }

  @Test("an apply whose wait is no duration stores nothing")
  func badWait() async throws {
    let world = try await ControlWorld()
    #expect(await world.call("POST", "/api/v1/apply?wait=abc", W.rule("a")).status == 400)
    #expect(try await world.store.perform { $0.revision } == 0)
  }

  @Test("an object that stands twice in a body is refused the second time, with the place of the first")
  func twins() async throws {
    let world = try await ControlWorld()
    let body = [W.rule("a"), W.rule("b"), W.rule("a", timeout: "2s")].joined(separator: "---\n")
    let answer = await world.call("POST", "/api/v1/apply", body)
    #expect(answer.json["results"]?.arrayValue?.map { $0["action"] } == ["created", "created", "refused"])
    let message = answer.json["results"]?[2]?["errors"]?[0]?["message"]?.stringValue
    #expect(message?.hasPrefix("the same object stands earlier") == true)
  }

  @Test("remove takes out what the documents name")
  func remove() async throws {
    let world = try await ControlWorld()
    await world.call("POST", "/api/v1/apply", W.rule("a"))
    let answer = await world.call("POST", "/api/v1/remove", W.rule("a") + "---\n" + W.rule("b"))
    #expect(answer.json["results"]?.arrayValue?.map { $0["action"] } == ["deleted", "absent"])
  }

  @Test("services show ports and instances; workloads show their lease")
  func services() async throws {
    let world = try await ControlWorld()
    try await world.following {
      await world.call("POST", "/api/v1/workloads", W.registration("r1"))
      _ = try await world.settled()
      let service = await world.call("GET", "/api/v1/services?namespace=default").json["items"]?[0]
      #expect(service?["host"] == "reviews.default.svc.cluster.local")
      #expect(service?["instances"]?[0]?["port"] == 31080)
      #expect(service?["instances"]?[0]?["health"] == "HEALTHY")
      let answer3 = await world.call("GET", "/api/v1/services?namespace=none")
      #expect(answer3.json["items"]?.arrayValue?.isEmpty == true)
      let workload = await world.call("GET", "/api/v1/workloads").json["items"]?[0]
      #expect(workload?["leaseRemainingSeconds"] == 30)
      let answer4 = await world.call("GET", "/api/v1/workloads/default/r1")
      #expect(answer4.json["service"] == "reviews")
      #expect(await world.call("DELETE", "/api/v1/workloads/default/none").status == 404)
    }
  }

  @Test("kinds, version, health, readiness and metrics answer")
  func status() async throws {
    let world = try await ControlWorld()
    let kinds = await world.call("GET", "/api/v1/kinds").json["items"]?.arrayValue?.map { $0["plural"]?.stringValue }
    #expect(kinds?.contains("virtualservices") == true)
    #expect(await world.call("GET", "/healthz").status == 200)
    #expect(await world.call("GET", "/readyz").status == 503)
    world.api.readiness.set(true)
    #expect(await world.call("GET", "/readyz").status == 200)
    let answer5 = await world.call("GET", "/version")
    #expect(answer5.json["version"] == "dev")
    #expect(await world.call("GET", "/metrics").json.stringValue?.contains("pilot_services 0") == true)
    let answer6 = await world.call("GET", "/api/v1/proxies")
    #expect(answer6.json["items"]?.arrayValue?.isEmpty == true)
    #expect(await world.call("GET", "/api/v1/proxies/x/config?type=CDS").status == 404)
    #expect(await world.call("GET", "/nothing").status == 404)
  }

  /// One proxy that has taken everything, and one that refuses rules called `bad`.
  private struct TwoProxies: ProxyStatusSource {
    func proxies() async -> [JSONValue] { [["id": "p1"]] }
    func config(of node: String, type: String) async -> [JSONValue]? { node == "p1" ? [["name": .string(type)]] : nil }
    func status(of targets: [ObjectKey: RuleTarget]) async -> [ObjectKey: RuleStatus] {
      var statuses: [ObjectKey: RuleStatus] = [:]
      for key in targets.keys {
        var status = RuleStatus()
        status.proxies = ["p1": .active]
        if key.name == "bad" {
          status.proxies["p2"] = .refused
          status.refusals = [.init(proxy: "p2", type: .route, resource: "9080", message: "no")]
        }
        statuses[key] = status
      }
      return statuses
    }
    func wait(for targets: [ObjectKey: RuleTarget], timeout: Duration) async -> [ObjectKey: RuleStatus] {
      #expect(timeout == .seconds(5))
      #expect(targets.values.allSatisfy { $0.generation == 1 && $0.revision == 1 })
      return await status(of: targets)
    }
    func metrics() async -> String { "pilot_xds 1\n" }
  }

  @Test("an apply waits for the proxies when asked to, and a rule tells how far it has come")
  func waitAndStatus() async throws {
    let world = try await ControlWorld()
    let api = ControlAPI(
      store: world.store, aggregate: world.aggregate, registry: world.registry, clock: world.time.clock,
      proxies: TwoProxies())
    func ask(_ method: String, _ path: String, _ query: String? = nil, _ body: String = "") async throws -> JSONValue {
      let call = try #require(Call(method: method, path: path, query: query))
      return try JSONValue(parsing: await api.answer(call, body: Array(body.utf8), actor: "test").body)
    }
    let applied = try await ask("POST", "/api/v1/apply", "wait=5s", W.rule("a"))
    #expect(applied["settled"] == true)
    #expect(applied["results"]?[0]?["delivery"]?["active"] == 1)
    let status = try await ask("GET", "/api/v1/namespaces/default/vs/a/status")
    #expect(status["generation"] == 1)
    #expect(status["phase"] == "active")
    #expect(status["proxies"] == ["p1": "active"])
    let other = try await ControlWorld()
    let refusing = ControlAPI(
      store: other.store, aggregate: other.aggregate, registry: other.registry, clock: other.time.clock,
      proxies: TwoProxies())
    let call = try #require(Call(method: "POST", path: "/api/v1/apply", query: "wait=5s"))
    let answer = await refusing.answer(call, body: Array(W.rule("bad").utf8), actor: "test")
    #expect(answer.status == 200)
    let refused = try JSONValue(parsing: answer.body)
    #expect(refused["settled"] == false)
    #expect(refused["results"]?[0]?["delivery"]?["refused"] == 1)
    #expect(refused["results"]?[0]?["delivery"]?["refusals"]?[0]?["message"] == "no")
    let listed = try await ask("GET", "/api/v1/objects/vs", "status")
    #expect(listed["items"]?[0]?["status"]?["phase"] == "active")
    #expect(try await ask("GET", "/api/v1/objects/vs")["items"]?[0]?["status"] == nil)
    let missing = try await ask("GET", "/api/v1/namespaces/default/vs/b/status")
    #expect(missing["errors"]?.arrayValue?.count == 1)
    let proxies = try await ask("GET", "/api/v1/proxies")
    #expect(proxies["items"]?.arrayValue?.count == 1)
    let config = try await ask("GET", "/api/v1/proxies/p1/config", "type=CDS")
    #expect(config["items"]?[0]?["name"] == "CDS")
    let everything = try await ask("GET", "/api/v1/proxies/p1/config")
    #expect(everything["items"]?.arrayValue?.map { $0["name"] } == ["CDS", "EDS", "LDS", "RDS"])
  }

  @Test("all or nothing: with atomic one refusal refuses all")
  func atomic() async throws {
    let world = try await ControlWorld()
    let body = W.rule("a") + "---\n" + W.rule("b", timeout: "soon")
    let answer = await world.call("POST", "/api/v1/apply?atomic", body)
    #expect(answer.status == 422)
    #expect(answer.json["results"]?.arrayValue?.map { $0["action"] } == ["refused", "refused"])
    #expect(try await world.store.perform { $0.revision } == 0)
  }

  @Test("a target that is not well formed is no call", arguments: ["/a%2", "/a%zz", "/%ff"])
  func badTargets(path: String) {
    #expect(Call(method: "GET", path: path, query: nil) == nil)
  }
}
