package import WeftControlAPI
package import WeftTranslation

/// What is asked about a rule: which state of it, and since when that has been in force.
package struct RuleTarget: Sendable, Hashable {
  /// Nil: whatever generation proxies have.
  package var generation: Int64?
  /// The revision that brought that state. Proxies that lost the rule with it count, too.
  package var revision: UInt64?

  package init(generation: Int64? = nil, revision: UInt64? = nil) {
    self.generation = generation
    self.revision = revision
  }
}

/// How far a rule has come, counted over the proxies it concerns.
package struct RuleStatus: Sendable, Hashable {
  /// What one proxy has of the rule, least first.
  package enum Progress: Int, Sendable, Hashable, Comparable {
    /// Made, not sent yet.
    case compiled
    case sent
    /// Taken by the proxy, which still waits for something else it was sent.
    case acknowledged
    /// Taken, and nothing is outstanding: requests are served by it.
    case active
    case refused

    package static func < (a: Progress, b: Progress) -> Bool { a.rawValue < b.rawValue }
  }

  package struct Refusal: Sendable, Hashable {
    package var proxy: String
    package var type: ResourceType
    package var resource: String
    package var message: String

    package init(proxy: String, type: ResourceType, resource: String, message: String) {
      self.proxy = proxy
      self.type = type
      self.resource = resource
      self.message = message
    }
  }

  /// Proxies for which the rule makes a difference, with what they have of it.
  package var proxies: [String: Progress] = [:]
  package var refusals: [Refusal] = []
  /// Discovery has not looked at the state asked for yet.
  package var isAhead = false

  package init() {}

  package var relevant: Int { proxies.count }
  package func count(_ progress: Progress) -> Int { proxies.values.count { $0 == progress } }
  /// Proxies that have come at least this far, and did not refuse.
  package func reached(_ progress: Progress) -> Int { proxies.values.count { $0 >= progress && $0 != .refused } }
  /// Every proxy concerned has it.
  package var isComplete: Bool { !isAhead && proxies.values.allSatisfy { $0 == .active } }
  /// Every proxy concerned has it or has refused it: waiting longer changes nothing.
  package var isAnswered: Bool { !isAhead && proxies.values.allSatisfy { $0 == .active || $0 == .refused } }
}

extension Session {
  /// Adds what this proxy has of the rules in `targets`: the least of its resources counts, a refusal above all. Rules
  /// from which no resource that the proxy wants was made, or is being taken away, are left out.
  ///
  /// *Cost*: nothing for a proxy that uses none of the rules; else a look at each of its resources.
  package func note(_ targets: [ObjectKey: RuleTarget], into statuses: inout [ObjectKey: RuleStatus]) {
    let candidates = targets.filter { resources.dependencies.mayInclude($0.key) }
    if !candidates.isEmpty { noteResources(candidates, &statuses) }
    noteLosses(targets, &statuses)
    noteParts(targets, &statuses)
  }

  /// Rules of which a part was left out of what this proxy was sent, because it would have refused it.
  private func noteParts(_ targets: [ObjectKey: RuleTarget], _ statuses: inout [ObjectKey: RuleStatus]) {
    for issue in resources.issues {
      guard let place = issue.leftOut, let target = targets[issue.origin.key],
        target.generation == nil || target.generation == issue.origin.generation
      else { continue }
      statuses[issue.origin.key, default: RuleStatus()].proxies[proxy.nodeID] = .refused
      statuses[issue.origin.key]?.refusals.append(
        .init(proxy: proxy.nodeID, type: place.type, resource: place.name, message: "\(issue.path): \(issue.message)"))
    }
  }

  private func noteResources(
    _ targets: [ObjectKey: RuleTarget], _ statuses: inout [ObjectKey: RuleStatus]
  ) {
    let isCalm = isSettled
    var least: [ObjectKey: RuleStatus.Progress] = [:]
    for type in ResourceType.allCases {
      guard let watch = watches[type] else { continue }
      for (name, resource) in resources.all(type) {
        for origin in resource.origins {
          guard let target = targets[origin.key], target.generation == nil || target.generation == origin.generation,
            watch.wants(name)
          else { continue }
          var progress = RuleStatus.Progress.compiled
          if let entry = watch.sent[name], entry.hash == resource.hash {
            progress = .sent
            if let text = entry.refusal {
              progress = .refused
              statuses[origin.key, default: RuleStatus()].refusals.append(
                .init(proxy: proxy.nodeID, type: type, resource: name, message: text))
            } else if watch.isAcknowledged(entry) {
              progress = isCalm ? .active : .acknowledged
            }
          }
          let before = least[origin.key]
          least[origin.key] =
            before == .refused || progress == .refused ? .refused : min(before ?? progress, progress)
        }
      }
    }
    for (key, progress) in least { statuses[key, default: RuleStatus()].proxies[proxy.nodeID] = progress }
  }

  /// Rules that the proxy used before the revision asked for, and does not any more.
  private func noteLosses(_ targets: [ObjectKey: RuleTarget], _ statuses: inout [ObjectKey: RuleStatus]) {
    for step in steps {
      for key in step.dropped {
        guard let revision = targets[key]?.revision, step.version >= revision,
          statuses[key]?.proxies[proxy.nodeID] == nil
        else { continue }
        var status = statuses[key] ?? RuleStatus()
        if watches.values.allSatisfy({ $0.isAnswered(upTo: step.sequence) }) {
          status.proxies[proxy.nodeID] = .active
        } else if let (type, watch) = watches.first(where: { $0.value.lastError != nil }) {
          status.proxies[proxy.nodeID] = .refused
          status.refusals.append(
            .init(proxy: proxy.nodeID, type: type, resource: "", message: watch.lastError ?? ""))
        } else {
          status.proxies[proxy.nodeID] = .sent
        }
        statuses[key] = status
      }
    }
  }
}
