/// An open exchange of a client: write the request body, read the response, in any order or at once.
package struct HTTPClientExchange: Sendable {
  /// The request body; must be finished.
  package let writer: HTTPBodyWriter

  /// Waits for the response head (interim responses are skipped).
  package func response() async throws -> HTTPResponse { throw ServiceError.shutDown }

  /// The response body.
  package let body: HTTPBody

  package var version: HTTPVersion { .http1_1 }

  /// Gives the exchange up: RST_STREAM(CANCEL) on HTTP/2, closes the connection on HTTP/1.
  package func cancel() {}
}
