package import WeftBase
import WeftControlAPI
package import WeftTranslation

/// One stream of one proxy: what it asked for, what it has, what it is sent next. A pure state machine.
///
/// *Cost*: a request is answered in the size of the answer; new resources are compared by hash.
package struct Session: Sendable {
  package let form: DiscoveryForm
  package private(set) var proxy: ProxyIdentity
  /// What the proxy is to have.
  package private(set) var resources: ProxyResources
  package private(set) var watches: [ResourceType: Watch] = [:]
  /// Clusters that are no longer wanted, until nothing uses them any more.
  private var retiring: [String: Resource] = [:]
  private var retireAt: MonotonicInstant?
  private var sequence: UInt64 = 0
  /// The newest changes that took rules away from this proxy.
  private(set) var steps: [Step] = []

  /// A change after which the proxy no longer used some rules.
  struct Step: Sendable {
    var version: UInt64
    /// The last response that was due to it.
    var sequence: UInt64
    var dropped: Set<ObjectKey>
  }

  private static let stepLimit = 32

  /// How long a cluster that is no longer wanted waits for a proxy that does not acknowledge.
  package static let retirementLimit: Duration = .seconds(5)

  package init(form: DiscoveryForm, proxy: ProxyIdentity, resources: ProxyResources) {
    self.form = form
    self.proxy = proxy
    self.resources = resources
  }

  /// When `wake` should be called, if nothing happens before.
  package var nextWake: MonotonicInstant? { retireAt }

  /// The names asked for: what resources by name depend on.
  package var interest: Interest { Interest(watches.mapValues(\.names)) }

  /// Everything sent has been acknowledged or refused, and nothing waits to be removed.
  package var isSettled: Bool { retireAt == nil && watches.values.allSatisfy(\.isSettled) }

  // MARK: Requests

  /// Takes a request. `translate` is called when the answer needs resources for names that were not asked for before.
  package mutating func receive(
    _ request: DiscoveryRequestEvent, now: MonotonicInstant, translate: (Interest) -> ProxyResources
  ) -> [DiscoveryResponseEvent] {
    var responses: [DiscoveryResponseEvent]
    switch form {
    case .stateOfTheWorld: responses = receiveStateOfTheWorld(request, translate)
    case .delta: responses = receiveDelta(request, translate)
    }
    responses += retireIfSettled(now)
    return responses
  }

  private mutating func receiveStateOfTheWorld(
    _ request: DiscoveryRequestEvent, _ translate: (Interest) -> ProxyResources
  ) -> [DiscoveryResponseEvent] {
    let type = request.type
    let names = Set(request.names).subtracting(["*"])
    let asksForAll = request.names.isEmpty || request.names.contains("*")
    guard var watch = watches[type], !request.nonce.isEmpty else {
      if request.refusal != nil { return [] }
      // The first request on this stream, or one made before any answer came: everything asked for is answered, whatever
      // version the client says it has.
      if request.names.isEmpty, watches[type] != nil, !(watches[type]?.isWildcard ?? false) {
        watches[type] = nil
        return []
      }
      let isWildcard = type.isWildcardCapable && asksForAll && !proxy.isGRPC
      let owed = watches[type]?.owesAnswer ?? false
      watches[type] = Watch(isWildcard: isWildcard, names: names)
      watches[type]?.owesAnswer = owed
      refresh(translate)
      return [send(type, wanted(type), removed: [])]
    }
    let isCurrent = request.nonce == watch.nonceSent
    if let refusal = request.refusal {
      // The client keeps what it had; the same answer again would be refused again. Names hold all the same: nothing may follow that
      // would tell them once more.
      watch.noteRefused(refusal, nonce: request.nonce)
      let added = names.subtracting(watch.names)
      if isCurrent, !names.isEmpty {
        watch.names = names
        watch.forgetUnwanted()
      }
      watches[type] = watch
      guard isCurrent, !added.isEmpty else { return [] }
      refresh(translate)
      let list = type.isWildcardCapable ? wanted(type) : wanted(type).filter { added.contains($0.name) }
      return [send(type, list, removed: [])]
    }
    if names.isEmpty, !watch.isWildcard {
      watches[type] = nil
      return []
    }
    guard isCurrent else {
      // A newer response is on its way to the client; it will answer that one with the names it then wants.
      watch.staleRequests += 1
      watches[type] = watch
      return []
    }
    let isRepeated = watch.nonceAcked == request.nonce
    watch.noteAcknowledged()
    let added = names.subtracting(watch.names)
    let changed = names != watch.names
    watch.names = names
    watch.forgetUnwanted()
    // Warming makes a client ask again for what it has acknowledged already.
    let asksAgain = isRepeated && !changed && watch.owesAnswer
    if asksAgain || !added.isEmpty { watch.owesAnswer = false }
    watches[type] = watch
    if !added.isEmpty {
      refresh(translate)
      // Absent clusters and listeners count as deleted, so those answers are whole.
      let list = type.isWildcardCapable ? wanted(type) : wanted(type).filter { added.contains($0.name) }
      return [send(type, list, removed: [])]
    }
    return asksAgain ? [send(type, wanted(type), removed: [])] : []
  }

  private mutating func receiveDelta(
    _ request: DiscoveryRequestEvent, _ translate: (Interest) -> ProxyResources
  ) -> [DiscoveryResponseEvent] {
    let type = request.type
    guard var watch = watches[type] else { return startDelta(request, translate) }
    if !request.nonce.isEmpty {
      let isCurrent = request.nonce == watch.nonceSent
      if let refusal = request.refusal {
        watch.noteRefused(refusal, nonce: request.nonce)
      } else if isCurrent {
        watch.noteAcknowledged()
      } else {
        watch.staleRequests += 1
      }
    }
    // Subscriptions are increments: they hold even when the nonce is stale.
    let subscribed = Set(request.names).subtracting(["*"])
    let unsubscribed = Set(request.unsubscribed)
    if request.names.contains("*") { watch.isWildcard = true }
    if unsubscribed.contains("*") { watch.isWildcard = false }
    watch.names.formUnion(subscribed)
    watch.names.subtract(unsubscribed)
    for name in unsubscribed where !watch.wants(name) { watch.forget(name) }
    watch.forgetUnwanted()
    watches[type] = watch
    guard !request.names.isEmpty else { return [] }
    refresh(translate)
    let list = wanted(type).filter {
      subscribed.contains($0.name) || (request.names.contains("*") && watch.sent[$0.name]?.hash != $0.hash)
    }
    let missing = subscribed.filter { resources[type, $0] == nil }.sorted()
    return list.isEmpty && missing.isEmpty ? [] : [send(type, list, removed: missing)]
  }

  private mutating func startDelta(
    _ request: DiscoveryRequestEvent, _ translate: (Interest) -> ProxyResources
  ) -> [DiscoveryResponseEvent] {
    let type = request.type
    let explicit = Set(request.names).subtracting(["*"]).subtracting(request.unsubscribed)
    let all = request.names.contains("*") || (request.names.isEmpty && type.isWildcardCapable)
    let isWildcard = all && !request.unsubscribed.contains("*") && !proxy.isGRPC
    // What a reconnecting client holds of a named type it still wants.
    watches[type] = Watch(isWildcard: isWildcard, names: isWildcard ? explicit : explicit.union(request.held.keys))
    refresh(translate)
    var list: [Resource] = []
    for resource in wanted(type) {
      if request.held[resource.name] == resource.version {
        watches[type]?.assumeHeld(resource)
      } else {
        list.append(resource)
      }
    }
    var gone = Set(request.held.keys)
    gone.formUnion(explicit)
    // An answer even when there is nothing to say: the client waits for the first one.
    return [send(type, list, removed: gone.filter { resources[type, $0] == nil }.sorted())]
  }

  /// Names were added: resources that are made by name must be made anew.
  private mutating func refresh(_ translate: (Interest) -> ProxyResources) {
    if proxy.isGRPC { resources = translate(interest) }
  }

  // MARK: Files

  /// Takes note of files that a gateway's refusal of its listeners speaks of, so that what it is sent next does without them.
  /// *Returns* whether there are any that were not known.
  package mutating func noteUnreadableFiles(_ refusal: String) -> Bool {
    guard proxy.role == .router else { return false }
    let words = refusal.split { $0.isWhitespace || "'\"`,;()[]<>".contains($0) }.filter { $0.hasPrefix("/") }
    let files = Set(words.map { String($0.reversed().drop { ":.".contains($0) }.reversed()) }).filter { file in
      let bytes = Array(file.utf8)
      return file.count > 1 && resources.all(.listener).values.contains { Self.holds($0.body, bytes) }
    }
    guard !files.isSubset(of: proxy.unreadableFiles) else { return false }
    proxy.unreadableFiles.formUnion(files)
    return true
  }

  /// The files may be there now. *Returns* whether there were any that were not.
  package mutating func forgetUnreadableFiles() -> Bool {
    defer { proxy.unreadableFiles = [] }
    return !proxy.unreadableFiles.isEmpty
  }

  private static func holds(_ bytes: [UInt8], _ part: [UInt8]) -> Bool {
    bytes.indices.contains { bytes[$0] == part[0] && bytes[$0...].starts(with: part) }
  }

  // MARK: New resources

  /// Takes what the proxy is to have from now on, and sends what differs from what it has.
  package mutating func update(_ new: ProxyResources, now: MonotonicInstant) -> [DiscoveryResponseEvent] {
    noteRetirements(new, now)
    let dropped = resources.dependencies.objects.subtracting(new.dependencies.objects)
    resources = new
    defer { if !dropped.isEmpty { noteStep(Step(version: new.version, sequence: sequence, dropped: dropped)) } }
    var responses: [DiscoveryResponseEvent] = []
    let changedClusters = changed(.cluster)
    if !changedClusters.isEmpty {
      let list = form == .delta ? changedClusters : wanted(.cluster) + retiringResources
      responses.append(send(.cluster, list, removed: []))
    }
    // A changed cluster warms until its endpoints arrive, even if they are the same.
    let rewarmed = Set(changedClusters.map(\.name))
    let endpoints = wanted(.endpoint).filter { resource in
      rewarmed.contains(resource.name) || watches[.endpoint]?.sent[resource.name]?.hash != resource.hash
    }
    if !endpoints.isEmpty { responses.append(send(.endpoint, endpoints, removed: [])) }
    let listeners = changed(.listener)
    let removedListeners = removed(.listener)
    if !listeners.isEmpty || !removedListeners.isEmpty {
      let list = form == .delta ? listeners : wanted(.listener)
      responses.append(send(.listener, list, removed: form == .delta ? removedListeners : []))
    }
    let routes = changed(.route)
    let removedRoutes = form == .delta ? removed(.route) : []
    if !routes.isEmpty || !removedRoutes.isEmpty {
      responses.append(send(.route, routes, removed: removedRoutes))
    }
    return responses + retireIfSettled(now)
  }

  private mutating func noteStep(_ step: Step) {
    if steps.count >= Self.stepLimit { steps.removeFirst() }
    steps.append(step)
  }

  /// Time has passed.
  package mutating func wake(now: MonotonicInstant) -> [DiscoveryResponseEvent] { retireIfSettled(now) }

  private func changed(_ type: ResourceType) -> [Resource] {
    guard let watch = watches[type] else { return [] }
    return wanted(type).filter { watch.sent[$0.name]?.hash != $0.hash }
  }

  private func removed(_ type: ResourceType) -> [String] {
    guard let watch = watches[type] else { return [] }
    return watch.sent.keys.filter { resources[type, $0] == nil }.sorted()
  }

  /// The resources of `type` that the client wants, by name.
  private func wanted(_ type: ResourceType) -> [Resource] {
    guard let watch = watches[type] else { return [] }
    let all = resources.all(type)
    if watch.isWildcard { return all.values.sorted { $0.name < $1.name } }
    return watch.names.sorted().compactMap { all[$0] }
  }

  // MARK: Retirement

  private var retiringResources: [Resource] { retiring.values.sorted { $0.name < $1.name } }

  private mutating func noteRetirements(_ new: ProxyResources, _ now: MonotonicInstant) {
    guard let watch = watches[.cluster] else { return }
    for name in watch.sent.keys where new[.cluster, name] == nil {
      if retiring[name] == nil, let old = resources[.cluster, name] { retiring[name] = old }
      if retireAt == nil { retireAt = now + Self.retirementLimit }
    }
    for name in retiring.keys where new[.cluster, name] != nil { retiring[name] = nil }
  }

  /// Removes clusters once listeners and routes that could use them have been taken or refused, or time is up.
  private mutating func retireIfSettled(_ now: MonotonicInstant) -> [DiscoveryResponseEvent] {
    guard let limit = retireAt else { return [] }
    let settled = [ResourceType.listener, .route].allSatisfy { watches[$0]?.isSettled ?? true }
    guard settled || now >= limit else { return [] }
    retireAt = nil
    retiring = [:]
    var responses: [DiscoveryResponseEvent] = []
    let gone = removed(.cluster)
    guard !gone.isEmpty else { return [] }
    switch form {
    case .delta:
      responses.append(send(.cluster, [], removed: gone))
      let endpoints = removed(.endpoint)
      if !endpoints.isEmpty { responses.append(send(.endpoint, [], removed: endpoints)) }
    case .stateOfTheWorld:
      responses.append(send(.cluster, wanted(.cluster), removed: []))
    }
    return responses
  }

  // MARK: Sending

  private mutating func send(_ type: ResourceType, _ list: [Resource], removed: [String]) -> DiscoveryResponseEvent {
    sequence += 1
    let response = DiscoveryResponseEvent(
      type: type, version: resources.version, nonce: Nonce.text(version: resources.version, sequence: sequence),
      resources: list, removed: removed)
    // What a whole answer leaves out is deleted at the client.
    let isWhole = form == .stateOfTheWorld && type.isWildcardCapable
    watches[type]?.note(sent: response, sequence: sequence, isWhole: isWhole)
    // Warming of what these name may make the client ask again.
    if type == .cluster { watches[.endpoint]?.owesAnswer = true }
    if type == .listener { watches[.route]?.owesAnswer = true }
    return response
  }
}
