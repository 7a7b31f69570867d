import CRE2

/// Asks RE2, which the proxies use, whether a pattern is valid.
package enum RegexCheck {
  /// Memory that one expression may take, and the steps of its program: what weft-proxy allows, or less.
  static let memoryLimit: Int64 = 1 << 20
  static let programLimit: Int32 = 4096

  /// Why `pattern` is not valid; nil when it is.
  package static func problem(_ pattern: String) -> String? {
    var reason = [CChar](repeating: 0, count: 256)
    // Why sound: RE2 reads `length` bytes of the text and writes at most `count` bytes with a final zero; the handle
    // is freed here and nowhere else.
    let handle = unsafe weft_re2_new(pattern, pattern.utf8.count, memoryLimit, &reason, reason.count)
    guard let handle = unsafe handle else {
      return String(decoding: reason.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
    let size = unsafe weft_re2_program_size(handle)
    unsafe weft_re2_free(handle)
    return size <= programLimit ? nil : "it needs a program of \(size) steps, allowed are \(programLimit)"
  }
}
