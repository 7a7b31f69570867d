import Testing
import WeftBase
import WeftRuntime

@Suite("loop timers")
struct LoopTimerTests {
  @Test("fire in order of time, never early, and not when cancelled", arguments: WorldKind.all)
  func timers(_ kind: WorldKind) {
    let world = World(kind)
    let handler = RecordingHandler()
    let loop = world.makeLoop(handler)
    let start = loop.now
    var early = 0
    handler.onTimer = { token in
      if loop.now < start + .milliseconds(Int64(token)) { early += 1 }
      if token == 10 {
        // Re-arming in the callback is the common case.
        _ = loop.schedule(after: .milliseconds(25), token: 35)
      }
    }
    for token in [30, 10, 50, 20, 40] as [UInt64] {
      _ = loop.schedule(at: start + .milliseconds(Int64(token)), token: token)
    }
    let cancelled = loop.schedule(at: start + .milliseconds(15), token: 15)
    loop.cancel(cancelled)
    loop.cancel(cancelled)
    loop.cancel(.none)
    #expect(world.run { handler.timers.count == 6 })
    #expect(handler.timers.filter { $0 != 35 } == [10, 20, 30, 40, 50])
    #expect(handler.timers.contains(35))
    #expect(early == 0)
  }

  @Test("a cancelled timer's id does not touch the timer that took its slot")
  func staleTimer() {
    let world = World(.memory(seed: 1, splits: false))
    let handler = RecordingHandler()
    let loop = world.makeLoop(handler)
    let old = loop.schedule(after: .milliseconds(5), token: 1)
    loop.cancel(old)
    let new = loop.schedule(after: .milliseconds(5), token: 2)
    #expect(new.index == old.index)
    loop.cancel(old)
    world.advance(by: .milliseconds(10))
    #expect(handler.timers == [2])
  }

  @Test("end-of-turn tokens come once each, after the events of the turn", arguments: WorldKind.all)
  func endOfTurn(_ kind: WorldKind) {
    let world = World(kind)
    let handler = RecordingHandler()
    let loop = world.makeLoop(handler)
    handler.onTimer = { token in loop.atEndOfTurn(token) }
    _ = loop.schedule(after: .milliseconds(1), token: 1)
    _ = loop.schedule(after: .milliseconds(1), token: 2)
    #expect(world.run { handler.turns.count == 2 })
    #expect(handler.turns.sorted() == [1, 2])
    world.settle()
    #expect(handler.turns.count == 2)
  }
}
