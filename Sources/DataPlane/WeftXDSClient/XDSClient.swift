// The driver of an XDSSession: streams, back-off, deadlines and the disk. Cold path.
package import WeftBase
package import WeftCompile
import WeftGRPC
package import WeftModel
import WeftProtobuf
import WeftRuntime
package import WeftService
package import WeftTelemetry
package import WeftXDSMessages

/// How the proxy reaches its control plane.
package struct XDSClientConfiguration: Sendable {
  package var form: XDSForm
  package var node: Envoy_Config_Core_V3_Node
  /// Tried in turn, one stream after another.
  package var addresses: [ServiceAddress]
  package var tls: ClientTLS?
  package var authority: String?
  package var metadata: [(String, String)] = []
  /// Which of clusters and listeners come from the control plane, and how long readiness waits for the first answer (nil: for ever).
  package var wildcards: [XDSType: Duration?]
  /// What the bootstrap's own resources take from the stream; `want` says later what they do together with others.
  package var fixed = XDSNeeds()
  package var nodeOnFirstMessageOnly = true
  package var lastGoodPath: String?
  /// What the server is willing to be asked; nil: no limit.
  package var requestRate: Bootstrap.RequestRate?
  package var receiveMessageBytes = 256 << 20
  /// A silent connection is pinged after `time` and given up when no answer comes within `timeout`; nil leaves the client's own
  /// defaults, which are patient because servers of the field count pings as abuse.
  package var keepAlive: (time: Duration, timeout: Duration)?
  /// Reconnection: full jitter in [½·d, d], d doubling from `firstDelay` to `longestDelay`.
  package var firstDelay = Duration.milliseconds(200)
  package var longestDelay = Duration.seconds(15)

  package init(
    form: XDSForm, node: Envoy_Config_Core_V3_Node, addresses: [ServiceAddress], wildcards: [XDSType: Duration?]
  ) {
    self.form = form
    self.node = node
    self.addresses = addresses
    self.wildcards = wildcards
  }
}

/// What the admin page and statistics show of the control plane.
package struct XDSStatus: Sendable {
  package var isConnected = false
  package var isSettled = false
  package var updates: [XDSType: Int] = [:]
  package var rejections: [XDSType: Int] = [:]
  package var lastRejection: [XDSType: String] = [:]
  package var attempts = 0
}

