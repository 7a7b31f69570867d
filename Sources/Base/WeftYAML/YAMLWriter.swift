package import WeftBase

extension YAML {
  /// A document in block style. Strings are quoted wherever a reader of YAML 1.1 or 1.2 could take them for something
  /// else; texts of several lines become literal blocks.
  package static func text(_ value: JSONValue) -> String {
    var writer = YAMLWriter()
    writer.write(value, indent: 0, inline: false)
    return writer.out
  }

  /// Several documents, separated by `---`.
  package static func text(documents: [JSONValue]) -> String {
    documents.map { text($0) }.joined(separator: "---\n")
  }
}

private struct YAMLWriter {
  var out = ""

  /// Writes the value with its line end. `inline`: something stands on the line already (`key:` or `-`).
  mutating func write(_ value: JSONValue, indent: Int, inline: Bool) {
    switch value {
    case .array(let items) where !items.isEmpty:
      for item in items {
        pad(indent)
        out += "-"
        nest(item, indent: indent + 2)
      }
    case .object(let object) where !object.isEmpty:
      for (i, member) in object.members.enumerated() {
        if i > 0 || !inline { pad(indent) }
        out += Self.quoted(member.name) + ":"
        switch member.value {
        case .array(let items) where !items.isEmpty:
          out += "\n"
          write(member.value, indent: indent, inline: false)
        case .object(let inner) where !inner.isEmpty:
          out += "\n"
          write(member.value, indent: indent + 2, inline: false)
        default: leaf(member.value, indent: indent + 2)
        }
      }
    default: leaf(value, indent: indent, space: inline)
    }
  }

  /// An item behind its dash: maps begin on the same line.
  private mutating func nest(_ item: JSONValue, indent: Int) {
    switch item {
    case .array(let items) where !items.isEmpty:
      out += "\n"
      write(item, indent: indent, inline: false)
    case .object(let object) where !object.isEmpty:
      out += " "
      write(item, indent: indent, inline: true)
    default: leaf(item, indent: indent)
    }
  }

  private mutating func pad(_ count: Int) { out += String(repeating: " ", count: count) }

  private mutating func leaf(_ value: JSONValue, indent: Int, space: Bool = true) {
    if space { out += " " }
    switch value {
    case .null: out += "null"
    case .bool(let v): out += v ? "true" : "false"
    case .number(let text): out += text
    case .array: out += "[]"
    case .object: out += "{}"
    case .string(let text):
      if space, let block = Self.block(text, indent: indent) { out += block } else { out += Self.quoted(text) }
    }
    out += "\n"
  }

  /// `|` or `|-` and the indented lines, without the last line end; nil where quotes are needed.
  private static func block(_ text: String, indent: Int) -> String? {
    guard text.utf8.contains(0x0A), let first = text.utf8.first, first != 0x20, first != 0x0A,
      text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 0x0A }), isPrintable(text)
    else { return nil }
    var body = Substring(text)
    let keepsEnd = body.hasSuffix("\n")
    if keepsEnd { body.removeLast() }
    guard !body.hasSuffix("\n") else { return nil }
    let lines = body.split(separator: "\n", omittingEmptySubsequences: false)
    guard !lines.contains(where: { $0.hasSuffix(" ") }) else { return nil }
    let pad = String(repeating: " ", count: indent)
    return (keepsEnd ? "|" : "|-") + lines.map { $0.isEmpty ? "\n" : "\n\(pad)\($0)" }.joined()
  }

  /// No character that YAML forbids or takes for a line break.
  private static func isPrintable(_ text: String) -> Bool {
    text.unicodeScalars.allSatisfy { c in
      switch c.value {
      case 0x80..<0xA0, 0x2028, 0x2029, 0xFEFF, 0xFFFE, 0xFFFF: false
      default: true
      }
    }
  }

  static func quoted(_ text: String) -> String {
    if isSafePlain(text) { return text }
    var out = "\""
    for c in text.unicodeScalars {
      switch c {
      case "\"": out += "\\\""
      case "\\": out += "\\\\"
      case "\n": out += "\\n"
      case "\t": out += "\\t"
      case "\r": out += "\\r"
      default:
        let needsEscape = c.value < 0x20 || c.value == 0x7F || !isPrintable(String(c))
        if needsEscape {
          let hex = String(c.value, radix: 16)
          out += "\\u" + String(repeating: "0", count: 4 - hex.utf8.count) + hex
        } else {
          out.unicodeScalars.append(c)
        }
      }
    }
    return out + "\""
  }

  /// Letters, digits and a few signs inside; not a word or number of either YAML version.
  private static func isSafePlain(_ text: String) -> Bool {
    guard let first = text.utf8.first, let last = text.utf8.last, case .string = PlainScalar.resolve(text) else {
      return false
    }
    let inner = text.utf8.allSatisfy { c in
      switch c {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
      case UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "/"), UInt8(ascii: " "),
        UInt8(ascii: "+"), UInt8(ascii: "="), UInt8(ascii: ":"), UInt8(ascii: "@"), UInt8(ascii: "*"),
        UInt8(ascii: "("), UInt8(ascii: ")"), UInt8(ascii: "$"), UInt8(ascii: "%"), UInt8(ascii: "~"):
        true
      default: false
      }
    }
    let isLetterOrSlash = (first | 0x20) >= 0x61 && (first | 0x20) <= 0x7A || first == UInt8(ascii: "/")
    guard inner, last != 0x20, last != UInt8(ascii: ":"), !text.contains(": "), !text.contains(" #") else {
      return false
    }
    if isLetterOrSlash { return !wordsOf11.contains(text.lowercased()) }
    // Digits first: only what cannot be a number, date or sexagesimal in any version.
    guard first >= 0x30, first <= 0x39 else { return false }
    return text.utf8.contains { ($0 | 0x20) >= 0x67 && ($0 | 0x20) <= 0x7A && $0 | 0x20 != 0x78 }
  }

  private static let wordsOf11: Set<String> = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"]
}
