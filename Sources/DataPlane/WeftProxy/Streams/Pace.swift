// Pace: responses that are passed on no faster than a filter says.

import WeftBase
package import WeftProxyAPI

/// How much of a response may be passed on. As Envoy's: a second has sixteen slices, what is not used adds up to a second's worth, and the first slice is
/// there at once.
struct Pace: BitwiseCopyable {
  static var slices: UInt64 { 16 }
  static var sliceNanoseconds: UInt64 { 1_000_000_000 / slices }
  /// *Units*: bytes per second.
  static var fastest: UInt64 { 1 << 40 }

  private let slice: UInt64
  private var credit: UInt64
  private var filledAt: MonotonicInstant

  init(bytesPerSecond: UInt64, now: MonotonicInstant) {
    // What is faster than any network is no limit, and nothing below can overflow.
    slice = max(1, min(bytesPerSecond, Self.fastest) / Self.slices)
    credit = slice
    filledAt = now
  }

  var bytesPerSlice: UInt64 { slice }

  /// Bytes that may go now.
  mutating func allowance(now: MonotonicInstant) -> Int {
    let due = (now.nanoseconds &- filledAt.nanoseconds) / Self.sliceNanoseconds
    if due > 0 {
      filledAt = filledAt.advanced(nanoseconds: Int64(clamping: due * Self.sliceNanoseconds))
      credit = min(Self.slices * slice, credit + min(due, Self.slices) * slice)
    }
    return Int(credit)
  }

  mutating func spend(_ n: Int) { credit -= min(credit, UInt64(n)) }
  mutating func giveBack(_ n: Int) { credit = min(Self.slices * slice, credit + UInt64(n)) }

  /// When more may go.
  var next: MonotonicInstant { filledAt.advanced(nanoseconds: Int64(Self.sliceNanoseconds)) }
}

extension WorkerEngine {
  package static func _pace(_ engine: UnsafeMutableRawPointer, _ stream: StreamIndex, _ bytesPerSecond: UInt64) {
    unsafe lend(engine) { own in
      // Messages of a codec go in one piece: pieces of several would mix.
      if own.streams[stream].codec != nil { return }
      let pace = Pace(bytesPerSecond: bytesPerSecond, now: own.now)
      if let other = own.paces[][stream.index], other.bytesPerSlice <= pace.bytesPerSlice { return }
      own.paces[][stream.index] = pace
      own.streams[stream].frame.isPaced = true
    }
  }

  /// How much of what waits of a paced response may go now; what may not is looked at again when more may.
  func paced(_ s: StreamIndex, _ waiting: Int) -> Int {
    guard var pace = paces[][s.index] else { return waiting }
    let n = min(waiting, pace.allowance(now: now))
    pace.spend(n)
    paces[][s.index] = pace
    if n < waiting {
      streams[s].frame.until = pace.next
      armStream(s)
    }
    return n
  }

  /// What was allowed and could not be sent is allowed again.
  func unspend(_ s: StreamIndex, _ n: Int) { if n > 0 { paces[][s.index]?.giveBack(n) } }
}
