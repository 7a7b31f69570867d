import WeftBase
import WeftTelemetry

/// Asks the compiler of format strings, which weft-proxy uses, whether the value of a header operation is one: `%` begins an operator
/// there.
package enum FormatCheck {
  /// Why `text` is not a value; nil when it is.
  package static func problem(_ text: String) -> String? {
    guard text.utf8.contains(UInt8(ascii: "%")) else { return nil }
    do throws(ConfigError) {
      _ = try FormatProgram.compile(text, arena: ConstantArena())
      return nil
    } catch {
      return error.message
    }
  }
}
