// HTTPPreamble: whether the first bytes of a connection are HTTP, and in which version.

package import WeftBase

/// What the first line of a connection says, read without taking it.
///
/// *Source*: Envoy's http_inspector, whose reading is wide on purpose: any method, any target without blanks, spaces in a row; what it lets
/// through is judged again by the codec.
package enum HTTPPreamble: Hashable, Sendable {
  case needMore
  /// Not HTTP.
  case none
  /// No line end within `maximumBytes`.
  case tooLong
  /// HTTP/1.0 and what else is neither 1.1 nor the preface of HTTP/2: 0.9 has no version, some say 2.0 in a request line.
  case http10
  case http11
  case http2

  /// Longest first line. *Units*: bytes.
  package static var maximumBytes: Int { 64 << 10 }

  private static var preface: ByteView { ByteView("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" as StaticString) }

  /// Reads the first bytes of a connection. `seen`: how many of them an earlier call has looked at, which asked for more.
  /// *Cost*: one look at each byte over all calls, and one at the line.
  package static func read(_ bytes: ByteView, seen: Int = 0) -> HTTPPreamble {
    if bytes.isEmpty { return .needMore }
    // Half of the preface decides nothing: "P" may become POST.
    let preface = preface
    let common = min(bytes.count, preface.count)
    if bytes.prefix(common).equals(preface.prefix(common)) { return bytes.count < preface.count ? .needMore : .http2 }
    if !isVisible(bytes[0]) { return .none }
    // The line ends within the preface were passed over as long as it could still be one.
    let from = seen <= preface.count ? 0 : min(seen, bytes.count)
    guard let end = bytes.firstIndex(of: UInt8(ascii: "\n"), from: from) else {
      return bytes.count >= maximumBytes ? .tooLong : .needMore
    }
    if end >= maximumBytes { return .tooLong }
    return line(bytes.prefix(end))
  }

  /// METHOD SP TARGET [SP VERSION], spaces in a row counting as one.
  private static func line(_ line: ByteView) -> HTTPPreamble {
    var rest = line
    if rest.last == UInt8(ascii: "\r") { rest = rest.dropLast() }
    while rest.last == UInt8(ascii: " ") { rest = rest.dropLast() }
    for i in 0..<rest.count where rest[i] != UInt8(ascii: " ") && !isVisible(rest[i]) { return .none }
    guard !word(&rest).isEmpty, !word(&rest).isEmpty else { return .none }
    let version = rest
    if version.isEmpty { return .http10 }
    if version.equals("HTTP/1.1") { return .http11 }
    if version.equals("HTTP/1.0") || version.equals("HTTP/0.9") || version.equals("HTTP/2.0") { return .http10 }
    return .none
  }

  private static func word(_ rest: inout ByteView) -> ByteView {
    let end = rest.firstIndex(of: UInt8(ascii: " ")) ?? rest.count
    let word = rest.prefix(end)
    rest = rest.dropFirst(end)
    while rest.first == UInt8(ascii: " ") { rest = rest.dropFirst() }
    return word
  }

  private static func isVisible(_ byte: UInt8) -> Bool { byte > 0x20 && byte < 0x7f }
}
