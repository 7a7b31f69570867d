// Fuzzes an HTTP/2 connection, server or client, with frames in splits taken from the input; answers what it is asked so
// that the sending half runs, too.

import WeftBase

@testable import WeftHTTP

/// One input; traps when a promise is broken.
func checkHTTP2(_ bytes: [UInt8]) {
  guard bytes.count > 2 else { return }
  let seed = UInt64(bytes[0])
  let isServer = seed & 1 == 0
  var limits = HTTPLimits()
  limits.http2.allowsExtendedConnect = seed & 2 != 0
  limits.http2.initialStreamWindow = 1000
  limits.http2.initialConnectionWindow = 70_000
  var connection = H2Connection(role: isServer ? .server : .client, limits: limits)
  let scratch = HeadScratch()
  let reply = HeadScratch()
  var random = RandomSource(seed: seed)
  let now = MonotonicInstant(nanoseconds: 5_000_000_000)
  var content = Array(bytes.dropFirst())
  if isServer { content = Array(String(describing: H2Preface.text).utf8) + [0, 0, 0, 4, 0, 0, 0, 0, 0] + content }
  if !isServer {
    content = [0, 0, 0, 4, 0, 0, 0, 0, 0] + content
    for i in 0..<3 {
      reply.head.startRequest(
        i == 0 ? .head : .get, authority: ByteView("a" as StaticString), path: ByteView("/" as StaticString))
      _ = connection.sendRequest(reply.head, endStream: i != 1, user: UInt64(i), now: now)
    }
  }
  let body = [UInt8](repeating: 65, count: 3000)
  var held: [UInt8] = []
  var at = 0
  while at < content.count {
    let n = min(content.count - at, 1 + random.next(below: seed & 4 == 0 ? 20_000 : 30))
    held += content[at..<at + n]
    at += n
    let exact = [UInt8](held)
    let consumed = exact.withByteView { view in
      var input = view
      loop: while true {
        switch connection.next(&input, head: scratch.head, now: now) {
        case .headers(let id, _):
          for field in scratch.head.fields { precondition(field.name.count > 0) }
          if isServer {
            reply.head.startResponse(200, framing: .chunked)
            _ = connection.sendResponse(id, reply.head, endStream: random.chance(1, in: 3))
            body.withByteView { _ = connection.sendData(id, $0, endStream: random.chance(1, in: 2)) }
          }
        case .data(let id, let view, _): if random.chance(1, in: 2) { connection.consumed(id, view.count) }
        case .windowOpened(let id):
          if id != 0 { body.withByteView { _ = connection.sendData(id, $0, endStream: true) } }
        case .trailers(let id): if random.chance(1, in: 4) { connection.reset(id, .cancel, now: now) }
        case .headersTooLarge(let id): connection.reset(id, .enhanceYourCalm, now: now)
        case .reset, .goAway, .settings, .pong: break
        case .connectionError:
          at = content.count
          break loop
        case .needMore: break loop
        }
        if random.chance(1, in: 8) {
          connection.output.removeAll()
          connection.outputFlushed()
        }
      }
      return view.count - input.count
    }
    held.removeFirst(consumed)
  }
  var live = 0
  var cursor = 0
  while connection.nextStream(after: &cursor) != nil { live += 1 }
  precondition(connection.activeStreams >= 0 && connection.activeStreams <= live, "stream accounts do not add up")
}

#if WEFT_FUZZ
  @_cdecl("LLVMFuzzerTestOneInput")
  public func fuzz(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
    checkHTTP2(Array(UnsafeBufferPointer(start: data, count: size)))
    return 0
  }
#endif
