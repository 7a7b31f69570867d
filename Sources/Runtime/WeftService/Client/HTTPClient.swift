/// How a client connects, and its bounds.
package struct HTTPClientConfiguration: Sendable {
  package enum Protocols: Sendable {
    /// HTTP/2 when TLS negotiates it, else HTTP/1.1.
    case negotiated
    case http1
    /// HTTP/2 by prior knowledge (plaintext) or ALPN `h2` only (TLS).
    case http2
  }

  package var protocols = Protocols.negotiated
  /// Used for `https` requests.
  package var tls: ClientTLS?
  package var limits = ServiceLimits()
  /// Bounds a whole exchange when the call gives no timeout.
  package var defaultTimeout: Duration? = .seconds(30)
  package var userAgent: String? = "weft"

  package init(protocols: Protocols = .negotiated, tls: ClientTLS? = nil) {
    self.protocols = protocols
    self.tls = tls
  }
}

/// A complete response.
package struct HTTPClientResponse: Sendable {
  package var head: HTTPResponse
  package var version: HTTPVersion
  package var body: [UInt8]
  package var trailers: HTTPHeaders

  package var status: Int { head.status }
  package var headers: HTTPHeaders { head.headers }
  package var text: String { String(decoding: body, as: UTF8.self) }
}

/// An HTTP client with a keep-alive pool per address.
package final class HTTPClient: Sendable {
  let runtime: ServiceRuntime
  let configuration: HTTPClientConfiguration

  package init(_ configuration: HTTPClientConfiguration = HTTPClientConfiguration(), on runtime: ServiceRuntime) {
    self.configuration = configuration
    self.runtime = runtime
  }

  /// Sends a request with a whole body and collects the response.
  /// *Errors*: `ServiceError`. A status is never an error.
  package func send(
    _ request: HTTPRequest, body: [UInt8] = [], to address: ServiceAddress, timeout: Duration? = nil
  ) async throws -> HTTPClientResponse {
    throw ServiceError.shutDown
  }

  /// Runs `body` with an open exchange, streaming both ways; the exchange is reset if `body` leaves it unfinished.
  /// *Parameter* `timeout`: bounds the whole exchange; nil means none.
  package func withExchange<Result>(
    _ request: HTTPRequest, to address: ServiceAddress, timeout: Duration?,
    _ body: (HTTPClientExchange) async throws -> Result
  ) async throws -> Result {
    throw ServiceError.shutDown
  }

  /// `GET` of a URL: `http://host:port/path`, `https://…`.
  package func get(_ url: String, headers: HTTPHeaders = HTTPHeaders(), timeout: Duration? = nil) async throws
    -> HTTPClientResponse
  {
    throw ServiceError.shutDown
  }

  /// A request of any method to a URL.
  package func send(
    _ method: String, _ url: String, headers: HTTPHeaders = HTTPHeaders(), body: [UInt8] = [], timeout: Duration? = nil
  ) async throws -> HTTPClientResponse {
    throw ServiceError.shutDown
  }

  /// Closes idle connections, resets the others and refuses further requests.
  package func close() async {}
}
