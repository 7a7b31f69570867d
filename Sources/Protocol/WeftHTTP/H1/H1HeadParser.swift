// One complete HTTP/1 head or trailer section to the model. Strict: what RFC 9112 allows a recipient to repair is refused.

import WeftBase

/// A single pass over `input`; lives for one call.
///
/// Why sound: every load is at an index checked to be below `n`, the view's length.
@safe
struct H1HeadParser {
  let cell: UnsafeMutablePointer<HeadState>
  let base: UnsafeRawPointer
  let n: Int
  let characters: CharacterTable
  var i = 0

  // What framing-relevant fields said.
  var contentLength: UInt64?
  var transferEncoding: ByteView?
  var host: ByteView?
  var upgrade: ByteView?
  var connection: ConnectionOptions = []
  var expect: ByteView?

  struct ConnectionOptions: OptionSet {
    let rawValue: UInt8
    static var close: ConnectionOptions { ConnectionOptions(rawValue: 1) }
    static var keepAlive: ConnectionOptions { ConnectionOptions(rawValue: 2) }
    static var upgrade: ConnectionOptions { ConnectionOptions(rawValue: 4) }
  }

  @inline(__always)
  init(_ input: ByteView, head: MessageHead) {
    unsafe cell = head.cell
    unsafe base = input.base
    n = input.count
    characters = unsafe head.cell.pointee.characters
  }

  @inline(__always)
  func byte(_ at: Int) -> UInt8 { unsafe base.load(fromByteOffset: at, as: UInt8.self) }

  @inline(__always)
  func word(_ at: Int) -> UInt64 { unsafe base.loadUnaligned(fromByteOffset: at, as: UInt64.self) }

  @inline(__always)
  func view(_ from: Int, _ to: Int) -> ByteView { unsafe ByteView(base + from, count: to &- from) }

  // MARK: Start lines

  /// More empty lines than this before a request are no mistake any more.
  static var leadingEmptyLines: Int { 8 }

  /// Method, target and version; false when the line is not complete yet.
  @inline(__always)
  mutating func requestLine(limit: Int) throws(H1Error) -> Bool {
    if n == 0 { return false }
    var start = 0
    // Empty lines before a request line are skipped (RFC 9112 §2.2): careless clients end their content with one.
    while byte(start) == 13 || byte(start) == 10 {
      guard byte(start) == 13 else { throw .bareCRorLF }
      if start >= 2 &* Self.leadingEmptyLines { throw .leadingBlankLines }
      if start &+ 1 == n { return false }
      guard byte(start &+ 1) == 10 else { throw .bareCRorLF }
      start &+= 2
      if start == n { return false }
    }
    // Method.
    i = start
    if i &+ 8 <= n, word(i) & 0xffff_ffff == 0x2054_4547 {  // "GET "
      unsafe cell.pointee.method = .get
      i &+= 3
    } else {
      while i < n, characters.has(byte(i), CharacterTable.token) { i &+= 1 }
      if i &- start > 64 { throw .method }
      if i == n { return false }
      guard i > start, byte(i) == 32 else {
        if byte(i) == 10 { throw .bareCRorLF }
        throw i > start && byte(i) == 13 ? .requestLine : .method
      }
      unsafe cell.pointee.method = HTTPMethod.find(view(start, i))
    }
    unsafe cell.pointee.methodText = view(start, i)
    // Target.
    i &+= 1
    let target = i
    let end = unsafe firstNonTarget(base, target, n)
    if end &- start > limit { throw .requestLineTooLong }
    if end == n { return false }
    guard byte(end) == 32, end > target else {
      switch byte(end) {
      case UInt8(ascii: "#"): throw .fragmentInTarget
      case 13: throw end > target ? .http09 : .requestLine
      case 10: throw .bareCRorLF
      case 32: throw .requestLine
      default: throw .target
      }
    }
    // Version.
    if n &- end < 11 { return false }
    switch word(end &+ 1) {
    case 0x312e_312f_5054_5448: unsafe cell.pointee.version = .http11
    case 0x302e_312f_5054_5448: unsafe cell.pointee.version = .http10
    case let other: throw versionError(other)
    }
    guard byte(end &+ 9) == 13, byte(end &+ 10) == 10 else {
      throw byte(end &+ 9) == 10 || byte(end &+ 9) == 13 ? .bareCRorLF : .requestLine
    }
    if end &+ 9 &- start > limit { throw .requestLineTooLong }
    unsafe cell.pointee.path = view(target, end)
    i = end &+ 11
    return true
  }

