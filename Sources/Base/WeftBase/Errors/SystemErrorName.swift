// Texts of errno values.

import Glibc

/// Texts of `errno` values.
package enum SystemErrorName {
  /// The system's sentence for `number`, such as `Connection refused`. *Cost*: allocates.
  package static func describe(_ number: Int32) -> String {
    var text = [CChar](repeating: 0, count: 128)
    guard unsafe strerror_r(number, &text, text.count) == 0 else { return "error \(number)" }
    let bytes = text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
    return bytes.isEmpty ? "error \(number)" : String(decoding: bytes, as: UTF8.self)
  }
}
