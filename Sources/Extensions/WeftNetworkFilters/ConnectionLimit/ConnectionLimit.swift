// Connection limit: so many connections at once, over all workers of a proxy.

package import WeftProxyAPI
import WeftTelemetry

/// `envoy.filters.network.connection_limit`.
///
/// A connection over the limit is closed, at once or after a delay in which nothing is read from it; until then it counts like any other, as
/// Envoy has it.
package struct ConnectionLimit: NewConnectionFilter, HoldingNetworkFilter, ConnectionEndFilter {
  package static var name: StaticString { "envoy.filters.network.connection_limit" }

  package struct Config: BitwiseCopyable {
    var isEnabled = RuntimeFlag(true)
    var most: UInt64
    var delayNanoseconds: UInt64 = 0
    var open: SharedCounter
    var stats: ConstantTable<StatBlock<ConnectionLimitMetric>>
  }

  private var isCounted = false

  package init(_ config: Config) {}

  package mutating func newConnection(_ x: borrowing NetworkCall<Config>) -> NetworkVerdict {
    guard x.runtime.isOn(x.config.isEnabled) else { return .go }
    isCounted = true
    x.config.stats[x.worker].add(.activeConnections)
    if x.config.open.take(limit: x.config.most) { return .go }
    x.config.open.add()
    x.config.stats[x.worker].add(.limitedConnections)
    return x.config.delayNanoseconds == 0 ? .close : x.wait(nanoseconds: x.config.delayNanoseconds)
  }

  package mutating func resumed(_ x: borrowing NetworkCall<Config>) -> NetworkVerdict { .close }

  package mutating func connectionEnded(_ x: borrowing NetworkCall<Config>) {
    guard isCounted else { return }
    x.config.open.give()
    x.config.stats[x.worker].subtract(.activeConnections)
  }
}
