import Testing
import WeftBase

@testable import WeftProxyControl

@Suite("memory that goes back to the system")
struct MemoryTrimTests {
  private func at(_ seconds: Int) -> MonotonicInstant {
    .zero.advanced(nanoseconds: Int64(seconds + 1) * 1_000_000_000)
  }

  @Test("a trim comes when much more is resident than is lent out, and no sooner than it may")
  func trims() {
    var memory = MemoryTrim()
    var resident: UInt64 = 40 << 20
    let trimmed = (0...30).filter { second in
      if second == 5 { resident = 200 << 20 }
      return memory.tick(at(second), usage: { (10 << 20, resident) }, trim: { resident = 40 << 20 })
    }
    #expect(trimmed == [10])
  }

  @Test("a trim that gains nothing is tried less and less often")
  func backsOff() {
    var memory = MemoryTrim()
    let trimmed = (0...1300).filter { memory.tick(at($0), usage: { (10 << 20, 200 << 20) }, trim: {}) }
    #expect(trimmed == [0, 20, 60, 140, 300, 600, 900, 1200])
    var resident: UInt64 = 200 << 20
    let gained = memory.tick(at(1500), usage: { (10 << 20, resident) }, trim: { resident = 20 << 20 })
    #expect(gained)
    #expect(memory.interval == MemoryTrim.shortest)
  }
}
