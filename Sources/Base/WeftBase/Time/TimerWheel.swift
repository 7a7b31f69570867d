// TimerWheel: many timers, few of which ever fire. Schedule and cancel are O(1) without allocation.

/// Names a scheduled timer. A stale id is harmless: cancelling it does nothing.
package typealias TimerID = SlabIndex

/// A hierarchical timer wheel of index lists.
///
/// *Shape*: five levels of 64 slots; a tick is 2²⁰ ns (1.05 ms), so that the wheel spans 13 days and later deadlines wait in the top level.
/// *Units*: a timer never fires early and at most one tick late (plus the turn it is noticed in). Timers of
/// different ticks fire in order of time, those of one tick in no promised (but repeatable) order.
/// *Cost*: schedule and cancel O(1); a timer is moved at most four times; an empty wheel costs nothing.
/// *Errors*: `schedule` returns `.none` at the limit.
@safe
package struct TimerWheel: ~Copyable {
  private struct Entry: BitwiseCopyable {
    var tick: UInt64
    var token: UInt64
    var next: SlabIndex
    var previous: SlabIndex
    var bucket: Int32
  }

  private struct Bucket: BitwiseCopyable {
    var first = SlabIndex.none
    var last = SlabIndex.none
  }

  private struct State: BitwiseCopyable {
    /// Ticks up to and including this one have fired.
    var current: UInt64
    var occupied: (UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0)
  }

  private static let levels = 5
  private static let tickBits: UInt64 = 20
  /// Entries taken out of the wheel, waiting to be handed over by `popDue`.
  private static var due: Int32 { Int32(levels * 64) }

  private let entries: Slab<Entry>
  private let buckets: UnsafeMutablePointer<Bucket>
  private let state: UnsafeMutablePointer<State>

  /// An empty wheel that starts at `now`.
  package init(now: MonotonicInstant, maximum: Int = Limits().timers) {
    entries = Slab(maximum: maximum)
    unsafe buckets = .allocate(capacity: Self.levels * 64 + 1)
    unsafe buckets.initialize(repeating: Bucket(), count: Self.levels * 64 + 1)
    unsafe state = .allocate(capacity: 1)
    unsafe state.initialize(to: State(current: now.nanoseconds >> Self.tickBits))
  }

  deinit {
    unsafe buckets.deallocate()
    unsafe state.deallocate()
  }

  /// Timers not yet fired.
  package var count: Int { entries.count }

  /// Arms a timer that hands back `token` once `deadline` has passed.
  package func schedule(at deadline: MonotonicInstant, token: UInt64) -> TimerID {
    let round: UInt64 = (1 << Self.tickBits) - 1
    let (sum, overflow) = deadline.nanoseconds.addingReportingOverflow(round)
    let tick = (overflow ? .max : sum) >> Self.tickBits
    guard
      let id = entries.insert(Entry(tick: tick, token: token, next: .none, previous: .none, bucket: 0))
    else { return .none }
    place(id, tick)
    return id
  }

  /// Disarms a timer. Returns whether it was still armed.
  @discardableResult
  package func cancel(_ id: TimerID) -> Bool {
    guard entries.contains(id) else { return false }
    unlink(id)
    entries.remove(id)
    return true
  }

  /// When the wheel next needs a call of `advance`; nil when no timer is armed. May be earlier than the first deadline (when a far
  /// timer has to move to a nearer level), never later.
  package var nextDeadline: MonotonicInstant? {
    if unsafe !buckets[Int(Self.due)].first.isNone { return MonotonicInstant(nanoseconds: 0) }
    guard let start = nextStart() else { return nil }
    return MonotonicInstant(nanoseconds: start > (.max >> Self.tickBits) ? .max : start << Self.tickBits)
  }

  /// Moves the wheel to `now`; afterwards `popDue` hands out what has become due.
  package func advance(to now: MonotonicInstant) {
    let target = now.nanoseconds >> Self.tickBits
    while unsafe state.pointee.current < target {
      guard let next = nextStart(), next <= target else {
        unsafe state.pointee.current = target
        return
      }
      unsafe state.pointee.current = next
      cascade(next)
    }
  }

  /// The token of the next due timer; nil when there is none. A timer cancelled between two calls is not handed out.
  package func popDue() -> UInt64? {
    let id = unsafe buckets[Int(Self.due)].first
    if id.isNone { return nil }
    let token = entries[id].token
    unlink(id)
    entries.remove(id)
    return token
  }

  /// Start tick of the next occupied slot, over all levels.
  private func nextStart() -> UInt64? {
    let now = unsafe state.pointee.current
    var best: UInt64?
    for level in 0..<Self.levels {
      let map = occupied(level)
      if map == 0 { continue }
      let shift = UInt64(6 * level)
      let position = (now >> shift) & 63
      // The slot at the current position was emptied when it began: what it holds now belongs to the next round.
      let ahead = Self.rotateRight(map, by: position) & ~1
      let distance: UInt64 = ahead == 0 ? 64 : UInt64(ahead.trailingZeroBitCount)
      let start = ((now >> shift) &+ distance) << shift
      if best.map({ start < $0 }) ?? true { best = start }
    }
    return best
  }

  /// Empties the slots that begin at tick `now`: due entries to the due list, others to nearer levels.
  private func cascade(_ now: UInt64) {
    var level = Self.levels - 1
    while level >= 0 {
      let shift = UInt64(6 * level)
      // A slot of this level begins only where all lower digits are zero.
      if now & ((1 << shift) - 1) == 0 {
        let bucket = level * 64 + Int((now >> shift) & 63)
        var id = unsafe buckets[bucket].first
        unsafe buckets[bucket] = Bucket()
        setOccupied(level, Int((now >> shift) & 63), false)
        while !id.isNone {
          let next = entries[id].next
          place(id, entries[id].tick)
          id = next
        }
      }
      level -= 1
    }
  }

  private func place(_ id: SlabIndex, _ tick: UInt64) {
    let now = unsafe state.pointee.current
    if tick <= now { return append(id, to: Self.due) }
    let distance = tick - now
    var level = 0
    while level < Self.levels - 1, distance >> UInt64(6 * (level + 1)) != 0 { level += 1 }
    let shift = UInt64(6 * level)
    // Beyond the top level's span: park in its farthest slot, from where it is placed again.
    let slot = distance >> (shift + 6) != 0 ? (now >> shift) &+ 63 : tick >> shift
    append(id, to: Int32(level * 64) + Int32(truncatingIfNeeded: slot & 63))
  }

  private func append(_ id: SlabIndex, to bucket: Int32) {
    let last = unsafe buckets[Int(bucket)].last
    entries[id].bucket = bucket
    entries[id].previous = last
    entries[id].next = .none
    if last.isNone { unsafe buckets[Int(bucket)].first = id } else { entries[last].next = id }
    unsafe buckets[Int(bucket)].last = id
    if bucket < Self.due { setOccupied(Int(bucket) / 64, Int(bucket) % 64, true) }
  }

  private func unlink(_ id: SlabIndex) {
    let entry = entries[id]
    let bucket = Int(entry.bucket)
    if entry.previous.isNone {
      unsafe buckets[bucket].first = entry.next
    } else {
      entries[entry.previous].next = entry.next
    }
    if entry.next.isNone {
      unsafe buckets[bucket].last = entry.previous
    } else {
      entries[entry.next].previous = entry.previous
    }
    if unsafe buckets[bucket].first.isNone, bucket < Int(Self.due) { setOccupied(bucket / 64, bucket % 64, false) }
  }

  private func occupied(_ level: Int) -> UInt64 {
    switch level {
    case 0: unsafe state.pointee.occupied.0
    case 1: unsafe state.pointee.occupied.1
    case 2: unsafe state.pointee.occupied.2
    case 3: unsafe state.pointee.occupied.3
    default: unsafe state.pointee.occupied.4
    }
  }

  private func setOccupied(_ level: Int, _ slot: Int, _ on: Bool) {
    let bit: UInt64 = 1 << UInt64(slot)
    let old = occupied(level)
    let new = on ? old | bit : old & ~bit
    switch level {
    case 0: unsafe state.pointee.occupied.0 = new
    case 1: unsafe state.pointee.occupied.1 = new
    case 2: unsafe state.pointee.occupied.2 = new
    case 3: unsafe state.pointee.occupied.3 = new
    default: unsafe state.pointee.occupied.4 = new
    }
  }

  private static func rotateRight(_ map: UInt64, by n: UInt64) -> UInt64 { n == 0 ? map : map >> n | map << (64 - n) }
}
