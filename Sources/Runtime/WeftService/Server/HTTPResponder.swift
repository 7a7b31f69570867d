/// How a handler answers: one whole response, or a head followed by a streamed body.
package struct HTTPResponder: Sendable {
  let exchange: ServerExchange

  init(exchange: ServerExchange) { self.exchange = exchange }

  /// Sends a complete response. *Errors*: `ServiceError` when the exchange has ended or was answered before.
  package func send(_ response: HTTPResponse, body: [UInt8] = []) async throws {
    try exchange.start(response, wholeBody: body)
  }

  /// Sends a complete text response.
  package func send(
    status: Int = 200, _ text: String, contentType: String = "text/plain; charset=utf-8"
  ) async throws {
    try await send(
      HTTPResponse(status: status, headers: ["content-type": contentType]), body: Array(text.utf8))
  }

  /// Sends the head; the body follows through the writer. The writer must be finished.
  package func start(_ response: HTTPResponse) throws -> HTTPBodyWriter {
    try exchange.start(response, wholeBody: nil)
    return HTTPBodyWriter(stream: exchange.outbound)
  }

  /// Sends an interim response (100…199 but 101).
  package func sendInterim(_ response: HTTPResponse) { exchange.sendInterim(response) }

  /// Ends the exchange at once: RST_STREAM with the code on HTTP/2, the connection on HTTP/1.
  package func reset(code: UInt32 = 8) { exchange.reset(code: code) }

  /// Bounds the rest of the exchange.
  package func setDeadline(in timeout: Duration) { exchange.setDeadline(in: timeout) }

  /// Whether the exchange has ended (client gone, reset, deadline).
  package var isEnded: Bool { exchange.isEnded }
}
