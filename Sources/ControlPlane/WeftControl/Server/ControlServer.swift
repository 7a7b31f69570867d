import WeftBase
package import WeftConfig
package import WeftControlAPI
import WeftDiscovery
import WeftKinds
package import WeftService
import WeftTelemetry

/// A whole control plane: store, aggregate, registry, directory sources, API and discovery, started and stopped in order.
package final class ControlServer: Sendable {
  package let api: ControlAPI
  let configuration: ControlConfiguration
  let http: HTTPServer
  let xds: GRPCServer
  let discovery: DiscoveryServer

  /// The addresses really bound.
  package var apiAddresses: [ServiceAddress] { http.addresses }
  package var xdsAddresses: [ServiceAddress] { xds.addresses }

  private init(
    api: ControlAPI, configuration: ControlConfiguration, http: HTTPServer, xds: GRPCServer,
    discovery: DiscoveryServer
  ) {
    self.api = api
    self.configuration = configuration
    self.http = http
    self.xds = xds
    self.discovery = discovery
  }

  /// Opens the store, loads it, and binds the addresses. Nothing is answered before `run`.
  package static func start(
    _ configuration: ControlConfiguration, on runtime: ServiceRuntime, clock: ControlClock = .system
  ) async throws -> ControlServer {
    let path = configuration.dataDirectory.map { "\($0)/store.db" } ?? ":memory:"
    if let directory = configuration.dataDirectory { try DataDirectory.make(directory) }
    let store = try StoreService(path: path)
    Self.tellOfStore(store, path, configuration.log)
    let lastGood = configuration.dataDirectory.map { LastGoodFile("\($0)/agents.json") }
    lastGood?.onFailureChange { [log = configuration.log] failure in
      if let failure {
        log.error("registrations are not kept for a restart", ("reason", .text(failure)))
      } else {
        log.info("registrations are kept for a restart again")
      }
    }
    let registry = AgentRegistry(clock: clock, domain: configuration.mesh.domain, lastGood: lastGood)
    let aggregate = Aggregate(store: store, registries: [registry], mesh: configuration.mesh)
    try await registry.adopt(from: store, WriteContext(source: Envelope.registrySource, now: clock.wall()))
    registry.load()
    let defaults = ConfigDefaults(
      namespace: configuration.namespace, domain: configuration.mesh.domain,
      rootNamespace: configuration.mesh.rootNamespace)
    let directories = configuration.configDirectories.map { path in
      DirectorySource(path: path, store: store, reader: DocumentReader(defaults: defaults), wall: clock.wall)
    }
    // Files first: what they say is in force before the first proxy asks.
    for directory in directories {
      let report = try await directory.synchronize()
      Self.tell(report, of: directory.path, configuration)
    }
    await aggregate.load()

    let discovery = DiscoveryServer(source: aggregate, clock: clock)
    let api = ControlAPI(
      store: store, aggregate: aggregate, registry: registry, clock: clock, defaults: defaults,
      version: configuration.version, proxies: DiscoveryStatus(discovery: discovery, aggregate: aggregate),
      directories: directories)
    var routes = GRPCRoutes()
    discovery.addMethods(to: &routes)
    let http = try await HTTPServer.bind(HTTPServerConfiguration(addresses: [configuration.apiAddress]), on: runtime)
    let xds = try await GRPCServer.bind(
      routes, GRPCServerConfiguration(addresses: [configuration.xdsAddress]), on: runtime)
    return ControlServer(api: api, configuration: configuration, http: http, xds: xds, discovery: discovery)
  }

  /// Serves until `shutdown`, or until the task is cancelled; then the store is one file without a log. *Errors*: the store failed for good.
  package func run() async throws {
    do {
      try await serve()
    } catch {
      await settleStore()
      throw error
    }
    await settleStore()
  }

  private var pageGuard: PageGuard {
    var names = configuration.apiHosts
    if case .tcp(let host, _) = configuration.apiAddress { names.append(host) }
    return PageGuard(isStrict: PageGuard.isLocal(http.addresses) || !configuration.apiHosts.isEmpty, names: names)
  }

  private func serve() async throws {
    api.readiness.set(true)
    try await withThrowingTaskGroup(of: Bool.self) { group in
      let handler = APIServer(api, pages: pageGuard)
      group.addTask {
        await self.http.run { request, responder in try await handler.handle(request, responder) }
        return true
      }
      group.addTask {
        await self.xds.run()
        return true
      }
      group.addTask {
        await self.api.aggregate.run()
        return true
      }
      // These two run for as long as the others do.
      group.addTask {
        await self.discovery.run()
        return false
      }
      group.addTask {
        await self.keepLeases()
        return false
      }
      group.addTask {
        await self.tryStore()
        return false
      }
      for directory in api.directories {
        group.addTask {
          await directory.follow(
            self.configuration.directoryTimes,
            onAttention: { Self.tell($0, of: directory.path, self.configuration) },
            onChange: { Self.tell($0, of: directory.path, self.configuration) })
          return false
        }
      }
      var serving = 3
      while serving > 0, let wasServing = try await group.next() {
        if wasServing { serving -= 1 }
      }
      group.cancelAll()
    }
  }

  /// Stops taking calls and streams, lets those in flight end, and makes `run` return.
  package func shutdown() async {
    api.readiness.set(false)
    // Watches and snapshots end first: their streams would otherwise hold the servers for the whole grace.
    api.store.endWatches()
    discovery.endStreams()
    async let apiDone: Void = http.shutdown(grace: configuration.grace)
    async let xdsDone: Void = xds.shutdown(grace: configuration.grace)
    _ = await (apiDone, xdsDone)
  }

  /// Copies the store at the configured place to `path`, whether or not a control plane uses it.
  package static func backUp(
    _ configuration: ControlConfiguration, to path: String
  ) throws(StoreError) -> StoreBackup.Summary {
    guard let directory = configuration.dataDirectory else { throw .failed("a store in memory cannot be backed up") }
    return try StoreBackup.copy("\(directory)/store.db", to: path)
  }

  /// A store that takes no writes is noticed though nobody writes; how soon it works again, too.
  private func tryStore() async {
    while !Task.isCancelled {
      let isWell = api.store.failure == nil
      try? await Task.sleep(for: isWell ? configuration.storeProbeInterval : configuration.storeRetryInterval)
      if Task.isCancelled { return }
      await api.store.probe()
    }
  }

  private func settleStore() async {
    await api.registry.flush()
    do { try await api.store.checkpoint() } catch {
      configuration.log.warning(
        "the store's log was not emptied; it is read at the next start", ("error", .text("\(error)")))
    }
  }

  private static func tellOfStore(_ store: StoreService, _ path: String, _ log: Logger) {
    if let loss = store.loss {
      log.error("the store has lost what it held", ("store", .text(path)), ("loss", .text("\(loss)")))
    }
    store.onFailureChange { failure in
      if let failure {
        log.error(
          "the store cannot be written: changes are refused until it can", ("store", .text(path)),
          ("reason", .text(failure)))
      } else {
        log.info("the store can be written again", ("store", .text(path)))
      }
    }
  }

  private func keepLeases() async {
    while !Task.isCancelled {
      do { try await Task.sleep(for: configuration.leaseInterval) } catch { return }
      let gone = api.registry.expire()
      if gone > 0 { configuration.log.warning("workloads removed: their leases ran out", ("count", .number(gone))) }
    }
  }

  private static func tell(_ attention: DirectoryAttention, of path: String, _ configuration: ControlConfiguration) {
    guard case .polling(let reason) = attention else { return }
    configuration.log.warning(
      "the system does not tell of changes in the configuration directory; it is looked at in intervals",
      ("directory", .text(path)), ("reason", .text(reason)),
      ("interval_ms", .number(Int(configuration.directoryTimes.poll.wholeMilliseconds))))
  }

  private static func tell(_ report: DirectoryReport, of path: String, _ configuration: ControlConfiguration) {
    configuration.log.info(
      "configuration directory read", ("directory", .text(path)), ("files", .number(report.files)),
      ("objects", .number(report.objects)), ("changed", .number(report.changed)))
    for problem in report.problems {
      if problem.severity == .error {
        configuration.log.error("configuration refused; the last good state stays", ("problem", .text("\(problem)")))
      } else {
        configuration.log.warning("configuration accepted with a warning", ("problem", .text("\(problem)")))
      }
    }
  }
}
