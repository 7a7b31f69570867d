import Synchronization
package import WeftGRPC
import WeftHTTP

/// What a handler knows about its call, and what it may send besides messages.
package final class GRPCServerContext: Sendable {
  private struct State {
    var body: OutboundStream?
    var isFinished = false
    var trailing = GRPCMetadata()
  }

  /// `/package.Service/Method`.
  package let path: String
  package let metadata: GRPCMetadata
  package let peer: HTTPPeer
  /// What was left until the caller's deadline when the call arrived; nil without one. At the deadline the caller is answered
  /// DEADLINE_EXCEEDED and the handler's task is cancelled.
  package let timeout: Duration?

  private let exchange: ServerExchange
  private let encoding: GRPCCompression
  private let state = Mutex(State())

  init(
    path: String, metadata: GRPCMetadata, peer: HTTPPeer, timeout: Duration?, exchange: ServerExchange,
    encoding: GRPCCompression
  ) {
    self.path = path
    self.metadata = metadata
    self.peer = peer
    self.timeout = timeout
    self.exchange = exchange
    self.encoding = encoding
  }

  /// Sends initial metadata now; otherwise it goes, empty, with the first message. Later calls are ignored.
  package func sendInitialMetadata(_ metadata: GRPCMetadata) { _ = try? body(starting: metadata) }

  /// Bytes of the response that the peer has made room for so far.
  package var bytesTaken: UInt64 { exchange.outbound.taken }

  /// Ends the call without an answer, when the peer reads none: what waits to be sent is dropped.
  package func reset() { exchange.reset(code: H2ErrorCode.cancel.rawValue) }

  /// Metadata for the trailers.
  package func setTrailingMetadata(_ metadata: GRPCMetadata) { state.withLock { $0.trailing = metadata } }

  /// The response body; starts the response if it has not begun.
  func body(starting metadata: GRPCMetadata = GRPCMetadata()) throws -> OutboundStream {
    let (body, isFinished) = state.withLock { ($0.body, $0.isFinished) }
    if isFinished { throw GRPCStatus(.cancelled, "the call is over") }
    if let body { return body }
    var response = HTTPResponse(headers: Self.headers)
    if encoding != .identity { response.headers.add("grpc-encoding", encoding.rawValue) }
    for (name, value) in metadata.wireFields { response.headers.add(name, value) }
    try exchange.start(response, wholeBody: nil)
    state.withLock { $0.body = exchange.outbound }
    return exchange.outbound
  }

  /// Ends the call with its outcome; only the first counts.
  func finish(_ status: GRPCStatus) {
    let (isFirst, body) = state.withLock { state -> (Bool, OutboundStream?) in
      defer { state.isFinished = true }
      return (!state.isFinished, state.body)
    }
    guard isFirst else { return }
    var status = status
    for entry in state.withLock({ $0.trailing }).entries { status.trailers.add(entry.name, bytes: entry.value) }
    let fields = HTTPHeaders(status.wireFields)
    if let body { return body.finish(trailers: fields) }
    // Nothing was sent: one header block says it all.
    var response = HTTPResponse(headers: Self.headers)
    response.headers.fields += fields.fields
    try? exchange.start(response, wholeBody: [], isBare: true)
  }

  private static let headers: HTTPHeaders = [
    "content-type": GRPCContentType.value, "grpc-accept-encoding": GRPCCompression.accepted,
  ]
}
