// SimTraffic: what the clients of a world ask, what its servers do, and what either saw.

import WeftBase
import WeftHTTP
import WeftTestKit

/// One request: the plan for it, and what became of it.
final class SimExchange {
  enum Outcome: Equatable {
    case planned, open
    /// The client has a complete response.
    case answered
    /// The client saw the exchange end without one.
    case cut
    /// The client itself gave up.
    case abandoned
  }

  enum Abort { case afterRequestBytes(Int), afterResponseBytes(Int), after(Duration) }

  let id: Int
  var method = HTTPMethod.get
  var path = "/plain"
  var bodyLength = 0
  var hasBody = false
  /// HTTP/1: chunks instead of a length.
  var isChunked = false
  var hasTrailers = false
  var expectsContinue = false
  var pieceBytes = 1 << 20
  var pieceDelay = Duration.zero
  var abort: Abort?
  /// The first configuration version that may serve it (worlds that change it).
  var version = 0

  var outcome = Outcome.planned
  var startedAt = MonotonicInstant.zero
  var endedAt = MonotonicInstant.zero
  var requestSent = 0
  var status = 0
  /// The attempt that was answered; nil: the answer was made by a proxy.
  var attempt: Int?
  var claimed: Int?
  var received = 0
  var fields: H1Reader.Fields = []
  var sawTrailers = false
  /// Complete heads of this request that reached a server that took them; and of its copies.
  var arrivals = 0
  var copies = 0
  /// From a client of no world's plan, to an honest server.
  var isStranger = false

  init(_ id: Int) { self.id = id }

  var isIdempotent: Bool { method.isIdempotent }
  var isRetried: Bool { path.hasPrefix("/retry") }
  var isFinal: Bool { outcome != .planned && outcome != .open }
}

/// What a server does with one arrival of a request. Follows from seed, request and attempt alone.
struct SimScript {
  enum Fault: CaseIterable {
    case none, resetBeforeHead, closeBeforeHead, resetAfterHead, cutBody, closeAfter, early, silent, refuse, goAway
  }
  enum Framing { case length, chunked, close }

  var fault = Fault.none
  var status = 200
  var headDelay = Duration.zero
  var bodyLength = 0
  var framing = Framing.length
  var hasTrailers = false
  var pieceBytes = 1 << 20
  var pieceDelay = Duration.zero
  var isHinted = false

  var hasBody: Bool { status != 204 && status != 304 }
}

/// How wild a world is.
struct SimKnobs {
  /// Servers and clients keep every promise and nothing breaks: every request must be answered by its server.
  var isCalm = false
  var faultPercent = 20
  var errorPercent = 10
  var longestDelayMilliseconds = 3_000
  var longestBody = 40_000
  var slowPercent = 20
  var abortPercent = 10

  init(_ world: SimWorld, calm: Bool) {
    isCalm = calm
    faultPercent = calm ? 0 : world.pick([0, 5, 20, 50])
    errorPercent = world.pick([0, 10, 40])
    longestDelayMilliseconds = world.pick([0, 20, 800, 8_000])
    if calm { longestDelayMilliseconds = min(longestDelayMilliseconds, 800) }
    longestBody = world.pick([0, 200, 5_000, 40_000, 300_000])
    slowPercent = world.pick([0, 20, 60])
    abortPercent = calm ? 0 : world.pick([0, 10, 30])
  }
}

final class SimTraffic {
  let world: SimWorld
  let knobs: SimKnobs
  let probes: SimProbes
  private(set) var exchanges: [SimExchange] = []
  private static var firstStranger: Int { 1_000_000 }
  private var strangers = 0
  /// Worlds whose configuration changes: the version in force, and a look at each answer of a server.
  var version = 0
  var inspect: (SimExchange, H1Reader.Fields) -> Void = { _, _ in }

  init(_ world: SimWorld, knobs: SimKnobs, probes: SimProbes) {
    self.world = world
    self.knobs = knobs
    self.probes = probes
  }

  var isDone: Bool { exchanges.allSatisfy(\.isFinal) }

  func exchange(_ id: Int) -> SimExchange? { id >= 0 && id < exchanges.count ? exchanges[id] : nil }

