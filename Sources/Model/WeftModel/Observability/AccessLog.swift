/// Which finished requests or connections a sink is told of; what it does with them is for the sink to read.
package struct AccessLog: Hashable, Sendable {
  package indirect enum Filter: Hashable, Sendable {
    package enum Operator: Hashable, Sendable { case equal, greaterOrEqual, lessOrEqual, notEqual }
    package struct Comparison: Hashable, Sendable {
      package var op: Operator
      package var value: UInt32
      package var runtimeKey: String
      package init(op: Operator, value: UInt32, runtimeKey: String = "") {
        self.op = op
        self.value = value
        self.runtimeKey = runtimeKey
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

  package var config: ExtensionConfig
  package var filter: Filter?
  package init(_ config: ExtensionConfig, filter: Filter? = nil) {
    self.config = config
    self.filter = filter
  }
}
