import Synchronization
import Testing
import WeftBase
import WeftService

@testable import WeftCLI

/// A control plane that answers each call with the next of the answers it was given for it.
private final class CannedControl: Sendable {
  private let answers: Mutex<[String: [(status: Int, body: String)]]>
  private let calls = Mutex<[String]>([])

  init(_ answers: [String: [(status: Int, body: String)]]) { self.answers = Mutex(answers) }

  var seen: [String] { calls.withLock { $0 } }

  private func answer(_ call: String) -> (status: Int, body: String) {
    calls.withLock { $0.append(call) }
    return answers.withLock { answers in
      guard let list = answers[call], let first = list.first else {
        return (404, #"{"errors":[{"message":"no answer for \#(call)"}]}"#)
      }
      // The last one stays.
      if list.count > 1 { answers[call] = Array(list.dropFirst()) }
      return first
    }
  }

  /// Runs a command against it and returns exit code, output and errors.
  func run(
    _ words: String..., scheme: String = "http://"
  ) async throws -> (code: Int32, out: String, errors: String) {
    let transcript = Transcript()
    let code = try await ServiceRuntime.with { runtime in
      let server = try await HTTPServer.bind(HTTPServerConfiguration(addresses: [.loopback()]), on: runtime)
      let url = "\(scheme)\(server.addresses[0])"
      return try await withThrowingTaskGroup(of: Int32?.self) { group in
        group.addTask {
          await server.run { request, responder in
            let query = request.head.query.map { "?\($0)" } ?? ""
            let answer = self.answer("\(request.head.method) \(request.head.path)\(query)")
            try await responder.send(
              HTTPResponse(status: answer.status, headers: ["content-type": "application/json"]),
              body: Array(answer.body.utf8))
          }
          return nil
        }
        group.addTask {
          await CommandLineTool.main(
            words + ["--control", url],
            CommandContext(terminal: transcript.terminal, environment: [:], program: "weft"))
        }
        var code: Int32 = -1
        while let ended = try await group.next() {
          if let ended {
            code = ended
            await server.shutdown(grace: .zero)
          }
        }
        return code
      }
    }
    return (code, transcript.out, transcript.errors)
  }
}

@Suite("commands against a control plane")
struct ControlTranscriptTests {
  private static let history = """
    {"items": [
      {"revision": "9", "generation": 3, "type": "MODIFIED", "time": "2026-11-21T10:00:00Z", "actor": "weft 127.0.0.1", \
    "changes": ["spec.http[0].timeout", "spec.http[0].a", "spec.http[0].b", "spec.http[0].c", "spec.http[0].d"], \
    "object": {"spec": {"http": [{"timeout": "3s"}]}}},
      {"revision": "7", "generation": 2, "type": "MODIFIED", "time": "2026-11-20T10:00:00Z", "actor": "ann", \
    "changes": ["spec.http[0].timeout"], "object": {"spec": {"http": [{"timeout": "2s"}]}}},
      {"revision": "4", "generation": 1, "type": "ADDED", "time": "2026-11-19T10:00:00Z", "actor": "ann", \
    "object": {"spec": {"http": [{"timeout": "1s"}]}}}]}
    """
  private static let base = "/api/v1/namespaces/default/vs/reviews"

  private static func rolled(_ timeout: String) -> String {
    """
    {"kind": "VirtualService", "metadata": {"name": "reviews", "namespace": "default"}, \
    "spec": {"http": [{"timeout": "\(timeout)"}]}, "effect": "configured"}
    """
  }

  @Test("history: newest first, with who, when, and what", arguments: [["vs", "reviews"], ["vs/reviews"]])
  func history(words: [String]) async throws {
    let control = CannedControl(["GET \(Self.base)/history": [(200, Self.history)]])
    let result =
      words.count == 2
      ? try await control.run("history", words[0], words[1]) : try await control.run("history", words[0])
    #expect(result.code == 0)
    #expect(
      result.out == """
        GENERATION   REVISION   CHANGE     TIME                   BY               FIELDS
        3            9          modified   2026-11-21T10:00:00Z   weft 127.0.0.1   spec.http[0].timeout, spec.http[0].a, spec.http[0].b and 2 more
        2            7          modified   2026-11-20T10:00:00Z   ann              spec.http[0].timeout
        1            4          added      2026-11-19T10:00:00Z   ann

        """)
  }

