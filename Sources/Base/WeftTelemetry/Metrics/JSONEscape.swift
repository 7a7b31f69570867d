package import WeftBase

/// Text as a JSON string, whatever bytes it is made of.
package enum JSONEscape {
  /// `text` in quotes. *Cost*: allocates; cold path.
  package static func quoted(_ text: String) -> String {
    var buffer = ByteBuffer()
    text.withByteView { append($0, to: &buffer) }
    return "\"\(buffer.view.string)\""
  }

  /// Appends the inside of a JSON string: quotes, backslashes and control characters are escaped, and each byte that is
  /// not part of
  /// valid UTF-8 becomes U+FFFD, so that the line stays valid JSON.
  package static func append(_ view: ByteView, to out: inout ByteBuffer) {
    var start = 0
    var i = 0
    while i < view.count {
      let byte = view[i]
      if byte >= 0x20 && byte < 0x7f && byte != 0x22 && byte != 0x5c {
        i += 1
        continue
      }
      let length = byte < 0x80 ? 0 : validSequence(view, at: i)
      if length > 0 {
        i += length
        continue
      }
      out.append(view[start..<i])
      switch byte {
      case 0x22: out.append("\\\"" as StaticString)
      case 0x5c: out.append("\\\\" as StaticString)
      case 0x0a: out.append("\\n" as StaticString)
      case 0x0d: out.append("\\r" as StaticString)
      case 0x09: out.append("\\t" as StaticString)
      case ..<0x80:
        out.append("\\u00" as StaticString)
        out.append(ASCII.hexadecimalDigit(byte >> 4))
        out.append(ASCII.hexadecimalDigit(byte & 15))
      default: out.append("\\ufffd" as StaticString)
      }
      i += 1
      start = i
    }
    out.append(view[start..<view.count])
  }

  /// Length of the well-formed UTF-8 sequence at `i`, 0 when there is none (Unicode table 3-7).
  static func validSequence(_ view: ByteView, at i: Int) -> Int {
    let first = view[i]
    let length: Int
    var low: UInt8 = 0x80
    var high: UInt8 = 0xbf
    switch first {
    case 0xc2...0xdf: length = 2
    case 0xe0: (length, low) = (3, 0xa0)
    case 0xed: (length, high) = (3, 0x9f)
    case 0xe1...0xef: length = 3
    case 0xf0: (length, low) = (4, 0x90)
    case 0xf4: (length, high) = (4, 0x8f)
    case 0xf1...0xf3: length = 4
    default: return 0
    }
    guard i + length <= view.count, view[i + 1] >= low, view[i + 1] <= high else { return 0 }
    for k in 2..<max(2, length) where view[i + k] & 0xc0 != 0x80 { return 0 }
    return length
  }
}
