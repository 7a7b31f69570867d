// SimClientH1: a client that pipelines, keeps connections, reads slowly, gives up; over one connection after another.

import WeftBase
import WeftHTTP
import WeftRuntime
import WeftTestKit

/// A user: a list of requests, and the connections it makes to get them answered.
class SimUser {
  let traffic: SimTraffic
  let host: SimEnds
  let address: SocketAddress
  var waiting: [SimExchange]
  /// What became of the connections: how often one ended although the user wanted more.
  var connections = 0

  init(_ traffic: SimTraffic, _ host: SimEnds, _ address: SocketAddress, _ exchanges: [SimExchange]) {
    self.traffic = traffic
    self.host = host
    self.address = address
    waiting = exchanges
  }

  var world: SimWorld { host.world }

  func connect() {
    if waiting.isEmpty { return }
    connections += 1
    host.connect(makeEnd(), to: address)
  }

  func makeEnd() -> SimEnd { preconditionFailure("a kind of user makes its ends") }

  /// A connection of the user has ended.
  func lost() {
    if waiting.isEmpty { return }
    world.after(world.milliseconds(1...200)) { [self] in connect() }
  }
}

final class SimUserH1: SimUser {
  let depth: Int
  let isOld: Bool

  init(
    _ traffic: SimTraffic, _ host: SimEnds, _ address: SocketAddress, _ exchanges: [SimExchange], depth: Int, old: Bool
  ) {
    self.depth = old ? 1 : depth
    isOld = old
    super.init(traffic, host, address, exchanges)
  }

  override func makeEnd() -> SimEnd { SimClientH1(host, self) }
}

final class SimClientH1: SimEnd {
  private let user: SimUserH1
  private var reader = H1Reader(isResponse: true)
  /// Sent and not answered, oldest first.
  private var open: [SimExchange] = []
  private var sending: SimExchange?
  private var mayContinue = true
  private var isLast = false

  init(_ host: SimEnds, _ user: SimUserH1) {
    self.user = user
    super.init(host)
  }

  private var traffic: SimTraffic { user.traffic }

  override func opened() { pump() }

  private func pump() {
    while !isOver, !isLast, sending == nil, open.count < user.depth, !user.waiting.isEmpty {
      send(user.waiting.removeFirst())
    }
    if open.isEmpty, sending == nil, user.waiting.isEmpty, !isOver, !isLast {
      isLast = true
      // Idle to its end, or closed by us.
      if world.chance(1, in: 2) { later(world.milliseconds(0...2000)) { [self] in loop.close(c) } }
    }
  }

  private func send(_ exchange: SimExchange) {
    traffic.begin(exchange)
    open.append(exchange)
    sending = exchange
    if open.count > 1 { traffic.probes.reached("pipelined request") }
    var head = "\(exchange.method.text) \(exchange.path) HTTP/1.\(user.isOld ? 0 : 1)\r\nhost: svc\r\n"
    head += "x-id: \(exchange.id)\r\nx-length: \(exchange.bodyLength)\r\n"
    if !user.isOld { head += "te: trailers\r\nconnection: te\r\n" }
    if exchange.hasBody {
      head += exchange.isChunked ? "transfer-encoding: chunked\r\n" : "content-length: \(exchange.bodyLength)\r\n"
      if exchange.expectsContinue { head += "expect: 100-continue\r\n" }
    }
    write(head + "\r\n")
    if case .after(let time) = exchange.abort { later(time) { [self] in giveUp(exchange) } }
    if !exchange.hasBody { return sent(exchange) }
    if exchange.expectsContinue, world.chance(1, in: 2) {
      mayContinue = false
      // Servers need not say so.
      later(.seconds(1)) { [self] in if sending === exchange, !mayContinue { goOn(exchange) } }
    } else {
      sendPiece(exchange)
    }
  }

  private func goOn(_ exchange: SimExchange) {
    mayContinue = true
    sendPiece(exchange)
  }

