/// One message as framed on the wire, still compressed if the flag says so.
package struct GRPCFrame: Hashable, Sendable {
  package var isCompressed: Bool
  package var payload: [UInt8]

  package init(isCompressed: Bool = false, payload: [UInt8]) {
    self.isCompressed = isCompressed
    self.payload = payload
  }

  /// Flag byte and big-endian length in front of every message.
  package static let prefixBytes = 5

  /// The frame's bytes. *Errors*: RESOURCE_EXHAUSTED when the length does not fit in 32 bits.
  package func encoded() throws(GRPCStatus) -> [UInt8] {
    guard let length = UInt32(exactly: payload.count) else {
      throw GRPCStatus(.resourceExhausted, "message of \(payload.count) bytes does not fit a gRPC frame")
    }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(Self.prefixBytes + payload.count)
    bytes.append(isCompressed ? 1 : 0)
    for shift: UInt32 in [24, 16, 8, 0] { bytes.append(UInt8(truncatingIfNeeded: length >> shift)) }
    bytes += payload
    return bytes
  }
}

/// Cuts a byte stream into frames, whatever the pieces it comes in.
///
/// Memory follows what has arrived, never what a prefix announces.
package struct GRPCFrameDecoder: Sendable {
  private var pending: [UInt8] = []
  private var position = 0
  private let maximumPayloadBytes: Int

  /// *Parameter* `maximumPayloadBytes`: a longer announced payload is refused before its bytes arrive.
  package init(maximumPayloadBytes: Int) { self.maximumPayloadBytes = maximumPayloadBytes }

  /// Adds bytes from the stream.
  package mutating func feed(_ bytes: [UInt8]) {
    if position == pending.count {
      pending = bytes
      position = 0
      return
    }
    if position > 64 * 1024, position > pending.count / 2 {
      pending.removeFirst(position)
      position = 0
    }
    pending += bytes
  }

  /// The next whole frame, nil when more bytes are needed.
  /// *Errors*: INTERNAL for a flag that is neither 0 nor 1, RESOURCE_EXHAUSTED for a payload over the limit. The stream
  /// cannot be continued after an error.
  package mutating func next() throws(GRPCStatus) -> GRPCFrame? {
    guard pending.count - position >= GRPCFrame.prefixBytes else { return nil }
    let flag = pending[position]
    guard flag <= 1 else { throw GRPCStatus(.internalError, "gRPC frame with invalid flag byte \(flag)") }
    var length = 0
    for index in 1...4 { length = length << 8 | Int(pending[position + index]) }
    guard length <= maximumPayloadBytes else {
      throw GRPCStatus(.resourceExhausted, "received message larger than max (\(length) vs. \(maximumPayloadBytes))")
    }
    let start = position + GRPCFrame.prefixBytes
    guard pending.count - start >= length else { return nil }
    let payload = Array(pending[start..<start + length])
    position = start + length
    if position == pending.count {
      pending = []
      position = 0
    }
    return GRPCFrame(isCompressed: flag == 1, payload: payload)
  }

  /// Whether the stream may end here: no frame is half received.
  package var isAtBoundary: Bool { position == pending.count }
}
