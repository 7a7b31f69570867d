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

/// How far a rule has come, counted over the proxies it concerns.
package struct RuleStatus: Sendable, Hashable {
  /// What one proxy has of the rule.
  package enum Progress: Int, Sendable, Hashable, Comparable {
    case compiled
    case sent
    case acknowledged
    case refused

    package static func < (a: Progress, b: Progress) -> Bool { a.rawValue < b.rawValue }
  }

  package struct Refusal: Sendable, Hashable {
    package var proxy: String
    package var type: ResourceType
    package var resource: String
    package var message: String
  }

  /// Proxies for which the rule makes a difference, with what they have of it.
  package var proxies: [String: Progress] = [:]
  package var refusals: [Refusal] = []

  package init() {}

  package var relevant: Int { proxies.count }
  package func count(_ progress: Progress) -> Int { proxies.values.count { $0 == progress } }
  /// Every proxy concerned has acknowledged it.
  package var isComplete: Bool { proxies.values.allSatisfy { $0 == .acknowledged } }
}

extension Session {
  package var typeStatuses: [ResourceType: TypeStatus] {
    var result: [ResourceType: TypeStatus] = [:]
    for type in ResourceType.allCases { result[type] = TypeStatus(watches[type]) }
    return result
  }

  /// What this proxy has of the rule `key`: the least of its resources counts, a refusal above all. Nil when no resource
  /// that the proxy wants was made from it.
  func progress(of key: ObjectKey, generation: Int64?, into status: inout RuleStatus) {
    var least: RuleStatus.Progress?
    var isRefused = false
    for type in ResourceType.allCases {
      guard let watch = watches[type] else { continue }
      for (name, resource) in resources.all(type) where watch.wants(name) {
        guard resource.origins.contains(where: { $0.key == key && (generation == nil || $0.generation == generation) })
        else { continue }
        var progress = RuleStatus.Progress.compiled
        if let entry = watch.sent[name], entry.hash == resource.hash {
          progress = .sent
          if let text = entry.refusal {
            isRefused = true
            status.refusals.append(.init(proxy: proxy.nodeID, type: type, resource: name, message: text))
          } else if watch.isAcknowledged(entry) {
            progress = .acknowledged
          }
        }
        least = min(least ?? progress, progress)
      }
    }
    if isRefused { status.proxies[proxy.nodeID] = .refused } else if let least { status.proxies[proxy.nodeID] = least }
  }
}