  /// "HTTP/" DIGIT "." DIGIT that is not 1.0 or 1.1 is an unsupported version; anything else no request line.
  private func versionError(_ word: UInt64) -> H1Error {
    let isHTTP = word & 0xff_ffff_ffff == 0x2f_5054_5448
    let major = UInt8(truncatingIfNeeded: word >> 40)
    let dot = UInt8(truncatingIfNeeded: word >> 48)
    let minor = UInt8(truncatingIfNeeded: word >> 56)
    guard isHTTP, ASCII.isDigit(major), dot == UInt8(ascii: "."), ASCII.isDigit(minor) else { return .requestLine }
    return .version
  }

  /// Version, status and reason; false when the line is not complete yet.
  @inline(__always)
  mutating func statusLine() throws(H1Error) -> Bool {
    if n < 13 { return false }
    switch word(0) {
    case 0x312e_312f_5054_5448: unsafe cell.pointee.version = .http11
    case 0x302e_312f_5054_5448: unsafe cell.pointee.version = .http10
    default: throw .statusLine
    }
    let a = byte(9) &- 48
    let b = byte(10) &- 48
    let c = byte(11) &- 48
    guard byte(8) == 32, a >= 1, a <= 5, b < 10, c < 10, byte(12) == 32 || byte(12) == 13 else { throw .statusLine }
    unsafe cell.pointee.status = UInt16(a) &* 100 &+ UInt16(b) &* 10 &+ UInt16(c)
    let reason = byte(12) == 32 ? 13 : 12
    let end = unsafe firstControl(base, reason, n)
    if end &+ 1 >= n {
      if end < n, byte(end) != 13 { throw .statusLine }
      return false
    }
    guard byte(end) == 13, byte(end &+ 1) == 10 else {
      throw byte(end) == 10 || byte(end) == 13 ? .bareCRorLF : .statusLine
    }
    unsafe cell.pointee.reason = view(reason, end)
    i = end &+ 2
    return true
  }

  // MARK: Fields

  /// Field lines up to and including the empty line; false when it has not come yet.
  @inline(__always)
  mutating func fieldLines(maxBytes: Int, maxCount: Int, strict: Bool, trailers: Bool) throws(H1Error) -> Bool {
    let names = unsafe cell.pointee.names
    var count = 0
    while true {
      if i &+ 1 >= n { return false }
      let start = i
      if byte(i) == 13 {
        guard byte(i &+ 1) == 10 else { throw .bareCRorLF }
        i &+= 2
        return true
      }
      let colon = unsafe firstNameEnd(base, start, n)
      if colon == n {
        try checkName(start, colon)
        return false
      }
      let name = view(start, colon)
      let id = names.find(name)
      // A well-known name is made of token characters; any other is looked at byte by byte.
      if id == .other || byte(colon) != UInt8(ascii: ":") {
        try checkName(start, colon)
        guard byte(colon) == UInt8(ascii: ":"), colon > start else { throw nameError(at: colon, start: start) }
        if name.count > MessageHead.longestName { throw .fieldName }
      }
      // Nearly always one blank and a visible byte; anything else is walked through.
      var valueStart = colon &+ 2
      if valueStart >= n || byte(colon &+ 1) != 32 || byte(valueStart) <= 32 {
        valueStart = colon &+ 1
        while valueStart < n, byte(valueStart) == 32 || byte(valueStart) == 9 { valueStart &+= 1 }
      }
      let end = unsafe firstControl(base, valueStart, n)
      if end &+ 1 >= n {
        if end < n, byte(end) != 13 { throw byte(end) == 10 ? .bareCRorLF : .fieldValue }
        return false
      }
      guard byte(end) == 13, byte(end &+ 1) == 10 else {
        throw byte(end) == 10 || byte(end) == 13 ? .bareCRorLF : .fieldValue
      }
      var valueEnd = end
      while valueEnd > valueStart, byte(valueEnd &- 1) == 32 || byte(valueEnd &- 1) == 9 { valueEnd &-= 1 }
      i = end &+ 2
      count &+= 1
      if count > maxCount { throw .tooManyHeaders }
      if i > maxBytes { throw .headerTooLarge }
      let value = view(valueStart, valueEnd)
      let plain = valueStart == colon &+ 2 && valueEnd == end && byte(colon &+ 1) == 32
      if trailers {
        switch id {
        // Said behind the content, these would have told of other content or another host.
        case .contentLength, .transferEncoding, .host: throw .forbiddenTrailer
        // What means nothing in a trailer section is dropped (RFC 9110 §6.5.1).
        default: if id.isForbiddenInTrailers { continue }
        }
      } else if id != .other, id.rawValue <= HeaderName.expect.rawValue {
        // Blanks around a value are no part of it (RFC 9110 §5.5), not even around those that frame: what goes on is written anew.
        if try !known(id, name, value, strict: strict) { continue }
      }
      unsafe cell.pointee.appendParsed(HeaderField(id: id, name: name, value: value, flags: plain ? .wireLine : []))
    }
  }

