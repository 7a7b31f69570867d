import Synchronization
import WeftGRPC

/// One call of a client: the exchange that carries it, read as gRPC.
final class GRPCClientCall: Sendable {
  let exchange: ClientExchange
  private let maximumMessageBytes: Int
  private let head = Mutex<HTTPResponse?>(nil)

  init(exchange: ClientExchange, maximumMessageBytes: Int) {
    self.exchange = exchange
    self.maximumMessageBytes = maximumMessageBytes
  }

  /// The raw responses; at their end the call's status is thrown unless it is OK.
  func source() -> GRPCMessageSource {
    GRPCMessageSource(
      body: exchange.inbound, maximumMessageBytes: maximumMessageBytes, begin: { try await self.codec() },
      end: { if let failure = self.failure() { throw failure } })
  }

  func sink(compression: GRPCCompression) -> GRPCMessageSink {
    GRPCMessageSink(
      codec: GRPCMessageCodec(compression: compression, maximumMessageBytes: maximumMessageBytes),
      writer: { self.exchange.outbound },
      outcome: { error in
        // The server may have ended the call while we were sending: its own words come first.
        GRPCStatus(received: self.exchange.inbound.trailers.pairs) ?? GRPCStatus(of: error)
      })
  }

  /// Waits for the response head. *Errors*: `GRPCStatus` when it is not one of gRPC.
  func responseHead() async throws -> HTTPResponse {
    if let known = head.withLock({ $0 }) { return known }
    let response = try await exchange.response()
    head.withLock { $0 = response }
    return response
  }

  private func codec() async throws -> GRPCMessageCodec {
    let response = try await responseHead()
    if response.status != 200 || !GRPCContentType.isGRPC(response.headers["content-type"] ?? "") {
      defer { exchange.cancel() }
      throw GRPCStatus(received: response.headers.pairs) ?? GRPCStatus(httpStatus: response.status)
    }
    let name = response.headers["grpc-encoding"]?.lowercased() ?? "identity"
    guard let compression = GRPCCompression(rawValue: name) else {
      throw GRPCStatus(.internalError, "the response has unknown grpc-encoding \(name)")
    }
    return GRPCMessageCodec(compression: compression, maximumMessageBytes: maximumMessageBytes)
  }

  /// The outcome once the response has ended; nil when it is OK.
  private func failure() -> GRPCStatus? {
    let status = finalStatus()
    return status.isOK ? nil : status
  }

  private func finalStatus() -> GRPCStatus {
    if let status = GRPCStatus(received: exchange.inbound.trailers.pairs) { return status }
    let response = head.withLock { $0 }
    if let response, let status = GRPCStatus(received: response.headers.pairs) { return status }
    return GRPCStatus(.unknown, "the response ended without a grpc-status")
  }

  var trailingMetadata: GRPCMetadata { finalStatus().trailers }

  func initialMetadata() async throws -> GRPCMetadata {
    do {
      let response = try await responseHead()
      // In a trailers-only response these fields are the trailers.
      if response.headers.contains("grpc-status") { return GRPCMetadata() }
      return GRPCMetadata(received: response.headers.pairs)
    } catch {
      throw GRPCStatus(of: error)
    }
  }
}

extension HTTPHeaders {
  var pairs: [(String, String)] { fields.map { ($0.name, $0.value) } }
}
