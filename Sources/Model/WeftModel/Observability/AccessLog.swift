/// Where lines about finished requests or connections go, which of them, and in what shape.
package struct AccessLog: Hashable, Sendable {
  package enum Sink: Hashable, Sendable { case file(path: String), stdout, stderr }
  package indirect enum JSONShape: Hashable, Sendable {
    /// Text with operators; typed (number, boolean, null) when it is a single operator.
    case format(String)
    case number(Double)
    case bool(Bool)
    case null
    case object([Field])
    case array([JSONShape])
    package struct Field: Hashable, Sendable {
      package var name: String
      package var value: JSONShape
      package init(name: String, value: JSONShape) {
        self.name = name
        self.value = value
      }
    }
  }
  package enum Format: Hashable, Sendable {
    /// Envoy's default line.
    case standard
    case text(String)
    case json(JSONShape)
  }
  package indirect enum Filter: Hashable, Sendable {
    package enum Operator: Hashable, Sendable { case equal, greaterOrEqual, lessOrEqual, notEqual }
    package struct Comparison: Hashable, Sendable {
      package var op: Operator
      package var value: UInt32
      package init(op: Operator, value: UInt32) {
        self.op = op
        self.value = value
      }
    }
    case status(Comparison)
    /// Milliseconds.
    case duration(Comparison)
    case notHealthCheck
    case traceable
    case runtime(RuntimeFraction, useIndependentRandomness: Bool)
    /// Short names; empty means any flag.
    case responseFlag([String])
    case header(HeaderMatcher)
    case grpcStatus([UInt32], exclude: Bool)
    case and([Filter])
    case or([Filter])
  }

  package var sink: Sink
  package var format: Format = .standard
  package var omitEmptyValues = false
  package var filter: Filter?
  package init(sink: Sink) { self.sink = sink }
}