  private func sendPiece(_ exchange: SimExchange) {
    guard !isOver, sending === exchange else { return }
    if case .afterRequestBytes(let n) = exchange.abort, exchange.requestSent >= n { return giveUp(exchange) }
    let n = min(exchange.pieceBytes, exchange.bodyLength - exchange.requestSent)
    let piece = SimContent.bytes(exchange.id * 2, from: exchange.requestSent, count: n)
    exchange.requestSent += n
    if !exchange.isChunked {
      write(Array(piece))
    } else if n > 0 {
      write(Array((String(n, radix: 16) + "\r\n").utf8) + piece + [13, 10])
    }
    if exchange.requestSent == exchange.bodyLength {
      if exchange.isChunked { write("0\r\n" + (exchange.hasTrailers ? "x-sum: \(exchange.id)\r\n" : "") + "\r\n") }
      return sent(exchange)
    }
    later(exchange.pieceDelay) { [self] in sendPiece(exchange) }
  }

  private func sent(_ exchange: SimExchange) {
    sending = nil
    // Not at once: a piece of the stack per request would be too much.
    later(.zero) { [self] in pump() }
  }

  private func giveUp(_ exchange: SimExchange) {
    guard !exchange.isFinal, !isOver else { return }
    traffic.finish(exchange, .abandoned)
    isLast = true
    switch world.pick(0...2) {
    case 0: loop.close(c, .reset)
    case 1: loop.close(c)
    default:
      // Half closed: a proxy takes that for the end, or answers all the same.
      traffic.probes.reached("half-closed client")
      loop.finishWriting(c)
      sending = nil
    }
  }

  override func received(_ bytes: ByteView) {
    if traffic.isSlow, world.chance(1, in: 4) {
      nap(world.milliseconds(0...400))
      traffic.probes.reached("slow reader")
    }
    reader.feed(bytes.array)
    while !isOver {
      guard let exchange = open.first else {
        if reader.next() != nil || !reader.isIdle { world.fail("a response that nobody asked for") }
        break
      }
      guard let event = reader.next(bodiless: exchange.method == .head) else { break }
      switch event {
      case .head(let start, let fields): sawHead(exchange, start, fields)
      case .data(let data):
        if !exchange.isFinal { traffic.sawData(exchange, data) }
        if case .afterResponseBytes(let n) = exchange.abort, exchange.received >= n { giveUp(exchange) }
      case .trailers(let fields): traffic.sawTrailers(exchange, fields)
      case .end: ended(exchange)
      }
    }
    if let broken = reader.broken { world.fail("a client cannot read its response: \(broken)") }
  }

  private func sawHead(_ exchange: SimExchange, _ start: String, _ fields: H1Reader.Fields) {
    let status = Int(start.split(separator: " ").dropFirst().first ?? "") ?? 0
    if status < 200 {
      traffic.probes.reached("informational response")
      if status == 100, sending === exchange, !mayContinue { goOn(exchange) }
      return
    }
    if !exchange.isFinal { traffic.sawHead(exchange, status: status, fields) }
    if fields.first("connection")?.lowercased() == "close" {
      isLast = true
      world.tell("#\(exchange.id) is the last of its connection")
    }
    if sending === exchange, !mayContinue {
      // Refused before its content was sent: it will not be.
      mayContinue = true
      isLast = true
      sending = nil
    }
  }

  private func ended(_ exchange: SimExchange) {
    if sending === exchange {
      traffic.probes.reached("response before the request's end")
      // The rest is sent only if the connection lives; what comes of it is the proxy's business.
      isLast = true
      if world.chance(1, in: 2) { sending = nil }
    }
    open.removeFirst()
    if !exchange.isFinal { traffic.sawEnd(exchange) }
    if isLast, open.isEmpty, world.chance(1, in: 2) { return loop.close(c) }
    later(.zero) { [self] in pump() }
  }

  override func readEnded() {
    if reader.endsByClose, let exchange = open.first, !exchange.isFinal {
      traffic.sawEnd(exchange)
      traffic.probes.reached("response ended by the connection's end")
      open.removeFirst()
    }
    loop.close(c)
  }

  override func closed(_ reason: CloseReason) {
    world.tell(
      "connection \(user.connections) of #\(open.map(\.id)), last \(isLast), \(user.waiting.count) to come, ends: \(reason.kind)"
    )
    for exchange in open { traffic.finish(exchange, .cut) }
    open = []
    user.lost()
  }
}
