import Dispatch
import Glibc
import Testing
import WeftBase
import WeftConfig
import WeftControlAPI
import WeftService
import WeftTestKit

@testable import WeftControl

@Suite("control server over loopback")
struct ControlServerTests {
  private typealias W = ControlWorld

  /// Starts a server on free ports, runs `body` with its URL and a client, stops it.
  /// Starts a server. The store of the one before goes with the last of its tasks, which may come after its end was told.
  private static func start(
    _ configuration: ControlConfiguration, on runtime: ServiceRuntime
  ) async throws -> ControlServer {
    for _ in 0..<500 {
      do { return try await ControlServer.start(configuration, on: runtime) } catch let error as StoreError {
        guard case .inUse = error else { throw error }
        try await Task.sleep(for: .milliseconds(20))
      }
    }
    return try await ControlServer.start(configuration, on: runtime)
  }

  private func serving(
    _ directory: TemporaryDirectory? = nil, files: TemporaryDirectory? = nil, address: ServiceAddress = .loopback(),
    hosts: [String] = [],
    _ body: (String, HTTPClient, ControlServer) async throws -> Void
  ) async throws {
    try await ServiceRuntime.with { runtime in
      var configuration = ControlConfiguration()
      configuration.apiAddress = address
      configuration.apiHosts = hosts
      configuration.xdsAddress = .loopback()
      configuration.dataDirectory = directory?.path
      configuration.configDirectories = files.map { [$0.path] } ?? []
      // Only notices can make a change visible within the test's time.
      configuration.directoryTimes.poll = .seconds(3600)
      configuration.grace = .seconds(1)
      let server = try await Self.start(configuration, on: runtime)
      let serving = Task { try await server.run() }
      let client = ControlWorld.client(on: runtime)
      let address = try #require(server.apiAddresses.first)
      do {
        try await body("http://\(address)", client, server)
      } catch {
        await server.shutdown()
        throw error
      }
      await client.close()
      await server.shutdown()
      try await serving.value
    }
  }

  @Test("applies, lists and tells over HTTP, with the limits of bodies")
  func roundTrip() async throws {
    try await serving { url, client, server in
      let applied = try await client.send("POST", url + "/api/v1/apply", body: Array(W.rule("a").utf8))
      #expect(applied.status == 200)
      let listed = try await client.get(url + "/api/v1/objects/vs")
      #expect(try JSONValue(parsing: listed.body)["items"]?.arrayValue?.count == 1)
      let large = try await client.send(
        "POST", url + "/api/v1/apply", body: [UInt8](repeating: 0x20, count: ControlAPI.bodyLimit + 1))
      #expect(large.status == 413)
      #expect(try await client.get(url + "/%zz").status == 400)
      #expect(try await client.get(url + "/readyz").text == "ok\n")
      #expect(try await client.get(url + "/metrics").text.contains("weft_control_api_requests_total{status=\"413\"} 1"))
    }
  }

  @Test("a page of another origin cannot change anything")
  func otherOrigin() async throws {
    try await serving { url, client, server in
      let foreign = try await client.send(
        "POST", url + "/api/v1/apply", headers: ["origin": "http://evil.example"], body: Array(W.rule("a").utf8))
      #expect(foreign.status == 403)
      let own = try await client.send(
        "POST", url + "/api/v1/apply", headers: ["origin": url], body: Array(W.rule("a").utf8))
      #expect(own.status == 200)
    }
  }

