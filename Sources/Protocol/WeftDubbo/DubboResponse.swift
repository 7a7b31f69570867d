// DubboResponse: what an answer says of itself, and the few frames that a proxy makes.

package import WeftBase
package import WeftHTTP

/// Answers of Dubbo 2.
package enum DubboResponse {
  package static var statusField: ByteView { ByteView("dubbo-status") }
  /// `value`, `null` or `exception`: what an answer with status 20 holds, where that can be read.
  package static var resultField: ByteView { ByteView("dubbo-result") }

  /// Lays out the answer `frame` with `body` as a response.
  package static func read(_ frame: DubboFrame, _ body: ByteView, into head: MessageHead) {
    head.startResponse(DubboStatus.httpStatus(of: frame.status), framing: .length(UInt64(frame.bytes)))
    head.append(named: statusField, head.decimal(UInt64(frame.status)), flags: .sound)
    guard frame.status == DubboStatus.ok, frame.serialization == DubboFrame.hessian2, let first = body.first else {
      return
    }
    // An int of one byte; the kinds with attachments behind the value are three more than those without.
    let result: ByteView? =
      switch first {
      case 0x90, 0x93: ByteView("exception")
      case 0x91, 0x94: ByteView("value")
      case 0x92, 0x95: ByteView("null")
      default: nil
      }
    if let result { head.append(named: resultField, result, flags: .sound) }
  }

  /// Most of a text that a frame of our own holds. *Units*: bytes.
  private static var textBytes: Int { 8 << 10 }

  /// Writes the answer to request `id`: with status 20 `text` is the result, with any other the message of the client's exception.
  package static func write(_ status: UInt8, _ text: ByteView, id: UInt64, to output: inout ByteBuffer) {
    let start = output.count
    DubboFrame(isRequest: false, status: status, id: id, bodyBytes: 0).write(to: &output)
    if status == DubboStatus.ok { output.append(UInt8(0x91)) }
    write(text.prefix(textBytes), to: &output)
    patchLength(from: start, &output)
  }

  /// Writes an event: a heartbeat (null), or the word that no further request is to be sent on the connection.
  package static func writeEvent(
    isRequest: Bool, isTwoWay: Bool, id: UInt64, isLastCall: Bool = false, serialization: UInt8 = DubboFrame.hessian2,
    to output: inout ByteBuffer
  ) {
    let frame = DubboFrame(
      isRequest: isRequest, isTwoWay: isTwoWay, isEvent: true, serialization: serialization,
      status: isRequest ? 0 : DubboStatus.ok, id: id, bodyBytes: isLastCall ? 2 : 1)
    frame.write(to: &output)
    if isLastCall {
      output.append(UInt8(1))
      output.append(UInt8(ascii: "R"))
    } else {
      output.append(UInt8(ascii: "N"))
    }
  }

  /// Whether the body of an event says that no further request is to be sent.
  package static func isLastCall(_ body: ByteView) -> Bool {
    body.count == 2 && body[0] == 1 && body[1] == UInt8(ascii: "R")
  }

  private static func patchLength(from start: Int, _ output: inout ByteBuffer) {
    var length = UInt32(clamping: output.count - start - DubboFrame.headBytes).bigEndian
    unsafe withUnsafeBytes(of: &length) { unsafe output.replace(at: start + 12, with: ByteView($0)) }
  }

  /// Writes UTF-8 as Hessian does: counted in UTF-16 units, each of them apart. What is no UTF-8 becomes a question mark.
  private static func write(_ text: ByteView, to output: inout ByteBuffer) {
    let head = output.count
    output.append(UInt8(0x53))
    output.appendBigEndian(UInt16(0))
    var units: UInt16 = 0
    func unit(_ value: UInt32) {
      units += 1
      if value < 0x80 {
        output.append(UInt8(value))
      } else if value < 0x800 {
        output.append(UInt8(0xc0 | value >> 6))
        output.append(UInt8(0x80 | value & 0x3f))
      } else {
        output.append(UInt8(0xe0 | value >> 12))
        output.append(UInt8(0x80 | value >> 6 & 0x3f))
        output.append(UInt8(0x80 | value & 0x3f))
      }
    }
    var decoder = UTF8()
    var bytes = ByteIterator(text)
    decoding: while true {
      switch decoder.decode(&bytes) {
      case .scalarValue(let scalar) where scalar.value >= 0x1_0000:
        unit(0xd800 + (scalar.value - 0x1_0000) >> 10)
        unit(0xdc00 + (scalar.value - 0x1_0000) & 0x3ff)
      case .scalarValue(let scalar): unit(scalar.value)
      case .error: unit(0x3f)
      case .emptyInput: break decoding
      }
    }
    var count = units.bigEndian
    unsafe withUnsafeBytes(of: &count) { unsafe output.replace(at: head + 1, with: ByteView($0)) }
  }
}

private struct ByteIterator: IteratorProtocol {
  private var rest: ByteView

  init(_ bytes: ByteView) { rest = bytes }

  mutating func next() -> UInt8? {
    defer { rest = rest.dropFirst() }
    return rest.first
  }
}
