package import WeftHTTP

/// An open exchange of a client: write the request body, read the response, in any order or at once.
package struct HTTPClientExchange: Sendable {
  private let exchange: ClientExchange

  init(_ exchange: ClientExchange) { self.exchange = exchange }

  /// The request body; must be finished.
  package var writer: HTTPBodyWriter { HTTPBodyWriter(stream: exchange.outbound) }

  /// Waits for the response head (interim responses are skipped). *Errors*: `ServiceError`.
  package func response() async throws -> HTTPResponse { try await exchange.response() }

  /// The response body.
  package var body: HTTPBody { HTTPBody(exchange.inbound) }

  /// Known once `response` has returned.
  package var version: HTTPVersion { exchange.version }

  /// Gives the exchange up: RST_STREAM(CANCEL) on HTTP/2, closes the connection on HTTP/1.
  package func cancel() { exchange.cancel() }
}
