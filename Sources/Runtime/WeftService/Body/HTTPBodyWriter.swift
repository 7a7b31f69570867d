/// The sending side of a body.
///
/// `write` returns when the bytes are buffered below the stream's limit, so a slow peer holds the writer back.
/// *Errors*: `ServiceError` when the exchange has ended.
package struct HTTPBodyWriter: Sendable {
  let stream: OutboundStream

  package func write(_ bytes: [UInt8]) async throws { try await stream.write(bytes) }

  package func write(_ text: String) async throws { try await stream.write(Array(text.utf8)) }

  /// Ends the body, with trailers if any. Further writes are errors of ours.
  package func finish(trailers: HTTPHeaders = HTTPHeaders()) { stream.finish(trailers: trailers) }

  /// Returns when everything written has been handed to the connection, or the exchange has ended.
  package func drained() async throws { try await stream.drained() }
}