  @Test(
    "a page that has made its own name mean our address changes and reads nothing",
    arguments: ["evil.example:15080", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example"])
  func rebinding(host: String) async throws {
    try await serving { url, client, server in
      let address = try #require(server.apiAddresses.first)
      func status(_ method: String, _ target: String, _ headers: HTTPHeaders = [:]) async throws -> Int {
        let head = HTTPRequest(method: method, authority: host, target: target, headers: headers)
        return try await client.send(head, body: method == "POST" ? Array(W.rule("a").utf8) : [], to: address).status
      }
      let before = try await server.api.store.perform { $0.revision }
      #expect(try await status("POST", "/api/v1/apply", ["origin": "http://\(host)"]) == 403)
      #expect(try await status("POST", "/api/v1/apply") == 403)
      #expect(try await status("GET", "/api/v1/objects/vs") == 403)
      #expect(try await status("GET", "/api/v1/watch") == 403)
      #expect(try await status("GET", "/metrics") == 403)
      #expect(try await status("GET", "/readyz") == 200)
      #expect(try await status("POST", "/readyz") == 403)
      #expect(try await server.api.store.perform { $0.revision } == before)
    }
  }

  @Test(
    "a page of another site changes nothing, whatever it says of its origin",
    arguments: [
      ("cross-site", "", 403), ("cross-site", "own", 403), ("same-origin", "own", 200), ("none", "", 200),
      ("", "", 200),
      ("same-origin", "http://evil.example", 403),
    ])
  func site(site: String, origin: String, wanted: Int) async throws {
    try await serving { url, client, server in
      let address = try #require(server.apiAddresses.first)
      let host = "\(address)"
      var headers: HTTPHeaders = [:]
      if !site.isEmpty { headers.add("sec-fetch-site", site) }
      if !origin.isEmpty { headers.add("origin", origin == "own" ? "http://\(host)" : origin) }
      let post = HTTPRequest(method: "POST", authority: host, target: "/api/v1/apply", headers: headers)
      #expect(try await client.send(post, body: Array(W.rule("a").utf8), to: address).status == wanted)
      let get = HTTPRequest(
        method: "GET", authority: host, target: "/api/v1/objects/vs", headers: ["sec-fetch-site": site])
      #expect(try await client.send(get, to: address).status == 200)
    }
  }

  @Test("programs call by any name where the API does not listen on loopback, until names are given")
  func names() async throws {
    let anywhere = ServiceAddress.tcp(host: "0.0.0.0", port: 0)
    for (address, hosts, host, origin, wanted) in [
      (anywhere, [], "control:15080", "", 200), (anywhere, [], "control:15080", "http://control:15080", 403),
      (anywhere, ["Control"], "control:15080", "http://control:15080", 200),
      (anywhere, ["control"], "control", "", 200),
      (anywhere, ["control"], "other:15080", "", 403), (anywhere, ["control"], "10.0.0.7:15080", "", 200),
      (.loopback(), ["a", "control"], "control:15080", "", 200), (.loopback(), [], "localhost:1", "", 200),
      (.loopback(), [], "[::1]:15080", "http://[::1]:15080", 200),
    ] as [(ServiceAddress, [String], String, String, Int)] {
      try await serving(address: address, hosts: hosts) { url, client, server in
        let port = try #require(server.apiAddresses.first?.port)
        let head = HTTPRequest(
          method: "POST", authority: host, target: "/api/v1/apply", headers: origin.isEmpty ? [:] : ["origin": origin])
        let answer = try await client.send(head, body: Array(W.rule("a").utf8), to: .loopback(port: port))
        #expect(answer.status == wanted, "\(address) \(hosts) \(host) \(origin)")
      }
    }
  }

  @Test("a watch gives the past, then every change, filtered by kind, and ends with the server")
  func watch() async throws {
    let lines = Lines()
    try await serving { url, client, server in
      _ = try await client.send("POST", url + "/api/v1/apply", body: Array(W.rule("a").utf8))
      let address = try #require(server.apiAddresses.first)
      let request = HTTPRequest(target: "/api/v1/watch?kind=VirtualService&from=0")
      let watching = Task {
        try await client.withExchange(request, to: address, timeout: nil) { exchange in
          exchange.writer.finish()
          for try await chunk in exchange.body { await lines.add(chunk) }
        }
      }
      await lines.wait(for: 2)
      let other = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: d}\nspec: {host: d}"
      _ = try await client.send("POST", url + "/api/v1/apply", body: Array(other.utf8))
      _ = try await client.send("DELETE", url + "/api/v1/namespaces/default/vs/a")
      await lines.wait(forDeletion: true)
      await server.shutdown()
      _ = await watching.result
    }
    let types = await lines.all.filter { $0["type"] != "BOOKMARK" }
    #expect(types.map { $0["type"]?.stringValue } == ["ADDED", "DELETED"])
    #expect(types.allSatisfy { $0["object"]?["kind"] == "VirtualService" })
  }

  @Test("a restart serves the same snapshot: same version, no change")
  func restart() async throws {
    let directory = TemporaryDirectory()
    let files = TemporaryDirectory()
    files.write("b.yaml", W.rule("b"))
    let kept = Kept()
    try await serving(directory, files: files) { url, client, server in
      _ = try await client.send("POST", url + "/api/v1/apply", body: Array(W.rule("a").utf8))
      _ = try await client.send("POST", url + "/api/v1/workloads", body: Array(W.registration("r1").utf8))
      let revision = try await server.api.store.perform { $0.revision }
      await server.api.aggregate.wait(for: revision)
      let registry = server.api.registry
      await server.api.aggregate.wait(for: registry.version, of: registry.origin)
      await kept.put(await server.api.aggregate.current())
    }
    try await serving(directory, files: files) { url, client, server in
      let before = try #require(await kept.snapshot)
      let after = await server.api.aggregate.current()
      #expect(after.version == before.version)
      #expect(after.changes(since: before).isEmpty)
      #expect(after.virtualServices.count == 2)
      #expect(after.services.count == 1)
    }
  }

  @Test("a file that changes is served, a bad one is reported and the last good state stays")
  func directory() async throws {
    let files = TemporaryDirectory()
    files.write("rules.yaml", W.rule("a"))
    try await serving(nil, files: files) { url, client, server in
      var stream = await server.api.aggregate.snapshots().makeAsyncIterator()
      var snapshot = await stream.next()
      #expect(snapshot?.virtualServices.count == 1)
      files.write("rules.yaml", W.rule("a") + "---\n" + W.rule("b"))
      while snapshot?.virtualServices.count == 1 { snapshot = await stream.next() }
      #expect(snapshot?.virtualServices.count == 2)
      // The bad file comes together with a good one: when the good one is seen, the bad one was looked at.
      files.write("rules.yaml", W.rule("a", timeout: "soon"))
      files.write("zz.yaml", W.rule("c"))
      while snapshot?.virtualServices.all.contains(where: { $0.name == "c" }) == false {
        snapshot = await stream.next()
      }
      #expect(snapshot?.virtualServices.all.contains { $0.name == "a" } == true)
      let problems = server.api.directories[0].report.problems
      #expect(problems.contains { $0.path.description == "spec.http[0].timeout" })
      let sources = try JSONValue(parsing: try await client.get(url + "/api/v1/sources").body)["items"]?[0]
      #expect(sources?["watching"] == "inotify")
      let problem = sources?["problems"]?[0]
      #expect(problem?["kind"] == "VirtualService")
      #expect(problem?["name"] == "a")
      #expect(problem?["path"] == "spec.http[0].timeout")
    }
  }

  @Test("a second control plane on the same store is refused, with what to do; the first one goes on")
  func twoOnOneStore() async throws {
    let directory = TemporaryDirectory()
    try await serving(directory) { url, client, server in
      await #expect {
        try await serving(directory) { _, _, _ in }
      } throws: { error in
        "\(error)".contains("is in use by the control plane with process id") && "\(error)".contains("--data-dir")
      }
      let applied = try await client.send("POST", url + "/api/v1/apply", body: Array(W.rule("a").utf8))
      #expect(applied.status == 200)
    }
  }

