// JSONValue → text. Compact or pretty; members in their own order or sorted by name.

/// How a JSON document is laid out.
package struct JSONStyle: Sendable {
  /// Two spaces of indentation and one member per line, instead of no white space at all.
  package var pretty: Bool
  /// Members sorted by the UTF-8 of their names, instead of in their own order.
  package var sorted: Bool

  package init(pretty: Bool = false, sorted: Bool = false) {
    self.pretty = pretty
    self.sorted = sorted
  }

  package static let compact = JSONStyle()
  package static let pretty = JSONStyle(pretty: true)
  /// One text per value: compact and sorted.
  package static let canonical = JSONStyle(sorted: true)
}

extension JSONValue {
  package func text(_ style: JSONStyle = .compact) -> String { String(decoding: bytes(style), as: UTF8.self) }

  package func bytes(_ style: JSONStyle = .compact) -> [UInt8] {
    var writer = JSONWriter(style: style)
    writer.write(self, depth: 0)
    return writer.out
  }

  /// Appends the text's bytes to `out`.
  package func write(to out: inout [UInt8], _ style: JSONStyle = .compact) {
    var writer = JSONWriter(style: style)
    swap(&writer.out, &out)
    writer.write(self, depth: 0)
    swap(&writer.out, &out)
  }
}

private struct JSONWriter {
  let style: JSONStyle
  var out: [UInt8] = []

  init(style: JSONStyle) { self.style = style }

  mutating func write(_ value: JSONValue, depth: Int) {
    switch value {
    case .null: out.append(contentsOf: "null".utf8)
    case .bool(let v): out.append(contentsOf: (v ? "true" : "false").utf8)
    case .number(let text): out.append(contentsOf: text.utf8)
    case .string(let text): write(text)
    case .array(let items):
      out.append(UInt8(ascii: "["))
      for (i, item) in items.enumerated() {
        if i > 0 { out.append(UInt8(ascii: ",")) }
        newLine(depth + 1)
        write(item, depth: depth + 1)
      }
      if !items.isEmpty { newLine(depth) }
      out.append(UInt8(ascii: "]"))
    case .object(let object):
      out.append(UInt8(ascii: "{"))
      let members = style.sorted ? object.sorted().members : object.members
      for (i, member) in members.enumerated() {
        if i > 0 { out.append(UInt8(ascii: ",")) }
        newLine(depth + 1)
        write(member.name)
        out.append(UInt8(ascii: ":"))
        if style.pretty { out.append(UInt8(ascii: " ")) }
        write(member.value, depth: depth + 1)
      }
      if !members.isEmpty { newLine(depth) }
      out.append(UInt8(ascii: "}"))
    }
  }

  private mutating func newLine(_ depth: Int) {
    guard style.pretty else { return }
    out.append(UInt8(ascii: "\n"))
    out.append(contentsOf: repeatElement(UInt8(ascii: " "), count: depth * 2))
  }

  private mutating func write(_ text: String) {
    out.append(UInt8(ascii: "\""))
    for c in text.utf8 {
      switch c {
      case UInt8(ascii: "\""): out.append(contentsOf: [0x5C, 0x22])
      case UInt8(ascii: "\\"): out.append(contentsOf: [0x5C, 0x5C])
      case 0x0A: out.append(contentsOf: [0x5C, UInt8(ascii: "n")])
      case 0x0D: out.append(contentsOf: [0x5C, UInt8(ascii: "r")])
      case 0x09: out.append(contentsOf: [0x5C, UInt8(ascii: "t")])
      case ..<0x20, 0x7F:
        out.append(contentsOf: [
          0x5C, UInt8(ascii: "u"), 0x30, 0x30, ASCII.hexadecimalDigit(c >> 4), ASCII.hexadecimalDigit(c & 15),
        ])
      default: out.append(c)
      }
    }
    out.append(UInt8(ascii: "\""))
  }
}