  /// Plans a request. `simple`: GET-like, from a client that knows neither chunks nor pipelines.
  func plan(paths: [String], simple: Bool = false) -> SimExchange {
    let exchange = SimExchange(exchanges.count)
    exchanges.append(exchange)
    exchange.path = world.pick(paths)
    exchange.method = world.pick(simple ? [.get, .head] : [.get, .get, .get, .head, .post, .post, .put, .delete])
    if exchange.method == .post || exchange.method == .put {
      exchange.hasBody = true
      exchange.bodyLength = size()
      exchange.isChunked = world.chance(1, in: 2)
      exchange.hasTrailers = exchange.isChunked && world.chance(1, in: 4)
      exchange.expectsContinue = exchange.bodyLength > 0 && world.chance(1, in: 8)
      exchange.pieceBytes = world.pick([1 << 20, 10_000, 1_000]) + 1
      exchange.pieceDelay = isSlow ? world.milliseconds(0...300) : .zero
      if exchange.bodyLength / exchange.pieceBytes > 40 { exchange.pieceBytes = exchange.bodyLength / 40 + 1 }
    }
    // Answered before its content was read, a request ends its connection and what is pipelined behind it.
    if knobs.isCalm, exchange.path == "/direct" { exchange.hasBody = false }
    if !exchange.hasBody { exchange.bodyLength = 0 }
    if world.chance(knobs.abortPercent, in: 100) {
      switch world.pick(0...2) {
      case 0 where exchange.hasBody: exchange.abort = .afterRequestBytes(world.pick(0...max(1, exchange.bodyLength)))
      case 1: exchange.abort = .afterResponseBytes(world.pick(0...2_000))
      default: exchange.abort = .after(world.milliseconds(0...max(1, knobs.longestDelayMilliseconds)))
      }
    }
    return exchange
  }

  var isSlow: Bool { world.chance(knobs.slowPercent, in: 100) }

  private func size() -> Int {
    switch world.pick(0...3) {
    case 0: 0
    case 1: world.pick(0...min(300, knobs.longestBody))
    default: world.pick(0...knobs.longestBody)
    }
  }

  /// What the server does with the `attempt`-th arrival (from 0) of a request.
  func script(_ id: Int, attempt: Int) -> SimScript {
    var random = RandomSource(seed: RandomSource.mix(world.seed &* 1_000_003, UInt64(id * 64 + attempt)))
    func pick(_ range: ClosedRange<Int>) -> Int { range.lowerBound + random.next(below: range.count) }
    var script = SimScript()
    if random.chance(knobs.faultPercent, in: 100) {
      script.fault = SimScript.Fault.allCases[pick(1...SimScript.Fault.allCases.count - 1)]
    }
    if random.chance(knobs.errorPercent, in: 100) {
      script.status = [500, 503, 404, 429][pick(0...3)]
    } else {
      script.status = [200, 200, 200, 201, 204, 304][pick(0...5)]
    }
    if random.chance(1, in: 2) { script.headDelay = .milliseconds(pick(0...knobs.longestDelayMilliseconds)) }
    script.bodyLength = random.chance(1, in: 2) ? pick(0...min(300, knobs.longestBody)) : pick(0...knobs.longestBody)
    script.framing = [.length, .length, .chunked, .chunked, .close][pick(0...4)]
    script.hasTrailers = script.framing == .chunked && random.chance(1, in: 4)
    script.pieceBytes = [1 << 20, 20_000, 1_000][pick(0...2)]
    if script.bodyLength / script.pieceBytes > 40 { script.pieceBytes = script.bodyLength / 40 + 1 }
    if random.chance(knobs.slowPercent, in: 100) { script.pieceDelay = .milliseconds(pick(0...200)) }
    script.isHinted = random.chance(1, in: 12)
    return script
  }

  // MARK: What clients see

  func begin(_ exchange: SimExchange) {
    exchange.outcome = .open
    exchange.startedAt = world.now
    exchange.version = version
    world.tell("#\(exchange.id) \(exchange.method) \(exchange.path) body \(exchange.bodyLength)")
  }

  func sawHead(_ exchange: SimExchange, status: Int, _ fields: H1Reader.Fields) {
    exchange.status = status
    exchange.fields = fields
    if exchange.path == "/direct" {
      world.expect(status == 200 && fields.first("x-id") == nil, "#\(exchange.id): a direct response is \(status)")
      return
    }
    guard let id = fields.first("x-id").flatMap({ Int($0) }) else {
      world.expect(
        [400, 408, 413, 502, 503, 504].contains(status), "#\(exchange.id): a proxy answers \(status) of its own")
      world.expect(
        !knobs.isCalm || exchange.path == "/nobody", "#\(exchange.id): nothing is wrong, but it is \(status)")
      probes.reached("answer made by a proxy")
      return
    }
    world.expect(id == exchange.id, "#\(exchange.id) got the response of #\(id)")
    exchange.attempt = fields.first("x-attempt").flatMap { Int($0) }
    exchange.claimed = fields.first("x-body").flatMap { Int($0) }
    guard let attempt = exchange.attempt, attempt < exchange.arrivals else {
      return world.fail("#\(exchange.id): answered without having arrived")
    }
    let script = script(exchange.id, attempt: attempt)
    world.expect(status == script.status, "#\(exchange.id): status \(status), the server said \(script.status)")
    if attempt > 0 { probes.reached("answer to a later attempt") }
    inspect(exchange, fields)
  }

