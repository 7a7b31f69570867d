/// What a server listens on, and its bounds.
package struct HTTPServerConfiguration: Sendable {
  package var addresses: [ServiceAddress]
  /// TLS with ALPN `h2` and `http/1.1`; nil serves plaintext, where HTTP/2 is recognised by its preface.
  package var tls: ServerTLS?
  package var limits = ServiceLimits()
  /// The `server` header of responses that set none; nil sends none.
  package var serverName: String? = "weft"

  package init(addresses: [ServiceAddress] = [.loopback()], tls: ServerTLS? = nil) {
    self.addresses = addresses
    self.tls = tls
  }
}

/// An HTTP/1.1 and HTTP/2 server.
///
/// `bind` opens the sockets, `run` serves until `shutdown` has drained it or its task is cancelled. Every handler is a child
/// task of `run`; none outlives it.
package final class HTTPServer: Sendable {
  /// Answers one request. Returning without an answer sends 500; throwing before the head sends 500 (a `ServiceError` about
  /// the request itself: 400 or 413), after it resets the stream. The task is cancelled when the exchange fails.
  package typealias Handler = @Sendable (HTTPServerRequest, HTTPResponder) async throws -> Void

  /// The addresses really bound, with the kernel's choice for port 0.
  package let addresses: [ServiceAddress]
  let configuration: HTTPServerConfiguration
  private let runtime: ServiceRuntime
  private let queue: ExchangeQueue
  private let host: LoopBound<ServerHost>

  private init(
    configuration: HTTPServerConfiguration, runtime: ServiceRuntime, queue: ExchangeQueue, addresses: [ServiceAddress],
    host: LoopBound<ServerHost>
  ) {
    self.configuration = configuration
    self.runtime = runtime
    self.queue = queue
    self.addresses = addresses
    self.host = host
  }

  /// Opens the sockets; connections are accepted from now on and answered once `run` is called.
  /// *Errors*: `WeftError` when an address cannot be bound or the TLS material is unusable.
  package static func bind(
    _ configuration: HTTPServerConfiguration, on runtime: ServiceRuntime
  ) async throws -> HTTPServer {
    let queue = ExchangeQueue()
    let (addresses, host) = try await runtime.onLoop { core in
      let host = try ServerHost(core: core, runtime: runtime, configuration: configuration, queue: queue)
      do {
        return (try configuration.addresses.map(host.listen), LoopBound(host))
      } catch {
        host.stopListening()
        throw error
      }
    }
    return HTTPServer(configuration: configuration, runtime: runtime, queue: queue, addresses: addresses, host: host)
  }

  /// Serves until shut down or cancelled (cancellation shuts down without grace). Call it once.
  package func run(_ handler: @escaping Handler) async {
    await withTaskCancellationHandler {
      await withDiscardingTaskGroup { group in
        while let arrival = await queue.next() {
          group.addTask { await Self.serve(arrival, handler) }
        }
      }
    } onCancel: {
      beginShutdown(grace: .zero)
    }
  }

  /// Stops accepting, tells HTTP/2 peers to go away, lets exchanges finish for `grace`, then resets what is left. Returns
  /// when no connection is left.
  package func shutdown(grace: Duration = .seconds(10)) async {
    await withCheckedContinuation { continuation in
      let accepted = runtime.post { [host] core in
        guard !core.isShutDown else { return continuation.resume() }
        host.value.whenDrained(continuation)
        host.value.drain(grace: grace)
      }
      if !accepted { continuation.resume() }
    }
    queue.finish()
  }

  private func beginShutdown(grace: Duration) {
    let accepted = runtime.post { [host, queue] core in
      if core.isShutDown { queue.finish() } else { host.value.drain(grace: grace) }
    }
    if !accepted { queue.finish() }
  }

  // MARK: One request

  private static func serve(_ arrival: ExchangeQueue.Arrival, _ handler: @escaping Handler) async {
    let exchange = arrival.exchange
    await withTaskGroup(of: Bool.self) { group in
      group.addTask {
        await answer(arrival, handler)
        return false
      }
      // The handler's task is cancelled as soon as nobody waits for its answer.
      group.addTask { await exchange.failure() != nil }
      for await mustCancel in group where mustCancel || exchange.isLeftByHandler { group.cancelAll() }
    }
  }

  private static func answer(_ arrival: ExchangeQueue.Arrival, _ handler: Handler) async {
    let exchange = arrival.exchange
    let responder = HTTPResponder(exchange: exchange)
    defer { exchange.handlerReturned() }
    do {
      try await handler(arrival.request, responder)
      if !exchange.isStarted { try? await responder.send(status: 500, "the handler gave no answer\n") }
      exchange.outbound.finish()
    } catch {
      guard !exchange.isStarted else { return exchange.reset(code: 2) }
      switch error as? ServiceError {
      case .limitExceeded(let what): try? await responder.send(status: 413, "limit exceeded: \(what)\n")
      case .protocolViolation(let what): try? await responder.send(status: 400, "\(what)\n")
      default: try? await responder.send(status: 500, "internal error\n")
      }
    }
  }

  /// Binds, serves in a child task while `body` runs, then shuts down.
  package static func serving<Result: Sendable>(
    _ configuration: HTTPServerConfiguration, on runtime: ServiceRuntime, grace: Duration = .seconds(10),
    handler: @escaping Handler, _ body: @Sendable (HTTPServer) async throws -> Result
  ) async throws -> Result {
    let server = try await bind(configuration, on: runtime)
    return try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { await server.run(handler) }
      do {
        let result = try await body(server)
        await server.shutdown(grace: grace)
        return result
      } catch {
        await server.shutdown(grace: .zero)
        throw error
      }
    }
  }
}
