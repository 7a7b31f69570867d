// RFC 8259, strictly: no comments, no trailing commas, no bare words, no duplicate names, no lone surrogates, valid
// UTF-8 only. Depth, size and value count are bounded; every refusal names its line and column.

/// Why a text is not the JSON we accept.
package struct JSONError: Error, Sendable, Hashable, CustomStringConvertible {
  package var message: String
  /// Byte offset from 0; line and column (bytes) from 1.
  package var offset: Int
  package var line: Int
  package var column: Int
  package var description: String { "line \(line), column \(column): \(message)" }
}

/// Limits of the parser. Reaching one is an error that names it.
package struct JSONLimits: Sendable {
  package var depth: Int
  package var bytes: Int
  package var values: Int

  package init(depth: Int = 100, bytes: Int = 64 << 20, values: Int = 8 << 20) {
    self.depth = depth
    self.bytes = bytes
    self.values = values
  }
}

extension JSONValue {
  /// Parses one JSON text that fills `bytes`.
  package init(parsing bytes: [UInt8], limits: JSONLimits = JSONLimits()) throws(JSONError) {
    var parser = JSONParser(bytes: bytes, limits: limits)
    self = try parser.document()
  }

  package init(parsing text: String, limits: JSONLimits = JSONLimits()) throws(JSONError) {
    try self.init(parsing: Array(text.utf8), limits: limits)
  }
}

private struct JSONParser {
  let bytes: [UInt8]
  let limits: JSONLimits
  var at = 0
  var depth = 0
  var values = 0

  init(bytes: [UInt8], limits: JSONLimits) {
    self.bytes = bytes
    self.limits = limits
  }

  mutating func document() throws(JSONError) -> JSONValue {
    guard bytes.count <= limits.bytes else { throw error("longer than the limit of \(limits.bytes) bytes") }
    skipSpace()
    let value = try self.value()
    skipSpace()
    guard at == bytes.count else { throw error("unexpected text after the document") }
    return value
  }

  private func error(_ message: String, at offset: Int? = nil) -> JSONError {
    let offset = offset ?? at
    var line = 1
    var lineStart = 0
    for i in 0..<min(offset, bytes.count) where bytes[i] == UInt8(ascii: "\n") {
      line += 1
      lineStart = i + 1
    }
    return JSONError(message: message, offset: offset, line: line, column: offset - lineStart + 1)
  }

  private var peek: UInt8? { at < bytes.count ? bytes[at] : nil }

  private mutating func skipSpace() {
    while at < bytes.count {
      switch bytes[at] {
      case 0x20, 0x09, 0x0A, 0x0D: at += 1
      default: return
      }
    }
  }

  private mutating func value() throws(JSONError) -> JSONValue {
    values += 1
    guard values <= limits.values else { throw error("more than the limit of \(limits.values) values") }
    switch peek {
    case UInt8(ascii: "{"): return try object()
    case UInt8(ascii: "["): return try array()
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    case UInt8(ascii: "-"): return try number()
    case let c? where c >= 0x30 && c <= 0x39: return try number()
    case nil: throw error("unexpected end of the text")
    default: throw error("expected a JSON value")
    }
  }

  private mutating func word(_ word: StaticString, _ value: JSONValue) throws(JSONError) -> JSONValue {
    let text = Array(word.description.utf8)
    guard bytes.count - at >= text.count, bytes[at..<at + text.count].elementsEqual(text) else {
      throw error("expected '\(word)'")
    }
    at += text.count
    return value
  }

  private mutating func enter() throws(JSONError) {
    depth += 1
    guard depth <= limits.depth else { throw error("nested deeper than the limit of \(limits.depth)") }
    at += 1
    skipSpace()
  }

  private mutating func object() throws(JSONError) -> JSONValue {
    try enter()
    var members: [JSONMember] = []
    var seen: Set<String> = []
    if peek == UInt8(ascii: "}") {
      at += 1
      depth -= 1
      return .object(JSONObject())
    }
    while true {
      guard peek == UInt8(ascii: "\"") else { throw error("expected a member name in double quotes") }
      let nameAt = at
      let name = try string()
      // Small objects are compared directly; a set pays only from some size on.
      if members.count < 8 {
        guard !members.contains(where: { $0.name == name }) else {
          throw error("duplicate member \"\(name)\"", at: nameAt)
        }
      } else {
        if seen.isEmpty { seen = Set(members.map(\.name)) }
        guard seen.insert(name).inserted else { throw error("duplicate member \"\(name)\"", at: nameAt) }
      }
      skipSpace()
      guard peek == UInt8(ascii: ":") else { throw error("expected ':' after a member name") }
      at += 1
      skipSpace()
      members.append(JSONMember(name, try value()))
      skipSpace()
      if peek == UInt8(ascii: ",") {
        at += 1
        skipSpace()
      } else if peek == UInt8(ascii: "}") {
        at += 1
        depth -= 1
        return .object(JSONObject(members))
      } else {
        throw error("expected ',' or '}'")
      }
    }
  }

