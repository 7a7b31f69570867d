// The admin pages on a socket. Cold path.
import WeftRuntime
package import WeftService
package import WeftTelemetry

/// Serves `AdminPages` over HTTP.
///
/// What a page asks for is handed to `perform` after the answer has been sent, so that `/quitquitquit` is answered at all.
package struct AdminServer: Sendable {
  package let server: HTTPServer
  private let metrics: MetricsRegistry
  private let log: LogOutput
  private let status: @Sendable (AdminStatus.Parts) async -> AdminStatus
  private let perform: @Sendable (AdminAction) async -> Void

  /// Binds the address. *Errors*: `ServiceError`.
  package init(
    at address: ServiceAddress, on runtime: ServiceRuntime, metrics: MetricsRegistry, log: LogOutput,
    status: @escaping @Sendable (AdminStatus.Parts) async -> AdminStatus,
    perform: @escaping @Sendable (AdminAction) async -> Void
  ) async throws {
    server = try await HTTPServer.bind(HTTPServerConfiguration(addresses: [address]), on: runtime)
    self.metrics = metrics
    self.log = log
    self.status = status
    self.perform = perform
  }

  /// Serves until the server is shut down or the task cancelled.
  package func run() async {
    let isLocal = server.addresses.allSatisfy { address in
      if case .tcp(let host, _) = address { IPAddress(host)?.isLoopback ?? false } else { false }
    }
    await server.run { request, responder in
      let parts = AdminPages.parts(of: request.head.target)
      let pages = AdminPages(await status(parts), metrics: metrics, log: log)
      let answer = pages.respond(
        method: request.head.method, target: request.head.target, origin: request.head.headers["origin"],
        host: request.head.authority, isLocal: isLocal)
      let headers: HTTPHeaders = [
        "content-type": answer.contentType, "cache-control": "no-cache, max-age=0", "x-content-type-options": "nosniff",
      ]
      try await responder.send(
        HTTPResponse(status: answer.status, headers: headers), body: Array(answer.body.utf8))
      if let action = answer.action { await perform(action) }
    }
  }
}
