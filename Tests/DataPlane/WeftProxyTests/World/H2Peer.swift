// H2Peer: HTTP/2 spoken by a test's end of a connection.

import WeftBase
import WeftHTTP
import WeftRuntime

/// An HTTP/2 message as a test sees it.
struct H2Message {
  var status: UInt16 = 0
  var method = ""
  var path = ""
  var authority = ""
  /// `:protocol` of an extended CONNECT.
  var protocolName = ""
  var fields: [(name: String, value: String)] = []
  var body: [UInt8] = []
  var trailers: [(name: String, value: String)] = []
  var informational: [UInt16] = []
  var ended = false
  var resetCode: H2ErrorCode?

  func first(_ name: String) -> String? { fields.first { $0.name == name }?.value }
  var text: String { String(decoding: body, as: UTF8.self) }
}

final class H2Peer {
  private var h2: H2Connection
  private let scratch = HeadScratch()
  private var rest: [UInt8] = []
  let role: H2Connection.Role
  private(set) var messages: [H2StreamID: H2Message] = [:]
  private(set) var goAways: [H2StreamID] = []
  private(set) var failed: H2ErrorCode?
  /// Content is credited as it comes; otherwise when `credit` is called.
  var credits = true
  private var owed: [H2StreamID: Int] = [:]
  /// Body bytes not accepted yet.
  private var queued: [H2StreamID: (bytes: [UInt8], end: Bool)] = [:]
  /// Server: called when a request is complete.
  var onRequest: (H2StreamID, H2Message) -> Void = { _, _ in }
  /// Server: called when a request's head is there.
  var onHead: (H2StreamID, H2Message) -> Void = { _, _ in }
  let peer: Peer

  init(_ role: H2Connection.Role, _ peer: Peer, limits: HTTPLimits = HTTPLimits()) {
    self.role = role
    self.peer = peer
    h2 = H2Connection(role: role, limits: limits)
    peer.h2 = self
    flush()
  }

  func flush() {
    if h2.output.isEmpty { return }
    let bytes = h2.output.view.array
    h2.output.removeAll()
    peer.send(bytes)
    h2.outputFlushed()
  }

  func receive(_ bytes: ByteView, _ peer: Peer) {
    rest += bytes.array
    let all = rest
    rest = []
    all.withByteView { view in
      var input = view
      loop: while true {
        switch h2.next(&input, head: scratch.head, now: peer.loop.now) {
        case .headers(let id, let end): head(id, end)
        case .trailers(let id):
          messages[id, default: H2Message()].trailers = scratch.head.fields.map { ($0.name.string, $0.value.string) }
          ended(id)
        case .data(let id, let data, let end):
          messages[id, default: H2Message()].body += data.array
          if credits { h2.consumed(id, data.count) } else { owed[id, default: 0] += data.count }
          if end { ended(id) }
        case .reset(let id, let code, _): messages[id, default: H2Message()].resetCode = code
        case .goAway(let last, _): goAways.append(last)
        case .windowOpened: pump()
        case .connectionError(let code, _):
          failed = code
          break loop
        case .headersTooLarge, .settings, .pong: break
        case .needMore: break loop
        }
      }
      rest = input.array
    }
    flush()
  }

  private func head(_ id: H2StreamID, _ end: Bool) {
    let head = scratch.head
    if role == .client, head.isInformational {
      messages[id, default: H2Message()].informational.append(head.status)
      return
    }
    var message = messages[id] ?? H2Message()
    message.status = head.status
    message.method = head.methodText.string
    message.path = head.path.string
    message.authority = head.authority.string
    message.protocolName = head.protocolText.string
    message.fields = head.fields.map { ($0.name.string, $0.value.string) }
    messages[id] = message
    if role == .server { onHead(id, message) }
    if end { ended(id) }
  }

  private func ended(_ id: H2StreamID) {
    messages[id, default: H2Message()].ended = true
    if role == .server, let message = messages[id] { onRequest(id, message) }
  }

  func credit() {
    for (id, n) in owed { h2.consumed(id, n) }
    owed = [:]
    flush()
  }

  @discardableResult
  func request(
    _ method: HTTPMethod = .get, _ path: String, fields: [(String, String)] = [], body: [UInt8]? = nil,
    length: UInt64? = nil, end: Bool = true
  ) -> H2StreamID {
    let head = scratch.head
    // Starting empties the arena: what is copied there comes after it.
    head.startRequest(
      method, scheme: ByteView("http"), authority: ByteView("example.com"), path: .empty,
      framing: length.map { .length($0) } ?? (body == nil && end ? .none : .chunked))
    head.path = copy(path)
    for (name, value) in fields { head.append(named: copy(name), copy(value)) }
    let id = h2.sendRequest(head, endStream: body == nil && end, user: 1, now: peer.loop.now) ?? 0
    if let body { send(id, body, end: end) }
    flush()
    return id
  }

  /// CONNECT, or with a protocol extended CONNECT. `end` closes the client's side at once.
  @discardableResult
  func connect(
    _ protocolName: String = "", authority: String = "example.com", path: String = "/",
    fields: [(String, String)] = [], end: Bool = false
  ) -> H2StreamID {
    let head = scratch.head
    head.startRequest(.connect, authority: .empty, path: .empty, framing: .tunnel)
    head.authority = copy(authority)
    if !protocolName.isEmpty {
      head.scheme = ByteView("http")
      head.path = copy(path)
      head.protocolText = copy(protocolName)
      head.flags.insert(.extendedConnect)
    }
    for (name, value) in fields { head.append(named: copy(name), copy(value)) }
    let id = h2.sendRequest(head, endStream: end, user: 1, now: peer.loop.now) ?? 0
    flush()
    return id
  }

  private func copy(_ text: String) -> ByteView { text.withByteView { scratch.head.copy($0) } }

  func respond(
    _ id: H2StreamID, _ status: UInt16 = 200, fields: [(String, String)] = [], body: [UInt8]? = nil,
    trailers: [(String, String)] = [], end: Bool = true
  ) {
    let head = scratch.head
    head.startResponse(status, framing: .chunked)
    for (name, value) in fields { head.append(named: copy(name), copy(value)) }
    let bare = body == nil && trailers.isEmpty && end
    h2.sendResponse(id, head, endStream: bare)
    if let body { send(id, body, end: end && trailers.isEmpty) }
    if !trailers.isEmpty { sendTrailers(id, trailers) }
    flush()
  }

  func sendTrailers(_ id: H2StreamID, _ trailers: [(String, String)]) {
    let head = scratch.head
    head.startTrailers()
    for (name, value) in trailers { head.append(named: copy(name), copy(value)) }
    h2.sendTrailers(id, head)
    flush()
  }

  func send(_ id: H2StreamID, _ bytes: [UInt8], end: Bool) {
    queued[id] = ((queued[id]?.bytes ?? []) + bytes, end)
    pump()
    flush()
  }

  private func pump() {
    for (id, item) in queued {
      let accepted = item.bytes.withByteView { h2.sendData(id, $0, endStream: item.end) }
      if accepted == item.bytes.count {
        queued[id] = nil
      } else {
        queued[id] = (Array(item.bytes[accepted...]), item.end)
      }
    }
  }

  func reset(_ id: H2StreamID, _ code: H2ErrorCode = .cancel) {
    h2.reset(id, code, now: peer.loop.now)
    flush()
  }

  func goAway() {
    h2.goAway()
    flush()
  }

  /// Bytes of bodies that the other side does not take.
  var unsent: Int { queued.values.reduce(0) { $0 + $1.bytes.count } }
}
