// DubboFrame: the 16 bytes in front of everything Dubbo 2 says.

package import WeftBase

/// What is read of one message at most; reaching one refuses the message or its connection.
package struct DubboLimits: BitwiseCopyable, Sendable {
  /// Bytes of a frame's body. Dubbo's own default.
  package var payload = 8 << 20
  /// Of each of a head's texts.
  package var textBytes = 4 << 10
  /// Attachments, and the bytes of all their names and values.
  package static var attachments: Int { 128 }
  package var attachmentBytes = 32 << 10
  /// How deep arguments may be nested, how many values and class definitions they may hold: they are stepped over, which costs time.
  package var depth = 64
  package var values = 1 << 20
  package static var classes: Int { 256 }

  package init() {}
}

/// The head of a frame.
///
/// *Shape*: 16 bytes, big-endian: magic, flags, status, request id, length of the body.
package struct DubboFrame: BitwiseCopyable, Hashable, Sendable {
  package enum Fault: Hashable, Sendable { case badMagic, tooLarge }

  package enum Reading: Hashable, Sendable {
    /// Bytes from the frame's first on that are needed to say more.
    case needMore(Int)
    case frame(DubboFrame)
    /// Its body is longer than it may be. Nothing of it needs to be there.
    case oversize(DubboFrame)
    case malformed(Fault)
  }

  package static var headBytes: Int { 16 }
  private static var magic: UInt16 { 0xdabb }
  /// The serialization that bodies are read of: hessian2.
  package static var hessian2: UInt8 { 2 }

  package var isRequest: Bool
  /// The sender waits for an answer.
  package var isTwoWay: Bool
  /// It concerns the connection, not a service.
  package var isEvent: Bool
  /// Number of the body's serialization.
  package var serialization: UInt8
  /// Of responses.
  package var status: UInt8
  package var id: UInt64
  package var bodyBytes: Int

  /// Bytes of the whole frame.
  package var bytes: Int { Self.headBytes + bodyBytes }

  package init(
    isRequest: Bool, isTwoWay: Bool = false, isEvent: Bool = false, serialization: UInt8 = Self.hessian2,
    status: UInt8 = 0, id: UInt64, bodyBytes: Int
  ) {
    self.isRequest = isRequest
    self.isTwoWay = isTwoWay
    self.isEvent = isEvent
    self.serialization = serialization
    self.status = status
    self.id = id
    self.bodyBytes = bodyBytes
  }

  /// Reads the beginning of `bytes`. What is no frame is known at its first wrong byte; a frame is given when all of it is there.
  package static func read(_ bytes: ByteView, _ limits: DubboLimits) -> Reading {
    if let first = bytes.first, first != UInt8(magic >> 8) { return .malformed(.badMagic) }
    if bytes.count > 1, bytes[1] != UInt8(truncatingIfNeeded: magic) { return .malformed(.badMagic) }
    if bytes.count < headBytes { return .needMore(headBytes) }
    let length = bytes.loadBigEndianUInt32(at: 12)
    // A length with its highest bit set is a negative one to Dubbo.
    guard length <= UInt32(Int32.max) else { return .malformed(.tooLarge) }
    let flags = bytes[2]
    let frame = DubboFrame(
      isRequest: flags & 0x80 != 0, isTwoWay: flags & 0x40 != 0, isEvent: flags & 0x20 != 0,
      serialization: flags & 0x1f, status: bytes[3], id: id(of: bytes), bodyBytes: Int(length))
    if frame.bodyBytes > limits.payload { return .oversize(frame) }
    return bytes.count < frame.bytes ? .needMore(frame.bytes) : .frame(frame)
  }

  private static func id(of bytes: ByteView) -> UInt64 {
    UInt64(bytes.loadBigEndianUInt32(at: 4)) << 32 | UInt64(bytes.loadBigEndianUInt32(at: 8))
  }

  /// Writes the head.
  package func write(to output: inout ByteBuffer) {
    output.appendBigEndian(Self.magic)
    output.append((isRequest ? 0x80 : 0) | (isTwoWay ? 0x40 : 0) | (isEvent ? 0x20 : 0) | serialization & 0x1f)
    output.append(status)
    output.appendBigEndian(id)
    output.appendBigEndian(UInt32(clamping: bodyBytes))
  }
}

/// What a response says of how it went. *Source*: Dubbo's `Response`.
package enum DubboStatus {
  package static var ok: UInt8 { 20 }
  package static var clientTimeout: UInt8 { 30 }
  package static var serverTimeout: UInt8 { 31 }
  package static var channelInactive: UInt8 { 35 }
  package static var badRequest: UInt8 { 40 }
  package static var badResponse: UInt8 { 50 }
  package static var serviceNotFound: UInt8 { 60 }
  package static var serviceError: UInt8 { 70 }
  package static var serverError: UInt8 { 80 }
  package static var clientError: UInt8 { 90 }
  package static var threadPoolExhausted: UInt8 { 100 }

  /// The HTTP status that means the same to routes, retries, outlier detection and statistics. What the service itself threw is a good answer
  /// of a healthy endpoint: its status is `ok`.
  package static func httpStatus(of status: UInt8) -> UInt16 {
    switch status {
    case ok: 200
    case clientTimeout, serverTimeout: 504
    case badRequest, clientError: 400
    case badResponse: 502
    case serviceNotFound: 404
    case channelInactive, threadPoolExhausted: 503
    default: 500
    }
  }

  /// What a Dubbo client is told where an HTTP client would be told `status`.
  package static func status(ofHTTP status: UInt16, isOverload: Bool) -> UInt8 {
    if isOverload { return threadPoolExhausted }
    switch status {
    case 200..<300: return ok
    case 400: return badRequest
    case 404: return serviceNotFound
    case 408: return clientTimeout
    case 429: return threadPoolExhausted
    case 300..<500: return serviceError
    case 502: return badResponse
    case 504: return serverTimeout
    default: return serverError
    }
  }
}
