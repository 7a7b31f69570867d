// LazyTimer: one timer for many changing deadlines.

package import WeftBase

/// The armed timer of a slot.
///
/// Deadlines mostly move away from us: every request pushes the time-outs of its connection on. So a timer stays armed at the earliest
/// deadline it was ever asked for; when it fires its owner looks at the real deadlines and arms it again. A request in steady state
/// therefore makes no timer call at all.
package struct LazyTimer: BitwiseCopyable {
  package var id = TimerID.none
  package var at = MonotonicInstant.distantFuture

  package init() {}
}
