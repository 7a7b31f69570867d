// HostileBytes: what no well-behaved peer would send, made piece by piece.

import WeftBase
import WeftTestKit

/// Frames of HTTP/2 and texts of HTTP/1 that break a rule, or keep one that is seldom met. Every choice is the world's.
struct HostileBytes {
  enum Frame: CaseIterable {
    case windowUpdate, settings, shutWindows, openWindows, settingsAck, badSettings, ping, badPing, reset, resetIdle
    case priority, goAway, emptyData, data, muchData, paddedData, strayData, continuation, continuationFlood, brokenHead
    case trailers, push, unknown, tooLong, cut, text, random

    /// How often it is drawn. The harmless ones come often, so that a connection lives to see the others.
    var weight: Int {
      switch self {
      case .data: 10
      case .reset: 8
      case .windowUpdate, .openWindows: 6
      case .trailers: 5
      case .settings, .ping, .emptyData: 4
      case .shutWindows, .priority, .paddedData: 3
      case .settingsAck, .goAway, .muchData, .unknown, .random: 2
      default: 1
      }
    }
  }

  /// Frames that are sent many times over.
  static let floods: [Frame] = [
    .ping, .settingsAck, .settings, .priority, .windowUpdate, .emptyData, .reset, .unknown, .strayData, .random,
  ]
  private static let drawn = Frame.allCases.flatMap { Array(repeating: $0, count: $0.weight) }

  let world: SimWorld

  func chance(_ percent: Int) -> Bool { world.chance(percent, in: 100) }

  func noise(_ most: Int) -> [UInt8] { (0..<world.pick(0...most)).map { _ in UInt8(world.pick(0...255)) } }

  // MARK: HTTP/2

