/// Raw messages of one direction of a call, in order.
final class GRPCMessageSource: Sendable {
  func next() async throws -> [UInt8]? { throw ServiceError.shutDown }
}

final class GRPCMessageSink: Sendable {
  func send(_ message: [UInt8]) async throws { throw ServiceError.shutDown }
}
