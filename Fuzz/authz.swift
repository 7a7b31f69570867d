// Fuzzes the answers of an authorization service, which are read in place: an answer that is taken must be well formed in every part that is read
// later, and what it does to a head must leave nothing there that could end a line.

import WeftBase
import WeftHTTP

@testable import WeftHTTPFilters

/// One input; traps when a promise is broken.
func checkAuthz(_ bytes: [UInt8]) {
  bytes.withByteView { message in
    if let inner = grpcMessage(message) { precondition(inner.count + 5 == message.count, "a frame that is not all") }
    var text = ByteBuffer()
    text.appendUTF8(message)
    precondition(UTF8Text.validPrefix(text.view) == text.count, "a text of our own that is no UTF-8")
    guard let answer = CheckAnswer(message) else { return }
    let scratch = HeadScratch()
    scratch.head.startResponse(200, framing: .length(0))
    var changes = ByteBuffer()
    for part in [answer.ok, answer.denial?.message ?? .empty] {
      var reader = WireReader(part)
      while let field = reader.next() {
        guard field.isBytes, field.number == 2 || field.number == 6, let option = HeaderOption(field.bytes) else {
          continue
        }
        guard option.isSound, !option.frames else { continue }
        let action = option.append.map { $0 ? .append : .overwrite } ?? option.action
        ResponseChange.write(action, option.name, option.value, to: &changes)
      }
      precondition(!reader.isMalformed, "an answer was taken with a part that is malformed")
    }
    // Kept bytes come back whole, but nothing may depend on that.
    ResponseChange.apply(changes.view.prefix(changes.count / 2), to: scratch.head)
    ResponseChange.apply(changes.view, to: scratch.head)
    for field in scratch.head.fields {
      precondition(MessageHead.isSound(name: field.name, value: field.value), "a field that ends its line")
    }
  }
}

#if WEFT_FUZZ
  @_cdecl("LLVMFuzzerTestOneInput")
  public func fuzz(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
    checkAuthz(Array(UnsafeBufferPointer(start: data, count: size)))
    return 0
  }
#endif