  static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)

  func frame(_ type: UInt8, _ flags: UInt8, _ stream: UInt32, _ payload: [UInt8] = []) -> [UInt8] {
    let n = payload.count
    return [UInt8(n >> 16 & 255), UInt8(n >> 8 & 255), UInt8(n & 255), type, flags] + word(stream) + payload
  }

  func word(_ n: UInt32) -> [UInt8] { [UInt8(n >> 24), UInt8(n >> 16 & 255), UInt8(n >> 8 & 255), UInt8(n & 255)] }

  /// A header block of literals, none of them indexed.
  func block(_ fields: [(String, String)]) -> [UInt8] {
    fields.flatMap { [0] + text($0.0) + text($0.1) }
  }

  private func text(_ text: String) -> [UInt8] {
    let n = text.utf8.count
    let length: [UInt8] = n < 127 ? [UInt8(n)] : [127, UInt8((n - 127) & 127 | 128), UInt8((n - 127) >> 7)]
    return length + text.utf8
  }

  func settings(_ entries: [(UInt16, UInt32)]) -> [UInt8] {
    frame(4, 0, 0, entries.flatMap { [UInt8($0.0 >> 8), UInt8($0.0 & 255)] + word($0.1) })
  }

  func anyFrame(_ i: UInt32) -> [UInt8] { make(world.pick(Self.drawn), i) }

  /// One frame, which may be wrong in itself or in its place; `i` is a stream that may be open.
  func make(_ kind: Frame, _ i: UInt32) -> [UInt8] {
    switch kind {
    case .windowUpdate:
      return frame(8, 0, world.pick([0, i, i + 2]), word(world.pick([0, 1, 1_000, 1 << 20, 1 << 31 - 1])))
    case .settings:
      let values: [UInt32] = [0, 0, 1, 2, 100, 4_096, 16_384, 65_535, 1 << 20, 1 << 24, 1 << 31 - 1, 1 << 31, .max]
      return settings(
        (0..<world.pick(0...3)).map { _ in (world.pick([1, 2, 3, 4, 4, 5, 6, 8, 77]), world.pick(values)) })
    case .shutWindows: return settings([(4, 0)])
    case .openWindows:
      return settings([(4, world.pick([1, 100, 65_535, 1 << 31 - 1]))]) + frame(8, 0, 0, word(1 << 24))
    case .settingsAck: return frame(4, 1, 0)
    case .badSettings: return frame(4, world.pick([0, 1]), world.pick([0, i]), noise(20))
    case .ping: return frame(6, world.pick([0, 0, 1]), 0, Array(repeating: 7, count: 8))
    case .badPing: return frame(6, 0, world.pick([0, i]), noise(12))
    case .reset: return frame(3, 0, i, word(world.pick([0, 1, 2, 3, 5, 7, 8, 10, 11, 13, 99, .max])))
    case .resetIdle: return frame(3, 0, world.pick([0, i + 1_000, i + 1]), word(8))
    case .priority:
      return frame(
        2, 0, world.pick([i, i, 0]), word(world.pick([i, 0])) + Array(repeating: 1, count: world.pick([1, 1, 1, 0])))
    case .goAway:
      return frame(
        7, 0, 0, word(world.pick([0, i, i &- 2, 1 << 31 - 1])) + word(world.pick([0, 0, 1, 11])) + noise(9))
    case .emptyData: return (0..<world.pick([1, 1, 3, 200])).flatMap { _ in frame(0, world.pick([0, 0, 0, 1]), i) }
    case .data: return frame(0, world.pick([0, 0, 1]), i, noise(world.pick([1, 100, 3_000])))
    case .muchData:
      return (0..<world.pick([5, 30])).flatMap { _ in frame(0, 0, i, Array(repeating: 0, count: 16_384)) }
    case .paddedData:
      let body = noise(40)
      return frame(0, 8 | world.pick([0, 1]), i, [world.pick([0, 1, UInt8(body.count), 255])] + body)
    case .strayData: return frame(0, 0, world.pick([0, i + 1_000, i + 1, i &- 2]), [1, 2, 3])
    case .continuation: return frame(9, world.pick([0, 4]), world.pick([0, i, i + 2]), block([("a", "b")]))
    case .continuationFlood:
      let piece = frame(9, 0, i, world.pick([[], block([("x", String(repeating: "y", count: 100))])]))
      return frame(1, 0, i, block([("a", "b")])) + (0..<world.pick([10, 1_000])).flatMap { _ in piece }
    case .brokenHead:
      let bad: [[UInt8]] = [
        [255, 255, 255, 255, 255], [0xbe], [0x3f, 255, 255, 255, 127], Array(repeating: 0x20, count: 50),
        [0, 0x85, 255, 255, 255, 255, 255, 0], noise(60),
      ]
      return frame(1, 4 | world.pick([0, 1]), i, world.pick(bad))
    case .trailers:
      let fields: [[(String, String)]] = [
        [("x-sum", "1")], [(":status", "200")], [(":path", "/")], [("X-Up", "1")], [("connection", "close")],
        [("grpc-status", "7")], [("content-length", "5")], [("x", String(repeating: "y", count: 9_000))], [],
      ]
      return frame(1, 4 | world.pick([1, 1, 0]), i, block(world.pick(fields)))
    case .push: return frame(5, 4, i, word(i + 1) + block([(":method", "GET"), (":path", "/")]))
    case .unknown:
      let one = frame(UInt8(world.pick(10...255)), UInt8(world.pick(0...255)), world.pick([0, i]), noise(100))
      return (0..<world.pick([1, 1, 40])).flatMap { _ in one }
    case .tooLong: return [world.pick([0, 255]), 64, 1, UInt8(world.pick(0...9)), 0] + word(i) + noise(100)
    case .cut:
      let whole = frame(UInt8(world.pick(0...9)), UInt8(world.pick(0...255)), i, noise(100))
      return Array(whole[..<world.pick(1...whole.count)])
    case .text:
      return Array(world.pick(["HTTP/1.1 400 Bad Request\r\n\r\n", "GET / HTTP/1.1\r\nhost: a\r\n\r\n"]).utf8)
    case .random:
      return frame(
        UInt8(world.pick(0...10)), UInt8(world.pick(0...255)), world.pick([0, i, UInt32(world.pick(0...50))]), noise(40)
      )
    }
  }

  // MARK: Fields

  private static let requestFields = [
    ("x-a", "b"), ("cookie", "a=b"), ("te", "trailers"), ("te", "gzip"), ("expect", "100-continue"),
    ("content-type", "application/grpc"), ("grpc-timeout", "1m"), ("grpc-timeout", "99999999999H"),
    ("x-envoy-upstream-rq-timeout-ms", "50"), ("x-envoy-max-retries", "5"), ("x-envoy-retry-on", "5xx,reset"),
    ("connection", "close"), ("connection", "x-a, host"), ("upgrade", "websocket"), ("host", "b"), ("host", ""),
    ("content-length", "3"), ("content-length", "18446744073709551616"), ("transfer-encoding", "chunked"),
    ("x-nul", "a\0b"), ("bad name", "v"), ("", "v"), ("X-UP", "v"), (":path", "/two"),
    ("x-large", String(repeating: "y", count: 9_000)), ("x-forwarded-for", "1.2.3.4, x"),
    ("origin", "http://a"), ("access-control-request-method", "PUT"), ("x-envoy-fault-delay-request", "300"),
    ("x-envoy-fault-abort-request", "418"), ("x-envoy-fault-throughput-response", "1"),
    ("x-envoy-fault-throughput-response", "18446744073709551615"),
  ]
  private static let responseFields = [
    ("x-nul", "a\0b"), ("x-line", "a\u{b}b"), ("", "empty"), ("bad name", "1"), ("X-UPPER", "1"), (":status", "500"),
    ("connection", "x-a, keep-alive, te"), ("te", "gzip"), ("upgrade", "h2c"), ("keep-alive", "timeout=0"),
    ("content-length", "5"), ("content-length", "-1"), ("transfer-encoding", "gzip, chunked"), ("host", "else"),
    ("content-type", "application/grpc"), ("grpc-status", "99999999999"), ("grpc-status", "0"),
    ("grpc-message", "a%0Ab%"), ("x-envoy-overloaded", "true"), ("x-envoy-ratelimited", "true"), ("location", "/\0"),
    ("date", String(repeating: "x", count: 4_000)), ("trailer", "x-sum"), ("x-high", "\u{fc}\u{ff}"),
  ]

  func requestField() -> (String, String) { world.pick(Self.requestFields) }
  func responseField() -> (String, String) { world.pick(Self.responseFields) }

  func lines(_ fields: [(String, String)]) -> String { fields.map { "\($0.0): \($0.1)\r\n" }.joined() }

  // MARK: HTTP/1

  /// Content and the fields that announce it: right, or not.
  func requestContent() -> (fields: [(String, String)], bytes: [UInt8]) {
    let data = noise(world.pick([0, 10, 3_000]))
    switch world.pick(0...6) {
    case 0...2: return ([("content-length", "\(data.count)")], data)
    case 3, 4: return ([("transfer-encoding", "chunked")], chunks(data))
    case 5: return ([("content-length", "\(data.count + world.pick([1, 100, 1_000_000]))")], data)
    default:
      let bad = world.pick([
        "zz\r\n", "ffffffffffffffff\r\n", "3\r\nabcd\r\n", "5;" + String(repeating: "x", count: 5_000),
      ])
      return ([("transfer-encoding", "chunked")], Array(bad.utf8))
    }
  }

  private func chunks(_ data: [UInt8]) -> [UInt8] {
    let size = String(data.count, radix: 16)
    let body = data.isEmpty ? [] : Array("\(size)\r\n".utf8) + data + [13, 10]
    let trailers = world.pick(["", "", "x-sum: 1\r\n", "content-length: 1\r\n", "bad\r\n"])
    return body + Array("0\r\n\(trailers)\r\n".utf8)
  }

  /// Bytes that stand for a response, and whether the connection may go on behind them.
  func response() -> (bytes: [UInt8], goesOn: Bool) {
    let status = world.pick([200, 200, 200, 200, 204, 304, 500, 503, 404, 302, 100, 101, 103, 99, 600])
    let line = world.pick(
      Array(repeating: "HTTP/1.1 \(status) OK\r\n", count: 12) + [
        "HTTP/1.0 \(status)\r\n", "ICY \(status)\r\n", "\r\n\r\n",
      ])
    let head = line + lines((0..<world.pick([0, 0, 0, 1, 2])).map { _ in responseField() })
    let body = noise(world.pick([0, 10, 2_000, 9_000]))
    func with(_ more: String, _ content: [UInt8]) -> [UInt8] { Array((head + more + "\r\n").utf8) + content }
    switch world.pick(0...14) {
    case 0...3: return (with("content-length: \(body.count)\r\n", body), true)
    case 4...6: return (with("transfer-encoding: chunked\r\n", chunks(body)), true)
    case 7: return (with("", body), false)
    case 8:
      return (with("content-length: \(max(0, body.count + world.pick([-1, 1, 5, 10_000])))\r\n", body), chance(50))
    case 9: return (with("content-length: 3\r\ntransfer-encoding: chunked\r\n", chunks(body)), true)
    case 10:
      let bad = world.pick(["xyz\r\n", "ffffffffffffffffff\r\n", "-1\r\n", "5\r\nhelloo\r\n", "5\nhello\n"])
      return (with("transfer-encoding: chunked\r\n", Array("5\r\nhello\r\n\(bad)".utf8)), false)
    case 11:
      let hints = String(repeating: "HTTP/1.1 100 Continue\r\n\r\n", count: world.pick([1, 5, 100]))
      return (Array((hints + "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").utf8), true)
    case 12:
      let ok = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
      return (Array((ok + ok).utf8) + noise(20), true)
    case 13:
      let whole = with("content-length: \(body.count)\r\n", body)
      return (Array(whole[..<world.pick(0...whole.count)]), false)
    default: return (noise(300), false)
    }
  }
}
