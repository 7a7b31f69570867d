// SimServer: applications behind the mesh, doing what the script of each arrival says.

import WeftBase
import WeftHTTP
import WeftRuntime
import WeftTestKit

/// One arrival of a request at a server, in whichever HTTP version.
final class SimArrival {
  let exchange: SimExchange
  let attempt: Int
  let script: SimScript
  var received = 0
  var isComplete = false
  var hasAnswered = false
  var sent = 0

  init(_ exchange: SimExchange, _ attempt: Int, _ script: SimScript) {
    self.exchange = exchange
    self.attempt = attempt
    self.script = script
  }

  /// Fields of the response; `extra` is what the request said that must come back.
  func fields(port: UInt16, _ request: H1Reader.Fields) -> [(String, String)] {
    var fields = [
      ("x-id", "\(exchange.id)"), ("x-attempt", "\(attempt)"), ("x-body", "\(script.bodyLength)"),
      ("x-port", "\(port)"),
    ]
    if let version = request.first("x-version") { fields.append(("x-upstream-version", version)) }
    return fields
  }
}

final class SimServerH1: SimEnd {
  private let traffic: SimTraffic
  private let port: UInt16
  private var reader = H1Reader(isResponse: false)
  private var arrival: SimArrival?
  private var request: H1Reader.Fields = []
  private var served = 0

  init(_ host: SimEnds, _ traffic: SimTraffic, _ port: UInt16) {
    self.traffic = traffic
    self.port = port
    super.init(host)
  }

  override func received(_ bytes: ByteView) {
    if traffic.isSlow, world.chance(1, in: 4) { nap(world.milliseconds(0...400)) }
    reader.feed(bytes.array)
    while !isOver, let event = reader.next() {
      switch event {
      case .head(let start, let fields):
        if let arrival { world.fail("a proxy pipelines a request behind #\(arrival.exchange.id)") }
        guard let (exchange, attempt) = traffic.arrived(start, fields, on: self) else { return loop.close(c, .reset) }
        request = fields
        let arrival = SimArrival(exchange, attempt, traffic.script(exchange.id, attempt: attempt))
        self.arrival = arrival
        if fields.first("expect") != nil { write("HTTP/1.1 100 Continue\r\n\r\n") }
        begin(arrival)
      case .data(let data):
        guard let arrival else { break }
        traffic.serverSawData(arrival.exchange, at: arrival.received, data)
        arrival.received += data.count
      case .trailers(let fields):
        guard let arrival else { break }
        traffic.serverSawTrailers(arrival.exchange, fields)
      case .end:
        guard let arrival else { break }
        arrival.isComplete = true
        traffic.serverSawEnd(arrival.exchange, arrival.received)
        completed(arrival)
      }
    }
    if let broken = reader.broken { world.fail("a server cannot read its request: \(broken)") }
  }

  private func begin(_ arrival: SimArrival) {
    switch arrival.script.fault {
    case .resetBeforeHead where world.chance(1, in: 2): loop.close(c, .reset)
    case .early: answer(arrival)
    default: break
    }
  }

  private func completed(_ arrival: SimArrival) {
    switch arrival.script.fault {
    case .silent: traffic.probes.reached("server without an answer")
    case .resetBeforeHead:
      traffic.probes.reached("reset before the head")
      later(arrival.script.headDelay) { [self] in loop.close(c, .reset) }
    case .closeBeforeHead, .refuse:
      later(arrival.script.headDelay) { [self] in loop.close(c) }
    case .early: if arrival.sent < 0 { finished(arrival) }
    default: later(arrival.script.headDelay) { [self] in answer(arrival) }
    }
  }

  private func answer(_ arrival: SimArrival) {
    let script = arrival.script
    if arrival.hasAnswered { return }
    arrival.hasAnswered = true
    if script.isHinted {
      write("HTTP/1.1 103 Early Hints\r\nlink: <a>\r\n\r\n")
    }
    var head = "HTTP/1.1 \(script.status) X\r\n"
    for (name, value) in arrival.fields(port: port, request) { head += "\(name): \(value)\r\n" }
    if script.fault == .closeAfter { head += "connection: close\r\n" }
    let isHead = arrival.exchange.method == .head
    if script.hasBody {
      switch script.framing {
      case .length: head += "content-length: \(script.bodyLength)\r\n"
      case .chunked: head += "transfer-encoding: chunked\r\n"
      case .close: head += isHead ? "content-length: \(script.bodyLength)\r\n" : "connection: close\r\n"
      }
    }
    write(head + "\r\n")
    if script.fault == .resetAfterHead {
      traffic.probes.reached("reset after the head")
      later(.milliseconds(1)) { [self] in loop.close(c, .reset) }
      // Complete with its head, and the connection may be used again before it breaks.
      if !script.hasBody || isHead || (script.framing == .length && script.bodyLength == 0) { answered(arrival) }
      return
    }
    if !script.hasBody || isHead { return answered(arrival) }
    sendPiece(arrival)
  }

