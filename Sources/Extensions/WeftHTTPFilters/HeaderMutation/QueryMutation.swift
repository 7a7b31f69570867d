import WeftBase
import WeftHTTP

/// One change of a path's query.
struct QueryMutation: BitwiseCopyable {
  enum Action: UInt8, BitwiseCopyable { case remove, append, addIfAbsent, overwrite, overwriteIfExists }
  var action: Action
  /// As they stand in a query: escaped.
  var key: ByteView
  var value: ByteView

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
