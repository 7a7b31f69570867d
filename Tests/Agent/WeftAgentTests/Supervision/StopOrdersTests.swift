import Glibc
import Testing

@testable import WeftAgent

@Suite("orders to stop")
struct StopOrdersTests {
  @Test("a signal that comes while something is awaited gives the waiting up")
  func cutsWaiting() async throws {
    let orders = StopOrders()
    async let result = orders.unless(1) { () async throws -> Int in
      try await Task.sleep(for: .seconds(600))
      return 1
    }
    orders.take(SIGTERM)
    #expect(try await result == nil)
    #expect(await orders.order(1) == SIGTERM)
  }

  @Test("the first signal does not cut what only the second may")
  func second() async throws {
    let orders = StopOrders()
    orders.take(SIGINT)
    #expect(try await orders.unless(2) { 7 } == 7)
    async let result = orders.unless(2) { () async throws -> Int in
      try await Task.sleep(for: .seconds(600))
      return 1
    }
    orders.take(SIGTERM)
    #expect(try await result == nil)
    #expect(orders.count == 2)
  }

  @Test("other signals are no orders, and waiting for one can be cancelled")
  func others() async {
    let orders = StopOrders()
    orders.take(SIGHUP)
    orders.take(SIGUSR1)
    #expect(orders.count == 0)
    let waiting = Task { await orders.order(1) }
    waiting.cancel()
    #expect(await waiting.value == nil)
  }

  @Test("an error of what is done comes through")
  func failure() async {
    struct Broken: Error {}
    await #expect(throws: Broken.self) {
      try await StopOrders().unless(1) { () async throws -> Int in throw Broken() }
    }
  }
}
