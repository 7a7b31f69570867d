// HTTP/2: conversations of two connections in memory, and single frames a peer may not send.

import Testing
import WeftBase

@testable import WeftHTTP

private func frame(_ type: UInt8, _ flags: UInt8, _ stream: UInt32, _ payload: [UInt8] = []) -> [UInt8] {
  let n = payload.count
  return [UInt8(n >> 16 & 255), UInt8(n >> 8 & 255), UInt8(n & 255), type, flags]
    + [UInt8(stream >> 24), UInt8(stream >> 16 & 255), UInt8(stream >> 8 & 255), UInt8(stream & 255)] + payload
}

private func word(_ n: UInt32) -> [UInt8] {
  [UInt8(n >> 24), UInt8(n >> 16 & 255), UInt8(n >> 8 & 255), UInt8(n & 255)]
}

private func literal(_ name: String, _ value: String) -> [UInt8] {
  [0, UInt8(name.utf8.count)] + Array(name.utf8) + [UInt8(value.utf8.count)] + Array(value.utf8)
}

private let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + frame(4, 0, 0)
/// GET http a /
private let getBlock: [UInt8] = [0x82, 0x86, 0x84] + literal(":authority", "a")
private let postBlock: [UInt8] = [0x83, 0x86, 0x84] + literal(":authority", "a")

/// A server fed with raw bytes; writes down what it tells.
private func serve(
  _ bytes: [UInt8], limits: HTTPLimits = HTTPLimits(), split: Split = .whole, now: UInt64 = 1,
  act: (inout H2Connection, H2Event) -> Void = { _, _ in }
) -> [String] {
  var connection = H2Connection(role: .server, limits: limits)
  let scratch = HeadScratch()
  var log: [String] = []
  var stash = Stash()
  var start = 0
  for end in split.ends(bytes.count) {
    stash.deliver(bytes[start..<end]) { input in
      while true {
        let event = connection.next(&input, head: scratch.head, now: MonotonicInstant(nanoseconds: now))
        if case .needMore = event { break }
        let text = describe(event, scratch.head)
        if case .data(let id, let view, false) = event, let last = log.last, last.hasPrefix("data \(id) "),
          !last.hasSuffix(" end")
        {
          log[log.count - 1] += view.string
        } else if case .data(let id, let view, true) = event, let last = log.last, last.hasPrefix("data \(id) "),
          !last.hasSuffix(" end")
        {
          log[log.count - 1] += view.string + " end"
        } else if !text.isEmpty {
          log.append(text)
        }
        act(&connection, event)
        if case .connectionError = event { break }
      }
    }
    if log.last?.hasPrefix("connection") == true { break }
    start = end
  }
  return log
}

private func describe(_ event: H2Event, _ head: MessageHead) -> String {
  switch event {
  case .headers(let id, let end): return "headers \(id) \(WeftHTTPTests.describe(head))" + (end ? " end" : "")
  case .trailers(let id): return "trailers \(id)\(describeFields(head))"
  case .data(let id, let view, let end): return "data \(id) \(view)" + (end ? " end" : "")
  case .headersTooLarge(let id): return "tooLarge \(id)"
  case .reset(let id, let code, let byPeer): return "reset \(id) \(code.rawValue) \(byPeer ? "peer" : "us")"
  case .goAway(let last, let code): return "goaway \(last) \(code.rawValue)"
  case .windowOpened(let id): return "window \(id)"
  case .settings: return ""
  case .pong(let n): return "pong \(n)"
  case .connectionError(let code, let detail): return "connection \(code.rawValue) \(detail)"
  case .needMore: return ""
  }
}

struct H2Case: Sendable, CustomTestStringConvertible {
  var name: String
  var bytes: [UInt8]
  var expected: [String]
  var testDescription: String { name }

  init(_ name: String, _ bytes: [UInt8], _ expected: String...) {
    self.name = name
    self.bytes = bytes
    self.expected = expected
  }
}

