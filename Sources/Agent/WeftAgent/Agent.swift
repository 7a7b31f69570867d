// The life of one workload, in order. Each step names what undoes it on the way out.
import Glibc
import Synchronization
import WeftBase
package import WeftService

/// What the agent reports while it works; the program decides how to show it.
package struct AgentEvent: Sendable {
  package enum Level: Sendable { case info, warning, error }
  package var level: Level
  package var message: String
}

/// Why the agent gave up before the application ran.
package struct AgentError: Error, CustomStringConvertible {
  package var description: String
}

/// How the application last was.
private final class KnownHealth: Sendable {
  private let state = Mutex(WorkloadHealth.unhealthy)

  var now: WorkloadHealth { state.withLock { $0 } }

  /// *Returns*: whether that is news.
  func note(_ health: WorkloadHealth) -> Bool {
    state.withLock { known in
      defer { known = health }
      return known != health
    }
  }
}

/// Runs a proxy and an application beside each other. *Source*: docs/design/0002-universal-contract.md, "Order of life".
package struct Agent: Sendable {
  /// What the agent acts on or passes on; blocked in all threads before it begins.
  package static let signals = [SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH]

  private let configuration: AgentConfiguration
  private let ports: AgentPorts
  private let slot: Slot?
  private let client: HTTPClient
  private let registry: Registration
  private let report: @Sendable (AgentEvent) -> Void

  package init(
    _ configuration: AgentConfiguration, client: HTTPClient, report: @escaping @Sendable (AgentEvent) -> Void
  ) throws(AgentError) {
    slot = Slot.take(configuration)
    guard let ports = AgentPorts.settle(configuration, before: slot?.ports()) else {
      throw AgentError(description: "no free port on the loopback address")
    }
    self.configuration = configuration
    self.ports = ports
    self.client = client
    self.report = report
    registry = Registration(configuration, ports, client: client)
  }

  /// Runs until the application ends or a signal asks to stop. *Returns*: the process's exit code.
  package func run(signals: Signals) async throws -> Int32 {
    let orders = StopOrders()
    return try await withThrowingTaskGroup(of: Int32?.self) { group in
      group.addTask {
        await orders.follow(signals)
        return nil
      }
      group.addTask { try await self.life(orders) }
      var code: Int32?
      while code == nil, let next = try await group.next() { code = next }
      group.cancelAll()
      return code ?? 1
    }
  }

  private func life(_ orders: StopOrders) async throws -> Int32 {
    var proxy: ChildProcess?
    do {
      guard try await orders.unless(1, { try await self.registerFirst() }) != nil else {
        return await abandon(nil, orders)
      }
      try await checkPorts()
      let started = try startProxy()
      proxy = started
      guard try await orders.unless(1, { try await self.proxyReady(started) }) != nil else {
        return await abandon(proxy, orders)
      }
      let application = try startApplication()
      orders.pass(to: application)
      let reason = await live(proxy: started, application: application, orders)
      return await leave(reason, proxy: started, application: application, orders)
    } catch {
      _ = await abandon(proxy, orders)
      throw error
    }
  }

  // MARK: - On the way in

  private var isRegistered: Bool { configuration.role == .sidecar && configuration.port != nil }

  /// Registers as not yet healthy, so that the control plane knows the proxy's listeners before it connects. A control plane that
  /// cannot be reached does not stop a workload: its proxy may know enough from last time, and the heartbeat keeps trying.
  private func registerFirst() async throws {
    guard isRegistered else { return }
    do {
      for warning in try await registry.put(.unhealthy) { say(.warning, warning) }
    } catch let refused as RegistrationRefused {
      throw AgentError(description: refused.description)
    } catch {
      say(.warning, "the control plane at \(configuration.control) cannot be reached (\(error)); going on without it")
    }
  }

  /// Another program on the application's port, or on one that its proxy is to have, would get its traffic: one that an earlier run left behind, say.
  private func checkPorts() async throws {
    if let port = configuration.port, !configuration.command.isEmpty, await Ports.answers(port) {
      throw AgentError(
        description: "port \(port) is in use by another program; \(configuration.service) could not listen there")
    }
    let proxys =
      [(configuration.adminPort, "--admin-port"), (configuration.inboundPort, "--inbound-port")]
      + configuration.upstreams.map { ($0.listenPort == 0 ? nil : $0.listenPort, "--upstreams") }
    for (port, option) in proxys {
      guard let port, await Ports.answers(port) else { continue }
      throw AgentError(
        description:
          "port \(port) (\(option)) is in use by another program; the proxy of \(configuration.service) could not listen there"
      )
    }
  }

  private var directory: String { "\(configuration.stateDirectory)/proxies/\(configuration.instance)" }

  private func startProxy() throws -> ChildProcess {
    guard makeDirectories(directory) else {
      throw AgentError(description: "cannot create the directory \(directory): \(reason(errno))")
    }
    let path = "\(directory)/bootstrap.json"
    if let reason = WholeFile.replace(path, with: BootstrapFile.json(configuration, ports).bytes(.pretty)) {
      throw AgentError(description: "cannot write \(reason)")
    }
    var words = [
      configuration.proxyProgram, "-c", path, "--concurrency", String(configuration.concurrency),
      "--log-level", configuration.logLevel,
    ]
    if let slot, slot.keep(ports.json(configuration)) {
      words += ["--last-good", slot.lastGood]
    } else {
      say(.warning, "the proxy's last good configuration is not kept in \(configuration.stateDirectory)/slots")
    }
    return try ChildProcess.start(
      words, name: "proxy", environment: configuration.environment, output: "\(directory)/proxy.log")
  }

  private func proxyReady(_ proxy: ChildProcess) async throws {
    let log = "\(directory)/proxy.log"
    let deadline = ContinuousClock.now + configuration.readyTimeout
    var pause = Duration.milliseconds(10)
    // Whoever waits is told for what, before it is in vain.
    var tellAt = ContinuousClock.now + configuration.patience
    while ContinuousClock.now < deadline {
      if ContinuousClock.now >= tellAt {
        say(
          .warning,
          "the proxy has no configuration yet; it waits for the control plane's xDS at \(configuration.discovery) (--xds); see \(log)"
        )
        tellAt += configuration.patience * 5
      }
      if let status = proxy.status {
        throw AgentError(description: "the proxy ended with code \(status.code) before it was ready; see \(log)")
      }
      if let answer = try? await client.get("http://127.0.0.1:\(ports.admin)/ready", timeout: .seconds(2)),
        answer.status == 200
      {
        say(.info, "proxy ready (admin http://127.0.0.1:\(ports.admin))")
        return
      }
      try await Task.sleep(for: pause)
      pause = min(pause * 2, .milliseconds(200))
    }
    throw AgentError(
      description: "the proxy was not ready after \(configuration.readyTimeout); is the control plane at "
        + "\(configuration.discovery) up? See \(log)")
  }

  private func startApplication() throws -> ChildProcess? {
    guard !configuration.command.isEmpty else { return nil }
    return try ChildProcess.start(
      configuration.command, name: configuration.service,
      environment: ApplicationEnvironment.variables(configuration, ports), borrowsTerminal: true)
  }

  // MARK: - While it lives

  private enum Leaving: Sendable {
    case applicationEnded(ExitStatus)
    case proxyEnded(ExitStatus)
    case signal(Int32)
  }

  private func live(proxy: ChildProcess, application: ChildProcess?, _ orders: StopOrders) async -> Leaving {
    await withTaskGroup(of: Leaving?.self) { group in
      if let application { group.addTask { await application.exit().map(Leaving.applicationEnded) } }
      group.addTask { await proxy.exit().map(Leaving.proxyEnded) }
      group.addTask { await orders.order(1).map(Leaving.signal) }
      if isRegistered {
        group.addTask {
          await heartbeat()
          return nil
        }
      }
      var leaving: Leaving?
      while leaving == nil, let next = await group.next() { leaving = next }
      group.cancelAll()
      return leaving ?? .signal(SIGTERM)
    }
  }

  /// Renews the registration every third of its lease, and whenever the application's health changes: HEALTHY from the moment
  /// it first answers.
  private func heartbeat() async {
    let health = KnownHealth()
    let (beats, beat) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    await withTaskGroup(of: Void.self) { group in
      group.addTask {
        await self.probe { if health.note($0) { beat.yield() } }
      }
      group.addTask {
        while (try? await Task.sleep(for: .milliseconds(self.configuration.leaseSeconds * 1000 / 3))) != nil {
          beat.yield()
        }
      }
      group.addTask {
        var announced = false
        var complained = false
        for await _ in beats {
          let state = health.now
          do {
            try await self.registry.put(state)
            if !announced, state == .healthy {
              self.say(.info, "\(self.configuration.service) answers; taking traffic")
              announced = true
            }
            complained = false
          } catch is CancellationError {
            return
          } catch {
            if !complained { self.say(.warning, "cannot renew the registration: \(error); trying on") }
            complained = true
          }
        }
      }
    }
  }

  /// Tells how the application is: often until it first answers, then every second.
  private func probe(_ tell: @Sendable (WorkloadHealth) -> Void) async {
    var hasAnswered = false
    while !Task.isCancelled {
      let answers: Bool = if let port = configuration.port { await Ports.answers(port) } else { true }
      hasAnswered = hasAnswered || answers
      if hasAnswered, !Task.isCancelled { tell(answers ? .healthy : .unhealthy) }
      do { try await Task.sleep(for: hasAnswered ? .seconds(1) : .milliseconds(50)) } catch { return }
    }
  }

  // MARK: - On the way out

  private func leave(
    _ reason: Leaving, proxy: ChildProcess, application: ChildProcess?, _ orders: StopOrders
  ) async -> Int32 {
    // The order that is the reason is obeyed in peace; the next one cuts every wait short.
    var patience = orders.count + 1
    if case .signal = reason { patience = 2 }
    let inOrder = try? await orders.unless(patience) {
      await self.leaveInOrder(reason, proxy: proxy, application: application)
    }
    if let code = inOrder {
      if proxy.status == .exited(0) { tidy() }
      return code
    }
    say(.warning, "told again: stopping at once")
    application?.send(SIGKILL)
    async let stopped = proxy.end(with: SIGINT, grace: .seconds(1))
    await deregister(within: .seconds(1))
    if await stopped == .exited(0) { tidy() }
    return switch reason {
    case .signal(let number): 128 + number
    case .applicationEnded(let status): status.code
    case .proxyEnded: 1
    }
  }

  private func leaveInOrder(_ reason: Leaving, proxy: ChildProcess, application: ChildProcess?) async -> Int32 {
    var code: Int32 = 0
    switch reason {
    case .signal(let number):
      say(.info, "leaving on signal \(number)")
      await drain()
      if let status = await application?.end(with: number, grace: configuration.stopTimeout) {
        // An application that ends of the signal we passed on has done what it was asked to.
        code = status == .signalled(number) ? 0 : status.code
      }
    case .applicationEnded(let status):
      say(status.code == 0 ? .info : .warning, "\(configuration.service) ended with code \(status.code)")
      code = status.code
      // Whatever it started and left behind.
      await application?.end(grace: configuration.stopTimeout)
    case .proxyEnded(let status):
      say(.error, "the proxy ended with code \(status.code); stopping \(configuration.service)")
      await application?.end(grace: configuration.stopTimeout)
      code = 1
    }
    await deregister()
    await proxy.end(grace: configuration.stopTimeout)
    return code
  }

  /// Undoes what was done before the application ran. *Returns*: the exit code for a stop that was asked for.
  private func abandon(_ proxy: ChildProcess?, _ orders: StopOrders) async -> Int32 {
    if orders.count > 0 { say(.info, "told to stop before \(configuration.service) was started") }
    _ = try? await orders.unless(2) {
      async let stopped = proxy?.end(grace: .seconds(1))
      await self.deregister()
      _ = await stopped
    }
    proxy?.send(SIGKILL)
    return 0
  }

  /// Removes what only this instance's proxy needed. After a failure it stays, for whoever looks for the reason.
  private func tidy() { removeDirectory(directory, files: ["bootstrap.json", "proxy.log"]) }

  /// Takes the workload out of its peers' endpoints and waits until they have let go.
  private func drain() async {
    if isRegistered {
      do { try await registry.put(.draining) } catch {
        // Nobody can learn of it: waiting would help nobody.
        return say(.warning, "cannot announce leaving: \(error)")
      }
    }
    let deadline = ContinuousClock.now + configuration.drainTime
    var last: ProxyActivity?
    while ContinuousClock.now < deadline {
      do { try await Task.sleep(for: min(Self.quietTime, deadline - .now)) } catch { return }
      let page = try? await client.get("http://127.0.0.1:\(ports.admin)\(ProxyActivity.target)", timeout: .seconds(1))
      guard let page, page.status == 200 else { continue }
      let activity = ProxyActivity(page.text)
      if let last, isRegistered, activity.isQuiet(since: last) { return }
      last = activity
    }
  }

  /// Peers that have heard of the leaving send nothing for this long.
  private static var quietTime: Duration { .milliseconds(500) }

  private func deregister(within limit: Duration = .seconds(5)) async {
    guard isRegistered else { return }
    do { try await registry.delete(within: limit) } catch {
      say(.warning, "cannot deregister: \(error); the lease will run out")
    }
  }

  private func say(_ level: AgentEvent.Level, _ message: String) {
    report(AgentEvent(level: level, message: message))
  }
}
