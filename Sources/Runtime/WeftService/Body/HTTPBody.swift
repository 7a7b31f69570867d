/// A message body as it arrives: a sequence of byte runs for exactly one consumer, with back-pressure to the peer.
///
/// *Errors*: `ServiceError` when the exchange ends before the body does.
package struct HTTPBody: AsyncSequence, Sendable {
  package typealias Element = [UInt8]

  let stream: InboundStream

  /// A body that is already complete.
  package init(_ bytes: [UInt8] = []) {
    stream = InboundStream(complete: bytes)
  }

  init(_ stream: InboundStream) { self.stream = stream }

  package struct AsyncIterator: AsyncIteratorProtocol {
    let stream: InboundStream

    package mutating func next() async throws -> [UInt8]? { try await stream.next() }
  }

  package func makeAsyncIterator() -> AsyncIterator { AsyncIterator(stream: stream) }

  /// Reads to the end. *Errors*: `limitExceeded("body")` past `limit` bytes.
  package func collect(upTo limit: Int = 64 * 1024 * 1024) async throws -> [UInt8] {
    var whole: [UInt8] = []
    while let chunk = try await stream.next() {
      guard whole.count + chunk.count <= limit else { throw ServiceError.limitExceeded("body") }
      if whole.isEmpty { whole = chunk } else { whole += chunk }
    }
    return whole
  }

  /// The trailers; complete once the sequence has ended.
  package var trailers: HTTPHeaders { stream.trailers }
}
