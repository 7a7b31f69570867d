/// What a server listens on, and its bounds.
package struct HTTPServerConfiguration: Sendable {
  package var addresses: [ServiceAddress]
  /// TLS with ALPN `h2` and `http/1.1`; nil serves plaintext, where HTTP/2 is recognised by its preface.
  package var tls: ServerTLS?
  package var limits = ServiceLimits()
  /// The `server` header of responses that set none; nil sends none.
  package var serverName: String? = "weft"

  package init(addresses: [ServiceAddress] = [.loopback()], tls: ServerTLS? = nil) {
    self.addresses = addresses
    self.tls = tls
  }
}

/// An HTTP/1.1 and HTTP/2 server.
///
/// `bind` opens the sockets, `run` serves until `shutdown` has drained it or its task is cancelled. Every handler is a child
/// task of `run`; none outlives it.
package final class HTTPServer: Sendable {
  /// Answers one request. Returning without an answer sends 500; throwing before the head sends 500 (a `ServiceError` about
  /// the request itself: 400, 408 or 413), after it resets the stream.
  package typealias Handler = @Sendable (HTTPServerRequest, HTTPResponder) async throws -> Void

  /// The addresses really bound, with the kernel's choice for port 0.
  package let addresses: [ServiceAddress]
  let configuration: HTTPServerConfiguration

  init(configuration: HTTPServerConfiguration, addresses: [ServiceAddress]) {
    self.configuration = configuration
    self.addresses = addresses
  }

  /// Opens the sockets; connections are accepted from now on and answered once `run` is called.
  package static func bind(
    _ configuration: HTTPServerConfiguration, on runtime: ServiceRuntime
  ) async throws -> HTTPServer {
    throw ServiceError.shutDown
  }

  /// Serves until shut down or cancelled (cancellation shuts down without grace).
  package func run(_ handler: @escaping Handler) async {}

  /// Stops accepting, tells HTTP/2 peers to go away, lets exchanges finish for `grace`, then resets what is left. Returns
  /// when no connection is left.
  package func shutdown(grace: Duration = .seconds(10)) async {}

  /// Binds, serves in a child task while `body` runs, then shuts down.
  package static func serving<Result: Sendable>(
    _ configuration: HTTPServerConfiguration, on runtime: ServiceRuntime, grace: Duration = .seconds(10),
    handler: @escaping Handler, _ body: @Sendable (HTTPServer) async throws -> Result
  ) async throws -> Result {
    let server = try await bind(configuration, on: runtime)
    return try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { await server.run(handler) }
      do {
        let result = try await body(server)
        await server.shutdown(grace: grace)
        return result
      } catch {
        await server.shutdown(grace: .zero)
        throw error
      }
    }
  }
}
