import Synchronization
import WeftBase
package import WeftHTTP

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
    // Servers of the field count pings below five minutes as abuse.
    limits.keepAliveTime = .seconds(310)
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
  private let backoff: GRPCBackoff?
  /// On the loop: this client's pools, keyed by its own identity in the core.
  private let id: UInt64

  package convenience init(
    _ configuration: HTTPClientConfiguration = HTTPClientConfiguration(), on runtime: ServiceRuntime
  ) {
    self.init(configuration, backoff: nil, on: runtime)
  }

  init(_ configuration: HTTPClientConfiguration, backoff: GRPCBackoff?, on runtime: ServiceRuntime) {
    self.configuration = configuration
    self.backoff = backoff
    self.runtime = runtime
    id = runtime.nextID()
  }

  deinit { runtime.post { [id] core in core.removeClient(id)?.close(nil) } }

  /// Sends a request with a whole body and collects the response.
  /// *Errors*: `ServiceError`. A status is never an error.
  package func send(
    _ request: HTTPRequest, body: [UInt8] = [], to address: ServiceAddress, timeout: Duration? = nil
  ) async throws -> HTTPClientResponse {
    let exchange = try open(
      ClientRequest(head: request, wholeBody: body), to: address, timeout: timeout ?? configuration.defaultTimeout)
    defer { exchange.cancel() }
    let head = try await exchange.response()
    let body = HTTPBody(exchange.inbound)
    return HTTPClientResponse(
      head: head, version: exchange.version, body: try await body.collect(upTo: configuration.limits.bodyBytes),
      trailers: body.trailers)
  }

  /// Runs `body` with an open exchange, streaming both ways; the exchange is reset if `body` leaves it unfinished.
  /// *Parameter* `timeout`: bounds the whole exchange; nil means none.
  package func withExchange<Result>(
    _ request: HTTPRequest, to address: ServiceAddress, timeout: Duration?,
    _ body: (HTTPClientExchange) async throws -> Result
  ) async throws -> Result {
    let exchange = try open(ClientRequest(head: request), to: address, timeout: timeout)
    defer { exchange.cancel() }
    return try await body(HTTPClientExchange(exchange))
  }

  /// `GET` of a URL: `http://host:port/path`, `https://…`.
  package func get(_ url: String, headers: HTTPHeaders = HTTPHeaders(), timeout: Duration? = nil) async throws
    -> HTTPClientResponse
  {
    try await send("GET", url, headers: headers, timeout: timeout)
  }

  /// A request of any method to a URL.
  package func send(
    _ method: String, _ url: String, headers: HTTPHeaders = HTTPHeaders(), body: [UInt8] = [], timeout: Duration? = nil
  ) async throws -> HTTPClientResponse {
    guard let parsed = HTTPURL(url) else { throw ServiceError.protocolViolation("URL \"\(url)\"") }
    let request = HTTPRequest(
      method: method, scheme: parsed.isSecure ? "https" : "http", authority: parsed.authority, target: parsed.target,
      headers: headers)
    return try await send(request, body: body, to: parsed.address, timeout: timeout)
  }

  /// Closes idle connections, resets the others and refuses further requests. Returns when no connection is left.
  package func close() async {
    await withCheckedContinuation { continuation in
      let accepted = runtime.post { [id] core in
        guard !core.isShutDown, let pools = core.client(id) else { return continuation.resume() }
        pools.close(continuation)
      }
      if !accepted { continuation.resume() }
    }
  }

  // MARK: Exchanges

  /// Starts an exchange; its fate is reported through the exchange alone.
  /// *Errors*: `protocolViolation` for a request that cannot travel.
  func open(_ request: ClientRequest, to address: ServiceAddress, timeout: Duration?) throws(ServiceError)
    -> ClientExchange
  {
    try HeadConversion.check(request.head)
    var request = request
    if request.head.authority.isEmpty { request.head.authority = address.authority }
    if let agent = configuration.userAgent, !request.head.headers.contains("user-agent") {
      request.head.headers.add("user-agent", agent)
    }
    let isSecure = request.head.scheme == "https"
    guard !isSecure || configuration.tls != nil else {
      throw .protocolViolation("https needs a client with TLS configured")
    }
    let exchangeID = runtime.nextID()
    let exchange = ClientExchange(limits: configuration.limits) { [runtime] signal in
      runtime.post { $0.exchange(exchangeID)?.handle(signal) }
    }
    if let body = request.wholeBody { exchange.outbound.preload(body) }
    let accepted = runtime.post { [id, configuration, backoff, request] core in
      let loopExchange = ClientLoopExchange(core: core, shared: exchange, id: exchangeID, request: request)
      guard !core.isShutDown else { return loopExchange.end(.shutDown) }
      if let timeout { loopExchange.setDeadline(timeout) }
      do {
        let pools = core.client(id, configuration, backoff)
        try pools.pool(for: address, isSecure: isSecure).submit(loopExchange)
      } catch {
        loopExchange.end(.connectFailed("\(error)"))
      }
    }
    guard accepted else { throw .shutDown }
    return exchange
  }
}
