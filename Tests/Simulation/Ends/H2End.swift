// H2End: HTTP/2 at the ends of a simulation. Bodies stream, windows open when the end says so.

import WeftBase
import WeftHTTP
import WeftRuntime

final class H2End {
  enum Event {
    case head(start: String, fields: H1Reader.Fields, end: Bool)
    case data(ArraySlice<UInt8>, end: Bool)
    case trailers(H1Reader.Fields)
    case reset(H2ErrorCode)
  }

  private struct Outgoing {
    var bytes: ArraySlice<UInt8>
    var isLast = false
    var trailers: [(String, String)]?
    var isOver: Bool { bytes.isEmpty && isLast }
  }

  private var h2: H2Connection
  private let scratch = HeadScratch()
  private var rest: [UInt8] = []
  private var outgoing: [H2StreamID: Outgoing] = [:]
  private let write: ([UInt8]) -> Void
  private let role: H2Connection.Role
  /// Events of a stream, in order.
  var onEvent: (H2StreamID, Event) -> Void = { _, _ in }
  /// GOAWAY came: streams above the number were not processed.
  var onGoAway: (H2StreamID) -> Void = { _ in }
  private(set) var failed: String?
  private(set) var hasGoAway = false
  var now = MonotonicInstant.zero
  private var isReceiving = false

  init(_ role: H2Connection.Role, limits: HTTPLimits, write: @escaping ([UInt8]) -> Void) {
    self.role = role
    self.write = write
    h2 = H2Connection(role: role, limits: limits)
  }

  var availableStreams: Int { h2.availableStreams }

  func flush() {
    if h2.output.isEmpty { return }
    let bytes = h2.output.view.array
    h2.output.removeAll()
    write(bytes)
    h2.outputFlushed()
  }

  func receive(_ bytes: ByteView) {
    rest += bytes.array
    let all = rest
    rest = []
    isReceiving = true
    all.withByteView { view in
      var input = view
      loop: while failed == nil {
        let event = h2.next(&input, head: scratch.head, now: now)
        switch event {
        case .headers(let id, let end):
          let head = scratch.head
          let start =
            role == .client ? "HTTP/2 \(head.status)" : "\(head.methodText.string) \(head.path.string) HTTP/2"
          let event = Event.head(start: start, fields: fields, end: end)
          onEvent(id, event)
        case .trailers(let id): onEvent(id, .trailers(fields))
        case .data(let id, let data, let end): onEvent(id, .data(data.array[...], end: end))
        case .reset(let id, let code, let byPeer):
          outgoing[id] = nil
          if !byPeer { failed = "stream \(id) broke the rules: \(h2.lastStreamError.text)" }
          onEvent(id, .reset(code))
        case .goAway(let last, _):
          hasGoAway = true
          onGoAway(last)
        case .windowOpened: pump()
        case .connectionError(_, let detail):
          failed = "\(detail.text)"
          break loop
        case .headersTooLarge: failed = "a head that is too large"
        case .settings, .pong: break
        case .needMore: break loop
        }
      }
      rest = input.array
    }
    isReceiving = false
    flush()
  }

  private var fields: H1Reader.Fields { scratch.head.fields.map { ($0.name.string.lowercased(), $0.value.string) } }

  /// The peer may send `n` bytes more on a stream.
  func credit(_ id: H2StreamID, _ n: Int) {
    h2.consumed(id, n)
    flushUnlessReceiving()
  }

  func request(
    _ method: HTTPMethod, _ path: String, authority: String, fields: [(String, String)], hasBody: Bool
  ) -> H2StreamID? {
    let head = scratch.head
    head.startRequest(
      method, scheme: ByteView("http"), authority: ByteView.empty, path: ByteView.empty,
      framing: hasBody ? .chunked : .none)
    // Copies live in the head's arena, which beginning anew has emptied.
    head.authority = copy(authority)
    head.path = copy(path)
    for (name, value) in fields { head.append(named: copy(name), copy(value)) }
    let id = h2.sendRequest(head, endStream: !hasBody, user: 1, now: now)
    flushUnlessReceiving()
    return id
  }

  func respond(_ id: H2StreamID, _ status: UInt16, fields: [(String, String)], isFinal: Bool) {
    let head = scratch.head
    head.startResponse(status, framing: isFinal ? .none : .chunked)
    for (name, value) in fields { head.append(named: copy(name), copy(value)) }
    h2.sendResponse(id, head, endStream: isFinal)
    flushUnlessReceiving()
  }

  private func copy(_ text: String) -> ByteView { text.withByteView { scratch.head.copy($0) } }

  /// More of a body; `isLast` ends it, with trailers if there are any.
  func send(_ id: H2StreamID, _ bytes: ArraySlice<UInt8>, isLast: Bool, trailers: [(String, String)]? = nil) {
    var item = outgoing[id] ?? Outgoing(bytes: [])
    item.bytes = item.bytes.isEmpty ? bytes : item.bytes + bytes
    item.isLast = isLast
    item.trailers = trailers
    outgoing[id] = item
    pump()
    flushUnlessReceiving()
  }

  private func flushUnlessReceiving() { if !isReceiving { flush() } }

  private func pump() {
    for id in outgoing.keys.sorted() {
      guard var item = outgoing[id] else { continue }
      guard h2.contains(id) else {
        outgoing[id] = nil
        continue
      }
      let endsHere = item.isLast && item.trailers == nil
      let accepted = Array(item.bytes).withByteView { h2.sendData(id, $0, endStream: endsHere) }
      item.bytes = item.bytes.dropFirst(accepted)
      outgoing[id] = item
      guard item.isOver else { continue }
      outgoing[id] = nil
      if let trailers = item.trailers {
        let head = scratch.head
        head.startTrailers()
        for (name, value) in trailers { head.append(named: copy(name), copy(value)) }
        h2.sendTrailers(id, head)
      }
    }
  }

  func reset(_ id: H2StreamID, _ code: H2ErrorCode = .cancel) {
    outgoing[id] = nil
    h2.reset(id, code, now: now)
    flushUnlessReceiving()
  }

  func goAway() {
    h2.goAway()
    flushUnlessReceiving()
  }
}
