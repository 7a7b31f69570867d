// The admin pages on a socket. Cold path.
import WeftRuntime
package import WeftService
package import WeftTelemetry

/// Serves `AdminPages` over HTTP.
///
/// What a page asks for is handed to `perform` after the answer has been sent, so that `/quitquitquit` is answered at all; a change of runtime values
/// before: whoever is told that it is made can rely on it.
package struct AdminServer: Sendable {
  package let server: HTTPServer
  private let metrics: MetricsRegistry
  private let log: LogOutput
  private let status: @Sendable (AdminStatus.Parts) async -> AdminStatus
  private let perform: @Sendable (AdminAction) async -> Void
  private let modifyRuntime: @Sendable ([RuntimeChange]) async -> String?

  /// Bytes of a form.
  private static let longestForm = 1 << 20

  /// Binds the address. `modifyRuntime` returns when every worker has the change, or says why it is not made. *Errors*: `ServiceError`.
  package init(
    at address: ServiceAddress, on runtime: ServiceRuntime, metrics: MetricsRegistry, log: LogOutput,
    status: @escaping @Sendable (AdminStatus.Parts) async -> AdminStatus,
    perform: @escaping @Sendable (AdminAction) async -> Void,
    modifyRuntime: @escaping @Sendable ([RuntimeChange]) async -> String? = { _ in nil }
  ) async throws {
    server = try await HTTPServer.bind(HTTPServerConfiguration(addresses: [address]), on: runtime)
    self.metrics = metrics
    self.log = log
    self.status = status
    self.perform = perform
    self.modifyRuntime = modifyRuntime
  }

  /// Serves until the server is shut down or the task cancelled.
  package func run() async {
    let isLocal = PageGuard.isLocal(server.addresses)
    await server.run { request, responder in
      let parts = AdminPages.parts(of: request.head.target)
      let pages = AdminPages(await status(parts), metrics: metrics, log: log)
      var form = ""
      if request.head.method == "POST", request.head.headers["content-type"] == "application/x-www-form-urlencoded" {
        form = String(decoding: try await request.body.collect(upTo: Self.longestForm), as: UTF8.self)
      }
      var answer = pages.respond(
        method: request.head.method, target: request.head.target, form: form, origin: request.head.headers["origin"],
        site: request.head.headers["sec-fetch-site"], host: request.head.authority, isLocal: isLocal)
      if case .modifyRuntime(let changes)? = answer.action {
        if let refusal = await modifyRuntime(changes) { answer = AdminResponse(status: 503, body: refusal + "\n") }
        answer.action = nil
      }
      let headers: HTTPHeaders = [
        "content-type": answer.contentType, "cache-control": "no-cache, max-age=0", "x-content-type-options": "nosniff",
      ]
      try await responder.send(
        HTTPResponse(status: answer.status, headers: headers), body: Array(answer.body.utf8))
      if let action = answer.action { await perform(action) }
    }
  }
}
