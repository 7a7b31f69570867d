// The compiled TCP proxy.

package import WeftBase
package import WeftTelemetry

/// A TCP proxy. *Units*: time-outs in nanoseconds, 0 is off.
package struct CompiledTCPProxy {
  package struct Choice: BitwiseCopyable {
    /// Position in `Snapshot.clusters`; -1 names a cluster that does not exist.
    package var cluster: Int32
    package var upTo: UInt64
    package init(cluster: Int32, upTo: UInt64) {
      self.cluster = cluster
      self.upTo = upTo
    }
  }
  package var scope: ScopeID
  package var choices: ConstantTable<Choice>
  package var totalWeight: UInt64
  package var idleTimeout: UInt64 = 0
  package var maxConnectionDuration: UInt64 = 0
  package var maxConnectAttempts: UInt32 = 1
  package var hashesSource = false
  package var accessLogs: [CompiledAccessLog] = []
  package var logNeeds = LogNeeds.nothing

  package init(scope: ScopeID, choices: ConstantTable<Choice>, totalWeight: UInt64) {
    self.scope = scope
    self.choices = choices
    self.totalWeight = totalWeight
  }
}

extension ConfigRef<CompiledTCPProxy> {
  /// The cluster that `draw`, below `totalWeight`, falls to: -1 when that one does not exist. Its share goes to nobody else.
  package func choose(_ draw: UInt64) -> Int32 {
    for i in self[].choices.indices where draw < self[].choices[i].upTo { return self[].choices[i].cluster }
    return -1
  }
}
