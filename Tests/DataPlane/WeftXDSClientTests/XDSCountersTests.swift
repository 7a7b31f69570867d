import Testing
import WeftBase
import WeftModel
import WeftTelemetry

@testable import WeftXDSClient

@Suite("discovery in numbers")
struct XDSCountersTests {
  private let metrics = MetricsRegistry(workers: 1)
  private let counters: XDSCounters

  init() { counters = XDSCounters(metrics, wallClock: { 1_700_000_000_123 }) }

  private var text: String { StatSnapshot(metrics).text(usedOnly: true) }

  private func answer(
    _ session: inout XDSSession, _ type: XDSType, _ texts: [String], version: String = "v1"
  ) {
    let outcome = session.received(
      XDSResponse(
        typeURL: type.rawValue, version: version, nonce: "n",
        resources: texts.map { Words.resource(type, $0, version: session.form == .delta ? version : "") }))
    counters.settled(type, version: version, outcome, session.store)
    counters.began(outcome.subscribed, session.store)
  }

  @Test("a subscription's life under Envoy's names", arguments: [XDSForm.stateOfTheWorld, .delta])
  func life(form: XDSForm) {
    var session = Words.session(form)
    session.begin(now: MonotonicInstant(nanoseconds: 0))
    counters.began(session.subscribed, session.store)
    counters.opened()
    _ = session.opened()
    answer(&session, .clusters, ["a", "b=5"])
    answer(&session, .listeners, ["l=r"])
    answer(&session, .endpoints, ["a", "!b"])
    answer(&session, .routes, ["r=a"])
    answer(&session, .clusters, ["a", "!b=5"], version: "v2")
    _ = session.settle(now: MonotonicInstant(nanoseconds: 0))
    _ = session.settle(now: MonotonicInstant(nanoseconds: 6_000_000_000))
    counters.expired(session.takeExpired(), session.store)
    counters.warming(session.store)
    let lines = Set(text.split(separator: "\n").map(String.init))
    for line in [
      "cluster_manager.cds.update_attempt: 3", "cluster_manager.cds.update_success: 1",
      "cluster_manager.cds.update_rejected: 1", "cluster_manager.cds.config_reload: 1",
      "cluster_manager.cds.update_time: 1700000000123", "cluster_manager.cds.version: \(XDSCounters.hash("v1"))",
      "cluster_manager.cds.version_text: \"v1\"",
      "listener_manager.lds.update_attempt: 2", "listener_manager.lds.update_success: 1",
      "http.x.rds.r.update_attempt: 2", "http.x.rds.r.update_success: 1", "http.x.rds.r.config_reload: 1",
      "http.x.rds.r.version_text: \"v1\"",
      "cluster.a.update_attempt: 2", "cluster.a.update_success: 1", "cluster.a.version_text: \"v1\"",
      "cluster.b.update_attempt: 3", "cluster.b.update_rejected: 1", "cluster.b.init_fetch_timeout: 1",
      "server.config_rejected: 2", "control_plane.connected_state: 1", "control_plane.streams_opened: 1",
    ] {
      #expect(lines.contains(line), "\(line) is not in\n\(text)")
    }
    #expect(!text.contains("cluster.b.update_success"))
    let prometheus = StatSnapshot(metrics).prometheus(usedOnly: true)
    #expect(
      prometheus.contains(
        "envoy_http_rds_update_success{envoy_http_conn_manager_prefix=\"x\",envoy_rds_route_config=\"r\"} 1"))
    #expect(prometheus.contains("envoy_cluster_manager_cds_update_rejected{} 1"))
    #expect(!prometheus.contains("version_text"), "texts are for people")
  }

  @Test("what nobody wants any more is counted nowhere")
  func comeAndGo() {
    var session = Words.session(.stateOfTheWorld)
    session.begin(now: MonotonicInstant(nanoseconds: 0))
    counters.began(session.subscribed, session.store)
    _ = session.opened()
    func turn(_ clusters: [String], _ listeners: [String], _ routes: [String], version: String) {
      answer(&session, .clusters, clusters, version: version)
      answer(&session, .listeners, listeners, version: version)
      answer(&session, .routes, routes, version: version)
      _ = session.settle(now: MonotonicInstant(nanoseconds: 0))
      counters.keep(session.store)
    }
    turn(["s=static"], [], [], version: "v0")
    let before = metrics.occupancy.scopes
    for i in 0..<200 { turn(["a\(i)"], ["l=r\(i)"], ["r\(i)=a\(i)"], version: "v\(i)") }
    #expect(metrics.occupancy.scopes == before + 2)
    #expect(text.contains("http.x.rds.r199.") && !text.contains("r198"))
    turn(["s=static"], [], [], version: "v0")
    #expect(metrics.occupancy.scopes == before && !text.contains("rds"))
  }

  @Test("a stream that ends, or cannot be had, is a failure of every subscription")
  func failure() {
    var session = Words.session(.delta)
    counters.began(session.subscribed, session.store)
    counters.opened()
    answer(&session, .clusters, ["a"])
    counters.closed(session.subscribed, session.store)
    #expect(text.contains("control_plane.streams_opened: 1\n"))
    #expect(!text.contains("connected_state"))
    for line in [
      "cluster_manager.cds.update_failure: 1", "listener_manager.lds.update_failure: 1", "cluster.a.update_failure: 1",
    ] { #expect(text.contains(line + "\n"), "\(line)") }
  }

  @Test("requests, acknowledgements and refusals are told apart; the control plane's name is a text")
  func stream() {
    counters.sent(XDSRequest(.clusters))
    var answered = XDSRequest(.clusters)
    answered.nonce = "n"
    counters.sent(answered)
    answered.error = "no"
    counters.sent(answered)
    counters.received(identifier: "{\"Component\":\"weft\"}")
    counters.received(identifier: "")
    counters.pending(3)
    counters.heldBack()
    for line in [
      "control_plane.requests_sent: 3", "control_plane.acknowledged: 1", "control_plane.refused: 1",
      "control_plane.responses_received: 2", "control_plane.pending_requests: 3",
      "control_plane.rate_limit_enforced: 1",
      "control_plane.identifier: \"{\\\"Component\\\":\\\"weft\\\"}\"",
    ] { #expect(text.contains(line + "\n"), "\(line) is not in\n\(text)") }
  }

  @Test("a limit on requests lets a burst through, then so many per second")
  func pace() {
    var pace = RequestPace(burst: 3, perSecond: 2)
    func at(_ milliseconds: UInt64) -> MonotonicInstant { MonotonicInstant(nanoseconds: milliseconds * 1_000_000) }
    for _ in 0..<3 { #expect(pace.take(now: at(1000)) == .zero) }
    #expect(pace.take(now: at(1000)) == .milliseconds(500))
    #expect(pace.take(now: at(1500)) == .milliseconds(500))
    #expect(pace.take(now: at(3000)) == .zero)
    #expect(pace.take(now: at(60_000)) == .zero)
  }
}

@Suite("keeping the last good configuration")
struct LastGoodKeeperTests {
  /// A disk and a clock that move when the test says so.
  private actor Slow {
    private(set) var written: [Int] = []
    private var writer: CheckedContinuation<Void, Never>?
    private var sleeper: CheckedContinuation<Void, Never>?

    func write(_ store: XDSStore) async {
      await withCheckedContinuation { writer = $0 }
      written.append(store.resources(.clusters).count)
    }
    func sleep() async { await withCheckedContinuation { sleeper = $0 } }
    func finishWrite() async {
      while writer == nil { await Task.yield() }
      writer?.resume()
      writer = nil
    }
    func wake() async {
      while sleeper == nil { await Task.yield() }
      sleeper?.resume()
      sleeper = nil
    }
  }

  private func store(_ clusters: Int) -> XDSStore {
    var store = XDSStore()
    for i in 0..<clusters {
      let resource = XDSResource(name: "\(i)", typeURL: XDSType.clusters.rawValue, value: [])
      _ = store.set(.clusters, "\(i)", XDSStore.Entry(model: .cluster(.init(name: "\(i)")), resource: resource))
    }
    return store
  }

  @Test("the first change is written at once, those that follow together, the newest of them only")
  func coalesces() async {
    let disk = Slow()
    let keeper = LastGoodKeeper(sleep: { _ in await disk.sleep() }, write: { await disk.write($0) })
    for i in 1...4 { await keeper.changed(store(i)) }
    await disk.finishWrite()
    for i in 5...9 { await keeper.changed(store(i)) }
    await disk.wake()
    await disk.finishWrite()
    // The third pause begins when the second write is done.
    await disk.wake()
    let written = await disk.written
    #expect(written.count == 2 && written.last == 9, "\(written)")
  }

  @Test("what was not written yet is written before the end")
  func finishes() async {
    let disk = Slow()
    let keeper = LastGoodKeeper(
      sleep: { _ in try await Task.sleep(for: .seconds(3600)) }, write: { await disk.write($0) })
    await keeper.changed(store(1))
    await disk.finishWrite()
    await keeper.changed(store(2))
    async let end: Void = keeper.finish()
    await disk.finishWrite()
    await end
    #expect(await disk.written == [1, 2])
  }
}
