// The named limits shared by rooms. Each room adds those of its own protocol beside its code.

/// Limits of a loop and its connections. Reaching one is counted in `LoopStatistics`.
package struct Limits: Sendable {
  /// Most connections of one loop. *Errors*: beyond it new ones are closed at once and counted.
  package var connections = 1 << 20
  /// Most timers of one loop.
  package var timers = 1 << 21
  /// Unconsumed input kept for one connection: more than the largest head that a listener may allow (8,192 KiB). *Units*: bytes.
  package var stashedBytes = 9 << 20
  /// Queued output of one connection before it is reset. *Units*: bytes.
  package var queuedBytes = 64 << 20
  /// Bytes read from one connection in one turn before others have theirs.
  package var readBytesPerTurn = 256 << 10
  /// Connections accepted from one listener in one turn.
  package var acceptsPerTurn = 64
  /// Readiness events taken from the driver in one turn.
  package var eventsPerTurn = 512

  package init() {}
}
