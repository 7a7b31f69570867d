package import WeftControlAPI
package import WeftTranslation

/// Whether a proxy has what it was sent, per type.
package struct TypeStatus: Sendable, Hashable {
  package enum State: String, Sendable, Hashable {
    /// The last response was acknowledged.
    case synced = "SYNCED"
    /// The last response is not answered yet.
    case stale = "STALE"
    /// The last response was refused.
    case error = "ERROR"
    /// Asked for, nothing sent.
    case notSent = "NOT SENT"
    /// Never asked for.
    case ignored = "IGNORED"
  }

  package var state: State
  /// Versions of snapshots.
  package var sent: UInt64
  package var acknowledged: UInt64
  package var error: String?
  package var refusals: Int
  package var resources: Int

  init(_ watch: Watch?) {
    guard let watch else {
      self.init(state: .ignored, sent: 0, acknowledged: 0, error: nil, refusals: 0, resources: 0)
      return
    }
    let state: State =
      watch.lastError != nil
      ? .error : watch.nonceSent.isEmpty ? .notSent : watch.nonceSent == watch.nonceAcked ? .synced : .stale
    self.init(
      state: state, sent: watch.versionSent, acknowledged: watch.versionAcked, error: watch.lastError,
      refusals: watch.refusals, resources: watch.sent.count)
  }

  package init(
    state: State, sent: UInt64, acknowledged: UInt64, error: String?, refusals: Int, resources: Int
  ) {
    self.state = state
    self.sent = sent
    self.acknowledged = acknowledged
    self.error = error
    self.refusals = refusals
    self.resources = resources
  }
}

/// A connected proxy.
package struct ProxyStatus: Sendable {
  package var proxy: ProxyIdentity
  package var form: DiscoveryForm
  /// The peer's address.
  package var address: String
  package var connectedSince: WallTime
  package var types: [ResourceType: TypeStatus]
  /// Parts of rules that could not be expressed for this proxy.
  package var issues: [TranslationIssue]

  package var id: String { proxy.nodeID }
  /// Everything asked for was sent and acknowledged.
  package var isSynced: Bool { types.values.allSatisfy { $0.state == .synced || $0.state == .ignored } }
}

extension Session {
  package var typeStatuses: [ResourceType: TypeStatus] {
    var result: [ResourceType: TypeStatus] = [:]
    for type in ResourceType.allCases { result[type] = TypeStatus(watches[type]) }
    return result
  }
}
