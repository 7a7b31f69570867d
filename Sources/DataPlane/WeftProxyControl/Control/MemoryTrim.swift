import WeftBase
import WeftRuntime

/// Gives memory back that slow readers and bursts have left with the allocator.
///
/// The heap keeps what it was given back, spread over its arenas, for as long as the process lives; a burst of slow readers would be paid for ever. Looked at
/// on the cold loop: only when much more is resident than is lent out, and less often when trimming gains nothing.
/// *Cost*: reading two numbers; a trim walks the free lists of all arenas.
struct MemoryTrim {
  /// More resident memory than lent out is worth a trim above this. *Units*: bytes.
  static let slack: UInt64 = 32 << 20
  /// A trim that gains less makes the next one wait twice as long. *Units*: bytes.
  static let worthwhile: UInt64 = 4 << 20
  static let shortest = Duration.seconds(10)
  static let longest = Duration.seconds(300)

  private(set) var interval = shortest
  private var next = MonotonicInstant.zero

  /// Trims when it is time and worth it. *Returns*: whether it did.
  @discardableResult
  mutating func tick(
    _ now: MonotonicInstant, usage: () -> (allocated: UInt64, resident: UInt64) = ProcessMemory.usage,
    trim: () -> Void = ProcessMemory.trim
  ) -> Bool {
    if now < next { return false }
    next = now.advanced(nanoseconds: Self.shortest.nanoseconds)
    let before = usage()
    guard before.resident > before.allocated + Self.slack else {
      interval = Self.shortest
      return false
    }
    trim()
    let after = usage().resident
    let gained = before.resident > after ? before.resident - after : 0
    interval = gained >= Self.worthwhile ? Self.shortest : min(interval * 2, Self.longest)
    next = now.advanced(nanoseconds: interval.nanoseconds)
    return true
  }
}
