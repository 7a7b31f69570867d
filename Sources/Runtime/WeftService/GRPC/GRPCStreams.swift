/// Messages as they arrive, for exactly one consumer.
///
/// *Errors*: `GRPCStatus`. A client's sequence throws the call's status unless it is OK; a server's throws when the client
/// goes away or a message cannot be decoded.
package struct GRPCMessages<Message: Sendable>: AsyncSequence, Sendable {
  package typealias Element = Message

  let source: GRPCMessageSource
  let decode: @Sendable ([UInt8]) throws -> Message

  package struct AsyncIterator: AsyncIteratorProtocol {
    let messages: GRPCMessages

    package mutating func next() async throws -> Message? {
      guard let bytes = try await messages.source.next() else { return nil }
      return try messages.source.decoded(bytes, messages.decode)
    }
  }

  package func makeAsyncIterator() -> AsyncIterator { AsyncIterator(messages: self) }
}

/// The sending side of a stream of messages; `send` waits while the peer is slow.
package struct GRPCWriter<Message: Sendable>: Sendable {
  let sink: GRPCMessageSink
  let encode: @Sendable (Message) throws -> [UInt8]

  /// *Errors*: `GRPCStatus` when the call is over.
  package func send(_ message: Message) async throws { try await sink.send(try encode(message)) }
}
