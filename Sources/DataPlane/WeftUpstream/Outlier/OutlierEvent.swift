/// An ejection, one that was not enforced, or the end of one: for whoever keeps a log of them.
package struct OutlierEvent: Sendable, Equatable {
  package enum Action: Sendable, Equatable {
    case ejected(OutlierRule, enforced: Bool)
    case takenBack
  }

  /// What rules that compare hosts saw. *Units*: percent.
  package struct Rates: Sendable, Equatable {
    package var host: Double
    /// Over all hosts that were compared; nil for rules that look at one alone.
    package var average: Double?
    package var threshold: Double?
    package init(host: Double, average: Double? = nil, threshold: Double? = nil) {
      (self.host, self.average, self.threshold) = (host, average, threshold)
    }
  }

  package var action: Action
  package var cluster: String
  package var host: String
  /// Ejections of the host so far, this one included.
  package var ejections: UInt32
  /// Since the host was taken back, for an ejection; since it was ejected, for the end of one. Nil: it never was.
  package var sinceLastAction: Duration?
  package var rates: Rates?

  package init(
    _ action: Action, cluster: String, host: String, ejections: UInt32, sinceLastAction: Duration? = nil,
    rates: Rates? = nil
  ) {
    self.action = action
    self.cluster = cluster
    self.host = host
    self.ejections = ejections
    self.sinceLastAction = sinceLastAction
    self.rates = rates
  }
}
