import WeftBase
import WeftHTTP

/// What the task side of an exchange tells the loop.
enum ExchangeSignal: Sendable {
  /// A head, bytes or an end wait to be sent.
  case work
  /// The task took this many received bytes.
  case consumed(Int)
  /// Give the exchange up.
  case abort(ServiceError, code: UInt32)
  /// Bound what is left.
  case deadline(Duration)
  /// Say when this time is over.
  case alarm(Duration)
}

/// The loop's side of one exchange: which connection and stream carry it, and how far it has come.
///
/// *Shape*: owned by the core's table from its start to `end`, which happens exactly once.
class LoopExchange {
  let id: UInt64
  let core: LoopCore
  let inbound: InboundStream
  let outbound: OutboundStream
  /// What carries it; nil before it is assigned one and after its end.
  var connection: LoopConnection?
  var stream: H2StreamID = 0
  var receivedEnd = false
  var sentEnd = false
  private(set) var hasEnded = false
  private var deadline: UInt64?
  private var alarm: UInt64?

  init(id: UInt64, core: LoopCore, inbound: InboundStream, outbound: OutboundStream) {
    self.id = id
    self.core = core
    self.inbound = inbound
    self.outbound = outbound
    core.add(self)
  }

  func handle(_ signal: ExchangeSignal) {
    switch signal {
    case .work: connection?.pump(self)
    case .consumed(let bytes): connection?.consumed(self, bytes)
    case .abort(let error, let code): abort(error, H2ErrorCode(rawValue: code))
    case .deadline(let timeout): setDeadline(timeout)
    case .alarm(let timeout): setAlarm(timeout)
    }
  }

  func setDeadline(_ timeout: Duration) {
    core.cancelTimer(&deadline)
    guard !hasEnded else { return }
    deadline = core.after(max(timeout, .zero)) { [weak self] in
      self?.deadline = nil
      self?.abort(.deadlineExceeded)
    }
  }

  private func setAlarm(_ timeout: Duration) {
    core.cancelTimer(&alarm)
    guard !hasEnded else { return }
    alarm = core.after(max(timeout, .zero)) { [weak self] in
      self?.alarm = nil
      self?.alarmRings()
    }
  }

  /// For subclasses: tells the task that asked.
  func alarmRings() {}

  /// Ends the exchange from our side.
  func abort(_ error: ServiceError, _ code: H2ErrorCode = .cancel) {
    guard !hasEnded else { return }
    let carrier = connection
    end(error)
    carrier?.abort(self, code)
  }

  /// The peer's side is complete.
  func receivedAll(trailers: HTTPHeaders = HTTPHeaders()) {
    receivedEnd = true
    inbound.finish(trailers: trailers)
    if sentEnd { end(nil) }
  }

  /// Our side has been handed to the connection completely.
  func sentAll() {
    sentEnd = true
    if receivedEnd { end(nil) }
  }

  /// Ends the exchange, with an error unless it is complete. Bytes already received stay readable.
  func end(_ error: ServiceError?) {
    guard !hasEnded else { return }
    hasEnded = true
    core.cancelTimer(&deadline)
    core.cancelTimer(&alarm)
    core.remove(self)
    connection = nil
    let reason = error ?? .connectionClosed("the exchange is over")
    inbound.fail(reason)
    outbound.fail(reason)
    ended(error)
  }

  /// For subclasses: tells whoever waits.
  func ended(_ error: ServiceError?) {}
}
