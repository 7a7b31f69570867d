package import WeftGRPC

/// The methods a server offers.
package struct GRPCRoutes: Sendable {
  typealias Handler = @Sendable (GRPCMessageSource, GRPCMessageSink, GRPCServerContext) async throws -> Void

  private(set) var handlers: [String: Handler] = [:]

  package init() {}

  mutating func add(_ path: String, _ handler: @escaping Handler) { handlers[path] = handler }

  /// The paths offered, sorted.
  package var paths: [String] { handlers.keys.sorted() }

  /// One request, one response.
  package mutating func unary<Request, Response>(
    _ method: GRPCMethod<Request, Response>,
    _ handler: @escaping @Sendable (Request, GRPCServerContext) async throws -> Response
  ) {
    handlers[method.path] = { source, sink, context in
      let request = try await source.only(method.decodeRequest)
      try await sink.send(try method.encodeResponse(try await handler(request, context)))
    }
  }

  /// One request, many responses.
  package mutating func serverStreaming<Request, Response>(
    _ method: GRPCMethod<Request, Response>,
    _ handler: @escaping @Sendable (Request, GRPCWriter<Response>, GRPCServerContext) async throws -> Void
  ) {
    handlers[method.path] = { source, sink, context in
      let request = try await source.only(method.decodeRequest)
      try await handler(request, GRPCWriter(sink: sink, encode: method.encodeResponse), context)
    }
  }

  /// Many requests, one response.
  package mutating func clientStreaming<Request, Response>(
    _ method: GRPCMethod<Request, Response>,
    _ handler: @escaping @Sendable (GRPCMessages<Request>, GRPCServerContext) async throws -> Response
  ) {
    handlers[method.path] = { source, sink, context in
      let response = try await handler(GRPCMessages(source: source, decode: method.decodeRequest), context)
      try await sink.send(try method.encodeResponse(response))
    }
  }

  /// Many requests, many responses, in any order.
  package mutating func bidirectional<Request, Response>(
    _ method: GRPCMethod<Request, Response>,
    _ handler: @escaping @Sendable (GRPCMessages<Request>, GRPCWriter<Response>, GRPCServerContext) async throws -> Void
  ) {
    handlers[method.path] = { source, sink, context in
      try await handler(
        GRPCMessages(source: source, decode: method.decodeRequest),
        GRPCWriter(sink: sink, encode: method.encodeResponse), context)
    }
  }
}
