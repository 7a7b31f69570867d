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

  package var addresses: [ServiceAddress] { http.addresses }

  init(http: HTTPServer, health: GRPCHealth) {
    self.http = http
    self.health = health
  }

  package static func bind(
    _ routes: GRPCRoutes, _ configuration: GRPCServerConfiguration, on runtime: ServiceRuntime,
    fallback: HTTPServer.Handler? = nil
  ) async throws -> GRPCServer {
    throw ServiceError.shutDown
  }

  /// Serves until shut down or cancelled; handlers are child tasks.
  package func run() async {}

  /// Reports NOT_SERVING, sends GOAWAY, lets calls finish for `grace`, resets the rest.
  package func shutdown(grace: Duration = .seconds(10)) async {}
}
