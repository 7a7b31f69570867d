// The life of one workload, in order. Each step names what undoes it on the way out.
import Glibc
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

/// Runs a proxy and an application beside each other. *Source*: docs/design/0002-universal-contract.md, "Order of life".
package struct Agent: Sendable {
  private let configuration: AgentConfiguration
  private let ports: AgentPorts
  private let client: HTTPClient
  private let registry: WorkloadRegistry
  private let report: @Sendable (AgentEvent) -> Void

  package init(
    _ configuration: AgentConfiguration, client: HTTPClient, report: @escaping @Sendable (AgentEvent) -> Void
  ) throws(AgentError) {
    guard let ports = AgentPorts.settle(configuration) else {
      throw AgentError(description: "no free port on the loopback address")
    }
    self.configuration = configuration
    self.ports = ports
    self.client = client
    self.report = report
    registry = WorkloadRegistry(configuration, ports, client: client)
  }

  /// Runs until the application ends or a signal asks to stop. *Returns*: the process's exit code.
  package func run(signals: Signals) async throws -> Int32 {
    try await registerFirst()
    let proxy = try startProxy()
    do {
      try await proxyReady(proxy)
    } catch {
      _ = await proxy.terminate(grace: .seconds(1))
      await deregister()
      throw error
    }
    let application: ChildProcess?
    do {
      application = try startApplication()
    } catch {
      _ = await proxy.terminate(grace: .seconds(1))
      await deregister()
      throw error
    }
    let reason = await live(proxy: proxy, application: application, signals: signals)
    return await leave(reason, proxy: proxy, application: application, signals: signals)
  }

  // MARK: - On the way in

  private var isRegistered: Bool { configuration.role == .sidecar && configuration.port != nil }

  /// Registers as not yet healthy, so that the control plane knows the proxy's listeners before it connects. A control plane that
  /// cannot be reached does not stop a workload: its proxy may know enough from last time, and the heartbeat keeps trying.
  private func registerFirst() async throws {
    guard isRegistered else { return }
    do {
      try await registry.put(.unhealthy)
    } catch let refused as RegistrationRefused {
      throw AgentError(description: refused.description)
    } catch {
      say(.warning, "the control plane at \(configuration.control) cannot be reached (\(error)); going on without it")
    }
  }

  private func startProxy() throws -> ChildProcess {
    let directory = "\(configuration.stateDirectory)/proxies/\(configuration.instance)"
    guard makeDirectories(directory) else {
      throw AgentError(description: "cannot create the directory \(directory): \(reason(errno))")
    }
    let path = "\(directory)/bootstrap.json"
    guard replaceFile(path, BootstrapFile.json(configuration, ports).bytes(.pretty)) else {
      throw AgentError(description: "cannot write \(path): \(reason(errno))")
    }
    let words = [
      configuration.proxyProgram, "-c", path, "--concurrency", String(configuration.concurrency),
      "--log-level", configuration.logLevel, "--last-good", "\(directory)/last-good",
    ]
    return try ChildProcess.start(
      words, name: "proxy", environment: configuration.environment, output: "\(directory)/proxy.log")
  }

  private func proxyReady(_ proxy: ChildProcess) async throws {
    let log = "\(configuration.stateDirectory)/proxies/\(configuration.instance)/proxy.log"
    let deadline = ContinuousClock.now + configuration.readyTimeout
    var pause = Duration.milliseconds(10)
    while ContinuousClock.now < deadline {
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
      environment: ApplicationEnvironment.variables(configuration, ports), takesTerminal: true)
  }

  // MARK: - While it lives

  private enum Leaving: Sendable {
    case applicationEnded(ExitStatus)
    case proxyEnded(ExitStatus)
    case signal(Int32)
  }

  private func live(proxy: ChildProcess, application: ChildProcess?, signals: Signals) async -> Leaving {
    await withTaskGroup(of: Leaving?.self) { group in
      if let application { group.addTask { await application.exit().map(Leaving.applicationEnded) } }
      group.addTask { await proxy.exit().map(Leaving.proxyEnded) }
      group.addTask { await waitForSignal(signals, application) }
      if isRegistered { group.addTask { await heartbeat() } }
      var leaving: Leaving?
      while leaving == nil, let next = await group.next() { leaving = next }
      group.cancelAll()
      return leaving ?? .signal(SIGTERM)
    }
  }

  /// SIGTERM, SIGINT and SIGQUIT mean leaving; any other signal is passed on to the application.
  private func waitForSignal(_ signals: Signals, _ application: ChildProcess?) async -> Leaving? {
    for await signal in signals.values {
      if [SIGTERM, SIGINT, SIGQUIT].contains(signal) { return .signal(signal) }
      application?.send(signal)
    }
    return nil
  }

  /// Renews the registration every third of its lease; becomes HEALTHY when the application first answers.
  private func heartbeat() async -> Leaving? {
    var announced = false
    var complained = false
    while !Task.isCancelled {
      let answers = configuration.port.map { Ports.answers(host: "127.0.0.1", port: $0) } ?? true
      if answers || announced {
        do {
          try await registry.put(answers ? .healthy : .unhealthy)
          if !announced { say(.info, "\(configuration.service) answers; taking traffic") }
          announced = true
          complained = false
        } catch {
          if !complained { say(.warning, "cannot renew the registration: \(error); trying on") }
          complained = true
        }
      }
      let pause = announced ? Duration.milliseconds(configuration.leaseSeconds * 1000 / 3) : .milliseconds(50)
      do { try await Task.sleep(for: pause) } catch { return nil }
    }
    return nil
  }

  // MARK: - On the way out

  private func leave(
    _ reason: Leaving, proxy: ChildProcess, application: ChildProcess?, signals: Signals
  ) async -> Int32 {
    var code: Int32 = 0
    switch reason {
    case .signal(let number):
      say(.info, "leaving on signal \(number)")
      if let ended = await stopInOrder(number, application, unless: signals) {
        code = ended
      } else {
        say(.warning, "told again: stopping at once")
        application?.send(SIGKILL)
        proxy.send(SIGINT)
        code = 128 + number
      }
    case .applicationEnded(let status):
      say(status.code == 0 ? .info : .warning, "\(configuration.service) ended with code \(status.code)")
      code = status.code
    case .proxyEnded(let status):
      say(.error, "the proxy ended with code \(status.code); stopping \(configuration.service)")
      if let application { _ = await application.terminate(grace: configuration.stopTimeout) }
      code = 1
    }
    await deregister()
    _ = await proxy.terminate(grace: configuration.stopTimeout)
    return code
  }

  /// Lets peers go, then ends the application. *Returns*: its exit code; nil when another signal asked not to wait.
  private func stopInOrder(_ number: Int32, _ application: ChildProcess?, unless signals: Signals) async -> Int32? {
    await withTaskGroup(of: Int32?.self) { group in
      group.addTask {
        await self.drain()
        guard let application else { return 0 }
        application.send(number)
        let status = await application.terminate(grace: configuration.stopTimeout) ?? .exited(0)
        // An application that ends of the signal we passed on has done what it was asked to.
        return status == .signalled(number) || status == .signalled(SIGTERM) ? 0 : status.code
      }
      group.addTask {
        _ = await self.waitForSignal(signals, application)
        return nil
      }
      let first = await group.next() ?? nil
      group.cancelAll()
      return first
    }
  }

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

  private func deregister() async {
    guard isRegistered else { return }
    do { try await registry.delete() } catch { say(.warning, "cannot deregister: \(error); the lease will run out") }
  }

  private func say(_ level: AgentEvent.Level, _ message: String) {
    report(AgentEvent(level: level, message: message))
  }
}
