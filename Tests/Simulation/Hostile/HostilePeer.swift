// HostilePeer: an end that does one thing after another, whatever the other side says, and leaves in any way there is.

import WeftBase
import WeftRuntime
import WeftTestKit

class HostilePeer: SimEnd {
  let bytes: HostileBytes
  let probes: SimProbes
  private var steps: [() -> Void] = []
  private var next = 0
  /// Longest pause between two steps.
  private var pace: Int
  /// Until the next step, instead of that.
  private var hold: Duration?

  init(_ host: SimEnds, _ probes: SimProbes) {
    bytes = HostileBytes(world: host.world)
    self.probes = probes
    pace = host.world.pick([0, 0, 1, 20, 400])
    super.init(host)
  }

  func add(_ step: @escaping () -> Void) { steps.append(step) }
  func send(_ data: @escaping () -> [UInt8]) { add { [unowned self] in write(data()) } }
  func wait(_ most: Int) { add { [unowned self] in hold = world.milliseconds(0...most) } }
  func send(_ text: String) { send { Array(text.utf8) } }

  /// Goes on with the next step, and after the last one leaves.
  func goOn() {
    guard !isOver else { return }
    guard next < steps.count else { return leave() }
    let step = steps[next]
    next += 1
    step()
    let pause = hold ?? (pace == 0 ? .zero : world.milliseconds(0...pace))
    hold = nil
    later(pause) { [self] in goOn() }
  }

  func leave() {
    guard !isOver else { return }
    switch world.pick(0...6) {
    case 0: loop.close(c)
    case 1, 2:
      probes.reached("peer resets")
      loop.close(c, .reset)
    case 3:
      probes.reached("peer closes half")
      // On a secure connection half of the time in order.
      if world.chance(1, in: 2) { write([HostileSecurity.alert]) }
      loop.finishWriting(c)
      later(world.milliseconds(0...5_000)) { [self] in loop.close(c, .reset) }
    case 4:
      // Reads nothing and says nothing.
      probes.reached("peer stalls")
      loop.pauseReading(c)
      later(world.milliseconds(0...40_000)) { [self] in loop.close(c, world.chance(1, in: 2) ? .reset : .gracefully) }
    case 5: later(world.milliseconds(0...3_000)) { [self] in loop.close(c) }
    default: nap(world.milliseconds(0...2_000)); later(world.milliseconds(0...4_000)) { [self] in loop.close(c) }
    }
  }

  override func received(_ bytes: ByteView) {
    if world.chance(1, in: 12) { nap(world.milliseconds(0...800)) }
  }

  override func readEnded() { if world.chance(3, in: 4) { loop.close(c) } }
}