  private func sendPiece(_ arrival: SimArrival) {
    let script = arrival.script
    let n = min(script.pieceBytes, script.bodyLength - arrival.sent)
    if script.fault == .cutBody, arrival.sent + n > script.bodyLength / 2 {
      traffic.probes.reached("body cut by its server")
      // Where the end of the connection is the end of the body, only a reset cuts.
      return script.framing == .close || world.chance(1, in: 2) ? loop.close(c, .reset) : loop.close(c)
    }
    let piece = SimContent.bytes(arrival.exchange.id * 2 + 1, from: arrival.sent, count: n)
    arrival.sent += n
    if script.framing != .chunked {
      write(Array(piece))
    } else if n > 0 {
      write(Array((String(n, radix: 16) + "\r\n").utf8) + piece + [13, 10])
    }
    if arrival.sent < script.bodyLength { return later(script.pieceDelay) { [self] in sendPiece(arrival) } }
    if script.framing == .chunked {
      write("0\r\n" + (script.hasTrailers ? "x-sum: \(arrival.exchange.id)\r\n" : "") + "\r\n")
    }
    answered(arrival)
  }

  private func answered(_ arrival: SimArrival) {
    arrival.sent = -1
    if arrival.isComplete { finished(arrival) }
    // Patiently: however slowly it is read, all of it is.
    if arrival.script.hasBody, arrival.script.framing == .close, arrival.exchange.method != .head {
      loop.finishWriting(c)
    }
  }

  /// Both directions of the exchange are done.
  private func finished(_ arrival: SimArrival) {
    guard self.arrival === arrival else { return }
    self.arrival = nil
    served += 1
    if served > 1 { traffic.probes.reached("upstream connection used again") }
    if arrival.script.fault == .closeAfter { loop.close(c) }
    // GOAWAY has no like in HTTP/1 but this: the connection ends right behind the response, which does not say so.
    if arrival.script.fault == .goAway { loop.close(c) }
  }

  override func readEnded() { loop.close(c) }
}

final class SimServerH2: SimEnd {
  private let traffic: SimTraffic
  private let port: UInt16
  private var h2: H2End!
  private var arrivals: [H2StreamID: (arrival: SimArrival, request: H1Reader.Fields)] = [:]
  private var refused: Set<H2StreamID> = []

  init(_ host: SimEnds, _ traffic: SimTraffic, _ port: UInt16) {
    self.traffic = traffic
    self.port = port
    super.init(host)
  }

  override func opened() {
    var limits = HTTPLimits()
    limits.http2.initialStreamWindow = UInt32(world.pick([1_000, 65_535, 16 << 20]))
    limits.http2.initialConnectionWindow = max(65_535, limits.http2.initialStreamWindow)
    limits.http2.maxConcurrentStreams = UInt32(world.pick(traffic.knobs.isCalm ? [1_000] : [1, 3, 1_000]))
    // One connection carries the streams of many clients: each may reset as many as the proxy lets it, and together they are more (hostile worlds,
    // seed 2282).
    limits.http2.prematureResetStreams = 1 << 20
    h2 = H2End(.server, limits: limits) { [unowned self] in write($0) }
    h2.onEvent = { [unowned self] in saw($0, $1) }
    h2.flush()
  }

  override func received(_ bytes: ByteView) {
    if traffic.isSlow, world.chance(1, in: 4) { nap(world.milliseconds(0...400)) }
    h2.now = loop.now
    h2.receive(bytes)
    if let failed = h2.failed {
      world.fail("the proxy broke HTTP/2 towards a server: \(failed)")
      loop.close(c, .reset)
    }
  }

  private func saw(_ id: H2StreamID, _ event: H2End.Event) {
    if case .head(let start, let fields, let end) = event { return sawHead(id, start, fields, end) }
    guard let arrival = arrivals[id]?.arrival else {
      if case .data(let data, _) = event { h2.credit(id, data.count) }
      return
    }
    switch event {
    case .head: break
    case .data(let data, let end):
      traffic.serverSawData(arrival.exchange, at: arrival.received, data)
      arrival.received += data.count
      let n = data.count
      if traffic.isSlow {
        later(world.milliseconds(0...300)) { [self] in
          h2.now = loop.now
          h2.credit(id, n)
        }
      } else {
        h2.credit(id, n)
      }
      if end { completed(id, arrival) }
    case .trailers(let fields):
      traffic.serverSawTrailers(arrival.exchange, fields)
      completed(id, arrival)
    case .reset(let code):
      if code != .noError { traffic.probes.reached("stream reset at a server") }
      arrivals[id] = nil
    }
  }

