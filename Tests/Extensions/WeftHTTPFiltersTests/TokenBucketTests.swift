import Testing
import WeftBase
import WeftModel
import WeftProxyAPI

@Suite("token buckets")
struct TokenBucketTests {
  private func bucket(_ maximum: UInt32, _ perFill: UInt32, _ fill: Duration, _ storage: SnapshotStorage) -> TokenBucket
  {
    TokenBucket(TokenRate(TokenBucketSettings(maximum: maximum, tokensPerFill: perFill, fillInterval: fill)), storage)
  }

  /// Moments: the clock's beginning, and one after a year.
  static let moments: [UInt64] = [0, 1, 31_557_600_000_000_000]

  @Test(
    "as many tokens as there are are given, and as many as have come since, to the token", arguments: moments,
    [(1, 1), (3, 2), (7, 3), (1000, 333)] as [(UInt32, UInt32)])
  func counts(_ start: UInt64, _ sizes: (UInt32, UInt32)) {
    let storage = SnapshotStorage()
    let bucket = bucket(sizes.0, sizes.1, .seconds(60), storage)
    var now = MonotonicInstant(nanoseconds: start)
    func taken() -> UInt32 {
      var count: UInt32 = 0
      while bucket.take(now: now) { count += 1 }
      return count
    }
    #expect(bucket.reading(now: now).remaining == UInt64(sizes.0))
    #expect(taken() == sizes.0 && taken() == 0)
    #expect(bucket.reading(now: now).remaining == 0)
    for _ in 0..<100 {
      now = now + .seconds(60)
      #expect(bucket.reading(now: now).remaining == UInt64(sizes.1))
      #expect(taken() == sizes.1)
    }
    // Not before a token is whole, and never more than there is room for.
    now = now + .nanoseconds(59_400_000_000 / Int64(sizes.1))
    #expect(taken() == 0)
    now = now + .seconds(1_000_000)
    #expect(taken() == sizes.0)
  }

  @Test("where values meet for the first time all of them have full buckets, as many as there is room for")
  func table() {
    let storage = SnapshotStorage()
    let rate = TokenRate(TokenBucketSettings(maximum: 2, tokensPerFill: 1, fillInterval: .seconds(60)))
    let table = TokenBucketTable(rate, places: 3, storage)
    func ask(_ value: UInt64, _ at: UInt64) -> Bool {
      let now = MonotonicInstant(nanoseconds: at)
      return table.bucket(value, now: now).take(now: now)
    }
    #expect(
      [2, 4, 6, 2, 4, 6, 2, 4, 6].enumerated().map { ask($1, UInt64($0)) } == [
        true, true, true, true, true, true, false, false, false,
      ])
    // The one that was asked least lately makes room.
    #expect(ask(8, 10) && ask(2, 11) && !ask(6, 12))
  }
}
