import WeftHTTP
import WeftService

/// The protocols every exchange test runs over.
let bothProtocols: [HTTPClientConfiguration.Protocols] = [.http1, .http2]

/// A server and a client of one runtime, on loopback.
struct Loopback: Sendable {
  let server: HTTPServer
  let client: HTTPClient
  let runtime: ServiceRuntime

  var address: ServiceAddress { server.addresses[0] }

  /// Runs `body` against a server with `handler`, then shuts everything down.
  @discardableResult
  static func run<Result: Sendable>(
    _ protocols: HTTPClientConfiguration.Protocols = .http1, limits: ServiceLimits = ServiceLimits(),
    clientLimits: ServiceLimits? = nil, serverTLS: ServerTLS? = nil, clientTLS: ClientTLS? = nil,
    handler: @escaping HTTPServer.Handler, _ body: @escaping @Sendable (Loopback) async throws -> Result
  ) async throws -> Result {
    try await ServiceRuntime.with { runtime in
      var configuration = HTTPServerConfiguration(tls: serverTLS)
      configuration.limits = limits
      var clientConfiguration = HTTPClientConfiguration(protocols: protocols, tls: clientTLS)
      clientConfiguration.limits = clientLimits ?? limits
      let client = HTTPClient(clientConfiguration, on: runtime)
      return try await HTTPServer.serving(configuration, on: runtime, grace: .seconds(5), handler: handler) { server in
        let result = try await body(Loopback(server: server, client: client, runtime: runtime))
        await client.close()
        return result
      }
    }
  }

  /// A request of this server.
  func send(
    _ method: String = "GET", _ target: String = "/", headers: HTTPHeaders = HTTPHeaders(), body: [UInt8] = [],
    timeout: Duration? = .seconds(240)
  ) async throws -> HTTPClientResponse {
    try await client.send(
      HTTPRequest(method: method, target: target, headers: headers), body: body, to: address, timeout: timeout)
  }
}

/// A door that opens once; many may wait before it. Lets tests order events without sleeping.
actor Gate {
  private var isOpen = false
  private var waiters: [CheckedContinuation<Void, Never>] = []

  func open() {
    isOpen = true
    for waiter in waiters { waiter.resume() }
    waiters = []
  }

  func wait() async {
    if isOpen { return }
    await withCheckedContinuation { waiters.append($0) }
  }
}

/// A value set by one task and awaited by another.
actor Promise<Value: Sendable> {
  private var value: Value?
  private var waiters: [CheckedContinuation<Value, Never>] = []

  func fulfil(_ value: Value) {
    guard self.value == nil else { return }
    self.value = value
    for waiter in waiters { waiter.resume(returning: value) }
    waiters = []
  }

  func get() async -> Value {
    if let value { return value }
    return await withCheckedContinuation { waiters.append($0) }
  }
}

/// Waits until `condition` holds, giving way to others; false after about ten seconds.
func eventually(_ condition: @Sendable () async -> Bool) async -> Bool {
  let clock = ContinuousClock()
  let end = clock.now + .seconds(10)
  while clock.now < end {
    if await condition() { return true }
    await Task.yield()
  }
  return false
}

/// Waits for the task's cancellation and nothing else.
func untilCancelled() async {
  let (stream, continuation) = AsyncStream.makeStream(of: Void.self)
  for await _ in stream {}
  continuation.finish()
}

func bytes(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) } }
