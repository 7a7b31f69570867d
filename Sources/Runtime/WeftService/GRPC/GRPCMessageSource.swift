import Synchronization
import WeftGRPC

/// Raw messages of one direction of a call, in order, for one consumer.
final class GRPCMessageSource: Sendable {
  private struct State {
    var codec: GRPCMessageCodec?
    var decoder: GRPCFrameDecoder
    var hasEnded = false
  }

  private let body: InboundStream
  private let state: Mutex<State>
  /// Waits until the encoding is known.
  private let begin: @Sendable () async throws -> GRPCMessageCodec
  /// Called at the end of the body; throws the call's outcome unless it is OK.
  private let end: @Sendable () throws -> Void

  init(
    body: InboundStream, maximumMessageBytes: Int, begin: @escaping @Sendable () async throws -> GRPCMessageCodec,
    end: @escaping @Sendable () throws -> Void
  ) {
    self.body = body
    state = Mutex(State(decoder: GRPCFrameDecoder(maximumPayloadBytes: maximumMessageBytes)))
    self.begin = begin
    self.end = end
  }

  /// The next message; nil at the end. *Errors*: `GRPCStatus`.
  func next() async throws(GRPCStatus) -> [UInt8]? {
    do {
      if state.withLock({ $0.codec }) == nil {
        let codec = try await begin()
        state.withLock { $0.codec = codec }
      }
      while true {
        if let message = try decode() { return message }
        guard let bytes = try await body.next() else { break }
        state.withLock { $0.decoder.feed(bytes) }
      }
      try end()
    } catch {
      throw GRPCStatus(of: error)
    }
    guard state.withLock({ $0.decoder.isAtBoundary }) else {
      throw GRPCStatus(.internalError, "the stream ended inside a message")
    }
    return nil
  }

  private func decode() throws(GRPCStatus) -> [UInt8]? {
    let result = state.withLock { state -> Result<[UInt8]?, GRPCStatus> in
      do throws(GRPCStatus) {
        guard let frame = try state.decoder.next(), let codec = state.codec else { return .success(nil) }
        return .success(try codec.decode(frame))
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }

  /// The one message of a unary request. *Errors*: UNIMPLEMENTED for none or several, INTERNAL if it cannot be decoded.
  func only<Message>(_ decode: ([UInt8]) throws -> Message) async throws(GRPCStatus) -> Message {
    guard let bytes = try await next() else { throw GRPCStatus(.unimplemented, "the request carries no message") }
    let message = try decoded(bytes, decode)
    guard try await next() == nil else { throw GRPCStatus(.unimplemented, "the request carries several messages") }
    return message
  }

  func decoded<Message>(_ bytes: [UInt8], _ decode: ([UInt8]) throws -> Message) throws(GRPCStatus) -> Message {
    do { return try decode(bytes) } catch {
      throw error as? GRPCStatus ?? GRPCStatus(.internalError, "cannot decode a message: \(error)")
    }
  }
}

/// Where raw messages of one direction of a call go.
struct GRPCMessageSink: Sendable {
  let codec: GRPCMessageCodec
  /// The body to write to; starts the response on first use.
  let writer: @Sendable () throws -> OutboundStream
  /// The call's outcome, when it is over already; otherwise what the error itself means.
  let outcome: @Sendable (any Error) -> GRPCStatus

  /// *Errors*: `GRPCStatus`.
  func send(_ message: [UInt8]) async throws(GRPCStatus) {
    do { try await writer().write(try codec.encode(message)) } catch { throw outcome(error) }
  }
}
