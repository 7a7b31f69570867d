import Synchronization

/// A head on its way out.
struct OutgoingHead: Sendable {
  var response: HTTPResponse
  /// Bytes of content to follow, when known; nil streams.
  var length: Int?
  /// Says nothing about content at all: trailers-only responses of gRPC, 204, 304.
  var isBare = false

  var isInformational: Bool { (100..<200).contains(response.status) }
}

/// One request and its response on the server, shared by the loop and the handler's task.
final class ServerExchange: Sendable {
  private struct State {
    var heads: [OutgoingHead] = []
    var isStarted = false
    var isLeftByHandler = false
    var outcome: Outcome?
    var waiter: CheckedContinuation<Void, Never>?
    var alarmHasRung = false
    var alarmWaiter: CheckedContinuation<Void, Never>?
  }

  enum Outcome: Sendable {
    case complete
    case failed(ServiceError)
  }

  let inbound: InboundStream
  let outbound: OutboundStream
  private let state = Mutex(State())
  private let signal: @Sendable (ExchangeSignal) -> Void

  init(limits: ServiceLimits, signal: @escaping @Sendable (ExchangeSignal) -> Void) {
    self.signal = signal
    inbound = InboundStream(onConsumed: { signal(.consumed($0)) }, onAbandoned: {})
    outbound = OutboundStream(
      limit: limits.streamBufferBytes, onWork: { signal(.work) }, onAbandoned: {})
  }

  // MARK: Task side

  /// Sends the final head; with `wholeBody` the response is complete.
  func start(_ response: HTTPResponse, wholeBody: [UInt8]?, isBare: Bool = false) throws {
    guard response.status >= 200, response.status <= 999 else {
      throw ServiceError.protocolViolation("final status \(response.status)")
    }
    try HeadConversion.check(response.headers)
    let declared = response.headers["content-length"].flatMap { Int($0) }
    let error = state.withLock { state -> ServiceError? in
      if case .failed(let error) = state.outcome { return error }
      guard !state.isStarted else { return .protocolViolation("a second response") }
      state.isStarted = true
      if let wholeBody { outbound.preload(wholeBody) }
      state.heads.append(
        OutgoingHead(
          response: response, length: wholeBody?.count ?? declared,
          isBare: isBare || response.status == 204 || response.status == 304))
      return nil
    }
    if let error { throw error }
    signal(.work)
  }

  func sendInterim(_ response: HTTPResponse) {
    guard (100..<200).contains(response.status), response.status != 101,
      (try? HeadConversion.check(response.headers)) != nil
    else { return }
    state.withLock { state in
      if !state.isStarted { state.heads.append(OutgoingHead(response: response)) }
    }
    signal(.work)
  }

  func reset(code: UInt32) { signal(.abort(.cancelled, code: code)) }

  func setDeadline(in timeout: Duration) { signal(.deadline(timeout)) }

  /// The handler has returned or thrown: nothing more will come from it.
  func handlerReturned() { state.withLock { $0.isLeftByHandler = true } }

  var isLeftByHandler: Bool { state.withLock { $0.isLeftByHandler } }

  var isStarted: Bool { state.withLock { $0.isStarted } }

  var isEnded: Bool { state.withLock { $0.outcome != nil } }

  /// Waits for the end; the error it ended with, nil when it is complete or the waiting task was cancelled.
  func failure() async -> ServiceError? {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let ready = state.withLock { state -> Bool in
          guard state.outcome == nil, !Task.isCancelled else { return true }
          state.waiter = continuation
          return false
        }
        if ready { continuation.resume() }
      }
    } onCancel: {
      takeWaiter()?.resume()
    }
    if case .failed(let error) = state.withLock({ $0.outcome }) { return error }
    return nil
  }

  /// Waits for `timeout`, at most until the exchange ends or the task is cancelled; true when the time is over. Call it once.
  ///
  /// Why not `Task.sleep`: a cancelled sleep stays in the dispatch library's queue until its time.
  func alarm(in timeout: Duration) async -> Bool {
    signal(.alarm(timeout))
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let ready = state.withLock { state -> Bool in
          guard !state.alarmHasRung, state.outcome == nil, !Task.isCancelled else { return true }
          state.alarmWaiter = continuation
          return false
        }
        if ready { continuation.resume() }
      }
    } onCancel: {
      takeAlarmWaiter()?.resume()
    }
    return state.withLock { $0.alarmHasRung && $0.outcome == nil }
  }

  /// On the loop.
  func alarmRings() {
    state.withLock { $0.alarmHasRung = true }
    takeAlarmWaiter()?.resume()
  }

  private func takeAlarmWaiter() -> CheckedContinuation<Void, Never>? {
    state.withLock { state in
      defer { state.alarmWaiter = nil }
      return state.alarmWaiter
    }
  }

  private func takeWaiter() -> CheckedContinuation<Void, Never>? {
    state.withLock { state in
      defer { state.waiter = nil }
      return state.waiter
    }
  }

  // MARK: Loop side

  func takeHead() -> OutgoingHead? {
    state.withLock { state in state.heads.isEmpty ? nil : state.heads.removeFirst() }
  }

  func ended(_ error: ServiceError?) {
    let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
      guard state.outcome == nil else { return nil }
      state.outcome = error.map(Outcome.failed) ?? .complete
      defer { state.waiter = nil }
      return state.waiter
    }
    waiter?.resume()
    takeAlarmWaiter()?.resume()
  }
}

/// The loop's side of a server exchange.
final class ServerLoopExchange: LoopExchange {
  let shared: ServerExchange
  let isHEAD: Bool
  var hasSentHead = false
  let host: ServerHost

  init(host: ServerHost, shared: ServerExchange, id: UInt64, isHEAD: Bool) {
    self.shared = shared
    self.isHEAD = isHEAD
    self.host = host
    super.init(id: id, core: host.core, inbound: shared.inbound, outbound: shared.outbound)
  }

  override func ended(_ error: ServiceError?) { shared.ended(error) }

  override func alarmRings() { shared.alarmRings() }
}
