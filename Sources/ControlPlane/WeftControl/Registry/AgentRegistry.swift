import Synchronization
package import WeftBase
package import WeftConfig
package import WeftControlAPI
import WeftKinds

/// The registry that agents report to: workloads, their leases, and the services that they bring into being.
///
/// Everything is in memory, so that an instance that comes, goes or changes its health costs no commit. A last-good file beside the store has it
/// for a restart, after which every lease begins anew: nobody is thrown out because the control plane was away.
package final class AgentRegistry: ServiceRegistry {
  private struct Entry {
    var record: WorkloadRecord
    var deadline: MonotonicInstant
  }

  private struct State {
    var entries: [ObjectKey: Entry] = [:]
    var services: [ObjectKey: RegisteredService] = [:]
    /// Since when a service has had no instance.
    var emptySince: [ObjectKey: MonotonicInstant] = [:]
    var renewals: UInt64 = 0
    var expirations: UInt64 = 0

    func members(of service: ObjectKey) -> [Workload] {
      entries.values.map(\.record.workload).filter { $0.serviceKey == service }
    }

    /// Begins and ends the times for which services have had no instance.
    mutating func noteEmptyServices(_ now: MonotonicInstant) {
      let populated = Set(entries.values.map(\.record.workload.serviceKey))
      for key in services.keys {
        if populated.contains(key) {
          emptySince[key] = nil
        } else if emptySince[key] == nil {
          emptySince[key] = now
        }
      }
    }
  }

  /// Numbers for `/metrics`.
  package struct Counts: Sendable {
    package var workloads: Int
    package var services: Int
    package var renewals: UInt64
    package var expirations: UInt64
  }

  package let origin = SourceOrigin("agents")
  private let clock: ControlClock
  private let domain: String
  private let retention: Duration
  private let file: LastGoodFile?
  private let feed: ChangeFeed<RegistryFact>
  private let shared = Mutex(State())

  /// *Parameters* `retention`: how long a service without instances stays known; `lastGood`: where a restart finds all of it.
  package init(
    clock: ControlClock, domain: String = "cluster.local", retention: Duration = .seconds(3600),
    lastGood: LastGoodFile? = nil
  ) {
    self.clock = clock
    self.domain = domain
    self.retention = retention
    file = lastGood
    feed = ChangeFeed(version: UInt64(clamping: clock.wall().nanoseconds))
  }

  package var state: SourceState { feed.state }
  /// Why what is registered could not be kept for a restart the last time; nil when it could.
  package var lastGoodFailure: String? { file?.failure }
  /// Counts the changes.
  package var version: UInt64 { feed.version }

  package func changes(after version: UInt64?) -> AsyncStream<SourceBatch<RegistryFact>> {
    feed.changes(after: version)
  }

  /// Ends the streams of its readers.
  package func end() { feed.end() }

  /// Writes what a restart should find, at once.
  package func flush() async { await file?.flush() }

  // MARK: Restart

  /// Takes over what the last-good file remembers; leases begin now.
  package func load() {
    if let text = file?.read() { take(AgentRegistryFile.facts(text)) }
    feed.settle()
  }

  /// Takes over registrations that an earlier release kept among the rules, and takes them out there.
  package func adopt(from store: StoreService, _ context: WriteContext) async throws {
    let objects = try await store.perform { store in
      let objects = try store.list(kind: .workload).objects + store.list(kind: .service).objects
      for object in objects { try store.delete(object.key, context) }
      return objects
    }
    take(objects.compactMap { WorkloadRecord(envelope: $0) }.map { ($0, nil) })
  }

  private func take(_ facts: [(record: WorkloadRecord?, service: RegisteredService?)]) {
    if facts.isEmpty { return }
    let now = clock.now()
    shared.withLock { state in
      for fact in facts {
        if let record = fact.record, state.entries[record.workload.key] == nil {
          state.entries[record.workload.key] = Entry(record: record, deadline: Self.deadline(record, now))
        }
        if let service = fact.service { state.services[service.key] = service }
      }
      let services = Dictionary(grouping: state.entries.values.map(\.record.workload), by: \.serviceKey)
      for (key, members) in services { Self.noteService(key, of: members, &state) }
      state.noteEmptyServices(now)
      tell(
        state.entries.values.map { .workload($0.record.workload) } + state.services.values.map { .service($0) })
    }
  }

  // MARK: Agents

  /// A lease runs out after two of its lengths without a sign of life.
  private static func deadline(_ record: WorkloadRecord, _ now: MonotonicInstant) -> MonotonicInstant {
    now + .seconds(2 * record.leaseSeconds)
  }

  package func host(of record: WorkloadRecord) -> String { record.workload.host(domain: domain) }

  /// Registers, changes or renews. *Returns*: what instances of the service disagree about, in words.
  /// *Errors*: `alreadyExists` when a live record of the id has another inbound address.
  @discardableResult
  package func register(_ record: WorkloadRecord) throws -> [String] {
    let key = record.workload.key
    let now = clock.now()
    let wall = clock.wall()
    let (warnings, isTaken) = shared.withLock { state -> ([String], Bool) in
      let known = state.entries[key]
      if let known, known.record.workload.inboundAddress != record.workload.inboundAddress, known.deadline > now {
        return ([], true)
      }
      var record = record
      record.workload.creationTimestamp = known?.record.workload.creationTimestamp ?? wall
      record.workload.generation = known?.record.workload.generation ?? 1
      if known?.record == record {
        state.entries[key]?.deadline = Self.deadline(record, now)
        state.renewals += 1
        return ([], false)
      }
      if known != nil { record.workload.generation += 1 }
      let siblings = state.members(of: record.workload.serviceKey).filter { $0.key != key }
      state.entries[key] = Entry(record: record, deadline: Self.deadline(record, now))
      Self.noteService(record.workload.serviceKey, of: siblings + [record.workload], &state)
      // Under the lock, so that changes are told in the order in which they were made.
      let service = state.services[record.workload.serviceKey]
      tell([.workload(record.workload)] + (service.map { [.service($0)] } ?? []))
      return (RegisteredService.disagreements(of: record.workload, with: siblings), false)
    }
    if isTaken { throw StoreError.alreadyExists(key) }
    return warnings
  }

  /// Brings the service that `members` make up to date. It is as old as the first of them.
  private static func noteService(_ key: ObjectKey, of members: [Workload], _ state: inout State) {
    let age =
      state.services[key]?.creationTimestamp ?? members.map(\.creationTimestamp).min() ?? WallTime(nanoseconds: 0)
    state.services[key] = RegisteredService(
      namespace: key.namespace, name: key.name, ports: RegisteredService.ports(of: members), creationTimestamp: age)
    state.emptySince[key] = nil
  }

  /// Takes a workload out. False when there was none.
  package func deregister(id: String, namespace: String) -> Bool {
    let key = ObjectKey(kind: .workload, namespace: namespace, name: id)
    return shared.withLock { state in
      guard state.entries.removeValue(forKey: key) != nil else { return false }
      tell([], removing: [key])
      return true
    }
  }

  /// Takes out workloads whose lease has run out, and services that have had no instance for long. Returns how many
  /// workloads.
  @discardableResult
  package func expire() -> Int {
    let now = clock.now()
    return shared.withLock { state in
      let due = state.entries.filter { $0.value.deadline <= now }.map(\.key)
      for key in due { state.entries[key] = nil }
      state.expirations += UInt64(due.count)
      state.noteEmptyServices(now)
      let forgotten = state.emptySince.filter { now - $0.value >= retention }.map(\.key)
      for key in forgotten {
        state.services[key] = nil
        state.emptySince[key] = nil
      }
      if !due.isEmpty || !forgotten.isEmpty { tell([], removing: Set(due + forgotten)) }
      return due.count
    }
  }

  /// When the next lease runs out, unless it is renewed; nil without workloads.
  package func nextDeadline() -> MonotonicInstant? {
    shared.withLock { $0.entries.values.map(\.deadline).min() }
  }

  /// Every registration, with the time left of its lease, in the order of names.
  package func records() -> [(record: WorkloadRecord, remaining: Duration)] {
    let now = clock.now()
    return shared.withLock { state in
      state.entries.sorted { $0.key < $1.key }.map { ($0.value.record, max(.zero, $0.value.deadline - now)) }
    }
  }

  package func counts() -> Counts {
    shared.withLock {
      Counts(
        workloads: $0.entries.count, services: $0.services.count, renewals: $0.renewals, expirations: $0.expirations)
    }
  }

  private func tell(_ facts: [RegistryFact], removing removals: Set<ObjectKey> = []) {
    feed.apply(facts, removing: removals)
    file?.note { [weak self] in
      guard let self else { return .null }
      return self.shared.withLock { state in
        AgentRegistryFile.text(state.entries.values.map(\.record), Array(state.services.values))
      }
    }
  }
}