  private mutating func array() throws(JSONError) -> JSONValue {
    try enter()
    var items: [JSONValue] = []
    if peek == UInt8(ascii: "]") {
      at += 1
      depth -= 1
      return .array(items)
    }
    while true {
      items.append(try value())
      skipSpace()
      if peek == UInt8(ascii: ",") {
        at += 1
        skipSpace()
      } else if peek == UInt8(ascii: "]") {
        at += 1
        depth -= 1
        return .array(items)
      } else {
        throw error("expected ',' or ']'")
      }
    }
  }

  private mutating func digits() throws(JSONError) {
    let start = at
    while let c = peek, c >= 0x30, c <= 0x39 { at += 1 }
    guard at > start else { throw error("expected a digit") }
  }

  private mutating func number() throws(JSONError) -> JSONValue {
    let start = at
    if peek == UInt8(ascii: "-") { at += 1 }
    if peek == UInt8(ascii: "0") {
      at += 1
      if let c = peek, c >= 0x30, c <= 0x39 { throw error("a number must not begin with 0") }
    } else {
      try digits()
    }
    if peek == UInt8(ascii: ".") {
      at += 1
      try digits()
    }
    if peek == UInt8(ascii: "e") || peek == UInt8(ascii: "E") {
      at += 1
      if peek == UInt8(ascii: "+") || peek == UInt8(ascii: "-") { at += 1 }
      try digits()
    }
    return .number(String(decoding: bytes[start..<at], as: UTF8.self))
  }

  private mutating func string() throws(JSONError) -> String {
    let start = at
    at += 1
    // Most strings have no escape: find the end first, copy once.
    while let c = peek, c != UInt8(ascii: "\""), c != UInt8(ascii: "\\"), c >= 0x20 { at += 1 }
    if peek == UInt8(ascii: "\"") {
      let text = try utf8(bytes[start + 1..<at], at: start)
      at += 1
      return text
    }
    var out = Array(bytes[start + 1..<at])
    while true {
      guard let c = peek else { throw error("a string without its end", at: start) }
      switch c {
      case UInt8(ascii: "\""):
        at += 1
        return try utf8(out[...], at: start)
      case UInt8(ascii: "\\"):
        try escape(into: &out)
      case ..<0x20:
        throw error("a control character inside a string must be escaped")
      default:
        out.append(c)
        at += 1
      }
    }
  }

  private func utf8(_ slice: ArraySlice<UInt8>, at offset: Int) throws(JSONError) -> String {
    guard let text = String(validating: slice, as: UTF8.self) else {
      throw error("a string that is not valid UTF-8", at: offset)
    }
    return text
  }

  private mutating func escape(into out: inout [UInt8]) throws(JSONError) {
    at += 1
    guard let c = peek else { throw error("unexpected end of the text") }
    at += 1
    switch c {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): out.append(c)
    case UInt8(ascii: "b"): out.append(0x08)
    case UInt8(ascii: "f"): out.append(0x0C)
    case UInt8(ascii: "n"): out.append(0x0A)
    case UInt8(ascii: "r"): out.append(0x0D)
    case UInt8(ascii: "t"): out.append(0x09)
    case UInt8(ascii: "u"):
      var code = try hex4()
      if code >= 0xD800, code < 0xDC00 {
        guard peek == UInt8(ascii: "\\"), at + 1 < bytes.count, bytes[at + 1] == UInt8(ascii: "u") else {
          throw error("a lone surrogate")
        }
        at += 2
        let low = try hex4()
        guard low >= 0xDC00, low < 0xE000 else { throw error("a lone surrogate") }
        code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
      }
      guard let scalar = Unicode.Scalar(code) else { throw error("a lone surrogate") }
      out.append(contentsOf: UTF8.encode(scalar)!)
    default: throw error("an unknown escape", at: at - 1)
    }
  }

  private mutating func hex4() throws(JSONError) -> UInt32 {
    var code: UInt32 = 0
    for _ in 0..<4 {
      guard let c = peek, let digit = ASCII.hexadecimalValue(c) else { throw error("expected four hexadecimal digits") }
      code = code << 4 | UInt32(digit)
      at += 1
    }
    return code
  }
}
