// MessageState: how far one of a stream's two messages has come, on its way in and on its way out.
//
//   arrival   awaited ── headArrived ──▶ begun ── endArrived ──▶ whole
//   passage   waiting ── headPassed ───▶ begun ── endPassed ───▶ sent
//
// The two ways are independent: the head of a body that still comes may have been passed on or not, and a body that has come may still wait.
// Within a way only the order above can be said: nothing is sent that was not begun. The request goes out once per attempt (`takenBack`), the
// response comes in once per attempt (`awaitedAnew`); a granted tunnel opens the request again (`reopened`).

/// How far a request or a response has come.
package struct MessageState: BitwiseCopyable, Hashable, Sendable {
  /// What has come of it from the side that sends it.
  package enum Arrival: UInt8, BitwiseCopyable, CaseIterable, Sendable { case awaited, begun, whole }
  /// What was passed on of it to the side that is to have it.
  package enum Passage: UInt8, BitwiseCopyable, CaseIterable, Sendable { case waiting, begun, sent }

  package private(set) var arrival: Arrival
  package private(set) var passage = Passage.waiting

  package init(_ arrival: Arrival, _ passage: Passage = .waiting) {
    self.arrival = arrival
    self.passage = passage
  }

  /// Nothing of it has come.
  @inline(__always) package var isAwaited: Bool { arrival == .awaited }
  /// All of it has come.
  @inline(__always) package var hasArrived: Bool { arrival == .whole }
  /// Its head was passed on.
  @inline(__always) package var hasStarted: Bool { passage != .waiting }
  /// Its end was passed on.
  @inline(__always) package var isSent: Bool { passage == .sent }

  // MARK: On its way in

  /// Its head, or for a response an informational one, has come. *Returns*: whether it is the first that comes.
  @inline(__always) @discardableResult
  package mutating func headArrived() -> Bool {
    guard arrival == .awaited else { return false }
    arrival = .begun
    return true
  }

  /// Its last byte has come.
  @inline(__always)
  package mutating func endArrived() { arrival = .whole }

  /// The attempt that it was to come from is over; it will come from another one.
  @inline(__always)
  package mutating func awaitedAnew() { arrival = .awaited }

  // MARK: On its way out

  /// Its head was passed on.
  @inline(__always)
  package mutating func headPassed() { if passage == .waiting { passage = .begun } }

  /// Its end was passed on.
  @inline(__always)
  package mutating func endPassed() { passage = .sent }

  /// Whoever was given it is gone: it is to be passed on from its beginning.
  @inline(__always)
  package mutating func takenBack() { passage = .waiting }

  // MARK: Tunnels

  /// What was whole is the beginning of a conversation.
  @inline(__always)
  package mutating func reopened() {
    if arrival == .whole { arrival = .begun }
    if passage == .sent { passage = .begun }
  }
}
