import Testing
import WeftControlAPI

@Suite("a registry that goes away", .timeLimit(.minutes(5)))
struct CatalogRegistryTests {
  @Test("what it last said holds; when it is back only what differs is told")
  func reconnect() async throws {
    let harness = try await CatalogHarness()
    try await harness.put("a", 1)
    try await harness.put("b", 1)
    var batches = harness.source.changes(after: nil).makeAsyncIterator()
    #expect(await batches.next()?.upserts.count == 2)
    harness.catalog.fail(true)
    while harness.source.state == .synced { await Task.yield() }
    guard case .stale = harness.source.state else {
      Issue.record("\(harness.source.state)")
      return
    }
    // A reader that comes meanwhile is served.
    var late = harness.source.changes(after: nil).makeAsyncIterator()
    #expect(await late.next()?.upserts.count == 2)
    harness.catalog.change { $0["b"]?.weight = 9 }
    harness.catalog.fail(false)
    let next = try #require(await batches.next())
    #expect(Array(next.upserts.keys) == [CatalogHarness.key("b")])
    #expect(!next.isWhole)
    await harness.catalog.taken()
    #expect(harness.source.state == .synced)
  }
}
