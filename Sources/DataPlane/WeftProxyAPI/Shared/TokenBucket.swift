// TokenBucket: limits on how often something may happen, shared by all workers or kept per connection.

import CAtomics
package import WeftBase
package import WeftModel

/// How fast tokens come, and how many there are at most.
package struct TokenRate: BitwiseCopyable, Sendable {
  package let maximum: UInt64
  private let perNanosecond: Double

  package init(_ settings: TokenBucketSettings) {
    maximum = UInt64(settings.maximum)
    let fill = Double(max(1, UInt64(clamping: settings.fillInterval.nanoseconds)))
    perNanosecond = Double(max(1, settings.tokensPerFill)) / fill
  }

  var mark: UInt64 { RandomSource.mix(maximum, perNanosecond.bitPattern) }

  /// What a sum may lack and still be whole.
  static var grace: Double { 1e-3 }

  /// Tokens there are at `now` when there were none at `empty`.
  func tokens(_ empty: Double, _ now: Double) -> Double { min(Double(maximum), max(0, now - empty) * perNanosecond) }
  /// When a bucket with so many tokens at `now` was empty.
  func empty(_ tokens: Double, _ now: Double) -> Double { now - tokens / perNanosecond }
  /// Nanoseconds until a bucket with so many tokens has a whole one.
  func wait(_ tokens: Double) -> Double { tokens + Self.grace >= 1 ? 0 : (1 - tokens) / perNanosecond }
}

/// A token bucket: full at first; tokens come evenly, as Envoy's do since 1.32, not a fill at a time.
///
/// *Shape*: its rate and a pointer to one atomic cell, which holds the moment at which the bucket was empty: bits of a `Double`,
/// below 0 where the clock is young; no bits: never asked, full.
/// *Cost*: one atomic exchange per token, a few multiplications.
/// Why sound: the cell is only touched atomically; the storage it was made in, or the connection it belongs to, outlives every use.
@safe
package struct TokenBucket: BitwiseCopyable, @unchecked Sendable {  // an atomic cell
  package let rate: TokenRate
  private let cell: UnsafeMutablePointer<UInt64>

  /// Shared by all workers.
  package init(_ rate: TokenRate, _ storage: SnapshotStorage) {
    let owner = SharedCells(1)
    storage.retain(owner)
    unsafe self.init(rate, at: owner.cells)
  }

  @unsafe init(_ rate: TokenRate, at cell: UnsafeMutablePointer<UInt64>) {
    self.rate = rate
    unsafe self.cell = cell
  }

  /// Tells one bucket from another; from a later one in the same place, unless that has the same rate.
  package var identity: UInt64 { unsafe UInt64(UInt(bitPattern: cell)) ^ rate.mark }

  /// The bucket of the same rate that belongs to a connection.
  package func of(_ cells: ConnectionCells, _ i: Int) -> TokenBucket { unsafe TokenBucket(rate, at: cells.cell(i)) }

  /// Takes a token, if there is one.
  package func take(now: MonotonicInstant) -> Bool {
    let moment = Double(now.nanoseconds)
    while true {
      let bits = unsafe weft_load(cell)
      let tokens = tokens(bits, moment)
      if tokens + TokenRate.grace < 1 { return false }
      let empty = rate.empty(max(0, tokens - 1), moment)
      // The moment zero is not the word for a full one.
      if unsafe weft_compare_exchange(cell, bits, (empty == 0 ? -0.0 : empty).bitPattern) != 0 { return true }
    }
  }

  /// Whole tokens left, and seconds until there is one.
  package func reading(now: MonotonicInstant) -> (remaining: UInt64, resetSeconds: UInt64) {
    let tokens = tokens(unsafe weft_load(cell), Double(now.nanoseconds))
    return (UInt64(tokens + TokenRate.grace), UInt64((rate.wait(tokens) / 1_000_000_000).rounded(.up)))
  }

  private func tokens(_ bits: UInt64, _ now: Double) -> Double {
    bits == 0 ? Double(rate.maximum) : rate.tokens(Double(bitPattern: bits), now)
  }
}

/// Buckets that requests bring about by what they say, one per value: the least lately asked makes room for a new one.
///
/// *Shape*: a fixed number of places of three atomic cells each: hash of the value, when it was last asked, its bucket. *Cost*: a look at each place.
/// Why sound: as `TokenBucket`. Two workers that take one place at once leave it to one of them; the other's value draws from that bucket once.
@safe
package struct TokenBucketTable: BitwiseCopyable, @unchecked Sendable {  // atomic cells
  private let rate: TokenRate
  private let places: Int
  private let cells: UnsafeMutablePointer<UInt64>

  /// So many numbers it consists of.
  package var cellCount: Int { 3 * places }

  /// The table of the same rate and size that belongs to a connection, and begins at its number `i`.
  package func of(_ cells: ConnectionCells, _ i: Int) -> TokenBucketTable {
    precondition(i + cellCount <= cells.count)
    return unsafe TokenBucketTable(rate, places: places, at: cells.cell(i))
  }

  @unsafe private init(_ rate: TokenRate, places: Int, at cells: UnsafeMutablePointer<UInt64>) {
    (self.rate, self.places) = (rate, places)
    unsafe self.cells = cells
  }

  package init(_ rate: TokenRate, places: Int, _ storage: SnapshotStorage) {
    self.rate = rate
    self.places = max(1, places)
    let owner = SharedCells(3 * self.places)
    storage.retain(owner)
    unsafe cells = owner.cells
  }

  /// The bucket of the value whose hash is `hash`.
  package func bucket(_ hash: UInt64, now: MonotonicInstant) -> TokenBucket {
    let key = hash | 1
    var oldest = 0
    var oldestAt = UInt64.max
    for i in 0..<places {
      let place = unsafe cells + 3 * i
      if unsafe weft_load(place) == key {
        unsafe weft_store(place + 1, now.nanoseconds)
        return unsafe TokenBucket(rate, at: place + 2)
      }
      let asked = unsafe weft_load(place + 1)
      if asked < oldestAt { (oldest, oldestAt) = (i, asked) }
    }
    let place = unsafe cells + 3 * oldest
    let old = unsafe weft_load(place)
    if unsafe weft_compare_exchange(place, old, key) != 0 {
      // A full one.
      unsafe weft_store(place + 2, 0)
      unsafe weft_store(place + 1, max(1, now.nanoseconds))
    }
    return unsafe TokenBucket(rate, at: place + 2)
  }
}

/// Numbers that belong to a connection, for one use of a filter: valid until the call returns.
@safe @frozen @usableFromInline
package struct ConnectionCells: BitwiseCopyable {
  @usableFromInline let base: UnsafeMutablePointer<UInt64>
  @usableFromInline package let count: Int

  @unsafe package init(_ base: UnsafeMutablePointer<UInt64>, count: Int) {
    unsafe self.base = base
    self.count = count
  }

  @unsafe func cell(_ i: Int) -> UnsafeMutablePointer<UInt64> {
    precondition(i >= 0 && i < count)
    return unsafe base + i
  }
}
