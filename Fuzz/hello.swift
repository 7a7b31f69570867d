// Fuzzes what a TLS inspector reads of a ClientHello. What a prefix says, more bytes must not take back, and a name that chooses a filter
// chain is one that a certificate may have.

import WeftBase

@testable import WeftTLS

/// One input; traps when a promise is broken.
func checkHello(_ bytes: [UInt8]) {
  let limit = 16_384
  let whole = bytes.withByteView { ClientHello.read($0, limit: limit) }
  if case .hello(let hello) = whole {
    precondition(hello.serverName.utf8.count <= 3 * 255 && !hello.serverName.utf8.contains(0), "a name that is none")
    precondition(hello.protocols.allSatisfy { !$0.isEmpty }, "a protocol without a name")
    precondition(bytes.count >= 9, "a hello of nothing")
  }
  // By exact copies of its beginnings, so that a read past the end meets the sanitizer.
  for count in Array(0...min(bytes.count, 256)) + [bytes.count] {
    let says = Array(bytes[..<count]).withByteView { ClientHello.read($0, limit: limit) }
    if says == .needMore { continue }
    precondition(says == whole, "more bytes take back what fewer said")
    break
  }
}

#if WEFT_FUZZ
  @_cdecl("LLVMFuzzerTestOneInput")
  public func fuzz(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
    checkHello(Array(UnsafeBufferPointer(start: data, count: size)))
    return 0
  }
#endif