  func sawData(_ exchange: SimExchange, _ data: ArraySlice<UInt8>) {
    if exchange.attempt != nil {
      world.expect(
        SimContent.matches(exchange.id * 2 + 1, at: exchange.received, data),
        "#\(exchange.id): bytes \(exchange.received)..<\(exchange.received + data.count) of the response are not its own"
      )
    }
    exchange.received += data.count
  }

  func sawTrailers(_ exchange: SimExchange, _ fields: H1Reader.Fields) {
    exchange.sawTrailers = true
    if let id = fields.first("x-sum") {
      world.expect(id == "\(exchange.id)", "#\(exchange.id) got the trailers of #\(id)")
      probes.reached("response trailers")
    }
  }

  func sawEnd(_ exchange: SimExchange) {
    if exchange.attempt != nil, exchange.method != .head, ![204, 304].contains(exchange.status) {
      world.expect(
        exchange.received == exchange.claimed,
        "#\(exchange.id): a response of \(exchange.claimed ?? -1) bytes passes for complete with \(exchange.received)")
    }
    finish(exchange, .answered)
  }

  func finish(_ exchange: SimExchange, _ outcome: SimExchange.Outcome) {
    guard exchange.outcome == .open else { return }
    exchange.outcome = outcome
    exchange.endedAt = world.now
    world.tell("#\(exchange.id) \(outcome) \(exchange.status), \(exchange.received) bytes")
    switch outcome {
    case .cut: probes.reached("exchange cut")
    case .abandoned: probes.reached("exchange abandoned by its client")
    default: break
    }
    world.expect(
      outcome != .cut || !knobs.isCalm,
      "#\(exchange.id): nothing is wrong, but it was cut after \(exchange.received) bytes of \(exchange.status)")
  }

  // MARK: What servers see

  /// A request's head has reached a server that takes it. Nil: it is not one of ours.
  func arrived(_ start: String, _ fields: H1Reader.Fields, on end: SimEnd) -> (exchange: SimExchange, attempt: Int)? {
    let words = start.split(separator: " ")
    if words.count == 3, words[1].hasPrefix("/stranger") {
      strangers += 1
      let exchange = SimExchange(Self.firstStranger + strangers)
      exchange.isStranger = true
      if words[0] == "HEAD" { exchange.method = .head }
      return (exchange, 0)
    }
    guard words.count == 3, let id = fields.first("x-id").flatMap({ Int($0) }), let exchange = exchange(id) else {
      world.fail("a server got \(start), which nobody sent")
      return nil
    }
    world.expect(words[0] == "\(exchange.method.text)", "#\(id): sent \(exchange.method.text), arrived as \(words[0])")
    let isCopy = fields.first("x-envoy-internal") != nil
    // Nobody sees the answer to a copy; what the server does with it is a script of its own.
    let attempt = isCopy ? 48 + exchange.copies : exchange.arrivals
    if isCopy { exchange.copies += 1 } else { exchange.arrivals += 1 }
    let script = script(id, attempt: attempt)
    world.tell(
      "#\(id) arrives on \(end.name) (attempt \(attempt)): \(script.fault) \(script.status) after \(script.headDelay), "
        + "\(script.framing) \(script.bodyLength)")
    if isCopy {
      world.expect(!exchange.path.hasPrefix("/direct"), "#\(id): a request that goes nowhere is copied")
      probes.reached("copy of a request")
      return (exchange, attempt)
    }
    if !exchange.isIdempotent, !exchange.isRetried {
      world.expect(attempt == 0, "#\(id): a \(words[0]) without a retry policy reached servers \(attempt + 1) times")
    }
    if attempt > 0 { probes.reached("request arrived again") }
    return (exchange, attempt)
  }

  func serverSawData(_ exchange: SimExchange, at offset: Int, _ data: ArraySlice<UInt8>) {
    if exchange.isStranger { return }
    world.expect(
      SimContent.matches(exchange.id * 2, at: offset, data),
      "#\(exchange.id): bytes \(offset)..<\(offset + data.count) of the request are not its own")
  }

  func serverSawTrailers(_ exchange: SimExchange, _ fields: H1Reader.Fields) {
    if exchange.isStranger { return }
    world.expect(fields.first("x-sum") == "\(exchange.id)", "#\(exchange.id): other trailers")
    probes.reached("request trailers")
  }

  func serverSawEnd(_ exchange: SimExchange, _ count: Int) {
    if exchange.isStranger { return }
    world.expect(
      count == exchange.bodyLength,
      "#\(exchange.id): a request of \(exchange.bodyLength) bytes passes for complete with \(count)")
  }
}
