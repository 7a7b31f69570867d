// Names: header names as patterns see them.

import WeftBase
import WeftHTTP
import WeftProxyAPI
import WeftTelemetry

extension MessageHead {
  /// `text` in lower case: itself when it has no capitals, else in the arena.
  func lowercased(_ text: ByteView) -> ByteView {
    var hasCapitals = false
    for i in 0..<text.count where text[i] >= UInt8(ascii: "A") && text[i] <= UInt8(ascii: "Z") { hasCapitals = true }
    if !hasCapitals { return text }
    return unsafe build(text.count) { room in
      for i in 0..<text.count { unsafe room[i] = ASCII.lowercased(text[i]) }
      return text.count
    }
  }
}

extension ConstantTable where T == CompiledStringMatcher {
  /// Whether one of the patterns matches.
  func anyMatch(_ text: ByteView) -> Bool {
    for i in indices where self[i].matches(text) { return true }
    return false
  }
}
