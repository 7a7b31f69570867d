/// What one number of a scope is called and means.
@usableFromInline
package struct MetricDefinition: Sendable {
  package enum Kind: Sendable { case counter, gauge, histogram }
  package let kind: Kind
  /// As in `/stats`, after the scope's prefix: `upstream_rq_2xx`.
  package let name: StaticString
  /// As in Prometheus, where part of the name is a label: `upstream_rq_xx`.
  package let family: StaticString
  /// That label: `envoy_response_code_class` = `2`.
  package let label: (name: StaticString, value: StaticString)?
  package let help: StaticString

  package static func counter(_ name: StaticString, _ help: StaticString) -> MetricDefinition {
    MetricDefinition(kind: .counter, name: name, family: name, label: nil, help: help)
  }
  package static func gauge(_ name: StaticString, _ help: StaticString) -> MetricDefinition {
    MetricDefinition(kind: .gauge, name: name, family: name, label: nil, help: help)
  }
  package static func histogram(_ name: StaticString, _ help: StaticString) -> MetricDefinition {
    MetricDefinition(kind: .histogram, name: name, family: name, label: nil, help: help)
  }
  /// Responses of one class, which Prometheus sees as one family with a label.
  package static func codeClass(
    _ name: StaticString, _ family: StaticString, _ digit: StaticString, _ help: StaticString
  ) -> MetricDefinition {
    MetricDefinition(
      kind: .counter, name: name, family: family, label: ("envoy_response_code_class", digit), help: help)
  }
}

/// The numbers of one kind of scope. Raw values count from 0; histograms come last, so that a value's cells follow from
/// its raw value.
@usableFromInline
package protocol Metric: RawRepresentable, CaseIterable, Sendable where RawValue == Int {
  static var scopeKind: ScopeKind { get }
  /// Raw value of the first histogram; the number of cases when there is none.
  static var firstHistogram: Int { get }
  /// Prefix of the per-status counters kept beside the named ones: `upstream_rq_`; `nil` when there are none.
  static var statusPrefix: StaticString? { get }
  var definition: MetricDefinition { get }
}

extension Metric {
  package static var statusPrefix: StaticString? { nil }

  /// First cell of this value in its block.
  @inlinable package var cell: Int {
    rawValue < Self.firstHistogram
      ? rawValue : Self.firstHistogram + (rawValue - Self.firstHistogram) * HistogramBuckets.cells
  }

  /// First cell of the per-status counters.
  @inlinable package static var statusCell: Int {
    firstHistogram + (allCases.count - firstHistogram) * HistogramBuckets.cells
  }
}

/// What a group of numbers belongs to.
@usableFromInline
package enum ScopeKind: UInt8, CaseIterable, Sendable {
  case server, watchdog, clusterManager, listenerManager, controlPlane, accessLogFile
  case cds, lds, rds
  case cluster, http, listener, listenerHTTP, tcp
  case tlsInspector, httpInspector, proxyProtocol, root
  /// Of an extension, which brings its own metrics. `ScopeKey.secondName` is the prefix with `*` where the name goes: `http.*.fault.`.
  case filter
}

/// The buckets of every histogram, in milliseconds; Envoy's defaults.
@usableFromInline
package enum HistogramBuckets {
  package static let bounds: [Double] = [
    0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000,
    3_600_000,
  ]
  /// One cell per bucket, one for what lies above, one for the sum.
  @inlinable package static var cells: Int { 21 }
  @inlinable package static var sumCell: Int { 20 }

  /// The bucket of a whole number of milliseconds.
  @inlinable package static func index(_ value: UInt64) -> Int {
    if value <= 100 {
      if value <= 5 { return value == 0 ? 0 : value == 1 ? 1 : 2 }
      return value <= 10 ? 3 : value <= 25 ? 4 : value <= 50 ? 5 : 6
    }
    switch value {
    case ...250: return 7
    case ...500: return 8
    case ...1000: return 9
    case ...2500: return 10
    case ...5000: return 11
    case ...10_000: return 12
    case ...30_000: return 13
    case ...60_000: return 14
    case ...300_000: return 15
    case ...600_000: return 16
    case ...1_800_000: return 17
    case ...3_600_000: return 18
    default: return 19
    }
  }
}

/// The status codes that are counted one by one; others count in their class only.
package enum CountedStatus {
  package static let codes: [UInt16] = [
    100, 101, 102, 103, 200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 307, 308, 400,
    401,
    402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 418, 421, 422, 423, 424, 425, 426,
    428,
    429, 431, 451, 499, 500, 501, 502, 503, 504, 505, 506, 507, 508, 510, 511,
  ]

  /// Position of `status` among the counted codes.
  @inlinable package static func index(_ status: UInt16) -> Int? {
    switch status {
    case 200...208: Int(status) - 200 + 4
    case 400...418: Int(status) - 400 + 22
    case 500...508: Int(status) - 500 + 52
    case 100...103: Int(status) - 100
    case 300...305: Int(status) - 300 + 14
    case 421...426: Int(status) - 421 + 41
    case 226: 13
    case 307, 308: Int(status) - 307 + 20
    case 428, 429: Int(status) - 428 + 47
    case 431: 49
    case 451: 50
    case 499: 51
    case 510, 511: Int(status) - 510 + 61
    default: nil
    }
  }
}