  /// Refuses a name, complete or not, with a byte that is not of a token.
  @inline(__always)
  private func checkName(_ start: Int, _ end: Int) throws(H1Error) {
    var at = start
    while at < end {
      if !characters.has(byte(at), CharacterTable.token) { throw nameError(at: at, start: start) }
      at &+= 1
    }
  }

  @inline(never)
  private func nameError(at i: Int, start: Int) -> H1Error {
    let c = byte(i)
    if i == start {
      if c == UInt8(ascii: ":") { return .emptyFieldName }
      if c == 32 || c == 9 { return .obsoleteFold }
    }
    switch c {
    case 10: return .bareCRorLF
    case 32, 9: return .spaceBeforeColon
    default: return .fieldName
    }
  }

  /// Notes what a framing-relevant field says; false when it does not belong among the fields.
  @inline(never)
  private mutating func known(
    _ id: HeaderName, _ name: ByteView, _ value: ByteView, strict: Bool
  ) throws(H1Error) -> Bool {
    switch id {
    case .host:
      if !strict { return true }
      if host != nil { throw .repeatedHost }
      host = value
      unsafe cell.pointee.hostName = name
      return false
    case .contentLength:
      if contentLength != nil { throw .repeatedContentLength }
      guard let length = ASCII.parseDecimal(value), length <= UInt64(Int64.max) else { throw .contentLength }
      contentLength = length
    case .transferEncoding:
      if transferEncoding != nil { throw .transferEncoding }
      transferEncoding = value
    case .connection:
      if value.count == 10, value.equalsIgnoringCase("keep-alive") {
        connection.insert(.keepAlive)
      } else if value.count == 5, value.equalsIgnoringCase("close") {
        connection.insert(.close)
      } else {
        var list = ListElements(value)
        while let option = list.next() {
          if option.equalsIgnoringCase("close") { connection.insert(.close) }
          if option.equalsIgnoringCase("keep-alive") { connection.insert(.keepAlive) }
          if option.equalsIgnoringCase("upgrade") { connection.insert(.upgrade) }
        }
      }
    case .upgrade: upgrade = value
    case .expect: expect = value
    case .te:
      var list = ListElements(value)
      while let coding = list.next() {
        if coding.equalsIgnoringCase("trailers") { unsafe cell.pointee.flags.insert(.acceptsTrailers) }
      }
    default: break
    }
    return true
  }
}

/// The non-empty elements of a comma-separated list, trimmed (RFC 9110 §5.6.1). Quoted strings are not understood.
struct ListElements: Sequence, IteratorProtocol {
  private var rest: ByteView

  init(_ value: ByteView) { rest = value }

  mutating func next() -> ByteView? {
    while !rest.isEmpty {
      let comma = rest.firstIndex(of: UInt8(ascii: ",")) ?? rest.count
      let element = ASCII.trimmed(rest.prefix(comma))
      rest = rest.dropFirst(comma + 1)
      if !element.isEmpty { return element }
    }
    return nil
  }
}
