import Testing

@testable import WeftHTTP

@Suite("counters against floods")
struct H2FloodCounterTests {
  @Test("limits as large as can be configured forbid nothing, however long a connection lives")
  func largeLimits() {
    var limits = HTTP2Limits()
    limits.maxPriorityPerStream = .max
    limits.maxWindowUpdatePerDataFrame = Int(UInt32.max)
    limits.maxPingPerDataFrame = .max
    var flood = H2FloodCounters()
    flood.streamsOpened = 1 << 30
    flood.dataFramesSent = 1 << 40
    #expect(!flood.windowUpdate(limits) && !flood.priorityFrame(limits) && !flood.ping(limits, now: 1))
  }
}
