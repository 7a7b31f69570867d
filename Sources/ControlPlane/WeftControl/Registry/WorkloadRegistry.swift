import Synchronization
package import WeftBase
package import WeftConfig
import WeftControlAPI
import WeftKinds

/// Registered workloads and their leases.
///
/// Records are kept in the store, so that a restart serves the same endpoints; leases are kept in memory, because a
/// heartbeat that changes nothing must cost nothing. After a restart every lease begins anew: nobody is thrown out
/// because the control plane was away.
package final class WorkloadRegistry: Sendable {
  private struct Entry {
    var record: WorkloadRecord
    var lastSeen: MonotonicInstant
    var deadline: MonotonicInstant
    /// False when the store may hold something else: a sign of life writes the record again.
    var isStored = true
  }

  private struct State {
    var entries: [ObjectKey: Entry] = [:]
    var services: [ObjectKey: ServiceRecord] = [:]
    /// Since when a service has had no instance.
    var emptySince: [ObjectKey: MonotonicInstant] = [:]
    var renewals: UInt64 = 0
    var expirations: UInt64 = 0

    /// Begins and ends the times for which services have had no instance.
    mutating func noteEmptyServices(_ now: MonotonicInstant) {
      var populated: Set<ObjectKey> = []
      for entry in entries.values {
        let workload = entry.record.workload
        populated.insert(ObjectKey(kind: .service, namespace: workload.namespace, name: workload.service))
      }
      for key in services.keys {
        if populated.contains(key) {
          emptySince[key] = nil
        } else if emptySince[key] == nil {
          emptySince[key] = now
        }
      }
    }

    func forgotten(_ now: MonotonicInstant, after retention: Duration) -> [ObjectKey] {
      emptySince.filter { now - $0.value >= retention }.keys.sorted()
    }
  }

  /// Numbers for `/metrics`.
  package struct Counts: Sendable {
    package var workloads: Int
    package var services: Int
    package var renewals: UInt64
    package var expirations: UInt64
  }

  private let store: StoreService
  private let clock: ControlClock
  private let domain: String
  private let retention: Duration
  private let state = Mutex(State())

  /// *Parameter* `retention`: how long a service without instances stays known.
  package init(
    store: StoreService, clock: ControlClock, domain: String = "cluster.local", retention: Duration = .seconds(3600)
  ) {
    self.store = store
    self.clock = clock
    self.domain = domain
    self.retention = retention
  }

  /// Takes over what the store remembers; leases begin now.
  package func load() async throws {
    let (workloads, services) = try await store.perform { store in
      (try store.list(kind: .workload).objects, try store.list(kind: .service).objects)
    }
    let now = clock.now()
    state.withLock { state in
      state = State()
      for object in workloads {
        guard let record = WorkloadRecord(envelope: object) else { continue }
        state.entries[object.key] = Entry(record: record, lastSeen: now, deadline: Self.deadline(record, now))
      }
      for object in services {
        guard let record = ServiceRecord(envelope: object) else { continue }
        state.services[object.key] = record
        state.emptySince[object.key] = now
      }
    }
  }

  /// A lease runs out after two of its lengths without a sign of life.
  private static func deadline(_ record: WorkloadRecord, _ now: MonotonicInstant) -> MonotonicInstant {
    now + .seconds(2 * record.leaseSeconds)
  }

  package func host(of record: WorkloadRecord) -> String { record.workload.host(domain: domain) }

  /// Registers, changes or renews. Returns when it is on disk: what instances of the service disagree about, in words.
  /// *Errors*: `alreadyExists` when a live record of the id has another inbound address; what the store throws.
  @discardableResult
  package func register(_ record: WorkloadRecord) async throws -> [String] {
    let key = record.workload.key
    let now = clock.now()
    let isRenewal = try state.withLock { state -> Bool in
      guard var entry = state.entries[key] else { return false }
      if entry.record.workload.inboundAddress != record.workload.inboundAddress, entry.deadline > now {
        throw StoreError.alreadyExists(key)
      }
      guard entry.isStored, Self.isSame(entry.record, record) else { return false }
      entry.lastSeen = now
      entry.deadline = Self.deadline(record, now)
      state.entries[key] = entry
      state.renewals += 1
      return true
    }
    if isRenewal { return [] }

    let context = WriteContext(source: Envelope.registrySource, actor: "workload/\(key.name)", now: clock.wall())
    do {
      return try await store.perform { [self] store in
        let stored = WorkloadRecord(envelope: try store.put(record.envelope, context).object) ?? record
        var service = ServiceRecord(
          namespace: record.workload.namespace, name: record.workload.service, ports: [])
        let siblings = members(of: record.workload.service, in: record.workload.namespace).filter { $0.key != key }
        service.ports = ServiceRecord.ports(of: siblings + [stored.workload])
        try store.put(service.envelope, context)
        let later = clock.now()
        state.withLock { [service] state in
          state.entries[key] = Entry(record: stored, lastSeen: later, deadline: Self.deadline(stored, later))
          state.services[service.key] = service
          state.emptySince[service.key] = nil
        }
        return ServiceRecord.disagreements(of: stored.workload, with: siblings)
      }
    } catch {
      // The commit may have failed after the entry was made: the next sign of life writes it again.
      state.withLock { $0.entries[key]?.isStored = false }
      throw error
    }
  }

  /// Takes a workload out. False when there was none.
  package func deregister(id: String, namespace: String) async throws -> Bool {
    let key = ObjectKey(kind: .workload, namespace: namespace, name: id)
    return try await remove(actor: "workload/\(id)") { state in
      state.entries.removeValue(forKey: key).map { [key: $0] } ?? [:]
    } > 0
  }

  /// Takes out workloads whose lease has run out, and services that have had no instance for long. Returns how many
  /// workloads.
  @discardableResult
  package func expire() async throws -> Int {
    let now = clock.now()
    let (isDue, hasForgotten) = state.withLock { state in
      state.noteEmptyServices(now)
      return (
        state.entries.contains { $0.value.deadline <= now }, !state.forgotten(now, after: retention).isEmpty
      )
    }
    if hasForgotten { try await forgetServices() }
    guard isDue else { return 0 }
    let count = try await remove(actor: "lease") { [clock] state in
      // A workload that was renewed while this waited for the store stays.
      let now = clock.now()
      let due = state.entries.filter { $0.value.deadline <= now }
      for key in due.keys { state.entries[key] = nil }
      return due
    }
    state.withLock { $0.expirations += UInt64(count) }
    return count
  }

  /// When the next lease runs out, unless it is renewed; nil without workloads.
  package func nextDeadline() -> MonotonicInstant? {
    state.withLock { $0.entries.values.map(\.deadline).min() }
  }

  /// Every registration, with the time left of its lease, in the order of names.
  package func records() -> [(record: WorkloadRecord, remaining: Duration)] {
    let now = clock.now()
    return state.withLock { state in
      state.entries.sorted { $0.key < $1.key }.map { ($0.value.record, max(.zero, $0.value.deadline - now)) }
    }
  }

  package func counts() -> Counts {
    state.withLock {
      Counts(
        workloads: $0.entries.count, services: $0.services.count, renewals: $0.renewals, expirations: $0.expirations)
    }
  }

  // MARK: Private

  private func members(of service: String, in namespace: String) -> [Workload] {
    state.withLock { state in
      state.entries.values.map(\.record.workload).filter { $0.service == service && $0.namespace == namespace }
    }
  }

  /// Takes entries out of memory and their records out of the store, in one step of the store's order: a sign of life
  /// that comes before keeps its workload, one that comes after finds no entry and registers anew.
  private func remove(
    actor: String, claiming claim: @escaping @Sendable (inout State) -> [ObjectKey: Entry]
  ) async throws -> Int {
    let context = WriteContext(source: Envelope.registrySource, actor: actor, now: clock.wall())
    let claimed = Mutex<[ObjectKey: Entry]>([:])
    do {
      return try await store.perform { [self] store in
        let entries = state.withLock { claim(&$0) }
        claimed.withLock { $0 = entries }
        return try Self.delete(entries.keys.sorted(), from: store, context)
      }
    } catch {
      // Still in the store: still to be removed, unless it came back in between.
      state.withLock { state in
        for (key, var entry) in claimed.withLock({ $0 }) where state.entries[key] == nil {
          entry.isStored = false
          state.entries[key] = entry
        }
      }
      throw error
    }
  }

  private func forgetServices() async throws {
    let context = WriteContext(source: Envelope.registrySource, actor: "retention", now: clock.wall())
    let keys = try await store.perform { [self] store -> [ObjectKey] in
      let now = clock.now()
      let keys = state.withLock { state -> [ObjectKey] in
        state.noteEmptyServices(now)
        return state.forgotten(now, after: retention)
      }
      _ = try Self.delete(keys, from: store, context)
      return keys
    }
    state.withLock { state in
      for key in keys where state.emptySince[key] != nil {
        state.services[key] = nil
        state.emptySince[key] = nil
      }
    }
  }

  private static func delete(_ keys: [ObjectKey], from store: ConfigStore, _ context: WriteContext) throws -> Int {
    var count = 0
    for key in keys {
      do {
        try store.delete(key, context)
        count += 1
      } catch StoreError.notFound {
        continue
      }
    }
    return count
  }

  /// Whether two records tell the same; age and generation are the store's.
  private static func isSame(_ a: WorkloadRecord, _ b: WorkloadRecord) -> Bool {
    var one = a
    one.workload.creationTimestamp = b.workload.creationTimestamp
    one.workload.generation = b.workload.generation
    return one == b
  }
}