  @Test("a store that cannot be written is visible: /readyz, /api/v1/store and metrics say why, until it can")
  func unwritable() async throws {
    let directory = TemporaryDirectory()
    try await serving(directory) { url, client, server in
      #expect(try await client.get(url + "/readyz").status == 200)
      try await server.api.store.perform { try $0.bound(pages: 0) }
      let labels = (0..<400).map { "    label-\($0): \(String(repeating: "x", count: 50))\n" }.joined()
      let text =
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata:\n  name: d\n  labels:\n\(labels)spec: {host: d}\n"
      #expect(try await client.send("POST", url + "/api/v1/apply", body: Array(text.utf8)).status >= 400)
      let ready = try await client.get(url + "/readyz")
      #expect(ready.status == 503)
      #expect(ready.text.hasPrefix("not ready: the store cannot be written: "))
      #expect(try await client.get(url + "/healthz").status == 200)
      let state = try JSONValue(parsing: try await client.get(url + "/api/v1/store").body)
      #expect(state["writable"] == false)
      #expect(try await client.get(url + "/metrics").text.contains("\nweft_control_store_writable 0\n"))
      try await server.api.store.perform { try $0.bound(pages: 1 << 20) }
      await server.api.store.probe()
      #expect(try await client.get(url + "/readyz").status == 200)
    }
  }

