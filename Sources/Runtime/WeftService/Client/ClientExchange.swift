import Synchronization
import WeftHTTP

/// What a client sends.
struct ClientRequest: Sendable {
  var head: HTTPRequest
  /// The content when it is known as a whole; nil streams it.
  var wholeBody: [UInt8]?
  /// A body is not announced by its length (gRPC).
  var omitsLength = false
  /// Waits for a connection instead of failing with the first refused attempt.
  var waitsForConnection = false

  /// Whether an empty body is still declared (`content-length: 0`).
  var declaresLength: Bool { ["POST", "PUT", "PATCH"].contains(head.method) }

  /// Whether it may be sent once more when a kept-alive connection turns out to be dead.
  var isReplayable: Bool {
    wholeBody != nil && ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"].contains(head.method)
  }
}

/// One request and its response on the client, shared by the caller's task and the loop.
final class ClientExchange: Sendable {
  private struct State {
    var response: Result<HTTPResponse, ServiceError>?
    var version = HTTPVersion.http11
    var lastWaiter = 0
    var waiters: [Int: CheckedContinuation<Void, Never>] = [:]
  }

  let inbound: InboundStream
  let outbound: OutboundStream
  private let state = Mutex(State())
  private let signal: @Sendable (ExchangeSignal) -> Void

  init(limits: ServiceLimits, signal: @escaping @Sendable (ExchangeSignal) -> Void) {
    self.signal = signal
    let abandon: @Sendable () -> Void = { signal(.abort(.cancelled, code: H2ErrorCode.cancel.rawValue)) }
    inbound = InboundStream(onConsumed: { signal(.consumed($0)) }, onAbandoned: abandon)
    outbound = OutboundStream(
      limit: limits.streamBufferBytes, onWork: { signal(.work) }, onAbandoned: abandon)
  }

  // MARK: Task side

  /// Waits for the final response head; several tasks may.
  func response() async throws -> HTTPResponse {
    let id = state.withLock { state in
      state.lastWaiter += 1
      return state.lastWaiter
    }
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let ready = state.withLock { state -> Bool in
          guard state.response == nil, !Task.isCancelled else { return true }
          state.waiters[id] = continuation
          return false
        }
        if ready { continuation.resume() }
      }
    } onCancel: {
      state.withLock { $0.waiters.removeValue(forKey: id) }?.resume()
    }
    if let response = state.withLock({ $0.response }) { return try response.get() }
    cancel()
    throw ServiceError.cancelled
  }

  var version: HTTPVersion { state.withLock { $0.version } }

  func cancel() { signal(.abort(.cancelled, code: H2ErrorCode.cancel.rawValue)) }

  // MARK: Loop side

  func received(_ response: HTTPResponse, version: HTTPVersion) {
    set(.success(response), version)
  }

  func fail(_ error: ServiceError) { set(.failure(error), .http11) }

  private func set(_ result: Result<HTTPResponse, ServiceError>, _ version: HTTPVersion) {
    let waiters = state.withLock { state -> [CheckedContinuation<Void, Never>] in
      guard state.response == nil else { return [] }
      state.response = result
      state.version = version
      defer { state.waiters = [:] }
      return Array(state.waiters.values)
    }
    for waiter in waiters { waiter.resume() }
  }
}

/// The loop's side of a client exchange.
final class ClientLoopExchange: LoopExchange {
  let shared: ClientExchange
  let request: ClientRequest
  weak var pool: AddressPool?
  /// It went out on a connection that had served another before.
  var wasReused = false
  var wasReplayed = false
  /// Some of the response has come: replaying is out of the question.
  var hasResponse = false

  init(core: LoopCore, shared: ClientExchange, id: UInt64, request: ClientRequest) {
    self.shared = shared
    self.request = request
    super.init(id: id, core: core, inbound: shared.inbound, outbound: shared.outbound)
  }

  override func abort(_ error: ServiceError, _ code: H2ErrorCode = .cancel) {
    pool?.forget(self)
    super.abort(error, code)
  }

  override func ended(_ error: ServiceError?) {
    shared.fail(error ?? .connectionClosed("the exchange ended without a response"))
  }
}
