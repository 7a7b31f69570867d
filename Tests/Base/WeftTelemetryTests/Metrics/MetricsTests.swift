import Testing
import WeftBase
import WeftTelemetry

@Suite("statistics")
struct MetricsTests {
  @Test("workers' shares add up, gauges may fall below zero on one of them")
  func sums() {
    let registry = MetricsRegistry(workers: 2)
    let scope = registry.scope(ScopeKey(.cluster, "a"))
    let first = registry.block(ClusterMetric.self, scope, worker: 0)
    let second = registry.block(ClusterMetric.self, scope, worker: 1)
    first.add(.upstreamRqTotal, 3)
    second.add(.upstreamRqTotal)
    first.add(.upstreamCxActive)
    second.subtract(.upstreamCxActive)
    registry.add(ClusterMetric.updateSuccess, scope, 2)
    registry.set(ClusterMetric.membershipTotal, scope, 7)
    #expect(registry.value(ClusterMetric.upstreamRqTotal, scope) == 4)
    #expect(registry.value(ClusterMetric.upstreamCxActive, scope) == 0)
    #expect(registry.value(ClusterMetric.updateSuccess, scope) == 2)
    #expect(registry.value(ClusterMetric.membershipTotal, scope) == 7)
    #expect(registry.scope(ScopeKey(.cluster, "a")) == scope)
    #expect(registry.scope(ScopeKey(.cluster, "b")) != scope)
  }

  @Test("every status that is counted has a place of its own")
  func statuses() {
    for (i, code) in CountedStatus.codes.enumerated() { #expect(CountedStatus.index(code) == i) }
    #expect(CountedStatus.index(99) == nil && CountedStatus.index(419) == nil && CountedStatus.index(600) == nil)
  }

  @Test("bucket bounds are inclusive")
  func buckets() {
    for (i, bound) in HistogramBuckets.bounds.enumerated().dropFirst() {
      #expect(HistogramBuckets.index(UInt64(bound)) == i)
      #expect(HistogramBuckets.index(UInt64(bound) + 1) == i + 1)
    }
    #expect(HistogramBuckets.index(0) == 0 && HistogramBuckets.index(.max) == 19)
  }

  @Test("metric names are unique within their scope and cells do not overlap")
  func catalogue() {
    func check<M: Metric>(_: M.Type) {
      #expect(Set(M.allCases.map { $0.definition.name.description }).count == M.allCases.count)
      for (i, metric) in M.allCases.enumerated() {
        #expect(metric.rawValue == i)
        let isHistogram = if case .histogram = metric.definition.kind { true } else { false }
        #expect(isHistogram == (i >= M.firstHistogram), "\(metric.definition.name)")
      }
      #expect(M.firstHistogram <= M.allCases.count)
    }
    check(ClusterMetric.self)
    check(HTTPMetric.self)
    check(ListenerMetric.self)
    check(ListenerHTTPMetric.self)
    check(TCPMetric.self)
    check(ServerMetric.self)
    check(ClusterManagerMetric.self)
    check(ListenerManagerMetric.self)
    check(ControlPlaneMetric.self)
    check(SubscriptionMetric.self)
    check(AccessLogFileMetric.self)
  }

  func filled() -> MetricsRegistry {
    let registry = MetricsRegistry(workers: 1)
    let cluster = registry.block(
      ClusterMetric.self, registry.scope(ScopeKey(.cluster, "outbound|80||a\"b")), worker: 0)
    cluster.add(.upstreamRq2xx, 2)
    cluster.countStatus(200)
    cluster.countStatus(200)
    cluster.record(.upstreamRqTime, 3)
    cluster.record(.upstreamRqTime, 700)
    let listener = registry.block(
      ListenerHTTPMetric.self, registry.scope(ScopeKey(.listenerHTTP, "0.0.0.0:80", "in")), worker: 0)
    listener.add(.downstreamRq2xx)
    return registry
  }

  @Test("Prometheus: families with extracted labels, cumulative buckets")
  func prometheus() {
    let text = StatSnapshot(filled()).prometheus(usedOnly: true)
    let lines = Set(text.split(separator: "\n").map(String.init))
    let name = #"envoy_cluster_name="outbound|80||a\"b""#
    #expect(lines.contains(#"envoy_cluster_upstream_rq_xx{envoy_response_code_class="2",\#(name)} 2"#))
    #expect(lines.contains(#"envoy_cluster_upstream_rq{envoy_response_code="200",\#(name)} 2"#))
    #expect(lines.contains("# TYPE envoy_cluster_upstream_rq counter"))
    #expect(lines.contains(#"envoy_cluster_upstream_rq_time_bucket{\#(name),le="1"} 0"#))
    #expect(lines.contains(#"envoy_cluster_upstream_rq_time_bucket{\#(name),le="5"} 1"#))
    #expect(lines.contains(#"envoy_cluster_upstream_rq_time_bucket{\#(name),le="+Inf"} 2"#))
    #expect(lines.contains(#"envoy_cluster_upstream_rq_time_sum{\#(name)} 703"#))
    #expect(
      lines.contains(
        #"envoy_listener_http_downstream_rq_xx{envoy_response_code_class="2",envoy_http_conn_manager_prefix="in",envoy_listener_address="0.0.0.0_80"} 1"#
      ))
    for line in text.split(separator: "\n") where line.hasPrefix("# TYPE") {
      #expect(text.components(separatedBy: line + "\n").count == 2, "a family appears once: \(line)")
    }
  }

