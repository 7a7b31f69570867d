import Testing

@testable import WeftAgent

@Suite("activity of a proxy")
struct ProxyActivityTests {
  private let page = """
    http.inbound_0.downstream_rq_active: 1
    http.inbound_0.downstream_rq_total: 20
    http.outbound_1.downstream_rq_active: 0
    http.outbound_1.downstream_rq_total: 7
    something else
    """

  @Test("requests of every listener are summed")
  func reads() {
    let activity = ProxyActivity(page)
    #expect(activity.active == 1 && activity.total == 27 && activity.tcp == 0)
  }

  @Test("a proxy is quiet when nothing is in flight and nothing came in between")
  func quiet() {
    let busy = ProxyActivity(page)
    var idle = busy
    idle.active = 0
    #expect(!busy.isQuiet(since: busy))
    #expect(idle.isQuiet(since: busy))
    var later = idle
    later.total += 1
    #expect(!later.isQuiet(since: idle), "a peer still sends")
    idle.tcp = 1
    #expect(!idle.isQuiet(since: idle), "a TCP session may be anything")
  }
}