@Suite("HTTP/2 connection")
struct H2ConnectionTests {
  static let cases: [H2Case] = [
    H2Case("a GET", frame(1, 5, 1, getBlock), "headers 1 GET a / 2 end"),
    H2Case(
      "content", frame(1, 4, 1, postBlock) + frame(0, 0, 1, Array("he".utf8)) + frame(0, 1, 1, Array("llo".utf8)),
      "headers 1 POST a / 2 chunked", "data 1 hello end"),
    H2Case(
      "padded content", frame(1, 4, 1, postBlock) + frame(0, 9, 1, [3] + Array("hi".utf8) + [0, 0, 0]),
      "headers 1 POST a / 2 chunked", "data 1 hi end"),
    H2Case(
      "trailers", frame(1, 4, 1, postBlock) + frame(0, 0, 1, [65]) + frame(1, 5, 1, literal("x-t", "1")),
      "headers 1 POST a / 2 chunked", "data 1 A", "trailers 1 [x-t=1]"),
    H2Case(
      "CONTINUATION", frame(1, 1, 1, Array(getBlock.prefix(2))) + frame(9, 4, 1, Array(getBlock.dropFirst(2))),
      "headers 1 GET a / 2 end"),
    H2Case(
      "padding and priority on HEADERS", frame(1, 0x2d, 1, [2, 0, 0, 0, 0, 16] + getBlock + [0, 0]),
      "headers 1 GET a / 2 end"),
    H2Case(
      "cookie crumbs are joined", frame(1, 5, 1, getBlock + literal("cookie", "a=1") + literal("cookie", "b=2")),
      "headers 1 GET a / 2 [cookie=a=1; b=2] end"),
    H2Case(
      "Host stands in for :authority", frame(1, 5, 1, [0x82, 0x86, 0x84] + literal("host", "h")),
      "headers 1 GET h / 2 end"),
    H2Case(
      "unknown frames and settings are ignored",
      frame(0x77, 1, 0, [1]) + frame(4, 0, 0, [0, 0x99, 0, 0, 0, 1]) + frame(1, 5, 1, getBlock),
      "headers 1 GET a / 2 end"),
    H2Case(
      "the peer resets", frame(1, 4, 1, postBlock) + frame(3, 0, 1, word(8)), "headers 1 POST a / 2 chunked",
      "reset 1 8 peer"),
    H2Case("GOAWAY", frame(7, 0, 0, word(5) + word(2)), "goaway 5 2"),
    H2Case("PING answered", frame(6, 1, 0, [0, 0, 0, 0, 0, 0, 0, 7]), "pong 7"),
    // Stream errors that never become an event.
    H2Case("#22 uppercase name", frame(1, 5, 1, getBlock + literal("X-A", "1"))),
    H2Case("#22 connection", frame(1, 5, 1, getBlock + literal("connection", "close"))),
    H2Case("#13 transfer-encoding", frame(1, 5, 1, getBlock + literal("transfer-encoding", "chunked"))),
    H2Case("#22 te: gzip", frame(1, 5, 1, getBlock + literal("te", "gzip"))),
    H2Case(
      "te: trailers is allowed", frame(1, 5, 1, getBlock + literal("te", "trailers")),
      "headers 1 GET a / 2 [te=trailers] end"),
    H2Case("#13 CRLF in a value", frame(1, 5, 1, getBlock + literal("x", "a\r\nb: c"))),
    H2Case("#13 colon in a name", frame(1, 5, 1, getBlock + literal("x:y", "a"))),
    H2Case("a blank at the end of a value", frame(1, 5, 1, getBlock + literal("x", "a "))),
    H2Case(
      "#22 pseudo after regular",
      frame(1, 5, 1, [0x82, 0x86] + literal(":authority", "a") + literal("x", "1") + [0x84])),
    H2Case("#22 pseudo twice", frame(1, 5, 1, getBlock + [0x84])),
    H2Case("#22 unknown pseudo", frame(1, 5, 1, [0x82, 0x86, 0x84] + literal(":foo", "1"))),
    H2Case("#22 no :path", frame(1, 5, 1, [0x82, 0x86] + literal(":authority", "a"))),
    H2Case("#22 empty :path", frame(1, 5, 1, [0x82, 0x86] + literal(":path", "") + literal(":authority", "a"))),
    H2Case("#22 * with GET", frame(1, 5, 1, [0x82, 0x86] + literal(":path", "*") + literal(":authority", "a"))),
    H2Case("#13 space in :path", frame(1, 5, 1, [0x82, 0x86] + literal(":path", "/a b") + literal(":authority", "a"))),
    H2Case(
      "#13 CRLF in :method", frame(1, 5, 1, [0x86, 0x84] + literal(":method", "GET\r\n") + literal(":authority", "a"))),
    H2Case("#13 user information", frame(1, 5, 1, [0x82, 0x86, 0x84] + literal(":authority", "u@a"))),
    H2Case("#14 Host differs", frame(1, 5, 1, getBlock + literal("host", "b"))),
    H2Case(
      "extended CONNECT when off",
      frame(
        1, 4, 1,
        literal(":method", "CONNECT") + literal(":protocol", "websocket") + [0x86, 0x84] + literal(":authority", "a"))),
    H2Case("self-dependency", frame(1, 0x25, 1, [0, 0, 0, 1, 16] + getBlock)),
    // Stream errors on a known stream.
    H2Case(
      "#23 more content than declared",
      frame(1, 4, 1, postBlock + literal("content-length", "1")) + frame(0, 1, 1, [65, 66]),
      "headers 1 POST a / 2 length=1 [content-length=1]", "reset 1 1 us"),
    H2Case(
      "#23 less content than declared",
      frame(1, 4, 1, postBlock + literal("content-length", "3")) + frame(0, 1, 1, [65, 66]),
      "headers 1 POST a / 2 length=3 [content-length=3]", "reset 1 1 us"),
    H2Case(
      "#23 trailers without END_STREAM", frame(1, 4, 1, postBlock) + frame(1, 4, 1, literal("x", "1")),
      "headers 1 POST a / 2 chunked", "reset 1 1 us"),
    H2Case(
      "#23 pseudo in trailers", frame(1, 4, 1, postBlock) + frame(1, 5, 1, [0x84]), "headers 1 POST a / 2 chunked",
      "reset 1 1 us"),
    H2Case(
      "#18 DATA after END_STREAM", frame(1, 5, 1, getBlock) + frame(0, 0, 1, [65]), "headers 1 GET a / 2 end",
      "reset 1 5 us"),
    H2Case(
      "#18 WINDOW_UPDATE of zero", frame(1, 4, 1, postBlock) + frame(8, 0, 1, word(0)), "headers 1 POST a / 2 chunked",
      "reset 1 1 us"),
    H2Case(
      "#18 PRIORITY of a wrong length", frame(1, 4, 1, postBlock) + frame(2, 0, 1, word(0)),
      "headers 1 POST a / 2 chunked", "reset 1 6 us"),
    H2Case(
      "#24 stream window overflow", frame(1, 4, 1, postBlock) + frame(8, 0, 1, word(0x7fff_ffff)),
      "headers 1 POST a / 2 chunked", "reset 1 3 us"),
    // Connection errors.
    H2Case("#24 connection window overflow", frame(8, 0, 0, word(0x7fff_ffff)), "connection 3 windowOverflow"),
    H2Case("#24 even stream", frame(1, 5, 2, getBlock), "connection 1 streamIdentifier"),
    H2Case(
      "#24 reused stream", frame(1, 5, 3, getBlock) + frame(1, 5, 1, getBlock), "headers 3 GET a / 2 end",
      "connection 5 closedStream"),
    H2Case("#24 frame too large", frame(0, 0, 1, [UInt8](repeating: 0, count: 16_385)), "connection 6 frameSize"),
    H2Case("#24 bad initial window", frame(4, 0, 0, [0, 4, 0x80, 0, 0, 0]), "connection 3 settingValue"),
    H2Case("bad maximum frame size", frame(4, 0, 0, [0, 5, 0, 0, 0, 1]), "connection 1 settingValue"),
    H2Case("bad push setting", frame(4, 0, 0, [0, 2, 0, 0, 0, 2]), "connection 1 settingValue"),
    H2Case("SETTINGS of a wrong length", frame(4, 0, 0, [0, 2, 0]), "connection 6 frameSize"),
    H2Case("SETTINGS on a stream", frame(4, 0, 1), "connection 1 frameOnWrongStream"),
    H2Case("PING of a wrong length", frame(6, 0, 0, [1]), "connection 6 frameSize"),
    H2Case("DATA on an idle stream", frame(0, 0, 1, [1]), "connection 1 frameOnWrongStream"),
    H2Case("RST_STREAM on an idle stream", frame(3, 0, 1, word(0)), "connection 1 frameOnWrongStream"),
    H2Case("WINDOW_UPDATE on an idle stream", frame(8, 0, 1, word(1)), "connection 1 frameOnWrongStream"),
    H2Case("PUSH_PROMISE", frame(5, 4, 1, word(2)), "connection 1 pushPromise"),
    H2Case("CONTINUATION out of nowhere", frame(9, 4, 1), "connection 1 continuation"),
    H2Case(
      "another frame inside a block", frame(1, 1, 1, getBlock) + frame(6, 0, 0, word(0) + word(0)),
      "connection 1 continuation"),
    H2Case(
      "bad padding", frame(1, 4, 1, postBlock) + frame(0, 8, 1, [3, 1, 2]), "headers 1 POST a / 2 chunked",
      "connection 1 padding"),
    H2Case("#21 broken HPACK", frame(1, 5, 1, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), "connection 9 hpack"),
    H2Case(
      "#26 GOAWAY that goes up", frame(7, 0, 0, word(5) + word(0)) + frame(7, 0, 0, word(7) + word(0)), "goaway 5 0",
      "connection 1 goAwayIdentifier"),
    // Floods.
    H2Case(
      "#19 CONTINUATION flood", frame(1, 1, 1, getBlock) + Array((0..<20).map { _ in frame(9, 0, 1) }.joined()),
      "connection 11 continuationFlood"),
    H2Case(
      "#20 PRIORITY flood", Array((0..<101).map { _ in frame(2, 0, 1, word(0) + [1]) }.joined()),
      "connection 11 priorityFlood"),
    H2Case(
      "#20 WINDOW_UPDATE flood", Array((0..<6).map { _ in frame(8, 0, 0, word(1)) }.joined()),
      "connection 11 windowUpdateFlood"),
    H2Case(
      "#20 PING flood", Array((0..<1001).map { _ in frame(6, 0, 0, word(0) + word(0)) }.joined()),
      "connection 11 controlFlood"),
    H2Case("#20 SETTINGS flood", Array((0..<1001).map { _ in frame(4, 0, 0) }.joined()), "connection 11 controlFlood"),
  ]

