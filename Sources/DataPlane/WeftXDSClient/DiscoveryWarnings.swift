// Settings of discovered resources that have no effect, told once.

package import WeftBase
package import WeftTelemetry

/// Logs warnings about discovered resources. The same one is told once: resources come again and again, and a log that repeats itself is not read.
package struct DiscoveryWarnings {
  /// Different warnings that are told; what comes behind them is only counted (`server.dynamic_unknown_fields`).
  package static var most: Int { 1000 }

  private var told: Set<ConfigError> = []

  package init() {}

  package mutating func tell(_ warnings: [ConfigError], _ logger: Logger) {
    for warning in warnings where told.count < Self.most && told.insert(warning).inserted {
      logger.warning("setting without effect", ("warning", .text("\(warning)")))
      if told.count == Self.most { logger.warning("further settings without effect are counted and not told") }
    }
  }
}
