// The proxy's side of an aggregated stream: what is subscribed to, what is answered, what is taken. No I/O.
package import WeftBase
package import WeftCompile

/// What became of one answer.
package struct XDSOutcome: Sendable {
  /// To send, in order.
  package var requests: [XDSRequest] = []
  /// Whether anything that was taken differs from before.
  package var changed = false
  /// Resources refused, each by itself.
  package var rejections: [ConfigError] = []
  /// What new or changed resources hold that has no effect.
  package var warnings: [ConfigError] = []
  package var accepted = 0
  package var acceptedNames: [String] = []
  package var removed = 0
  /// Names that were asked for with this answer for the first time.
  package var subscribed: [XDSType: [String]] = [:]
}

/// The protocol over one stream after another. *Source*: Envoy's xDS protocol document; the behaviour of Envoy 1.40 recorded on the wire.
///
/// Exits: `opened` begins a stream, `received` answers what comes, `closed` ends it; accepted resources survive all of them.
package struct XDSSession: Sendable {
  private struct Subscription: Sendable {
    /// Names asked for on this stream; nil: nothing was asked yet.
    var names: [String]?
    /// State of the world: the last version taken whole.
    var version = ""
    /// The last nonce, of this stream.
    var nonce = ""
    /// Whether an answer has come since the proxy started, from a stream or from disk.
    var isAnswered = false
    /// Whether the first answer is not waited for any more.
    var isGivenUp = false
  }

  package let form: XDSForm
  package private(set) var store: XDSStore
  private var subscriptions: [XDSType: Subscription] = [:]
  private let types: [XDSType]
  private let decode: XDSDecoder
  private let check: XDSCheck
  /// How long the first answer of a wildcard type is waited for, from `began` on; nil: for ever.
  private let fetchTimeouts: [XDSType: Duration?]
  private var began: MonotonicInstant?
  private var expired: [XDSExpiry] = []

  /// *Parameters*: `wildcards`: which of clusters and listeners come from the control plane, and how long readiness waits for each (nil:
  /// for ever); `check`: finds what `decode` cannot, before a changed resource is taken.
  package init(
    form: XDSForm, wildcards: [XDSType: Duration?], store: XDSStore = XDSStore(), decode: @escaping XDSDecoder,
    check: @escaping XDSCheck = { (_, _) throws(ConfigError) in }
  ) {
    self.form = form
    self.store = store
    self.decode = decode
    self.check = check
    fetchTimeouts = wildcards
    types = XDSType.allCases.filter { !$0.isWildcard || wildcards.keys.contains($0) }
  }

  /// Whether every wildcard type has been answered, or waited for long enough, and nothing waits for anything else.
  package var isSettled: Bool {
    types.filter(\.isWildcard).allSatisfy { !isAwaited($0) } && !store.isWarming
  }

  private func isAwaited(_ type: XDSType) -> Bool {
    subscriptions[type]?.isAnswered != true && subscriptions[type]?.isGivenUp != true
  }

  /// When `settle` next has something to do by itself; nil when only an answer can change anything.
  package var nextDeadline: MonotonicInstant? {
    var deadlines = store.nextDeadline.map { [$0] } ?? []
    if let began {
      for (type, limit) in fetchTimeouts where isAwaited(type) {
        if let limit { deadlines.append(began + limit) }
      }
    }
    return deadlines.min()
  }

  /// Every subscription: wildcard types with an empty name.
  package var subscribed: [XDSType: [String]] {
    var all: [XDSType: [String]] = [:]
    for type in types { all[type] = type.isWildcard ? [""] : wanted(type) }
    return all
  }

  // MARK: - Events

  /// A stream has opened: asks for everything anew, saying what is known already.
  package mutating func opened() -> [XDSRequest] {
    types.compactMap { type in
      var subscription = subscriptions[type] ?? Subscription()
      subscription.nonce = ""
      let names = wanted(type)
      guard type.isWildcard || !names.isEmpty else {
        subscription.names = nil
        subscriptions[type] = subscription
        return nil
      }
      subscription.names = names
      subscriptions[type] = subscription
      var request = XDSRequest(type)
      request.names = names
      switch form {
      case .stateOfTheWorld: request.version = subscription.version
      case .delta: request.initialVersions = store.resources(type).mapValues { $0.resource.version }
      }
      return request
    }
  }

  /// The stream has ended. What was taken stays.
  package mutating func closed() {
    for type in types {
      subscriptions[type]?.nonce = ""
      subscriptions[type]?.names = nil
    }
  }

  /// An answer came: takes what is good of it, refuses the rest by name, and asks for what the good part refers to.
  package mutating func received(_ response: XDSResponse) -> XDSOutcome {
    var outcome = XDSOutcome()
    guard let type = XDSType(rawValue: response.typeURL), types.contains(type) else {
      outcome.rejections.append(
        ConfigError(kind: response.typeURL, "not a type this proxy subscribed to"))
      return outcome
    }
    var subscription = subscriptions[type] ?? Subscription()
    subscription.nonce = response.nonce
    // Whoever asks a cluster that is not there has waited for this one.
    if type == .clusters, !subscription.isAnswered { outcome.changed = true }
    subscription.isAnswered = true

    let kept = take(type, response.resources, &outcome)
    switch form {
    case .delta: remove(type, response.removed, &outcome)
    case .stateOfTheWorld where type.isWildcard:
      remove(type, store.resources(type).keys.filter { !kept.contains($0) }.sorted(), &outcome)
    case .stateOfTheWorld: break
    }
    if outcome.rejections.isEmpty { subscription.version = response.version }
    subscriptions[type] = subscription

    var answer = XDSRequest(type)
    answer.nonce = response.nonce
    if form == .stateOfTheWorld {
      answer.version = subscription.version
      answer.names = subscription.names ?? []
    }
    answer.error = outcome.rejections.map(\.description).joined(separator: "; ")
    outcome.requests.append(answer)
    outcome.requests += references(after: type, &outcome)
    return outcome
  }

  /// Subscriptions begin: from now on the first answers are waited for.
  package mutating func begin(now: MonotonicInstant) {
    if began == nil { began = now }
  }

  /// What may be seen now. *Cost*: proportional to the configuration; once per change.
  package mutating func settle(now: MonotonicInstant) -> ConfigState {
    begin(now: now)
    let start = began ?? now
    for (type, limit) in fetchTimeouts where isAwaited(type) {
      guard let limit, start + limit <= now else { continue }
      subscriptions[type, default: Subscription()].isGivenUp = true
      expired.append(XDSExpiry(type: type, name: ""))
    }
    var state = store.settle(now: now)
    state.awaitsClusters = types.contains(.clusters) && isAwaited(.clusters)
    return state
  }

  /// What was settled last has been compiled, and leads to these clusters. *Returns*: whether something may go that was kept for its sake, and
  /// `settle` lets it.
  package mutating func uses(clusters: Set<String>) -> Bool { store.uses(clusters: clusters) }

  /// First answers that did not come in time, since the last call.
  package mutating func takeExpired() -> [XDSExpiry] {
    defer { expired = [] }
    return expired + store.takeExpired()
  }

  /// Takes resources that were kept on disk, as if a server had sent them. *Returns*: how many were still understood.
  package mutating func restore(_ kept: [XDSType: [XDSResource]]) -> Int {
    var outcome = XDSOutcome()
    for type in types {
      guard let resources = kept[type] else { continue }
      _ = take(type, resources, &outcome)
      subscriptions[type, default: Subscription()].isAnswered = true
    }
    return outcome.accepted
  }

  /// Clusters and listeners that do not come over the stream want other things of it than before. *Returns*: what to send, if a stream is open, and
  /// what was asked for by it for the first time; settle afterwards.
  package mutating func want(_ needs: XDSNeeds) -> XDSOutcome {
    var outcome = XDSOutcome()
    store.fixed = needs
    for type in [XDSType.endpoints, .routes, .secrets] { outcome.requests += subscribe(type, &outcome) }
    return outcome
  }

  // MARK: - Parts

  /// *Returns*: the names that stay, whether taken or refused: a refused resource keeps its last good form.
  private mutating func take(_ type: XDSType, _ resources: [XDSResource], _ outcome: inout XDSOutcome) -> Set<String> {
    var seen: Set<String> = []
    for resource in resources {
      var name = resource.name
      do throws(ConfigError) {
        guard resource.typeURL == type.rawValue else {
          throw ConfigError("the resource is a \(resource.typeURL), not what the answer says")
        }
        var warnings: [ConfigError] = []
        let model = try decode(type, resource, &warnings)
        if name.isEmpty { name = model.name }
        guard seen.insert(name).inserted else { throw ConfigError("named twice in one answer") }
        let old = store.resources(type)[name]
        if old?.model != model { try check(model, store) }
        if old?.resource.value != resource.value {
          outcome.warnings += warnings.map { $0.of(kind: type.messageName, name: name) }
        }
        if store.set(type, name, XDSStore.Entry(model: model, resource: resource)) { outcome.changed = true }
        outcome.accepted += 1
        outcome.acceptedNames.append(name)
      } catch {
        let rejection = error.of(kind: type.messageName, name: name)
        if !rejection.name.isEmpty { seen.insert(rejection.name) }
        outcome.rejections.append(rejection)
      }
    }
    return seen
  }

  private mutating func remove(_ type: XDSType, _ names: [String], _ outcome: inout XDSOutcome) {
    let held = type == .endpoints && !names.isEmpty ? store.heldEndpoints.subtracting(store.neededEndpoints) : []
    for name in names where !held.contains(name) && store.remove(type, name) {
      outcome.changed = true
      outcome.removed += 1
    }
  }

  /// The names a type must be subscribed to now.
  private func wanted(_ type: XDSType) -> [String] {
    switch type {
    case .clusters, .listeners: []
    case .endpoints: store.neededEndpoints
    case .routes: store.neededRoutes
    case .secrets: store.neededSecrets
    }
  }

  /// Subscriptions that follow from a change of `type`.
  private mutating func references(after type: XDSType, _ outcome: inout XDSOutcome) -> [XDSRequest] {
    switch type {
    case .clusters: subscribe(.endpoints, &outcome) + subscribe(.secrets, &outcome)
    case .listeners: subscribe(.routes, &outcome) + subscribe(.secrets, &outcome)
    default: []
    }
  }

  /// Subscribes to what is wanted of `following` now, if that differs from what was.
  private mutating func subscribe(_ following: XDSType, _ outcome: inout XDSOutcome) -> [XDSRequest] {
    var subscription = subscriptions[following] ?? Subscription()
    let names = wanted(following)
    let before = subscription.names
    guard before != names, !(before == nil && names.isEmpty) else { return [] }
    subscription.names = names
    subscriptions[following] = subscription
    let known = Set(before ?? [])
    outcome.subscribed[following] = names.filter { !known.contains($0) }
    var request = XDSRequest(following)
    switch form {
    case .stateOfTheWorld:
      request.names = names
      request.version = subscription.version
      request.nonce = subscription.nonce
    case .delta:
      request.names = names.filter { !known.contains($0) }
      request.unsubscribe = known.subtracting(names).sorted()
      if before == nil { request.initialVersions = store.resources(following).mapValues { $0.resource.version } }
    }
    forget(following, except: Set(names))
    return [request]
  }

  /// Endpoints, routes and secrets nobody refers to any more are not kept.
  private mutating func forget(_ type: XDSType, except names: Set<String>) {
    let held = type == .endpoints ? store.heldEndpoints : []
    for name in store.resources(type).keys where !names.contains(name) && !held.contains(name) {
      _ = store.remove(type, name)
    }
  }
}
