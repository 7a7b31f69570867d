package import WeftGRPC

/// How a gRPC client connects, and its bounds.
package struct GRPCClientConfiguration: Sendable {
  package var tls: ClientTLS?
  /// `:authority`; nil takes the address.
  package var authority: String?
  package var limits = ServiceLimits()
  /// Bytes of one message after decompression.
  package var receiveMessageBytes = 4 * 1024 * 1024
  /// Connection attempts: first delay, growth, cap and jitter of gRPC's connection back-off.
  package var backoff = GRPCBackoff()
  package var userAgent = "weft-grpc"

  package init(tls: ClientTLS? = nil) { self.tls = tls }
}

/// gRPC's connection back-off: `initial`, × `multiplier` each time up to `maximum`, ± `jitter`.
package struct GRPCBackoff: Sendable {
  package var initial: Duration = .seconds(1)
  package var multiplier = 1.6
  package var jitter = 0.2
  package var maximum: Duration = .seconds(120)

  package init() {}
}

/// Choices of one call.
package struct GRPCCallOptions: Sendable {
  /// Sent as `grpc-timeout` and enforced here; nil means none (long streams).
  package var timeout: Duration?
  package var metadata = GRPCMetadata()
  /// Waits for a connection instead of failing UNAVAILABLE at the first failed attempt.
  package var waitForReady = false
  package var compresses = false

  package init(timeout: Duration? = .seconds(30), metadata: GRPCMetadata = GRPCMetadata(), waitForReady: Bool = false) {
    self.timeout = timeout
    self.metadata = metadata
    self.waitForReady = waitForReady
  }
}

/// A response with its metadata.
package struct GRPCResponse<Message: Sendable>: Sendable {
  package var message: Message
  package var initialMetadata: GRPCMetadata
  package var trailingMetadata: GRPCMetadata
}

/// A gRPC client of one address over one HTTP/2 connection, made when first needed and again after it breaks.
///
/// *Errors*: every call throws `GRPCStatus` and nothing else. Cancelling the calling task sends RST_STREAM(CANCEL).
package final class GRPCClient: Sendable {
  let address: ServiceAddress
  let configuration: GRPCClientConfiguration

  package init(
    to address: ServiceAddress, _ configuration: GRPCClientConfiguration = GRPCClientConfiguration(),
    on runtime: ServiceRuntime
  ) {
    self.address = address
    self.configuration = configuration
  }

  /// A unary call.
  package func call<Request, Response>(
    _ method: GRPCMethod<Request, Response>, _ request: Request, _ options: GRPCCallOptions = GRPCCallOptions()
  ) async throws(GRPCStatus) -> Response {
    try await callWithMetadata(method, request, options).message
  }

  /// A unary call, with the metadata of the answer.
  package func callWithMetadata<Request, Response>(
    _ method: GRPCMethod<Request, Response>, _ request: Request, _ options: GRPCCallOptions = GRPCCallOptions()
  ) async throws(GRPCStatus) -> GRPCResponse<Response> {
    throw GRPCStatus(.unavailable)
  }

  /// Any streaming call. `body` sends and receives at will; when it returns or throws, what is left of the call is
  /// cancelled. *Errors*: what `body` throws; a `GRPCStatus` when the call cannot start.
  package func withStream<Request, Response, Result>(
    _ method: GRPCMethod<Request, Response>, _ options: GRPCCallOptions,
    _ body: (GRPCClientStream<Request, Response>) async throws -> Result
  ) async throws -> Result {
    throw GRPCStatus(.unavailable)
  }

  /// Ends the connection and refuses further calls.
  package func close() async {}
}

/// An open streaming call of a client.
package struct GRPCClientStream<Request: Sendable, Response: Sendable>: Sendable {
  let requests: GRPCWriter<Request>
  /// The responses; throws the call's status unless it is OK.
  package let responses: GRPCMessages<Response>

  /// Sends a message; waits while the peer is slow.
  package func send(_ request: Request) async throws { try await requests.send(request) }

  /// Says that no more requests follow.
  package func finishSending() {}

  /// Waits for the server's initial metadata.
  package func initialMetadata() async throws -> GRPCMetadata { GRPCMetadata() }

  /// The server's trailing metadata; complete once `responses` has ended.
  package var trailingMetadata: GRPCMetadata { GRPCMetadata() }

  /// Gives the call up.
  package func cancel() {}
}
