import WeftBase
import WeftHTTP
import WeftProxyAPI

/// One change of a path's query.
struct QueryMutation: BitwiseCopyable {
  enum Action: UInt8, BitwiseCopyable { case remove, append, addIfAbsent, overwrite, overwriteIfExists }
  var action: Action
  /// As they stand in a query: escaped.
  var key: ByteView
  var value: ByteView
  /// How the value is made when it holds operators.
  var made: CompiledHeaderChange?

  /// `path` with the change made. *Cost*: at most one copy, in the head's arena.
  func applied(to path: ByteView, in head: MessageHead) -> ByteView {
    switch action {
    case .remove: return has(path) ? without(path, in: head) : path
    case .append: return adding(to: path, in: head)
    case .addIfAbsent: return has(path) ? path : adding(to: path, in: head)
    case .overwrite: return adding(to: has(path) ? without(path, in: head) : path, in: head)
    case .overwriteIfExists: return has(path) ? adding(to: without(path, in: head), in: head) : path
    }
  }

  /// As names and values stand in a query: everything but RFC 3986's unreserved characters in percent form.
  static func escaped(_ text: ByteView, in head: MessageHead) -> ByteView {
    unsafe head.build(text.count * 3) { room in
      var used = 0
      for i in 0..<text.count {
        if isUnreserved(text[i]) {
          unsafe room[used] = text[i]
          used += 1
        } else {
          unsafe room[used] = UInt8(ascii: "%")
          unsafe room[used + 1] = digit(text[i] >> 4)
          unsafe room[used + 2] = digit(text[i] & 15)
          used += 3
        }
      }
      return used
    }
  }

  /// The same for what is known beforehand.
  static func escaped(_ text: String) -> String {
    var out = ""
    for byte in text.utf8 {
      for part in isUnreserved(byte) ? [byte] : [UInt8(ascii: "%"), digit(byte >> 4), digit(byte & 15)] {
        out.unicodeScalars.append(Unicode.Scalar(part))
      }
    }
    return out
  }

  private static func isUnreserved(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
      UInt8(ascii: "~"):
      true
    default: false
    }
  }

  private static func digit(_ nibble: UInt8) -> UInt8 { nibble < 10 ? 0x30 + nibble : 0x37 + nibble }

  private func has(_ path: ByteView) -> Bool {
    var found = false
    forEachParameter(path) { name, _ in if name.equals(key) { found = true } }
    return found
  }

  private func adding(to path: ByteView, in head: MessageHead) -> ByteView {
    let separator = ByteView(path.contains(UInt8(ascii: "?")) ? "&" : "?")
    let named = head.concatenate(separator, head.concatenate(key, ByteView("=")))
    return head.concatenate(head.concatenate(path, named), value)
  }

  private func without(_ path: ByteView, in head: MessageHead) -> ByteView {
    let query = path.firstIndex(of: UInt8(ascii: "?")) ?? path.count
    return unsafe head.build(path.count) { room in
      for i in 0..<query { unsafe room[i] = path[i] }
      var used = query
      forEachParameter(path) { name, whole in
        if name.equals(key) { return }
        unsafe room[used] = used == query ? UInt8(ascii: "?") : UInt8(ascii: "&")
        used += 1
        for i in 0..<whole.count { unsafe room[used + i] = whole[i] }
        used += whole.count
      }
      return used
    }
  }

  /// Calls `body` with the name of each parameter and with all of it.
  private func forEachParameter(_ path: ByteView, _ body: (_ name: ByteView, _ whole: ByteView) -> Void) {
    guard let query = path.firstIndex(of: UInt8(ascii: "?")) else { return }
    var rest = path.dropFirst(query + 1)
    while !rest.isEmpty {
      let end = rest.firstIndex(of: UInt8(ascii: "&")) ?? rest.count
      let whole = rest.prefix(end)
      if !whole.isEmpty { body(whole.prefix(whole.firstIndex(of: UInt8(ascii: "=")) ?? whole.count), whole) }
      rest = rest.dropFirst(end + 1)
    }
  }
}
