// The server: gRPC and HTTP on one port.
import WeftService

enum EchoServer {
  static func run(
    on address: ServiceAddress, name: String, compresses: Bool, until signals: Signals,
    started: @escaping @Sendable (String) -> Void
  ) async throws {
    try await ServiceRuntime.with(name: name) { runtime in
      var configuration = GRPCServerConfiguration(addresses: [address])
      configuration.compressesResponses = compresses
      configuration.receiveMessageBytes = 16 * 1024 * 1024
      configuration.http.serverName = name
      let server = try await GRPCServer.bind(
        EchoService.routes(name: name), configuration, on: runtime, fallback: { try await answer($0, $1, name) })
      await withTaskGroup(of: Void.self) { group in
        group.addTask { await server.run() }
        started("listening on \(server.addresses[0])")
        for await _ in signals.values { break }
        await server.shutdown()
      }
    }
  }

  /// Requests that are not gRPC: `/status/N` answers N; `/stream/N` streams N lines; anything else streams the request's body
  /// back, or without one describes the request.
  @Sendable private static func answer(
    _ request: HTTPServerRequest, _ responder: HTTPResponder, _ name: String
  ) async throws {
    let parts = request.head.path.split(separator: "/")
    if parts.count == 2, parts[0] == "status", let status = Int(parts[1]), (200...599).contains(status) {
      return try await responder.send(status: status, "\(status)\n")
    }
    if parts.count == 2, parts[0] == "stream", let count = Int(parts[1]), count >= 0 {
      let writer = try responder.start(HTTPResponse(headers: ["content-type": "text/plain"]))
      for number in 0..<count { try await writer.write("\(number)\n") }
      return writer.finish()
    }
    var body = request.body.makeAsyncIterator()
    if let first = try await body.next() {
      let writer = try responder.start(HTTPResponse(headers: ["x-server": name]))
      try await writer.write(first)
      while let chunk = try await body.next() { try await writer.write(chunk) }
      return writer.finish(trailers: request.body.trailers)
    }
    var lines = ["server: \(name)", "version: \(request.version)", "peer: \(request.peer.address)"]
    lines.append("\(request.head.method) \(request.head.target) \(request.head.authority)")
    lines += request.head.headers.fields.map { "\($0.name): \($0.value)" }
    try await responder.send(
      HTTPResponse(headers: ["content-type": "text/plain", "x-server": name]),
      body: Array((lines.joined(separator: "\n") + "\n").utf8))
  }
}
