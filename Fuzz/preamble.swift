// Fuzzes what is read before HTTP is: PROXY protocol headers and the first line of a connection. What a prefix says, more bytes must
// not take back, and what a header claims must lie inside what came.

import WeftBase

@testable import WeftHTTP

private enum Header: Equatable { case needMore, none, malformed, header(Int) }

private func header(_ bytes: [UInt8]) -> Header {
  bytes.withByteView { view in
    switch ProxyProtocolHeader.read(view) {
    case .needMore: return .needMore
    case .none: return .none
    case .malformed: return .malformed
    case .header(let header):
      precondition(header.length > 0 && header.length <= view.count, "a header longer than what came")
      precondition(header.length <= ProxyProtocolHeader.maximumBytes)
      var total = 0
      header.forEachExtension { total += 3 + $1.count }
      precondition(total <= header.length, "extensions longer than their header")
      precondition(header.source.count <= header.length && header.destination.count <= header.length)
      return .header(header.length)
    }
  }
}

/// One input; traps when a promise is broken.
func checkPreamble(_ bytes: [UInt8]) {
  // Whole, and by exact copies of its beginnings, so that a read past the end meets the sanitizer.
  let whole = header(bytes)
  let line = bytes.withByteView { HTTPPreamble.read($0) }
  var seen = 0
  var isHeaderKnown = false
  var isLineKnown = false
  for count in Array(0...min(bytes.count, 160)) + [bytes.count] {
    let part = Array(bytes[..<count])
    if !isHeaderKnown {
      let says = header(part)
      if says != .needMore {
        precondition(says == whole, "more bytes take back what fewer said of a header")
        isHeaderKnown = true
      }
    }
    if !isLineKnown {
      let says = part.withByteView { HTTPPreamble.read($0, seen: seen) }
      if says != .needMore {
        precondition(says == line, "more bytes take back what fewer said of a line")
        isLineKnown = true
      }
      seen = count
    }
  }
}

#if WEFT_FUZZ
  @_cdecl("LLVMFuzzerTestOneInput")
  public func fuzz(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
    checkPreamble(Array(UnsafeBufferPointer(start: data, count: size)))
    return 0
  }
#endif
