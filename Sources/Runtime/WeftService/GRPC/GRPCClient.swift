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

  package init(tls: ClientTLS? = nil) {
    self.tls = tls
    limits.keepAliveTime = HTTPClientConfiguration().limits.keepAliveTime
  }
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
  package let address: ServiceAddress
  private let configuration: GRPCClientConfiguration
  private let http: HTTPClient

  package init(
    to address: ServiceAddress, _ configuration: GRPCClientConfiguration = GRPCClientConfiguration(),
    on runtime: ServiceRuntime
  ) {
    self.address = address
    self.configuration = configuration
    var http = HTTPClientConfiguration(protocols: .http2, tls: configuration.tls)
    http.limits = configuration.limits
    http.userAgent = nil
    self.http = HTTPClient(http, backoff: configuration.backoff, on: runtime)
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
    do {
      let compression: GRPCCompression = options.compresses ? .gzip : .identity
      let codec = GRPCMessageCodec(compression: compression, maximumMessageBytes: configuration.receiveMessageBytes)
      let frame = try codec.encode(try method.encodeRequest(request))
      let call = try start(method.path, options, body: frame)
      defer { call.exchange.cancel() }
      let source = call.source()
      guard let bytes = try await source.next() else {
        throw GRPCStatus(.internalError, "the response carries no message")
      }
      let message = try source.decoded(bytes, method.decodeResponse)
      guard try await source.next() == nil else {
        throw GRPCStatus(.internalError, "the response to a unary call carries several messages")
      }
      return GRPCResponse(
        message: message, initialMetadata: try await call.initialMetadata(), trailingMetadata: call.trailingMetadata)
    } catch {
      throw GRPCStatus(of: error)
    }
  }

  /// Any streaming call. `body` sends and receives at will; when it returns or throws, what is left of the call is
  /// cancelled. *Errors*: what `body` throws; a `GRPCStatus` when the call cannot start.
  package func withStream<Request, Response, Result>(
    _ method: GRPCMethod<Request, Response>, _ options: GRPCCallOptions,
    _ body: (GRPCClientStream<Request, Response>) async throws -> Result
  ) async throws -> Result {
    let call: GRPCClientCall
    do { call = try start(method.path, options, body: nil) } catch { throw GRPCStatus(of: error) }
    defer { call.exchange.cancel() }
    return try await body(
      GRPCClientStream(
        call: call,
        requests: GRPCWriter(
          sink: call.sink(compression: options.compresses ? .gzip : .identity), encode: method.encodeRequest),
        responses: GRPCMessages(source: call.source(), decode: method.decodeResponse)))
  }

  private func start(_ path: String, _ options: GRPCCallOptions, body: [UInt8]?) throws -> GRPCClientCall {
    var headers: HTTPHeaders = ["te": "trailers", "content-type": GRPCContentType.value]
    headers.add("user-agent", configuration.userAgent)
    headers.add("grpc-accept-encoding", GRPCCompression.accepted)
    if options.compresses { headers.add("grpc-encoding", GRPCCompression.gzip.rawValue) }
    if let timeout = options.timeout { headers.add("grpc-timeout", GRPCTimeout.format(timeout)) }
    for (name, value) in options.metadata.wireFields { headers.add(name, value) }
    var request = ClientRequest(
      head: HTTPRequest(
        method: "POST", scheme: configuration.tls == nil ? "http" : "https",
        authority: configuration.authority ?? "", target: path, headers: headers),
      wholeBody: body)
    request.omitsLength = true
    request.waitsForConnection = options.waitForReady
    return GRPCClientCall(
      exchange: try http.open(request, to: address, timeout: options.timeout),
      maximumMessageBytes: configuration.receiveMessageBytes)
  }

  /// Ends the connection and refuses further calls.
  package func close() async { await http.close() }
}

/// An open streaming call of a client.
package struct GRPCClientStream<Request: Sendable, Response: Sendable>: Sendable {
  let call: GRPCClientCall
  let requests: GRPCWriter<Request>
  /// The responses; throws the call's status unless it is OK.
  package let responses: GRPCMessages<Response>

  /// Sends a message; waits while the peer is slow. *Errors*: `GRPCStatus`, also when the server has ended the call.
  package func send(_ request: Request) async throws { try await requests.send(request) }

  /// Says that no more requests follow.
  package func finishSending() { call.exchange.outbound.finish() }

  /// Waits for the server's initial metadata.
  package func initialMetadata() async throws -> GRPCMetadata { try await call.initialMetadata() }

  /// The server's trailing metadata; complete once `responses` has ended.
  package var trailingMetadata: GRPCMetadata { call.trailingMetadata }

  /// Gives the call up.
  package func cancel() { call.exchange.cancel() }
}
