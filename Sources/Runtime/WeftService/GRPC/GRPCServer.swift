import WeftGRPC
import WeftHTTP

/// What a gRPC server listens on, and its bounds.
package struct GRPCServerConfiguration: Sendable {
  package var http: HTTPServerConfiguration
  /// Bytes of one message after decompression.
  package var receiveMessageBytes = 4 * 1024 * 1024
  /// Compresses responses for callers that accept gzip.
  package var compressesResponses = false
  /// Serves `grpc.health.v1.Health` from `health`.
  package var servesHealth = true

  package init(addresses: [ServiceAddress] = [.loopback()], tls: ServerTLS? = nil) {
    http = HTTPServerConfiguration(addresses: addresses, tls: tls)
  }
}

/// A gRPC server. Requests that are not gRPC go to `fallback`, so that one port can serve both.
package final class GRPCServer: Sendable {
  package let http: HTTPServer
  /// The serving state per service name, for the health service.
  package let health: GRPCHealth
  private let routes: GRPCRoutes
  private let configuration: GRPCServerConfiguration
  private let fallback: HTTPServer.Handler?

  package var addresses: [ServiceAddress] { http.addresses }

  private init(
    http: HTTPServer, health: GRPCHealth, routes: GRPCRoutes, configuration: GRPCServerConfiguration,
    fallback: HTTPServer.Handler?
  ) {
    self.http = http
    self.health = health
    self.routes = routes
    self.configuration = configuration
    self.fallback = fallback
  }

  /// Opens the sockets. *Errors*: as `HTTPServer.bind`.
  package static func bind(
    _ routes: GRPCRoutes, _ configuration: GRPCServerConfiguration, on runtime: ServiceRuntime,
    fallback: HTTPServer.Handler? = nil
  ) async throws -> GRPCServer {
    let health = GRPCHealth()
    var routes = routes
    if configuration.servesHealth { health.addRoutes(to: &routes) }
    return GRPCServer(
      http: try await HTTPServer.bind(configuration.http, on: runtime), health: health, routes: routes,
      configuration: configuration, fallback: fallback)
  }

  /// Serves until shut down or cancelled; handlers are child tasks.
  package func run() async {
    await http.run { [self] request, responder in
      guard GRPCContentType.isGRPC(request.head.headers["content-type"] ?? "") else {
        if let fallback { return try await fallback(request, responder) }
        return try await responder.send(status: 415, "this server speaks gRPC\n")
      }
      await serve(request, responder)
    }
  }

  /// Reports NOT_SERVING, sends GOAWAY, lets calls finish for `grace`, resets the rest.
  package func shutdown(grace: Duration = .seconds(10)) async {
    health.shutDown()
    await http.shutdown(grace: grace)
  }

  // MARK: One call

  private func serve(_ request: HTTPServerRequest, _ responder: HTTPResponder) async {
    let headers = request.head.headers
    let requestEncoding = headers["grpc-encoding"].map { $0.lowercased() } ?? "identity"
    let mayCompress = configuration.compressesResponses && GRPCCompression.acceptsGzip(headers["grpc-accept-encoding"])
    let timeout = headers["grpc-timeout"].map { GRPCTimeout.parse($0) }
    let encoding: GRPCCompression = mayCompress ? .gzip : .identity
    let context = GRPCServerContext(
      path: request.head.target, metadata: GRPCMetadata(received: headers.fields.map { ($0.name, $0.value) }),
      peer: request.peer, timeout: timeout ?? nil, exchange: responder.exchange, encoding: encoding)

    guard request.version == .http2, request.head.method == "POST" else {
      return context.finish(GRPCStatus(.internalError, "gRPC needs POST over HTTP/2"))
    }
    guard let compression = GRPCCompression(rawValue: requestEncoding) else {
      return context.finish(GRPCStatus(.unimplemented, "grpc-encoding \(requestEncoding) is not supported"))
    }
    if case .some(.none) = timeout {
      return context.finish(GRPCStatus(.internalError, "malformed grpc-timeout"))
    }
    guard let handler = routes.handlers[request.head.target] else {
      return context.finish(GRPCStatus(.unimplemented, "unknown method \(request.head.target)"))
    }
    let codec = GRPCMessageCodec(compression: compression, maximumMessageBytes: configuration.receiveMessageBytes)
    let source = GRPCMessageSource(
      body: request.body.stream, maximumMessageBytes: configuration.receiveMessageBytes, begin: { codec }, end: {})
    let sink = GRPCMessageSink(
      codec: GRPCMessageCodec(compression: encoding, maximumMessageBytes: configuration.receiveMessageBytes),
      writer: { try context.body() }, outcome: { GRPCStatus(of: $0) })
    await Self.race(context, on: responder.exchange, until: timeout ?? nil) { try await handler(source, sink, context) }
  }

  /// Runs the handler; at the deadline the caller is answered and the handler cancelled.
  private static func race(
    _ context: GRPCServerContext, on exchange: ServerExchange, until timeout: Duration?,
    _ handler: @escaping @Sendable () async throws -> Void
  ) async {
    await withTaskGroup(of: GRPCStatus?.self) { group in
      group.addTask {
        do {
          try await handler()
          return .ok
        } catch {
          return GRPCStatus(of: error)
        }
      }
      if let timeout {
        group.addTask {
          await exchange.alarm(in: timeout) ? GRPCStatus(.deadlineExceeded, "the deadline has passed") : nil
        }
      }
      for await outcome in group {
        guard let outcome else { continue }
        context.finish(outcome)
        group.cancelAll()
      }
    }
  }
}