/// Keeps one aggregated stream to the control plane and turns what comes over it into configuration.
package actor XDSClient {
  private let configuration: XDSClientConfiguration
  private let runtime: ServiceRuntime
  private let logger: Logger
  private let clock: @Sendable () -> MonotonicInstant
  private let apply: @Sendable (ConfigState) async -> AppliedConfig
  private var session: XDSSession
  private var random: RandomSource
  private var nodeIsSent = false
  /// What is sent goes out in the order in which it was true: whoever asks the session what to say has its turn until it is said.
  private let turns = Turnstile()
  /// Sends on the stream that is open.
  private var send: (@Sendable ([XDSRequest]) async throws -> Void)?
  private var alarm: Task<Void, Never>?
  /// Something has come on this stream: the server is well, whatever ends the stream.
  private var hasAnswered = false
  package private(set) var status = XDSStatus()
  private let counters: XDSCounters
  private var warnings = DiscoveryWarnings()
  private let keeper: LastGoodKeeper?
  private var pace: RequestPace?
  private var startedAt: MonotonicInstant?
  private var isPublishing = false
  private var publishesWanted = 0
  /// Those up to this one are contained in the publication that runs or ran last.
  private var publishesDone = 0
  private var whenPublished: [CheckedContinuation<Void, Never>] = []

  /// *Parameter* `apply`: makes a configuration visible.
  package init(
    _ configuration: XDSClientConfiguration, on runtime: ServiceRuntime, metrics: MetricsRegistry, logger: Logger,
    random: RandomSource, clock: @escaping @Sendable () -> MonotonicInstant,
    wallClock: @escaping @Sendable () -> UInt64, decode: @escaping XDSDecoder, check: @escaping XDSCheck,
    apply: @escaping @Sendable (ConfigState) async -> AppliedConfig
  ) {
    self.configuration = configuration
    self.runtime = runtime
    self.logger = logger
    self.random = random
    self.clock = clock
    self.apply = apply
    counters = XDSCounters(metrics, wallClock: wallClock)
    pace = configuration.requestRate.map { RequestPace(burst: $0.burst, perSecond: $0.perSecond) }
    keeper = configuration.lastGoodPath.map { path in
      LastGoodKeeper { store in
        guard let reason = await LastGoodFile(path: path).writeAside(store) else { return }
        logger.warning("last good configuration cannot be kept", ("file", .text(path)), ("reason", .text(reason)))
      }
    }
    session = XDSSession(
      form: configuration.form, wildcards: configuration.wildcards, store: XDSStore(fixed: configuration.fixed),
      decode: decode, check: check)
  }

  /// Runs until its task is cancelled. The last good configuration from disk is in force before the first connection is tried.
  package func run() async {
    session.begin(now: clock())
    startedAt = clock()
    await restore()
    counters.began(session.subscribed, session.store)
    // Who did not come over the stream begins to wait for it.
    if configuration.fixed.isEmpty { setAlarm() } else { await publish() }
    await keepStream()
    alarm?.cancel()
  }

  private func keepStream() async {
    var delay = configuration.firstDelay
    var turn = 0
    while !Task.isCancelled {
      let began = clock()
      status.attempts += 1
      do {
        try await stream(to: configuration.addresses[turn % configuration.addresses.count])
        logger.warning("the control plane ended the stream")
      } catch {
        guard !Task.isCancelled else { return }
        logger.warning("no stream to the control plane", ("reason", "\(error)"))
      }
      status.isConnected = false
      send = nil
      session.closed()
      counters.closed(session.subscribed, session.store)
      turn += 1
      // One that answers and ends at once, again and again, is not to be asked as often as that.
      if clock() - began > (hasAnswered ? .seconds(1) : .seconds(10)) { delay = configuration.firstDelay }
      hasAnswered = false
      let jittered = delay * (0.5 + Double(random.next() >> 11) / Double(1 << 53) / 2)
      do { try await Task.sleep(for: jittered) } catch { return }
      delay = min(delay * 2, configuration.longestDelay)
    }
  }

  /// The accepted resources, for the admin page.
  package var store: XDSStore { session.store }

  private func restore() async {
    guard let path = configuration.lastGoodPath else { return }
    switch LastGoodFile(path: path).read() {
    case .success(nil): break
    case .success(let kept?):
      let count = session.restore(kept)
      logger.info("last good configuration restored", ("resources", .number(count)))
      await publish()
    case .failure(let problem):
      logger.warning("last good configuration cannot be used", ("file", .text(path)), ("reason", "\(problem)"))
    }
  }

  // MARK: - One stream

  private func stream(to address: ServiceAddress) async throws {
    var client = GRPCClientConfiguration(tls: configuration.tls)
    client.authority = configuration.authority
    client.receiveMessageBytes = configuration.receiveMessageBytes
    if let keepAlive = configuration.keepAlive {
      client.limits.keepAliveTime = keepAlive.time
      client.limits.keepAliveTimeout = keepAlive.timeout
    }
    let grpc = GRPCClient(to: address, client, on: runtime)
    do {
      switch configuration.form {
      case .stateOfTheWorld:
        try await run(
          grpc, XDSMethods.stateOfTheWorld, { $0.stateOfTheWorld(node: $1) }, { XDSResponse($0) })
      case .delta:
        try await run(grpc, XDSMethods.delta, { $0.delta(node: $1) }, { XDSResponse($0) })
      }
    } catch {
      await grpc.close()
      throw error
    }
    await grpc.close()
  }

  private func run<Request, Response>(
    _ grpc: GRPCClient, _ method: GRPCMethod<Request, Response>,
    _ encode: @escaping @Sendable (XDSRequest, Envoy_Config_Core_V3_Node?) -> Request,
    _ decode: @escaping @Sendable (Response) -> XDSResponse
  ) async throws {
    var options = GRPCCallOptions(timeout: nil)
    for (name, value) in configuration.metadata { options.metadata.add(name, value) }
    try await grpc.withStream(method, options) { @Sendable stream in
      let send: @Sendable ([XDSRequest]) async throws -> Void = { requests in
        for (i, request) in requests.enumerated() {
          try await self.waitForTurn(pending: requests.count - i)
          try await stream.send(await self.message(request, encode))
        }
        self.counters.pending(0)
      }
      try await self.inTurn {
        await self.began(send)
        try await send(await self.opened())
      }
      for try await message in stream.responses {
        try await self.inTurn { try await send(await self.received(decode(message))) }
      }
    }
  }

  private nonisolated func inTurn(_ speak: @Sendable () async throws -> Void) async throws {
    await turns.enter()
    do { try await speak() } catch {
      await turns.leave()
      throw error
    }
    await turns.leave()
  }

  private func began(_ send: @escaping @Sendable ([XDSRequest]) async throws -> Void) { self.send = send }

  /// Clusters and listeners that did not come over the stream want this of it from now on, and nothing else.
  package func want(_ needs: XDSNeeds) async {
    // A stream that fails is told of by who reads it; the next one asks for everything.
    try? await inTurn { try await self.send(needs) }
    await publish()
  }

  private func send(_ needs: XDSNeeds) async throws {
    let outcome = session.want(needs)
    counters.began(outcome.subscribed, session.store)
    if let send, !outcome.requests.isEmpty { try await send(outcome.requests) }
  }

  /// Holds a request back for as long as the server's limit wants.
  private func waitForTurn(pending: Int) async throws {
    counters.pending(pending)
    let pause = pace?.take(now: clock()) ?? .zero
    if pause <= .zero { return }
    counters.heldBack()
    try await Task.sleep(for: pause)
  }

  /// The request on the wire, with the node where it belongs.
  private func message<Request>(
    _ request: XDSRequest, _ encode: @Sendable (XDSRequest, Envoy_Config_Core_V3_Node?) -> Request
  ) -> Request {
    let carriesNode = !nodeIsSent || !configuration.nodeOnFirstMessageOnly
    nodeIsSent = true
    counters.sent(request)
    return encode(request, carriesNode ? configuration.node : nil)
  }

  private func opened() -> [XDSRequest] {
    status.isConnected = true
    nodeIsSent = false
    counters.opened()
    return session.opened()
  }

  private func received(_ response: XDSResponse) async -> [XDSRequest] {
    hasAnswered = true
    let outcome = session.received(response)
    counters.received(identifier: response.controlPlane)
    if let type = XDSType(rawValue: response.typeURL) {
      counters.settled(type, version: response.version, outcome, session.store)
      counters.began(outcome.subscribed, session.store)
      if outcome.rejections.isEmpty {
        status.updates[type, default: 0] += 1
      } else {
        status.rejections[type, default: 0] += 1
        status.lastRejection[type] = outcome.rejections[0].description
      }
    }
    for rejection in outcome.rejections {
      logger.warning("resource refused", ("reason", "\(rejection)"))
    }
    warnings.tell(outcome.warnings, logger)
    counters.warned(outcome.warnings.count)
    if outcome.changed { await publish() } else { setAlarm() }
    status.isSettled = session.isSettled
    return outcome.requests
  }

  /// Things that have waited long enough become visible without what they waited for.
  private func setAlarm() {
    alarm?.cancel()
    alarm = nil
    guard let deadline = session.nextDeadline else { return }
    let pause = max(.milliseconds(1), deadline - clock())
    // Owned by this client, which cancels it when another one takes its place and when `run` ends.
    alarm = Task {
      do { try await Task.sleep(for: pause) } catch { return }
      await self.publish()
    }
  }

  /// Makes visible what may be seen now. One at a time and in order: an answer or an alarm that comes while the control loop is still busy
  /// with the last one has its turn afterwards, with what is true then.
  private func publish() async {
    publishesWanted += 1
    let own = publishesWanted
    while isPublishing {
      await withCheckedContinuation { whenPublished.append($0) }
      // Another one has said everything that this one would.
      if publishesDone >= own { return }
    }
    isPublishing = true
    publishesDone = publishesWanted
    await publishNow()
    isPublishing = false
    let waiting = whenPublished
    whenPublished = []
    for continuation in waiting { continuation.resume() }
  }

  private func publishNow() async {
    var applied = await apply(session.settle(now: clock()))
    // Removed clusters stay for those that asked them until this change.
    if session.uses(clusters: applied.usedClusters) {
      let rejections = applied.rejections
      applied = await apply(session.settle(now: clock()))
      _ = session.uses(clusters: applied.usedClusters)
      applied.rejections = rejections
    }
    for rejection in applied.rejections { logger.warning("configuration not used", ("reason", "\(rejection)")) }
    let expired = session.takeExpired()
    counters.expired(expired, session.store)
    counters.warming(session.store)
    counters.keep(session.store)
    for expiry in expired {
      logger.warning(
        "no first answer in time", ("type", .text(expiry.type.messageName)), ("name", .text(expiry.name)))
    }
    status.isSettled = session.isSettled
    if status.isSettled, let began = startedAt {
      counters.initialized(after: clock() - began)
      startedAt = nil
    }
    setAlarm()
    // What was restored is on disk already.
    if status.isConnected { await keeper?.changed(session.store) }
  }

  /// Writes what is not on disk yet; the program is about to end.
  package func finish() async { await keeper?.finish() }
}

/// The two methods of the aggregated discovery service.
enum XDSMethods {
  static let stateOfTheWorld = method(
    Envoy_Service_Discovery_V3_AggregatedDiscoveryService.streamAggregatedResources,
    Envoy_Service_Discovery_V3_DiscoveryRequest.self, Envoy_Service_Discovery_V3_DiscoveryResponse.self)
  static let delta = method(
    Envoy_Service_Discovery_V3_AggregatedDiscoveryService.deltaAggregatedResources,
    Envoy_Service_Discovery_V3_DeltaDiscoveryRequest.self, Envoy_Service_Discovery_V3_DeltaDiscoveryResponse.self)

  private static func method<Request: Message, Response: Message>(
    _ path: String, _: Request.Type, _: Response.Type
  ) -> GRPCMethod<Request, Response> {
    GRPCMethod(
      path: path, encodeRequest: { $0.serialized() },
      decodeRequest: { try Request(serialized: $0) }, encodeResponse: { $0.serialized() },
      decodeResponse: { try Response(serialized: $0) })
  }
}