  private func sawHead(_ id: H2StreamID, _ start: String, _ fields: H1Reader.Fields, _ end: Bool) {
    if let known = fields.first("x-id").flatMap({ Int($0) }).flatMap({ traffic.exchange($0) }),
      traffic.script(known.id, attempt: known.arrivals).fault == .refuse, refused.isEmpty
    {
      // Refused: not taken, so that it may come again, whatever its method. Once per connection.
      refused.insert(id)
      traffic.probes.reached("refused stream")
      later(.zero) { [self] in
        h2.now = loop.now
        h2.reset(id, .refusedStream)
      }
      return
    }
    guard let (exchange, attempt) = traffic.arrived(start, fields, on: self) else { return loop.close(c, .reset) }
    let arrival = SimArrival(exchange, attempt, traffic.script(exchange.id, attempt: attempt))
    arrivals[id] = (arrival, fields)
    if arrivals.count > 1 { traffic.probes.reached("multiplexed to a server") }
    switch arrival.script.fault {
    case .resetBeforeHead where world.chance(1, in: 2): later(.zero) { [self] in reset(id) }
    case .early: later(.zero) { [self] in answer(id, arrival) }
    case .goAway:
      traffic.probes.reached("GOAWAY from a server")
      later(.zero) { [self] in
        h2.now = loop.now
        h2.goAway()
      }
    default: break
    }
    if end { completed(id, arrival) }
  }

  private func reset(_ id: H2StreamID) {
    guard arrivals.removeValue(forKey: id) != nil else { return }
    h2.now = loop.now
    h2.reset(id, .internalError)
  }

  private func completed(_ id: H2StreamID, _ arrival: SimArrival) {
    arrival.isComplete = true
    traffic.serverSawEnd(arrival.exchange, arrival.received)
    switch arrival.script.fault {
    case .silent: traffic.probes.reached("server without an answer")
    case .resetBeforeHead, .refuse: later(arrival.script.headDelay) { [self] in reset(id) }
    case .closeBeforeHead: later(arrival.script.headDelay) { [self] in loop.close(c) }
    case .early: break
    default: later(arrival.script.headDelay) { [self] in answer(id, arrival) }
    }
  }

  private func answer(_ id: H2StreamID, _ arrival: SimArrival) {
    guard let entry = arrivals[id], !arrival.hasAnswered else { return }
    arrival.hasAnswered = true
    h2.now = loop.now
    let script = arrival.script
    if script.isHinted { h2.respond(id, 103, fields: [("link", "<a>")], isFinal: false) }
    var fields = arrival.fields(port: port, entry.request)
    let hasBody = script.hasBody && arrival.exchange.method != .head
    if script.framing == .length, script.hasBody { fields.append(("content-length", "\(script.bodyLength)")) }
    h2.respond(id, UInt16(script.status), fields: fields, isFinal: !hasBody)
    if script.fault == .resetAfterHead {
      traffic.probes.reached("reset after the head")
      return later(.milliseconds(1)) { [self] in reset(id) }
    }
    if hasBody { sendPiece(id, arrival) } else { answered(id, arrival) }
  }

  private func sendPiece(_ id: H2StreamID, _ arrival: SimArrival) {
    guard arrivals[id]?.arrival === arrival else { return }
    let script = arrival.script
    let n = min(script.pieceBytes, script.bodyLength - arrival.sent)
    if script.fault == .cutBody, arrival.sent + n > script.bodyLength / 2 {
      traffic.probes.reached("body cut by its server")
      return world.chance(1, in: 2) ? reset(id) : loop.close(c, .reset)
    }
    h2.now = loop.now
    let piece = SimContent.bytes(arrival.exchange.id * 2 + 1, from: arrival.sent, count: n)
    arrival.sent += n
    let isLast = arrival.sent == script.bodyLength
    h2.send(
      id, piece, isLast: isLast,
      trailers: isLast && script.hasTrailers ? [("x-sum", "\(arrival.exchange.id)")] : nil)
    if isLast { answered(id, arrival) } else { later(script.pieceDelay) { [self] in sendPiece(id, arrival) } }
  }

  private func answered(_ id: H2StreamID, _ arrival: SimArrival) {
    arrival.sent = -1
    if arrival.script.fault == .closeAfter {
      h2.now = loop.now
      h2.goAway()
      traffic.probes.reached("GOAWAY from a server")
    }
  }

  override func readEnded() { loop.close(c) }
}
