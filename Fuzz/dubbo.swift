// Fuzzes Dubbo's frames and the heads of their bodies. What a prefix says, more bytes must not take back; what a frame claims must lie inside
// what came; a head that is laid out must hold nothing that could end a line; and stepping over values must end.

import WeftBase
import WeftHTTP

@testable import WeftDubbo

/// One input; traps when a promise is broken.
func checkDubbo(_ bytes: [UInt8]) {
  let limits = DubboLimits()
  let scratch = HeadScratch()
  var whole = DubboFrame.Reading.needMore(0)
  // By exact copies of its beginnings, so that a read past the end meets the sanitizer.
  for count in Array(0...min(bytes.count, 40)) + [bytes.count] {
    let says = Array(bytes[..<count]).withByteView { DubboFrame.read($0, limits) }
    switch (whole, says) {
    case (.needMore(let least), .needMore(let more)): precondition(more >= least, "a frame that shrinks")
    case (.needMore, _): break
    default: precondition(says == whole, "more bytes take back what fewer said")
    }
    whole = says
    if case .frame(let frame) = says { precondition(frame.bytes <= count, "a frame longer than what came") }
  }
  // The bytes as a body, whatever their frame says.
  bytes.withByteView { body in
    for serialization in [DubboFrame.hessian2, 23] {
      let frame = DubboFrame(isRequest: true, serialization: serialization, id: 1, bodyBytes: body.count)
      do throws(DubboRefusal) { try DubboRequest.read(frame, body, into: scratch.head, limits) } catch { continue }
      precondition(scratch.head.path.first == UInt8(ascii: "/"))
      for i in 0..<scratch.head.path.count { precondition((0x21...0x7e).contains(scratch.head.path[i])) }
      precondition(Authority.parse(scratch.head.authority) != nil, "an authority that HTTP would refuse")
      for field in scratch.head.fields {
        precondition(MessageHead.isSound(name: field.name, value: field.value), "a field that ends its line")
      }
    }
    let answer = DubboFrame(isRequest: false, status: DubboStatus.ok, id: 1, bodyBytes: body.count)
    DubboResponse.read(answer, body, into: scratch.head)
    // And as the text of an answer of our own.
    var output = ByteBuffer()
    DubboResponse.write(DubboStatus.serverError, body, id: 1, to: &output)
    guard case .frame(let made) = DubboFrame.read(output.view, limits), made.bytes == output.count else {
      preconditionFailure("an answer of our own is no frame")
    }
    var reader = HessianReader(output.view.dropFirst(DubboFrame.headBytes), limits)
    do throws(HessianFault) { try reader.skipValue() } catch { preconditionFailure("a text of our own is none") }
    precondition(reader.isAtEnd)
  }
}

#if WEFT_FUZZ
  @_cdecl("LLVMFuzzerTestOneInput")
  public func fuzz(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
    checkDubbo(Array(UnsafeBufferPointer(start: data, count: size)))
    return 0
  }
#endif