extension Workload {
  /// The service that it is an instance of.
  var serviceKey: ObjectKey { ObjectKey(kind: .service, namespace: namespace, name: service) }
}

/// The last-good file of the agents' registry.
enum AgentRegistryFile {
  static func text(_ records: [WorkloadRecord], _ services: [RegisteredService]) -> JSONValue {
    .object([
      "workloads": .array(
        records.sorted { $0.workload.key < $1.workload.key }.map { record in
          .object([
            "record": record.json(), "created": .string(record.workload.creationTimestamp.description),
            "generation": .int(record.workload.generation),
          ])
        }),
      "services": .array(
        services.sorted { $0.key < $1.key }.map { service in
          .object([
            "namespace": .string(service.namespace), "name": .string(service.name),
            "created": .string(service.creationTimestamp.description),
            "ports": .array(
              service.ports.map { port in
                .object([
                  "number": .int(port.number), "name": .string(port.name),
                  "protocol": .string(port.protocol.rawValue),
                ])
              }),
          ])
        }),
    ])
  }

  /// What can be read of it; what cannot, an agent tells again.
  static func facts(_ text: JSONValue) -> [(record: WorkloadRecord?, service: RegisteredService?)] {
    let records = (text["workloads"]?.arrayValue ?? []).compactMap { item -> WorkloadRecord? in
      guard let body = item["record"], var record = try? WorkloadRecord(json: body) else { return nil }
      record.workload.creationTimestamp = time(item)
      record.workload.generation = item["generation"]?.intValue ?? 1
      return record
    }
    let services = (text["services"]?.arrayValue ?? []).compactMap { item -> RegisteredService? in
      guard let namespace = item["namespace"]?.stringValue, let name = item["name"]?.stringValue else { return nil }
      let ports = (item["ports"]?.arrayValue ?? []).compactMap { port -> ServicePort? in
        guard let number = port["number"]?.intValue.flatMap({ UInt16(exactly: $0) }),
          let name = port["name"]?.stringValue
        else { return nil }
        return ServicePort(
          number: number, name: name, protocol: PortProtocol(field: port["protocol"]?.stringValue ?? "") ?? .unknown)
      }
      return RegisteredService(namespace: namespace, name: name, ports: ports, creationTimestamp: time(item))
    }
    return records.map { ($0, nil) } + services.map { (nil, $0) }
  }

  private static func time(_ item: JSONValue) -> WallTime {
    item["created"]?.stringValue.flatMap(WallTime.init) ?? WallTime(nanoseconds: 0)
  }
}
