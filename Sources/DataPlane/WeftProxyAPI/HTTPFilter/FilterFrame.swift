// FilterFrame: the part of a stream's slot that its filters' walk keeps. Plain numbers: it can leave with the stream.

public import WeftBase

/// Names one hold of one stream: plain bytes. A late answer finds another generation, or another hold.
@frozen @usableFromInline
package struct HoldToken: BitwiseCopyable, Sendable {
  @usableFromInline package var stream: StreamIndex
  @usableFromInline package var hold: UInt32
  @inlinable package init(stream: StreamIndex, hold: UInt32) { (self.stream, self.hold) = (stream, hold) }
  @inlinable package static var none: HoldToken { HoldToken(stream: .none, hold: 0) }
}

/// What a walk leaves in the stream's slot.
@frozen @usableFromInline
package struct FilterFrame: BitwiseCopyable {
  /// Four words: most chains keep less.
  @usableFromInline package typealias States = (UInt64, UInt64, UInt64, UInt64)
  @inlinable package static var noStates: States { (0, 0, 0, 0) }

  /// The filters' states, as long as they have no block. *Alignment*: 8.
  @usableFromInline package var states = FilterFrame.noStates
  /// Pool index of the block of states; `.max`: none.
  @usableFromInline package var block = UInt32.max
  /// Number of the current or last hold.
  @usableFromInline package var hold: UInt32 = 0
  /// The entry of the request's, or response's, list at which the stream is held.
  @usableFromInline package var heldAt: UInt8 = 0
  @usableFromInline package var phase = FilterPhase.running
  /// The request's trailers came during a hold: filters see them when all have seen the head.
  @usableFromInline package var trailersWait = false
  /// The response's content is passed on at a pace (`WorkerEngine.paces`).
  @usableFromInline package var isPaced = false
  /// Filters were told of the end of the content: of the request, of the response.
  @usableFromInline package var requestDataEnded = false
  @usableFromInline package var responseDataEnded = false
  /// A filter has kept bytes, which the worker holds by the stream's number.
  @usableFromInline package var keepsBytes = false
  /// A filter wants to hear of the stream's end.
  @usableFromInline package var hearsEnd = false
  /// How much of the body the hold waits for; −1: it waits for something else.
  @usableFromInline package var bodyLimit: Int32 = -1
  /// When the hold ends by itself, or a paced response may go on.
  @usableFromInline package var until = MonotonicInstant.distantFuture
  /// Whether content of the response waits for something beside the client.
  @inlinable package var gatesResponse: Bool { isPaced || phase == .responseHeld }
  /// Whether there is something to do when the stream ends.
  @inlinable package var owes: Bool { block != .max || keepsBytes || isPaced || hearsEnd }
  @inlinable package init() {}
}
