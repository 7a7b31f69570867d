// Counters of a loop.

/// What a loop has done since it began.
package struct LoopStatistics: Sendable, BitwiseCopyable {
  package var turns: UInt64 = 0
  package var events: UInt64 = 0
  package var timersFired: UInt64 = 0
  package var accepted: UInt64 = 0
  package var connected: UInt64 = 0
  package var closed: UInt64 = 0
  /// Connections shed because the process was out of descriptors.
  package var shedNoDescriptors: UInt64 = 0
  /// Connections shed because `Limits.connections` was reached.
  package var shedConnectionLimit: UInt64 = 0
  package var stashLimitReached: UInt64 = 0
  package var queueLimitReached: UInt64 = 0
  package var readBudgetSpent: UInt64 = 0
  package var bytesRead: UInt64 = 0
  package var bytesWritten: UInt64 = 0
  package var reads: UInt64 = 0
  package var writes: UInt64 = 0
  /// Live connections.
  package var connections: Int = 0

  package init() {}
}
