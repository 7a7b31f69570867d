/// The message encodings we speak.
package enum GRPCCompression: String, CaseIterable, Sendable {
  case identity
  case gzip

  /// The value of `grpc-accept-encoding` we send.
  package static let accepted = "identity,gzip"

  /// Whether a `grpc-accept-encoding` value lists gzip.
  package static func acceptsGzip(_ value: String?) -> Bool {
    guard let value else { return false }
    return value.split(separator: ",").contains { part in
      part.drop { $0 == " " }.prefix { $0 != " " && $0 != ";" }.lowercased() == "gzip"
    }
  }
}

/// Turns messages into frames and back for one direction of a call.
package struct GRPCMessageCodec: Sendable {
  package let compression: GRPCCompression
  package let maximumMessageBytes: Int
  /// Messages smaller than this go uncompressed even in a compressed stream.
  package static let compressionThresholdBytes = 512

  package init(compression: GRPCCompression, maximumMessageBytes: Int) {
    self.compression = compression
    self.maximumMessageBytes = maximumMessageBytes
  }

  /// The frame's bytes for a message. *Errors*: RESOURCE_EXHAUSTED, INTERNAL.
  package func encode(_ message: [UInt8]) throws(GRPCStatus) -> [UInt8] {
    guard compression == .gzip, message.count >= Self.compressionThresholdBytes else {
      return try GRPCFrame(payload: message).encoded()
    }
    let packed = try Gzip.compress(message)
    guard packed.count < message.count else { return try GRPCFrame(payload: message).encoded() }
    return try GRPCFrame(isCompressed: true, payload: packed).encoded()
  }

  /// The message of a frame. *Errors*: INTERNAL for a compressed frame in an identity stream or corrupt data,
  /// RESOURCE_EXHAUSTED past the size or ratio limit.
  package func decode(_ frame: GRPCFrame) throws(GRPCStatus) -> [UInt8] {
    guard frame.isCompressed else { return frame.payload }
    guard compression == .gzip else {
      throw GRPCStatus(.internalError, "compressed frame in a stream whose grpc-encoding is identity")
    }
    return try Gzip.decompress(frame.payload, maximumBytes: maximumMessageBytes)
  }
}
