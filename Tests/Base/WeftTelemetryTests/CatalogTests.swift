import Testing

@testable import WeftTelemetry

@Suite("catalogue of metrics")
struct CatalogTests {
  /// Cells are laid out by it: one too many and a block has a negative size.
  @Test("every type's histograms come last, and it says where they begin")
  func histogramsComeLast() {
    func check<M: Metric>(_ type: M.Type) {
      let kinds = M.allCases.map { $0.definition.kind }
      let first = kinds.firstIndex { $0 == .histogram } ?? kinds.count
      #expect(M.firstHistogram == first, "\(type)")
      #expect(kinds[first...].allSatisfy { $0 == .histogram }, "\(type)")
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
    check(AccessLogFileMetric.self)
    check(SubscriptionMetric.self)
  }
}
