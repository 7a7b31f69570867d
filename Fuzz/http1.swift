// Fuzzes the HTTP/1 decoder, in both roles and in splits taken from the input, and writes back what it accepts: what was
// accepted must be accepted again, with the same content.

import WeftBase

@testable import WeftHTTP

/// Feeds `bytes` in pieces of the sizes `cut` gives; returns a digest of all events.
private func decode(_ bytes: [UInt8], response: Bool, cut: (Int) -> Int) -> [UInt8] {
  let scratch = HeadScratch()
  var decoder = H1Decoder(role: response ? .response : .request, limits: HTTPLimits())
  if response { decoder.expectResponse(to: .get, upgradeRequested: true) }
  var log: [UInt8] = []
  var held: [UInt8] = []
  var at = 0
  var failed = false
  while at < bytes.count, !failed {
    let n = min(bytes.count - at, max(1, cut(at)))
    held += bytes[at..<at + n]
    at += n
    let exact = [UInt8](held)
    let consumed = exact.withByteView { view in
      var input = view
      loop: while true {
        let event = decoder.next(&input, head: scratch.head)
        switch event {
        case .head:
          log.append(1)
          for field in scratch.head.fields { log += field.name.array + field.value.array }
          rewrite(scratch.head, response: response)
        case .data(let view): log += view.array
        case .trailers: log.append(2)
        case .end:
          log.append(3)
          if decoder.awaitsTunnelDecision { decoder.refuseTunnel() }
          if response { decoder.expectResponse(to: .get, upgradeRequested: true) }
        case .invalid:
          log.append(4)
          failed = true
          break loop
        case .needMore: break loop
        }
      }
      return view.count - input.count
    }
    held.removeFirst(consumed)
  }
  return log
}

/// An accepted head must serialise, and what is written must parse.
private func rewrite(_ head: MessageHead, response: Bool) {
  var output = ByteBuffer()
  head.removeHopByHop()
  do throws(H1EncodeError) {
    if response {
      try H1Encoder.writeResponse(head, to: &output)
    } else {
      try H1Encoder.writeRequest(head, to: &output)
    }
  } catch { return }
  let scratch = HeadScratch()
  var decoder = H1Decoder(role: response ? .response : .request, limits: HTTPLimits())
  if response { decoder.expectResponse(to: .get, upgradeRequested: true) }
  var input = output.view
  // An HTTP/1.0 request may have no authority; as HTTP/1.1 it would need one.
  if !response, head.authority.isEmpty { return }
  guard case .head = decoder.next(&input, head: scratch.head) else {
    // Only a limit may stand in the way: our own fields can push a head over it.
    if output.count < 50_000 { fatalError("wrote what it does not read: \(output.view)") }
    return
  }
  _ = PathNormalization().apply(to: scratch.head.path, scratch: scratch.head)
}

/// One input; traps when a promise is broken.
func checkHTTP1(_ bytes: [UInt8]) {
  guard bytes.count > 1 else { return }
  let content = Array(bytes.dropFirst())
  let seed = UInt64(bytes[0])
  let response = seed & 1 == 1
  var random = RandomSource(seed: seed)
  _ = decode(content, response: response) { _ in content.count }
  _ = decode(content, response: response) { _ in 1 + random.next(below: 40) }
}

#if WEFT_FUZZ
  @_cdecl("LLVMFuzzerTestOneInput")
  public func fuzz(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
    checkHTTP1(Array(UnsafeBufferPointer(start: data, count: size)))
    return 0
  }
#endif
