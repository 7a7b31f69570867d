// SimClientH2: a client that multiplexes, with small windows, late credit and resets.

import WeftBase
import WeftHTTP
import WeftRuntime
import WeftTestKit

final class SimUserH2: SimUser {
  let streams: Int

  init(_ traffic: SimTraffic, _ host: SimEnds, _ address: SocketAddress, _ exchanges: [SimExchange], streams: Int) {
    self.streams = streams
    super.init(traffic, host, address, exchanges)
  }

  override func makeEnd() -> SimEnd { SimClientH2(host, self) }
}

final class SimClientH2: SimEnd {
  private let user: SimUserH2
  private var h2: H2End!
  private var open: [H2StreamID: SimExchange] = [:]
  private var isLast = false
  private var isPumping = false

  init(_ host: SimEnds, _ user: SimUserH2) {
    self.user = user
    super.init(host)
  }

  private var traffic: SimTraffic { user.traffic }

  override func opened() {
    var limits = HTTPLimits()
    limits.http2.initialStreamWindow = UInt32(world.pick([1_000, 65_535, 16 << 20]))
    limits.http2.initialConnectionWindow = max(65_535, limits.http2.initialStreamWindow)
    h2 = H2End(.client, limits: limits) { [unowned self] in write($0) }
    h2.onEvent = { [unowned self] in saw($0, $1) }
    h2.onGoAway = { [unowned self] last in
      isLast = true
      world.tell("GOAWAY \(last)")
      traffic.probes.reached("GOAWAY to a client")
      for id in open.keys.sorted() where id > last {
        if let exchange = open[id] { traffic.finish(exchange, .cut) }
        open[id] = nil
      }
    }
    h2.flush()
    pump()
  }

  private func pump() {
    h2.now = loop.now
    while !isOver, !isLast, h2.failed == nil, open.count < user.streams, h2.availableStreams > 0, !user.waiting.isEmpty
    {
      start(user.waiting.removeFirst())
    }
    if open.isEmpty, user.waiting.isEmpty, !isOver, !isLast {
      isLast = true
      if world.chance(1, in: 2) { later(world.milliseconds(0...2000)) { [self] in loop.close(c) } }
    }
  }

  private func start(_ exchange: SimExchange) {
    traffic.begin(exchange)
    let fields = [("x-id", "\(exchange.id)"), ("x-length", "\(exchange.bodyLength)"), ("te", "trailers")]
    guard
      let id = h2.request(
        exchange.method, exchange.path, authority: "svc", fields: fields, hasBody: exchange.hasBody)
    else {
      traffic.finish(exchange, .cut)
      isLast = true
      return
    }
    open[id] = exchange
    if open.count > 1 { traffic.probes.reached("multiplexed request") }
    if case .after(let time) = exchange.abort { later(time) { [self] in giveUp(id) } }
    if exchange.hasBody { sendPiece(id, exchange) }
  }

  private func sendPiece(_ id: H2StreamID, _ exchange: SimExchange) {
    guard open[id] === exchange else { return }
    if case .afterRequestBytes(let n) = exchange.abort, exchange.requestSent >= n { return giveUp(id) }
    h2.now = loop.now
    let n = min(exchange.pieceBytes, exchange.bodyLength - exchange.requestSent)
    let piece = SimContent.bytes(exchange.id * 2, from: exchange.requestSent, count: n)
    exchange.requestSent += n
    let isLast = exchange.requestSent == exchange.bodyLength
    h2.send(
      id, piece, isLast: isLast, trailers: isLast && exchange.hasTrailers ? [("x-sum", "\(exchange.id)")] : nil)
    if !isLast { later(exchange.pieceDelay) { [self] in sendPiece(id, exchange) } }
  }

  private func giveUp(_ id: H2StreamID) {
    guard let exchange = open[id] else { return }
    traffic.finish(exchange, .abandoned)
    switch world.pick(0...9) {
    case 0: loop.close(c, .reset)
    case 1: loop.close(c)
    default:
      open[id] = nil
      h2.now = loop.now
      h2.reset(id)
      later(.zero) { [self] in pump() }
    }
  }

  override func received(_ bytes: ByteView) {
    if traffic.isSlow, world.chance(1, in: 4) { nap(world.milliseconds(0...400)) }
    h2.now = loop.now
    h2.receive(bytes)
    if let failed = h2.failed {
      world.fail("the proxy broke HTTP/2 towards a client: \(failed)")
      loop.close(c, .reset)
    }
    later(.zero) { [self] in pump() }
  }

  private func saw(_ id: H2StreamID, _ event: H2End.Event) {
    guard let exchange = open[id] else {
      // Given up: what still comes only needs its credit.
      if case .data(let data, _) = event { h2.credit(id, data.count) }
      return
    }
    switch event {
    case .head(let start, let fields, let end):
      let status = Int(start.split(separator: " ").dropFirst().first ?? "") ?? 0
      if status < 200 { return traffic.probes.reached("informational response") }
      traffic.sawHead(exchange, status: status, fields)
      if end { ended(id, exchange) }
    case .data(let data, let end):
      traffic.sawData(exchange, data)
      if traffic.isSlow {
        let n = data.count
        later(world.milliseconds(0...300)) { [self] in
          h2.now = loop.now
          h2.credit(id, n)
        }
        traffic.probes.reached("late credit")
      } else {
        h2.credit(id, data.count)
      }
      if case .afterResponseBytes(let n) = exchange.abort, exchange.received >= n, !end {
        later(.zero) { [self] in giveUp(id) }
      }
      if end { ended(id, exchange) }
    case .trailers(let fields):
      traffic.sawTrailers(exchange, fields)
      ended(id, exchange)
    case .reset(let code):
      world.tell("#\(exchange.id) is reset, code \(code.rawValue)")
      open[id] = nil
      traffic.finish(exchange, .cut)
    }
  }

  private func ended(_ id: H2StreamID, _ exchange: SimExchange) {
    open[id] = nil
    traffic.sawEnd(exchange)
    if exchange.hasBody, exchange.requestSent < exchange.bodyLength {
      traffic.probes.reached("response before the request's end")
      h2.reset(id, .noError)
    }
  }

  override func readEnded() { loop.close(c) }

  override func closed(_ reason: CloseReason) {
    world.tell(
      "connection \(user.connections), \(user.waiting.count) to come, of #\(open.values.map(\.id).sorted()) ends: \(reason.kind)"
    )
    for id in open.keys.sorted() { if let exchange = open[id] { traffic.finish(exchange, .cut) } }
    open = [:]
    user.lost()
  }
}
