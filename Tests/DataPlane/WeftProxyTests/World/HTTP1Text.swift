// HTTP1Text: just enough HTTP/1 for the tests' own ends, written apart from the code under test.

/// A complete HTTP/1 message at the front of some bytes.
struct HTTP1Text {
  var start = ""
  var fields: [(name: String, value: String)] = []
  var body: [UInt8] = []
  var trailers: [(name: String, value: String)] = []
  /// Bytes the message takes.
  var length = 0

  func first(_ name: String) -> String? { fields.first { $0.name.lowercased() == name }?.value }
  var status: Int { Int(start.split(separator: " ").dropFirst().first ?? "") ?? 0 }
  var text: String { String(decoding: body, as: UTF8.self) }

  /// Nil while the message is not complete. `bodiless`: it answers HEAD, or its body cannot be told from the head alone.
  init?(_ bytes: [UInt8], bodiless: Bool = false) {
    guard let end = Self.find([13, 10, 13, 10], in: bytes, from: 0) else { return nil }
    let lines = String(decoding: bytes[..<end], as: UTF8.self).split(
      separator: "\r\n", omittingEmptySubsequences: false)
    start = String(lines[0])
    fields = lines.dropFirst().map(Self.field)
    var at = end + 4
    if bodiless || status == 204 || status == 304 || (status >= 100 && status < 200) {
      length = at
      return
    }
    if first("transfer-encoding")?.lowercased() == "chunked" {
      while true {
        guard let line = Self.find([13, 10], in: bytes, from: at) else { return nil }
        guard let size = Int(String(decoding: bytes[at..<line], as: UTF8.self), radix: 16) else { return nil }
        at = line + 2
        if size == 0 { break }
        guard bytes.count >= at + size + 2 else { return nil }
        body += bytes[at..<at + size]
        at += size + 2
      }
      while true {
        guard let line = Self.find([13, 10], in: bytes, from: at) else { return nil }
        defer { at = line + 2 }
        if line == at { break }
        trailers.append(Self.field(Substring(String(decoding: bytes[at..<line], as: UTF8.self))))
      }
      length = at
      return
    }
    let size = first("content-length").flatMap { Int($0) } ?? 0
    guard bytes.count >= at + size else { return nil }
    body = Array(bytes[at..<at + size])
    length = at + size
  }

  private static func field(_ line: Substring) -> (name: String, value: String) {
    guard let colon = line.firstIndex(of: ":") else { return (String(line), "") }
    let value = line[line.index(after: colon)...].drop { $0 == " " }
    return (String(line[..<colon]), String(value))
  }

  private static func find(_ needle: [UInt8], in bytes: [UInt8], from: Int) -> Int? {
    if bytes.count < needle.count { return nil }
    var i = from
    while i + needle.count <= bytes.count {
      if bytes[i] == needle[0], bytes[i..<i + needle.count].elementsEqual(needle) { return i }
      i += 1
    }
    return nil
  }

  /// `body` in chunks of at most `size` bytes.
  static func chunked(_ body: [UInt8], size: Int, trailers: String = "") -> [UInt8] {
    var out: [UInt8] = []
    var at = 0
    while at < body.count {
      let n = min(size, body.count - at)
      out += Array((String(n, radix: 16) + "\r\n").utf8) + body[at..<at + n] + [13, 10]
      at += n
    }
    return out + Array("0\r\n\(trailers)\r\n".utf8)
  }
}