  @Test("a configuration directory that cannot be read is visible: /readyz and metrics say so, and the rules stay")
  func unreadableDirectory() async throws {
    let directory = TemporaryDirectory()
    let files = TemporaryDirectory()
    files.write("a.yaml", W.rule("a"))
    try await serving(directory, files: files) { url, client, server in
      let ready = try await client.get(url + "/readyz")
      #expect(ready.text == "ok\n")
    }
    // What a link of that name leads to cannot be told.
    files.remove("a.yaml")
    let isLinked = unsafe symlink(String(repeating: "x", count: 300), files.file("a.yaml")) == 0
    try #require(isLinked)
    try await serving(directory, files: files) { url, client, server in
      let ready = try await client.get(url + "/readyz")
      #expect(ready.status == 200)
      #expect(ready.text == "ok\nconfiguration stays as it was: \(files.file("a.yaml")): File name too long\n")
      let line = "weft_control_directory_unreadable{directory=\"\(files.path)\"} 1\n"
      #expect(try await client.get(url + "/metrics").text.contains(line))
      #expect(await server.api.aggregate.current().virtualServices.count == 1)
    }
  }

  @Test("after a stop the store's file alone holds everything; without it the next start says what is lost")
  func stopAndLoss() async throws {
    let directory = TemporaryDirectory()
    try await serving(directory) { url, client, server in
      _ = try await client.send("POST", url + "/api/v1/apply", body: Array(W.rule("a").utf8))
    }
    directory.remove("store.db-wal")
    try await serving(directory) { url, client, server in
      #expect(server.api.store.loss == nil)
      #expect(await server.api.aggregate.current().virtualServices.count == 1)
    }
    directory.remove("store.db")
    try await serving(directory) { url, client, server in
      let state = try JSONValue(parsing: try await client.get(url + "/api/v1/store").body)
      #expect(state["loss"]?["remembered"] == "1")
      #expect(state["loss"]?["message"]?.stringValue?.contains("restore a back-up") == true)
    }
  }

  @Test("health and small changes are answered while a big body is validated")
  func heavyWork() async throws {
    try await serving { url, client, server in
      let gate = DispatchSemaphore(value: 0)
      async let busy: Void = server.api.work.run(bytes: ControlAPI.bodyLimit) { gate.wait() }
      let health = try await client.get(url + "/healthz")
      #expect(health.status == 200)
      let small = try await client.send("POST", url + "/api/v1/apply", body: Array(W.rule("a").utf8))
      #expect(small.status == 200)
      let padding = "# " + String(repeating: "x", count: HeavyWork.smallBytes) + "\n"
      async let big = client.send("POST", url + "/api/v1/apply", body: Array((padding + W.rule("b")).utf8))
      let ready = try await client.get(url + "/readyz")
      #expect(ready.status == 200)
      gate.signal()
      await busy
      let late = try await big
      #expect(late.status == 200)
    }
  }

  private actor Kept {
    var snapshot: WeftSnapshot?
    func put(_ snapshot: WeftSnapshot) { self.snapshot = snapshot }
  }

  /// Collects JSON lines and lets a test wait for them.
  private actor Lines {
    private var partial: [UInt8] = []
    private(set) var all: [JSONValue] = []
    private var waiters: [(count: Int, deletion: Bool, continuation: CheckedContinuation<Void, Never>)] = []

    func add(_ chunk: [UInt8]) {
      partial += chunk
      while let end = partial.firstIndex(of: 0x0A) {
        if let value = try? JSONValue(parsing: Array(partial[..<end])) { all.append(value) }
        partial.removeSubrange(...end)
      }
      for waiter in waiters where isMet(waiter.count, waiter.deletion) { waiter.continuation.resume() }
      waiters.removeAll { isMet($0.count, $0.deletion) }
    }

    private func isMet(_ count: Int, _ deletion: Bool) -> Bool {
      all.count >= count && (!deletion || all.contains { $0["type"] == "DELETED" })
    }

    func wait(for count: Int = 0, forDeletion: Bool = false) async {
      if isMet(count, forDeletion) { return }
      await withCheckedContinuation { waiters.append((count, forDeletion, $0)) }
    }
  }
}
