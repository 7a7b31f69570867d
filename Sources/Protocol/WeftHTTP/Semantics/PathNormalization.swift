// The one canonical form of a request path, used for matching and for forwarding alike.

package import WeftBase

/// What to do with `%2F`, `%5C` in a path.
package enum EscapedSlashPolicy: UInt8, Sendable { case keep, reject, unescape }

/// How paths become canonical. The defaults are the mesh's: normalise, merge slashes, keep escaped slashes.
package struct PathNormalization: Equatable, Sendable {
  /// Resolve dot segments, decode unreserved characters, turn `\` into `/`. A path that climbs above the root stays there (RFC 3986
  /// §5.2.4).
  package var normalize = true
  /// `//` becomes `/`.
  package var mergeSlashes = true
  package var escapedSlashes = EscapedSlashPolicy.keep

  package init() {}

  /// The canonical form of `path` (with its query, which is never changed).
  ///
  /// Nil for a path that has none and must be answered 400: a control byte, `%00` with `normalize`, an escaped slash when refused, a
  /// fragment. An escape that is none (`100%`) is text.
  /// *Cost*: one scan when the path is canonical already, as nearly all are; else a copy in the arena of `scratch`.
  package func apply(to path: ByteView, scratch: MessageHead) -> ByteView? {
    // OPTIONS *, CONNECT.
    guard path.first == UInt8(ascii: "/") else { return path.isEmpty || path.equals("*") ? path : nil }
    if Self.isPlain(path) { return path }
    guard unsafe firstNonTarget(path.base, 0, path.count) == path.count else { return nil }
    var failed = false
    let result = unsafe scratch.build(path.count + 1) { room in
      guard let count = unsafe rewrite(path, room) else {
        failed = true
        return 0
      }
      return count
    }
    return failed ? nil : result
  }

  /// The path without `;parameters` of each segment, as routes and policies match it. No copy when there are none.
  package static func withoutParameters(_ path: ByteView, scratch: MessageHead) -> ByteView {
    let end = path.firstIndex(of: UInt8(ascii: "?")) ?? path.count
    guard path.prefix(end).contains(UInt8(ascii: ";")) else { return path }
    return unsafe scratch.build(path.count) { room in
      var n = 0
      var skipping = false
      for i in 0..<path.count {
        let c = path[i]
        if i < end {
          if c == UInt8(ascii: "/") { skipping = false } else if c == UInt8(ascii: ";") { skipping = true }
          if skipping { continue }
        }
        unsafe room[n] = c
        n += 1
      }
      return n
    }
  }

  /// True when no rule can change or refuse `path`: no escape, dot, backslash, parameter or double slash before the query.
  @inline(__always)
  private static func isPlain(_ path: ByteView) -> Bool {
    var previous: UInt8 = 0
    var i = 0
    while i < path.count {
      let c = unsafe path.base.load(fromByteOffset: i, as: UInt8.self)
      switch c {
      case UInt8(ascii: "?"):
        return unsafe firstNonTarget(path.base, i, path.count) == path.count
      case UInt8(ascii: "%"), UInt8(ascii: "\\"), UInt8(ascii: ";"), UInt8(ascii: "#"): return false
      case UInt8(ascii: "."): if previous == UInt8(ascii: "/") { return false }
      case UInt8(ascii: "/"): if previous == UInt8(ascii: "/") { return false }
      default: if c < 33 || c == 127 { return false }
      }
      previous = c
      i &+= 1
    }
    return true
  }

  /// Writes the canonical form into `room` (at least as long as `path`); nil when there is none.
  @inline(never)
  private func rewrite(_ path: ByteView, _ room: UnsafeMutableRawBufferPointer) -> Int? {
    let end = path.firstIndex(of: UInt8(ascii: "?")) ?? path.count
    // First step: escapes and backslashes.
    var n = 0
    var i = 0
    // Where a percent sign that opens no escape was written.
    var lone = -3
    while i < end {
      var c = path[i]
      i += 1
      if c == UInt8(ascii: "%") {
        guard i + 1 < end, let high = ASCII.hexadecimalValue(path[i]), let low = ASCII.hexadecimalValue(path[i + 1])
        else {
          lone = n
          unsafe room[n] = c
          n += 1
          continue
        }
        let decoded = high << 4 | low
        let isSlash = decoded == UInt8(ascii: "/") || decoded == UInt8(ascii: "\\")
        if decoded == 0, normalize { return nil }
        if isSlash, escapedSlashes == .reject { return nil }
        var decodes = isSlash ? escapedSlashes == .unescape : normalize && Self.isUnreserved(decoded)
        // A digit behind a lone percent sign must not make an escape of it: `%%341` would be decoded twice.
        if n - lone <= 2, ASCII.hexadecimalValue(decoded) != nil { decodes = false }
        if decodes {
          unsafe room[n] = isSlash ? UInt8(ascii: "/") : decoded
          n += 1
        } else {
          // Kept as it came: who signed the path signed these digits.
          unsafe room[n] = c
          unsafe room[n + 1] = path[i]
          unsafe room[n + 2] = path[i + 1]
          n += 3
        }
        i += 2
        continue
      }
      if c == UInt8(ascii: "\\"), normalize { c = UInt8(ascii: "/") }
      unsafe room[n] = c
      n += 1
    }
    // Second step, in place: dot segments, then slashes: to the other side `/a//../b` is `/a/b`.
    if normalize { n = unsafe Self.removeDotSegments(room, n) }
    if mergeSlashes { n = unsafe Self.mergeSlashes(room, n) }
    // The query is never touched.
    let query = path.dropFirst(end)
    for k in 0..<query.count { unsafe room[n + k] = query[k] }
    return n + query.count
  }

  private static func isUnreserved(_ c: UInt8) -> Bool {
    ASCII.isDigit(c) || (c | 0x20) &- 97 < 26 || c == UInt8(ascii: "-") || c == UInt8(ascii: ".")
      || c == UInt8(ascii: "_") || c == UInt8(ascii: "~")
  }

  private static func mergeSlashes(_ room: UnsafeMutableRawBufferPointer, _ count: Int) -> Int {
    var n = 0
    for i in 0..<count {
      let c = unsafe room[i]
      if c == UInt8(ascii: "/"), n > 0, unsafe room[n - 1] == UInt8(ascii: "/") { continue }
      unsafe room[n] = c
      n += 1
    }
    return n
  }

  /// RFC 3986 §5.2.4 in place. A dot segment with parameters (`..;x`) is one: servers that strip parameters resolve it, and it must not
  /// get past those that match.
  private static func removeDotSegments(_ room: UnsafeMutableRawBufferPointer, _ count: Int) -> Int {
    var n = 0  // bytes kept, always ending before a '/'
    var i = 0
    while i < count {
      // room[i] is the '/' that opens a segment.
      var j = i + 1
      while j < count, unsafe room[j] != UInt8(ascii: "/") { j += 1 }
      var nameEnd = i + 1
      while nameEnd < j, unsafe room[nameEnd] != UInt8(ascii: ";") { nameEnd += 1 }
      let length = nameEnd - i - 1
      let dots =
        unsafe (length == 1 || length == 2) && room[i + 1] == UInt8(ascii: ".")
        && room[i + length] == UInt8(ascii: ".")
      if dots {
        if length == 2, n > 0 {
          repeat { n -= 1 } while unsafe n > 0 && room[n] != UInt8(ascii: "/")
        }
        if j == count {
          // A final dot segment leaves its slash.
          unsafe room[n] = UInt8(ascii: "/")
          n += 1
        }
      } else {
        for k in i..<j { unsafe room[n + k - i] = room[k] }
        n += j - i
      }
      i = j
    }
    if n == 0 {
      unsafe room[0] = UInt8(ascii: "/")
      n = 1
    }
    return n
  }
}

extension ByteView {
  /// The path without its query.
  package var pathWithoutQuery: ByteView {
    guard let mark = firstIndex(of: UInt8(ascii: "?")) else { return self }
    return prefix(mark)
  }

  /// The query without `?`; nil when there is none.
  package var query: ByteView? {
    guard let mark = firstIndex(of: UInt8(ascii: "?")) else { return nil }
    return dropFirst(mark + 1)
  }
}