  @Test("text and JSON forms")
  func forms() throws {
    let snapshot = StatSnapshot(filled())
    let text = snapshot.text(matching: { $0.hasPrefix("cluster.") })
    #expect(text.contains("cluster.outbound|80||a\"b.upstream_rq_2xx: 2\n"))
    #expect(text.contains("cluster.outbound|80||a\"b.upstream_rq_200: 2\n"))
    #expect(text.contains("upstream_cx_connect_ms: No recorded values\n"))
    #expect(!text.contains("listener."))
    let json = try JSONValue(parsing: snapshot.json(usedOnly: true))
    #expect(json["stats"]?.arrayValue?.contains { $0["value"]?.intValue == 2 } == true)
    #expect(snapshot.text(usedOnly: true).split(separator: "\n").count == 4)
  }

  @Test("quantiles lie inside their bucket")
  func quantiles() throws {
    var buckets = Array(repeating: UInt64(0), count: 20)
    buckets[3] = 10
    let reading = HistogramReading(buckets: buckets, sum: 80)
    #expect(try #require(reading.quantile(0)) == 5 && reading.quantile(1) == 10)
    #expect(try #require(reading.quantile(0.5)) == 7.5)
    #expect(HistogramReading(buckets: [], sum: 0).quantile(0.5) == nil)
  }

