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
