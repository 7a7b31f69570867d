// RetryPriorityPolicy: what the author of a choice of priorities for retries writes.
//
// The engine tells which priorities a request's attempts went to; the policy answers which of them the next attempt leaves out. It keeps nothing, so
// nothing of it lies in a request's slot:
//
//     package struct LastPriority: RetryPriorityPolicy {
//       package static var name: StaticString { "example.last_priority" }
//       package static var message: String { Example_LastPriority.schema.name }
//       package struct Config: BitwiseCopyable {}
//       package static func compile(_ config: ExtensionConfig) throws(ConfigError) -> Config { Config() }
//       package static func leavesOut(_ config: Config, _ attempts: PriorityHistory) -> PrioritySet {
//         PrioritySet(attempts[attempts.count - 1])
//       }
//     }
//
// *Threads*: workers call it; `Config` is immutable.

public import WeftBase
public import WeftModel

/// Priorities of a cluster's hosts, those below 64.
@frozen @usableFromInline
package struct PrioritySet: BitwiseCopyable, Equatable, Sendable {
  @usableFromInline var bits: UInt64 = 0
  @inlinable package init() {}
  @inlinable package init(_ priority: Int) { insert(priority) }
  @inlinable package var isEmpty: Bool { bits == 0 }
  @inlinable package mutating func insert(_ priority: Int) {
    if priority >= 0, priority < 64 { bits |= 1 << UInt64(priority) }
  }
  @inlinable package func contains(_ priority: Int) -> Bool {
    priority >= 0 && priority < 64 && bits & 1 << UInt64(priority) != 0
  }
  @inlinable package func isSuperset(of other: PrioritySet) -> Bool { other.bits & ~bits == 0 }
}

/// The priorities of the hosts that a request was sent to, the first one first. *Shape*: trivial; of the last eight attempts.
@frozen @usableFromInline
package struct PriorityHistory: BitwiseCopyable, Sendable {
  /// A byte each, the first one lowest.
  @usableFromInline var priorities: UInt64 = 0
  @usableFromInline package private(set) var count = 0
  /// Those that have a host which may be asked.
  @usableFromInline package let available: PrioritySet

  package init(available: PrioritySet) { self.available = available }

  package static let limit = 8

  package mutating func append(_ priority: Int) {
    if count == Self.limit {
      priorities >>= 8
      count -= 1
    }
    priorities |= UInt64(UInt8(clamping: priority)) << UInt64(8 * count)
    count += 1
  }

  package subscript(i: Int) -> Int {
    precondition(i >= 0 && i < count)
    return Int(priorities >> UInt64(8 * i) & 0xff)
  }
}

/// A way to choose the priorities of a retry.
@usableFromInline
package protocol RetryPriorityPolicy: BitwiseCopyable, SendableMetatype {
  associatedtype Config: BitwiseCopyable
  /// Envoy's canonical name: `envoy.retry_priorities.previous_priorities`.
  static var name: StaticString { get }
  /// Full name of the message that configures it.
  static var message: String { get }
  /// *Errors*: the field's path inside the message that is wrong, and what is allowed there.
  static func compile(_ config: ExtensionConfig) throws(ConfigError) -> Config
  /// The priorities that the next attempt does not go to. Called for a request that has an attempt behind it.
  static func leavesOut(_ config: Config, _ attempts: PriorityHistory) -> PrioritySet
}

/// A policy and what its configuration compiled to. *Shape*: trivial; the snapshot's storage keeps `config`.
@safe
package struct CompiledRetryPriority: BitwiseCopyable, @unchecked Sendable {  // a metatype and immutable configuration
  private let policy: any RetryPriorityPolicy.Type
  private let config: UnsafeRawPointer

  init<P: RetryPriorityPolicy>(
    _ policy: P.Type, _ config: ExtensionConfig, _ storage: SnapshotStorage
  ) throws(ConfigError) {
    let compiled = try P.compile(config)
    self.policy = policy
    unsafe self.config = UnsafeRawPointer(storage.keep(compiled).pointer)
  }

  /// As `RetryPriorityPolicy.leavesOut`.
  package func leavesOut(_ attempts: PriorityHistory) -> PrioritySet { unsafe Self.ask(policy, config, attempts) }

  private static func ask<P: RetryPriorityPolicy>(
    _ policy: P.Type, _ config: UnsafeRawPointer, _ attempts: PriorityHistory
  ) -> PrioritySet {
    unsafe P.leavesOut(config.assumingMemoryBound(to: P.Config.self).pointee, attempts)
  }
}

extension RetryPriorityRegistry {
  /// *Errors*: no policy is configured by that message; what the policy says of it.
  package func compile(
    _ config: ExtensionConfig, _ storage: SnapshotStorage
  ) throws(ConfigError) -> CompiledRetryPriority {
    guard let policy = self[configuredBy: config.typeName] else {
      throw ConfigError(
        "no retry priority is configured by \(config.typeName); known are \(known.values.sorted().joined(separator: ", "))"
      )
    }
    return try CompiledRetryPriority(policy, config, storage)
  }
}
