import Synchronization
import Testing

@testable import WeftService

@Suite("body streams between loop and task")
struct StreamTests {
  final class Counter: Sendable {
    private let value = Mutex(0)
    var count: Int { value.withLock { $0 } }
    func add(_ n: Int = 1) { value.withLock { $0 += n } }
  }

  @Test("inbound bytes arrive in order, then the trailers")
  func inboundOrder() async throws {
    let stream = InboundStream(onConsumed: { _ in }, onAbandoned: {})
    stream.offer([1])
    stream.offer([2, 3])
    stream.finish(trailers: ["a": "b"])
    #expect(try await HTTPBody(stream).collect() == [1, 2, 3])
    #expect(stream.trailers["a"] == "b")
    #expect(try await stream.next() == nil)
  }

  @Test("consumed bytes are reported in full, in steps")
  func inboundCredit() async throws {
    let consumed = Counter()
    let stream = InboundStream(reportBytes: 10, onConsumed: { consumed.add($0) }, onAbandoned: {})
    for _ in 0..<7 { stream.offer([0, 0, 0]) }
    _ = try await stream.next()
    #expect(consumed.count == 0)
    for _ in 0..<6 { _ = try await stream.next() }
    #expect(consumed.count == 21)
  }

  @Test("what was received before a failure is still delivered")
  func inboundFailure() async throws {
    let stream = InboundStream(onConsumed: { _ in }, onAbandoned: {})
    stream.offer([1])
    stream.fail(.deadlineExceeded)
    #expect(try await stream.next() == [1])
    await #expect(throws: ServiceError.deadlineExceeded) { try await stream.next() }
  }

  @Test("cancelling the reader ends its wait and abandons the exchange")
  func inboundCancellation() async throws {
    let abandoned = Counter()
    let stream = InboundStream(onConsumed: { _ in }, onAbandoned: { abandoned.add() })
    let reader = Task { try await stream.next() }
    reader.cancel()
    await #expect(throws: ServiceError.cancelled) { try await reader.value }
    #expect(abandoned.count == 1)
  }

  @Test("the loop is signalled once until it has taken everything")
  func outboundSignal() async throws {
    let signals = Counter()
    let stream = OutboundStream(limit: 1000, onWork: { signals.add() }, onAbandoned: {})
    try await stream.write([1])
    try await stream.write([2])
    #expect(signals.count == 1)
    #expect(taken(stream, 10) == [1])
    #expect(taken(stream, 10) == [2])
    #expect(taken(stream, 10) == nil)
    try await stream.write([3])
    #expect(signals.count == 2)
  }

  @Test("a chunk larger than the window is taken in pieces")
  func outboundPieces() async throws {
    let stream = OutboundStream(limit: 1000, onWork: {}, onAbandoned: {})
    try await stream.write([1, 2, 3, 4, 5])
    stream.finish()
    #expect(taken(stream, 2) == [1, 2])
    #expect(taken(stream, 0) == nil)
    #expect(taken(stream, 2) == [3, 4])
    guard case .bytes([5], last: true) = stream.take(upTo: 2) else {
      Issue.record("the last piece is not marked")
      return
    }
  }

  @Test("a writer waits past the limit and goes on when the loop has taken enough")
  func outboundBackPressure() async throws {
    let stream = OutboundStream(limit: 4, onWork: {}, onAbandoned: {})
    try await stream.write([1, 2, 3, 4])
    let done = Counter()
    let writer = Task {
      try await stream.write([5])
      done.add()
    }
    for _ in 0..<50 { await Task.yield() }
    #expect(done.count == 0)
    #expect(taken(stream, 3) == [1, 2, 3])
    try await writer.value
    #expect(done.count == 1)
  }

  @Test("a failure ends the writer's wait")
  func outboundFailure() async throws {
    let stream = OutboundStream(limit: 1, onWork: {}, onAbandoned: {})
    try await stream.write([1])
    let writer = Task { try await stream.write([2]) }
    stream.fail(.streamReset(8))
    await #expect(throws: ServiceError.streamReset(8)) { try await writer.value }
  }

  @Test("trailers follow the bytes")
  func outboundTrailers() async throws {
    let stream = OutboundStream(limit: 100, onWork: {}, onAbandoned: {})
    try await stream.write([1])
    stream.finish(trailers: ["x": "y"])
    #expect(taken(stream, 10) == [1])
    guard case .end(let trailers) = stream.take(upTo: 0) else {
      Issue.record("no end")
      return
    }
    #expect(trailers["X"] == "y")
    #expect(!stream.hasWork)
  }

  private func taken(_ stream: OutboundStream, _ limit: Int) -> [UInt8]? {
    if case .bytes(let bytes, _) = stream.take(upTo: limit) { return bytes }
    return nil
  }
}