  @Test("a server reads", arguments: cases)
  func reads(_ test: H2Case) {
    let bytes = preface + test.bytes
    var splits: [Split] = [.whole, .everyByte] + (0..<20).map { .random(seed: $0 &* 104_729) }
    if bytes.count < 300 { splits += (1..<bytes.count).map { .at($0) } }
    for split in splits {
      #expect(serve(bytes, split: split) == test.expected, "\(split)")
      let frugal = serve(bytes, split: split) { connection, _ in connection.releaseIdleMemory() }
      #expect(frugal == test.expected, "\(split), memory given back after every event")
    }
  }

  @Test("#20 empty DATA frames in a row end the connection")
  func emptyData() {
    let bytes = preface + frame(1, 4, 1, postBlock) + frame(0, 0, 1) + frame(0, 0, 1)
    #expect(serve(bytes).last == "connection 11 emptyFrameFlood")
  }

  @Test("a bad preface is refused")
  func badPreface() {
    #expect(serve(Array("GET / HTTP/1.1\r\n\r\n".utf8)) == ["connection 1 preface"])
    #expect(
      serve(Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + frame(6, 0, 0, word(0) + word(0))) == [
        "connection 1 preface"
      ])
  }

  @Test("streams beyond the limit that left before it was known are refused, and are no rapid reset")
  func eagerClient() {
    var limits = HTTPLimits()
    limits.http2.maxConcurrentStreams = 300
    func log(acknowledged: Bool) -> [String] {
      var bytes = preface + (acknowledged ? frame(4, 1, 0) : [])
      for i in 0..<590 { bytes += frame(1, 4, UInt32(2 * i + 1), postBlock) }
      return serve(bytes, limits: limits)
    }
    #expect(log(acknowledged: false).count == 300)
    #expect(log(acknowledged: true).last == "connection 11 rapidReset")
  }

  @Test("#20 answers that nobody reads end the connection before they fill memory")
  func unreadAnswers() {
    var limits = HTTPLimits()
    limits.http2.maxControlFramesPerTenSeconds = 1_000_000
    let pings = Array((0..<1001).map { _ in frame(6, 0, 0, word(0) + word(0)) }.joined())
    #expect(serve(preface + pings, limits: limits) == ["connection 11 outboundFlood"])
    // Fewer are none too many.
    #expect(serve(preface + Array(pings.prefix(17 * 900)), limits: limits).isEmpty)
  }

  @Test("CONNECT has no content, and what was allowed once is not taken back")
  func connectRules() {
    var limits = HTTPLimits()
    limits.http2.allowsExtendedConnect = true
    let extended =
      literal(":method", "CONNECT") + literal(":protocol", "websocket") + [0x86, 0x84] + literal(":authority", "a")
    #expect(serve(preface + frame(1, 4, 1, extended), limits: limits).count == 1)
    #expect(serve(preface + frame(1, 4, 1, extended + literal("content-length", "3")), limits: limits).isEmpty)
    var client = H2Connection(role: .client, limits: HTTPLimits())
    let scratch = HeadScratch()
    var events: [String] = []
    for value in [1, 1, 0] as [UInt8] {
      frame(4, 0, 0, [0, 8, 0, 0, 0, value]).withByteView { view in
        var input = view
        let event = client.next(&input, head: scratch.head, now: MonotonicInstant(nanoseconds: 1))
        events.append(describe(event, scratch.head))
      }
    }
    let allows = client.peerAllowsExtendedConnect
    #expect(allows)
    #expect(events == ["", "", "connection 1 settingValue"])
  }

  @Test("#17 rapid reset ends the connection at half of five hundred streams")
  func rapidReset() {
    var bytes = preface
    for i in 0..<300 { bytes += frame(1, 5, UInt32(2 * i + 1), getBlock) + frame(3, 0, UInt32(2 * i + 1), word(8)) }
    let log = serve(bytes)
    #expect(log.last == "connection 11 rapidReset")
    // The owner hears of each, of the one that is too many as well.
    #expect(log.filter { $0.hasPrefix("reset") }.count == 250)
    #expect(log.filter { $0.hasPrefix("headers") }.count == 250)
  }

  @Test("#18 resets a peer makes us send count as its own")
  func madeYouReset() {
    var bytes = preface
    for i in 0..<300 { bytes += frame(1, 4, UInt32(2 * i + 1), postBlock) + frame(8, 0, UInt32(2 * i + 1), word(0)) }
    var limits = HTTPLimits()
    limits.http2.maxWindowUpdatePerDataFrame = 100
    #expect(serve(bytes, limits: limits).suffix(2) == ["reset 499 1 us", "connection 11 rapidReset"])
  }

  @Test("#20 a stream that ends with the answer that is one too many is told of before the connection is")
  func floodEndsStream() {
    let pings = Array((0..<999).map { _ in frame(6, 0, 0, word(0) + word(0)) }.joined())
    let log = serve(preface + frame(1, 5, 1, getBlock) + pings + frame(8, 0, 1, word(0)))
    #expect(log == ["headers 1 GET a / 2 end", "reset 1 1 us", "connection 11 outboundFlood"])
  }

  @Test("#17 late frames of streams that we reset are nobody's fault, however many streams there are")
  func lateFrames() {
    let streams = (0..<40).map { UInt32($0 * 2 + 1) }
    var bytes = preface
    for id in streams { bytes += frame(1, 4, id, postBlock) }
    for _ in 0..<15 { for id in streams { bytes += frame(0, 0, id, Array("late".utf8)) } }
    bytes += frame(1, 5, 1, literal("late", "trailer")) + frame(1, 5, 99, getBlock)
    let log = serve(bytes) { connection, event in
      if case .headers(let id, false) = event { connection.reset(id, .noError, now: MonotonicInstant(nanoseconds: 1)) }
    }
    #expect(log.count == 41)
    #expect(log.last == "headers 99 GET a / 2 end")
  }

  @Test("padding behind content that is dropped does not hold up the next frame")
  func droppedPadding() {
    let bytes =
      preface + frame(1, 4, 1, postBlock) + frame(0, 8, 1, [4] + Array("hello".utf8) + [0, 0, 0, 0])
      + frame(1, 5, 3, getBlock)
    let log = serve(bytes) { connection, event in
      if case .headers(1, _) = event { connection.reset(1, .noError, now: MonotonicInstant(nanoseconds: 1)) }
    }
    #expect(log.last == "headers 3 GET a / 2 end")
  }

  @Test("one empty DATA frame for each of many requests is no flood")
  func emptyFrameEach() {
    var bytes = preface
    for i in 0..<5 as Range<UInt32> { bytes += frame(1, 4, 2 * i + 1, postBlock) + frame(0, 0, 2 * i + 1) }
    #expect(serve(bytes).count { $0.hasPrefix("headers") } == 5)
    #expect(!serve(bytes).contains { $0.hasPrefix("connection") })
  }

  @Test("informational responses are counted for each stream, not for the connection")
  func informationalResponses() {
    let most = HTTPLimits().informationalResponses
    func feed(_ bytes: [UInt8], _ streams: Int) -> Int? {
      var connection = H2Connection(role: .client, limits: HTTPLimits())
      let scratch = HeadScratch()
      for _ in 0..<streams {
        scratch.head.startRequest(
          .get, scheme: ByteView("http"), authority: ByteView("a"), path: ByteView("/"), framing: .none)
        _ = connection.sendRequest(scratch.head, endStream: true, user: 1, now: MonotonicInstant(nanoseconds: 1))
      }
      var finals = 0
      var failed = false
      bytes.withByteView { view in
        var input = view
        loop: while true {
          switch connection.next(&input, head: scratch.head, now: MonotonicInstant(nanoseconds: 1)) {
          case .headers(_, true): finals += 1
          case .connectionError:
            failed = true
            break loop
          case .needMore: break loop
          default: break
          }
        }
      }
      return failed ? nil : finals
    }
    let hints: [UInt8] = [0x08, 3] + Array("103".utf8)
    let settings = frame(4, 0, 0)
    let ids = (0..<2 * most).map { UInt32($0 * 2 + 1) }
    let early = ids.flatMap { frame(1, 4, $0, hints) }
    #expect(feed(settings + early + ids.flatMap { frame(1, 5, $0, [0x88]) }, ids.count) == ids.count)
    let one = (0..<most).flatMap { _ in frame(1, 4, 1, hints) }
    #expect(feed(settings + one + frame(1, 5, 1, [0x88]), 1) == 1)
    #expect(feed(settings + one + frame(1, 4, 1, hints), 1) == nil)
  }

  @Test("a smaller header table holds from when the peer has acknowledged it")
  func smallerTable() {
    var limits = HTTPLimits()
    limits.http2.decoderTableSize = 0
    let bytes =
      preface + frame(1, 5, 1, [0x82, 0x86, 0x84, 0x41, 1, UInt8(ascii: "a")])
      + frame(1, 5, 3, [0x82, 0x86, 0x84, 0xbe])
    let first = ["headers 1 GET a / 2 end", "headers 3 GET a / 2 end"]
    #expect(serve(bytes, limits: limits) == first)
    let after = serve(bytes + frame(4, 1, 0) + frame(1, 5, 5, [0x82, 0x86, 0x84, 0xbe]), limits: limits)
    #expect(after.prefix(2) == first[...])
    #expect(after.last?.hasPrefix("connection 9") == true)
  }

  @Test("a stream window that our settings made negative takes the end of a stream, and no byte")
  func endInANegativeWindow() {
    var limits = HTTPLimits()
    limits.http2.initialStreamWindow = 1000
    let post: [UInt8] = [0x83, 0x86, 0x84, 0x41, 1, UInt8(ascii: "a")]
    let sent = preface + frame(1, 4, 1, post) + frame(0, 0, 1, [UInt8](repeating: 97, count: 5000)) + frame(4, 1, 0)
    #expect(serve(sent + frame(0, 1, 1), limits: limits).last?.hasSuffix("a end") == true)
    #expect(serve(sent + frame(0, 0, 1, [97]), limits: limits).last?.hasPrefix("reset 1") == true)
  }

  @Test("streams that lived are not premature")
  func patientResets() {
    var limits = HTTPLimits()
    limits.http2.prematureResetAge = 0
    var bytes = preface
    for i in 0..<600 { bytes += frame(1, 5, UInt32(2 * i + 1), getBlock) + frame(3, 0, UInt32(2 * i + 1), word(8)) }
    #expect(serve(bytes, limits: limits).last == "reset 1199 8 peer")
  }

  @Test("#21 a block whose decoded size is over the limit is told as too large, and the table stays in step")
  func hpackBomb() {
    // One entry of 4000 bytes, then thousands of one-byte references to it.
    let entry: [UInt8] = [0x40, 1, 120] + [0x7f, 0xa1, 0x1e] + [UInt8](repeating: 97, count: 4000)
    let bomb = getBlock + entry + [UInt8](repeating: 0xbe, count: 5000)
    let after = getBlock + [0xbe]
    let log = serve(preface + frame(1, 5, 1, bomb) + frame(1, 5, 3, after))
    #expect(log.count == 2)
    #expect(log.first == "tooLarge 1")
    #expect(log.last?.hasPrefix("headers 3 GET a / 2 [x=aaaa") == true)
  }

  @Test("streams above the concurrency limit are refused")
  func concurrency() {
    var limits = HTTPLimits()
    limits.http2.maxConcurrentStreams = 1
    let log = serve(preface + frame(1, 4, 1, postBlock) + frame(1, 4, 3, postBlock), limits: limits)
    #expect(log == ["headers 1 POST a / 2 chunked"])
  }

  @Test("credit comes back only for what was consumed, in steps of half a window")
  func credit() {
    var limits = HTTPLimits()
    limits.http2.initialStreamWindow = 65_535
    limits.http2.initialConnectionWindow = 65_535
    var consumedBytes = 0
    var updates = 0
    let chunk = [UInt8](repeating: 1, count: 16_000)
    let four = frame(1, 4, 1, postBlock) + (0..<4).flatMap { _ in frame(0, 0, 1, chunk) }
    // Nothing consumed: the fifth frame breaks the window.
    #expect(serve(preface + four + frame(0, 0, 1, chunk), limits: limits).last == "connection 3 windowExceeded")
    let log = serve(preface + four + frame(0, 0, 1, chunk), limits: limits) { connection, event in
      guard case .data(let id, let view, _) = event else { return }
      let before = connection.output.count
      connection.consumed(id, view.count)
      consumedBytes += view.count
      if connection.output.count > before { updates += 1 }
    }
    #expect(log.last?.hasPrefix("data 1") == true)
    #expect(consumedBytes == 80_000)
    #expect(updates == 1)
  }

  @Test("a request, its answer with trailers, and the drain between two connections")
  func conversation() {
    var client = H2Connection(role: .client, limits: HTTPLimits())
    var server = H2Connection(role: .server, limits: HTTPLimits())
    let scratch = HeadScratch()
    let now = MonotonicInstant(nanoseconds: 1)
    var log: [String] = []
    func drain(_ from: inout H2Connection, _ to: inout H2Connection, _ who: String) {
      let bytes = from.output.view.array
      from.output.removeAll()
      from.outputFlushed()
      bytes.withByteView { view in
        var input = view
        while true {
          let event = to.next(&input, head: scratch.head, now: now)
          if case .needMore = event { break }
          let text = describe(event, scratch.head)
          if !text.isEmpty { log.append(who + " " + text) }
          if case .data(let id, let view, _) = event { to.consumed(id, view.count) }
        }
      }
    }
    scratch.head.startRequest(
      .post, scheme: ByteView("https" as StaticString), authority: ByteView("a" as StaticString),
      path: ByteView("/p" as StaticString), framing: .chunked)
    scratch.head.append(.te, ByteView("trailers" as StaticString))
    scratch.head.append(named: ByteView("X-Mixed" as StaticString), ByteView("1" as StaticString))
    let stream = client.sendRequest(scratch.head, endStream: false, user: 77, now: now)
    #expect(stream == 1)
    #expect(client.user(1) == 77)
    let sent = client.sendData(1, ByteView("ping" as StaticString), endStream: true)
    #expect(sent == 4)
    drain(&client, &server, "server")
    scratch.head.startResponse(200, framing: .chunked)
    scratch.head.append(.contentType, ByteView("text/plain" as StaticString))
    let answered = server.sendResponse(1, scratch.head, endStream: false)
    #expect(answered)
    _ = server.sendData(1, ByteView("pong" as StaticString), endStream: false)
    scratch.head.startTrailers()
    scratch.head.append(.grpcStatus, ByteView("0" as StaticString))
    let ended = server.sendTrailers(1, scratch.head)
    #expect(ended)
    server.shutdownNotice()
    drain(&server, &client, "client")
    server.goAway()
    drain(&server, &client, "client")
    #expect(
      log == [
        "server headers 1 POST a /p 2 chunked [te=trailers|x-mixed=1]", "server data 1 ping end",
        "client headers 1 200 2 chunked [content-type=text/plain]", "client data 1 pong",
        "client trailers 1 [grpc-status=0]", "client goaway 2147483647 0", "client goaway 1 0",
      ])
    let left = (client.activeStreams, server.activeStreams, client.contains(1), server.contains(1))
    #expect(left == (0, 0, false, false))
    scratch.head.startRequest(.get, authority: ByteView("a" as StaticString), path: ByteView("/" as StaticString))
    let refused = client.sendRequest(scratch.head, endStream: true, user: 0, now: now)
    #expect(refused == nil)
  }

  @Test("sending stops at the window, goes on when it opens, and survives a window made negative")
  func sendWindow() {
    let body = [UInt8](repeating: 7, count: 100)
    var accepted: [Int] = []
    let setWindow: (UInt32) -> [UInt8] = { frame(4, 0, 0, [0, 4] + word($0)) }
    let input =
      preface + setWindow(60) + frame(1, 5, 1, getBlock) + setWindow(10) + frame(8, 0, 1, word(40))
      + frame(8, 0, 1, word(30))
    let log = serve(input) { connection, event in
      switch event {
      case .headers(let id, _):
        let scratch = HeadScratch()
        scratch.head.startResponse(200, framing: .chunked)
        connection.sendResponse(id, scratch.head, endStream: false)
        body.withByteView { accepted.append(connection.sendData(id, $0, endStream: true)) }
      case .windowOpened(let id):
        body.withByteView { accepted.append(connection.sendData(id, $0.prefix(40), endStream: true)) }
      default: break
      }
    }
    // 60 of 100; the shrunk window is −50, +40 leaves −10, +30 opens 20.
    #expect(accepted == [60, 20])
    #expect(log == ["headers 1 GET a / 2 end", "window 1"])
  }

  @Test("PINGs that measure the path beside flowing content are no flood; alone they are")
  func pingsBesideContent() {
    var bytes = preface + frame(1, 4, 1, postBlock)
    for _ in 0..<3000 { bytes += frame(0, 0, 1, [65]) + frame(6, 0, 0, Array(repeating: 7, count: 8)) }
    let flush: (inout H2Connection, H2Event) -> Void = { connection, event in
      if case .data(let id, let data, _) = event { connection.consumed(id, data.count) }
      connection.output.removeAll()
      connection.outputFlushed()
    }
    let log = serve(bytes, act: flush)
    #expect(log.last?.hasPrefix("data 1 ") == true)
    let idle =
      preface + frame(1, 4, 1, postBlock)
      + (0..<1100).flatMap { _ in frame(6, 0, 0, Array(repeating: 7, count: 8)) }
    var limits = HTTPLimits()
    limits.http2.maxOutboundControlFrames = .max
    #expect(serve(idle, limits: limits, act: flush).last == "connection 11 controlFlood")
  }
}