  @Test("history of nothing ends with 1, of no name with 2")
  func noHistory() async throws {
    let control = CannedControl([:])
    #expect(try await control.run("history", "vs", "reviews").code == 1)
    #expect(try await control.run("history", "vs").code == 2)
    #expect(try await control.run("history", "vs/a", "vs/b").code == 2)
  }

  @Test("rollback brings a generation back and shows the difference")
  func rollback() async throws {
    let control = CannedControl([
      "GET \(Self.base)/history": [(200, Self.history)],
      "POST \(Self.base)/rollback?revision=4": [(200, Self.rolled("1s"))],
    ])
    let result = try await control.run("rollback", "vs", "reviews", "--to", "1")
    #expect(result.code == 0)
    #expect(
      result.out == """
        virtualservice/reviews.default rolled back (generation 1)
            http:
          - - timeout: 3s
          + - timeout: 1s

        """)
  }

  @Test("rollback without a number takes the version before; a dry run changes nothing")
  func previous() async throws {
    let control = CannedControl([
      "GET \(Self.base)/history": [(200, Self.history)],
      "POST \(Self.base)/rollback?revision=7&dryRun": [(200, Self.rolled("2s"))],
    ])
    let result = try await control.run("rollback", "vs/reviews", "--dry-run")
    #expect(result.code == 0)
    #expect(result.out.hasPrefix("virtualservice/reviews.default would be rolled back (generation 2)\n"))
    let missing = try await control.run("rollback", "vs/reviews", "--to", "8")
    #expect(missing.code == 1)
    #expect(missing.errors == "vs/reviews has no generation 8 in its history; there are 3, 2, 1\n")
  }

  private static func applied(_ more: String = "") -> String {
    """
    {"results": [{"kind": "VirtualService", "namespace": "default", "name": "reviews", "action": "configured"\(more)}]}
    """
  }

  private static func status(_ active: Int, refused: Int = 0, of relevant: Int) -> String {
    let proxies = (0..<relevant).map { index in
      let word = index < active ? "active" : index < active + refused ? "refused" : "sent"
      return "\"p\(index)\": \"\(word)\""
    }.joined(separator: ", ")
    let refusals =
      refused == 0 ? "" : #"{"proxy": "p9", "type": "RDS", "resource": "9080", "message": "route 9080: no"}"#
    return """
      {"relevant": \(relevant), "active": \(active), "refused": \(refused), "complete": \(active == relevant), \
      "refusals": [\(refusals)], "proxies": {\(proxies)}}
      """
  }

  private static let statusCall = "GET /api/v1/namespaces/default/VirtualService/reviews/status?wait=250ms"

  private func apply(_ answers: [String], _ wait: String = "--wait=5s") async throws -> (
    code: Int32, out: String, errors: String
  ) {
    let control = CannedControl([
      "POST /api/v1/apply?namespace=default": [(200, Self.applied())],
      Self.statusCall: answers.map { (200, $0) },
      "GET /api/v1/namespaces/default/VirtualService/reviews/status?wait=0ms": answers.suffix(1).map { (200, $0) },
    ])
    return try await control.run("apply", "-f", "/dev/null", wait)
  }

  @Test("delete tells of each object, in any form, and goes on after a refusal")
  func delete() async throws {
    let there = "DELETE /api/v1/namespaces/default/vs/b"
    let table = try await CannedControl([there: [(200, "{}")]]).run("delete", "vs", "a", "b")
    #expect(table.code == 1)
    #expect(table.out == "vs/b.default deleted\n")
    #expect(
      table.errors == """
        vs/a.default refused
          error: no answer for DELETE /api/v1/namespaces/default/vs/a

        """)
    let json = try await CannedControl([there: [(200, "{}")]]).run("delete", "vs", "a", "b", "-o", "json")
    let results = try #require(try JSONValue(parsing: json.out)["results"]?.arrayValue)
    #expect(results.map { $0["action"] } == ["refused", "deleted"])
    #expect(results.map { $0["errors"]?.arrayValue?.count } == [1, nil])
    #expect(json.errors.isEmpty)
  }

  @Test("apply --wait prints each step and ends when every proxy has it")
  func applyWait() async throws {
    let result = try await apply([Self.status(0, of: 6), Self.status(3, of: 6), Self.status(6, of: 6)])
    #expect(result.code == 0)
    #expect(result.out == "virtualservice/reviews.default configured\n")
    #expect(
      result.errors == """
        virtualservice/reviews.default: 0 of 6 proxies have it
        virtualservice/reviews.default: 3 of 6 proxies have it
        virtualservice/reviews.default: 6 of 6 proxies have it

        """)
  }

  @Test("apply --wait ends with 1 when a proxy refuses, and prints its words")
  func applyRefused() async throws {
    let result = try await apply([Self.status(1, refused: 1, of: 2)])
    #expect(result.code == 1)
    #expect(
      result.errors == """
        virtualservice/reviews.default: 1 of 2 proxies have it, 1 refused it
        virtualservice/reviews.default: refused by p9: RDS 9080: route 9080: no

        """)
  }

  @Test("apply --wait ends with 5 when time runs out, and names who is missing")
  func applyLate() async throws {
    let result = try await apply([Self.status(1, of: 2)], "--wait=1ms")
    #expect(result.code == 5)
    #expect(result.errors.hasSuffix("virtualservice/reviews.default: time ran out; waiting for p1\n"))
    #expect(try await apply([], "--wait=soon").code == 2)
  }

  @Test("warnings go to standard error and change no exit code")
  func warnings() async throws {
    let warning = #", "warnings": [{"path": "spec.http[0].fault", "message": "has no effect"}]"#
    let control = CannedControl([
      "POST /api/v1/apply?dryRun=true&namespace=default": [(200, Self.applied(warning))]
    ])
    let result = try await control.run("apply", "-f", "/dev/null", "--dry-run")
    #expect(result.code == 0)
    #expect(result.out == "virtualservice/reviews.default configured (dry run)\n")
    #expect(result.errors == "Warning: /dev/null: virtualservice/reviews.default: spec.http[0].fault: has no effect\n")
  }

  @Test("get shows how far objects have come, and for a named one its warnings and refusals")
  func get() async throws {
    let items = """
      {"items": [
        {"kind": "VirtualService", "metadata": {"name": "reviews", "namespace": "default", "generation": 2}, "status": \
      {"phase": "refused", "relevant": 3, "active": 2, "refused": 1, "warnings": [{"path": "spec.hosts[0]", "message": "odd"}], \
      "refusals": [{"proxy": "p9", "type": "RDS", "resource": "9080", "message": "no"}]}},
        {"kind": "VirtualService", "metadata": {"name": "unused", "namespace": "default", "generation": 1}, "status": \
      {"phase": "unused", "relevant": 0, "active": 0, "refused": 0}}]}
      """
    let control = CannedControl(["GET /api/v1/objects/vs?namespace=default&status": [(200, items)]])
    let list = try await control.run("get", "vs")
    #expect(list.code == 0)
    #expect(
      list.out == """
        KIND             NAMESPACE   NAME      GENERATION   STATUS        WARNINGS   AGE
        VirtualService   default     reviews   2            refused 1/3   1
        VirtualService   default     unused    1            unused        0
        virtualservice/reviews.default: refused by p9: RDS 9080: no

        """)
    let one = try await control.run("get", "vs/reviews")
    #expect(one.out.hasSuffix("virtualservice/reviews.default: warning: spec.hosts[0]: odd\n"))
    #expect(!one.out.contains("unused"))
  }

  @Test("get shows several kinds in one table, and all of a namespace with services and workloads apart")
  func getSeveral() async throws {
    func item(_ kind: String, _ name: String) -> String {
      """
      {"items": [{"kind": "\(kind)", "metadata": {"name": "\(name)", "namespace": "default", "generation": 1, \
      "creationTimestamp": "1970-01-01T00:00:00Z"}}]}
      """
    }
    let control = CannedControl([
      "GET /api/v1/objects/vs?namespace=default&status": [(200, item("VirtualService", "a"))],
      "GET /api/v1/objects/dr?namespace=default&status": [(200, item("DestinationRule", "b"))],
      "GET /api/v1/kinds": [(200, #"{"items": [{"plural": "vs"}, {"plural": "dr"}]}"#)],
      "GET /api/v1/services?namespace=default": [(200, #"{"items": []}"#)],
      "GET /api/v1/workloads?namespace=default": [(200, #"{"items": [{"id": "w-1", "service": "a"}]}"#)],
    ])
    let both = """
      KIND              NAMESPACE   NAME   GENERATION   STATUS   WARNINGS   AGE
      VirtualService    default     a      1            -        0          0s
      DestinationRule   default     b      1            -        0          0s

      """
    #expect(try await control.run("get", "vs,dr").out == both)
    #expect(
      try await control.run("get", "all").out == both + """

        ID    NAMESPACE   SERVICE   VERSION   ADDRESS   HEALTH   AGE
        w-1               a                   :

        """)
  }

  @Test("files behind -f and after it are all applied, and each is named in its errors")
  func positionalFiles() async throws {
    let refused =
      #"{"results": [{"kind": "Gateway", "name": "g", "action": "refused", "errors": [{"line": 2, "message": "no"}]}]}"#
    let control = CannedControl(["POST /api/v1/apply?namespace=default": [(200, Self.applied()), (422, refused)]])
    let result = try await control.run("apply", "-f", "/dev/null", "/dev/null")
    #expect(result.code == 1)
    #expect(
      result.out == """
        virtualservice/reviews.default configured
        gateway/g refused
          error: /dev/null: line 2: no

        """)
  }

  @Test("a proxy that is not connected ends with 1, with the one that was meant")
  func noSuchProxy() async throws {
    let proxies = #"{"items": [{"id": "sidecar~127.0.0.1~reviews-v1.default~default.svc.cluster.local"}]}"#
    let control = CannedControl(["GET /api/v1/proxies": [(200, proxies)]])
    let result = try await control.run("proxy", "status", "reviewz-v1")
    #expect(result.code == 1)
    #expect(result.out == "")
    #expect(result.errors == "no connected proxy has 'reviewz-v1' in its id; did you mean \"reviews-v1\"?\n")
    #expect(try await control.run("proxy", "status", "reviews").code == 0)
  }

  @Test("a control plane is reached without http:// before its address")
  func withoutScheme() async throws {
    let control = CannedControl(["GET /api/v1/proxies": [(200, #"{"items": []}"#)]])
    #expect(try await control.run("proxy", "status", scheme: "").code == 0)
  }

  @Test("check tells a store that cannot be written, and one that has lost something")
  func checkStore() async throws {
    func check(_ state: String) async throws -> (code: Int32, out: String, errors: String) {
      let empty = (status: 200, body: #"{"items": []}"#)
      let control = CannedControl([
        "GET /version": [(200, #"{"version": "\#(WeftVersion.text)"}"#)], "GET /api/v1/store": [(200, state)],
        "GET /api/v1/workloads": [empty], "GET /api/v1/sources": [empty], "GET /api/v1/proxies": [empty],
      ])
      return try await control.run("check")
    }
    let full = try await check(#"{"writable": false, "failure": "database or disk is full"}"#)
    #expect(full.code == 1)
    #expect(full.out.contains("FAIL store: cannot be written: database or disk is full\n"))
    let lost = try await check(#"{"writable": true, "loss": {"message": "it is gone"}}"#)
    #expect(lost.out.contains("FAIL store: it is gone\n"))
    #expect(try await check(#"{"writable": true, "resourceVersion": "7"}"#).out.contains("ok   store: at revision 7\n"))
  }
}