  @Test("families kept elsewhere are shown beside the registry's")
  func sources() {
    struct Requests: MetricSource {
      func families() -> [MetricFamily] {
        [
          MetricFamily(
            name: "istio_requests_total", help: "Requests",
            series: [.init(labels: [("reporter", "source"), ("response_code", "200")], value: .counter(5))])
        ]
      }
    }
    let registry = MetricsRegistry(workers: 1)
    registry.addSource(Requests())
    #expect(
      StatSnapshot(registry).prometheus().contains(
        #"istio_requests_total{reporter="source",response_code="200"} 5"# + "\n"))
  }

  @Test("a leased scope goes with its last lease: from the pages, with its texts; one without a lease stays")
  func leases() {
    let registry = MetricsRegistry(workers: 2)
    _ = registry.scope(ScopeKey(.cluster, "fixed"))
    let before = StatSnapshot(registry).text(usedOnly: false)
    let occupancy = registry.occupancy
    var first: ScopeLease? = registry.lease(ScopeKey(.cluster, "a"))
    var second: ScopeLease? = registry.lease(ScopeKey(.cluster, "a"))
    let found = registry.scope(ScopeKey(.cluster, "a"))
    #expect(first?.scope == found && second?.scope == found)
    for worker in 0..<2 { registry.block(ClusterMetric.self, found, worker: worker).add(.upstreamRqTotal, 3) }
    registry.add(ClusterMetric.upstreamRqTotal, found)
    registry.set(.versionText, ScopeKey(.cluster, "a"), "7")
    first = nil
    #expect(registry.value(ClusterMetric.upstreamRqTotal, found) == 7, "somebody still counts there")
    #expect(registry.occupancy.scopes == occupancy.scopes + 1)
    second = nil
    #expect(registry.occupancy.scopes == occupancy.scopes && registry.occupancy.spareBlocks == 3)
    #expect(registry.text(.versionText, ScopeKey(.cluster, "a")) == nil)
    #expect(StatSnapshot(registry).text(usedOnly: false) == before)
  }

  @Test("ten thousand scopes that come and go are as many numbers and blocks as there were at once, and begin at 0")
  func comeAndGo() {
    let registry = MetricsRegistry(workers: 1)
    registry.add(ServerMetric.configRejected, registry.scope(ScopeKey(.server)))
    let before = (page: StatSnapshot(registry).text(usedOnly: false), scopes: registry.occupancy.scopes)
    var highest: UInt32 = 0
    for round in 0..<2_500 {
      // Of several sizes, so that numbers and blocks pass from one kind to another.
      let leases = [
        registry.lease(ScopeKey(.cluster, "c\(round)")), registry.lease(ScopeKey(.http, "h\(round)")),
        registry.lease(ScopeKey(.listener, "l\(round)")), registry.lease(ScopeKey(.rds, "h", "r\(round)")),
      ]
      let blocks = registry.block(ClusterMetric.self, leases[0].scope, worker: 0)
      #expect(blocks.value(.upstreamRqTotal) == 0)
      blocks.add(.upstreamRqTotal)
      registry.block(HTTPMetric.self, leases[1].scope, worker: 0).add(.downstreamCxTotal)
      registry.block(ListenerMetric.self, leases[2].scope, worker: 0).add(.downstreamCxTotal)
      registry.add(SubscriptionMetric.updateAttempt, leases[3].scope)
      #expect(registry.value(SubscriptionMetric.updateAttempt, leases[3].scope) == 1)
      highest = max(highest, leases.map(\.scope.rawValue).max() ?? 0)
    }
    #expect(highest <= 4)
    #expect(registry.occupancy.scopes == before.scopes && registry.occupancy.spareBlocks <= 4)
    #expect(StatSnapshot(registry).text(usedOnly: false) == before.page)
  }

  @Test("who comes too late to a scope that is gone harms nobody")
  func late() {
    let registry = MetricsRegistry(workers: 1)
    var lease: ScopeLease? = registry.lease(ScopeKey(.rds, "h", "r"))
    guard let gone = lease?.scope else { return }
    let old = registry.block(SubscriptionMetric.self, gone, worker: 0)
    lease = nil
    old.add(.updateAttempt, 5)
    // A block of the wrong size is left where the next one comes.
    registry.block(SubscriptionMetric.self, gone, worker: 0).add(.updateAttempt)
    let next = registry.lease(ScopeKey(.cluster, "next"))
    #expect(next.scope == gone)
    let block = registry.block(ClusterMetric.self, next.scope, worker: 0)
    block.add(.upstreamRqTotal)
    #expect(registry.value(ClusterMetric.upstreamRqTotal, next.scope) == 1)
    withExtendedLifetime(next) {}
  }

  @Test("past the limit scopes share one, so that names from outside cannot eat memory")
  func overflow() {
    let registry = MetricsRegistry(workers: 0)
    var last = ScopeID(rawValue: 0)
    for i in 0..<MetricsRegistry.scopeLimit + 100 { last = registry.scope(ScopeKey(.cluster, "\(i)")) }
    #expect(last == registry.scope(ScopeKey(.cluster, "another")))
    #expect(Int(last.rawValue) < MetricsRegistry.scopeLimit)
    #expect(registry.overflows == UInt64(101 + ScopeKind.allCases.count))
  }
}

extension String {
  fileprivate func components(separatedBy separator: String) -> [Substring] {
    var parts: [Substring] = []
    var rest = self[...]
    while let range = rest.firstRange(of: separator) {
      parts.append(rest[..<range.lowerBound])
      rest = rest[range.upperBound...]
    }
    return parts + [rest]
  }
}
