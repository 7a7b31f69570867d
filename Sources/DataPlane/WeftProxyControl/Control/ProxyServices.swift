// ProxyServices: the parts of a proxy that speak to others in their own time: the admin page and discovery.

import Glibc
import WeftBase
package import WeftCompile
import WeftModel
import WeftProtobuf
package import WeftProxy
package import WeftProxyAPI
package import WeftRuntime
import WeftService
package import WeftTelemetry
package import WeftXDSClient
import WeftXDSMessages

/// Runs beside a `ProxyControl` on a loop and tasks of its own; reaches it by its mailbox only.
///
/// *Threads*: any may call its methods.
package final class ProxyServices: Sendable {
  package struct Options: Sendable {
    /// Where the last good configuration is kept; nil keeps none.
    package var lastGoodPath: String?
    package var version = ""
    package var extensions = ProxyExtensions.none
    package init() {}
  }

  private let runtime: ServiceRuntime
  private let server: ProxyServer
  private let mailbox: Mailbox
  private let loaded: BootstrapLoader.Loaded
  private let options: Options
  private let log: LogOutput
  private let files: AccessLogFiles
  private let values: RuntimeStore
  private let client: XDSClient?
  /// What the bootstrap's own resources want of the stream, and what those and the files' do, from then on.
  private let fixedNeeds: XDSNeeds
  private let needs = AsyncStream.makeStream(of: XDSNeeds.self, bufferingPolicy: .bufferingNewest(1))
  private let started = ContinuousClock.now

  /// *Errors*: discovery that cannot be: a cluster that does not exist, or has no endpoint.
  package init(
    _ loaded: BootstrapLoader.Loaded, _ options: Options, control: Mailbox, server: ProxyServer, log: LogOutput,
    files: AccessLogFiles, values: RuntimeStore
  ) throws {
    runtime = try ServiceRuntime(name: "weft-services")
    self.server = server
    self.loaded = loaded
    self.options = options
    self.log = log
    self.files = files
    self.values = values
    mailbox = control
    fixedNeeds = XDSNeeds(ConfigState(loaded.bootstrap))
    if var configuration = try XDSClientConfiguration(loaded.bootstrap, document: loaded.document) {
      configuration.lastGoodPath = options.lastGoodPath
      let fixed = ConfigState(loaded.bootstrap)
      configuration.fixed = fixedNeeds
      let check = ResourceCheck(logs: files, security: TLSSecurity(), fixed: fixed, extensions: options.extensions)
      client = XDSClient(
        configuration, on: runtime, metrics: server.registry, logger: Logger(log, .config), random: .fromSystem(),
        clock: Self.clock, wallClock: Self.wallClock,
        decode: XDSModel.decoder(extensions: options.extensions.known, dnsResolver: loaded.bootstrap.dnsResolver),
        check: { (model, store) throws(ConfigError) in try check.check(model, beside: store) },
        apply: { state in await Self.apply(state, over: fixed, to: control) })
    } else {
      client = nil
    }
  }

  /// Serves until `stop`. Returns when the admin address is bound. *Errors*: it cannot be: a proxy nobody can look into or stop is not started.
  package func start() throws {
    let services = self
    let isBound = Handover<Result<Void, any Error>>()
    // Owned by `stop`: it ends the runtime, which ends both children.
    Task.detached { await services.run(isBound) }
    try isBound.take().get()
  }

  /// What clusters and listeners from files want of the aggregated stream, beside those of the bootstrap.
  package func want(_ more: XDSNeeds) { needs.continuation.yield(fixedNeeds.union(more)) }

  /// Ends admin and discovery.
  package func stop() {
    let done = Handover<Bool>()
    let runtime = runtime
    let client = client
    needs.continuation.finish()
    Task.detached {
      await client?.finish()
      await runtime.stop()
      done.give(true)
    }
    _ = done.take()
  }

  private func run(_ isBound: Handover<Result<Void, any Error>>) async {
    let admin: AdminServer?
    do { admin = try await bindAdmin() } catch { return isBound.give(.failure(error)) }
    isBound.give(.success(()))
    await withTaskGroup(of: Void.self) { group in
      if let client {
        group.addTask { await client.run() }
        group.addTask { for await needs in self.needs.stream { await client.want(needs) } }
      }
      if let admin { group.addTask { await admin.run() } }
    }
  }

  private func bindAdmin() async throws -> AdminServer? {
    guard let admin = loaded.bootstrap.admin else { return nil }
    let address: ServiceAddress
    switch admin.address {
    case .socket(let host, let port): address = .tcp(host: host, port: port)
    case .pipe(let path): address = .unix(path: path)
    case .internalListener: return nil
    }
    return try await AdminServer(
      at: address, on: runtime, metrics: server.registry, log: log, status: { await self.status($0) },
      perform: { await self.perform($0) },
      modifyRuntime: { self.modifyRuntime($0) })
  }

  // MARK: - Configuration

  /// Puts what came from discovery over what the bootstrap fixed, on the control loop.
  private static func apply(_ state: ConfigState, over fixed: ConfigState, to control: Mailbox) async -> AppliedConfig {
    await withCheckedContinuation { continuation in
      let posted = control.post(
        { loop in
          guard let control = loop.handler as? ProxyControl else {
            return continuation.resume(returning: AppliedConfig())
          }
          continuation.resume(returning: control.update { $0.replace(discovered: state, over: fixed) })
        }, dropped: { continuation.resume(returning: AppliedConfig()) })
      if !posted { continuation.resume(returning: AppliedConfig()) }
    }
  }

  // MARK: - Admin

  private func status(_ parts: AdminStatus.Parts) async -> AdminStatus {
    var status = AdminStatus()
    let discovery = await client?.status
    status.state = server.isConfigured && discovery?.isSettled ?? true ? .live : .initializing
    if server.isDraining { status.state = .draining }
    status.version = options.version
    ServerLevels.publish(server, version: options.version, unknownFields: loaded.warnings.count)
    status.node = loaded.bootstrap.node
    status.concurrency = server.concurrency
    status.uptimeSeconds = (ContinuousClock.now - started).components.seconds
    if parts.contains(.listeners) {
      status.listeners = (server.addresses().first ?? []).map {
        AdminStatus.ListenerStatus(name: $0.name, address: $0.address)
      }
      status.clusterCount = await configuration()?.clusters.count ?? 0
    }
    if parts.contains(.clusters) {
      let workers = server.ask { $0.readHosts() }.compactMap { $0 }
      status.clusters = ClusterReport.clusters(
        workers, fixed: Set(loaded.bootstrap.clusters.map(\.name)), runtime: values.table)
    }
    if parts.contains(.runtime) { status.runtime = values.report }
    if parts.contains(.configDump) { status.configDump = await configDump() }
    return status
  }

  private func configuration() async -> ConfigState? {
    await withCheckedContinuation { continuation in
      let posted = mailbox.post(
        { loop in continuation.resume(returning: (loop.handler as? ProxyControl)?.configuration) },
        dropped: { continuation.resume(returning: nil) })
      if !posted { continuation.resume(returning: nil) }
    }
  }

  /// As Envoy shows it: the bootstrap, then what came from discovery by type.
  private func configDump() async -> [JSONValue] {
    let url = "type.googleapis.com/envoy.admin.v3."
    var dump: [JSONValue] = [["@type": .string(url + "BootstrapConfigDump"), "bootstrap": loaded.document]]
    guard let client else { return dump }
    let store = await client.store
    let sections: [(XDSType, String, String, String, String)] = [
      (.clusters, "ClustersConfigDump", "dynamic_active_clusters", "cluster", "version_info"),
      (.listeners, "ListenersConfigDump", "dynamic_listeners", "listener", "version_info"),
      (.routes, "RoutesConfigDump", "dynamic_route_configs", "route_config", "version_info"),
      (.endpoints, "EndpointsConfigDump", "dynamic_endpoint_configs", "endpoint_config", "version_info"),
    ]
    let encoding = JSONEncodingOptions(protoNames: true, registry: TypeRegistry(EnvoyTypes.all))
    for (type, name, list, field, version) in sections {
      let entries = store.resources(type).sorted { $0.key < $1.key }.map { name, entry -> JSONValue in
        let packed = Google_Protobuf_Any(typeUrl: entry.resource.typeURL, value: entry.resource.value)
        let resource: JSONValue = (try? packed.json(options: encoding)) ?? ["name": .string(name)]
        let body: JSONValue = .object(
          JSONObject([JSONMember(version, .string(entry.resource.version)), JSONMember(field, resource)]))
        return type == .listeners ? ["name": .string(name), "active_state": body] : body
      }
      dump.append(
        .object(JSONObject([JSONMember("@type", .string(url + name)), JSONMember(list, .array(entries))])))
    }
    return dump
  }

  private func perform(_ action: AdminAction) async {
    switch action {
    case .quit: mailbox.post { ($0.handler as? ProxyControl)?.received(.interrupt) }
    case .drainListeners(let inboundOnly, let graceful):
      server.drainListeners(inboundOnly: inboundOnly, gracefully: graceful)
    case .reopenLogs: files.reopen()
    case .modifyRuntime(let changes): _ = modifyRuntime(changes)
    case .setLogLevel(let component, let level):
      guard let level = LogLevel(level) else { return }
      if let component {
        for known in LogComponent.allCases where "\(known.name)" == component { log.setLevel(level, of: known) }
      } else {
        log.setLevel(level)
      }
    }
  }

  /// Returns when every worker has the values. *Returns*: why they are not taken.
  private func modifyRuntime(_ changes: [RuntimeChange]) -> String? {
    switch values.modify(changes.map { ($0.key, $0.value) }) {
    case .failure(let problem): return problem.text
    case .success(let table):
      _ = server.ask { $0.apply(table) }
      return nil
    }
  }

  /// Milliseconds since 1970.
  private static let wallClock: @Sendable () -> UInt64 = {
    var time = timespec()
    unsafe clock_gettime(CLOCK_REALTIME, &time)
    return UInt64(time.tv_sec) * 1000 + UInt64(time.tv_nsec) / 1_000_000
  }

  /// Nanoseconds of CLOCK_MONOTONIC.
  private static let clock: @Sendable () -> MonotonicInstant = {
    var time = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return MonotonicInstant(nanoseconds: UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec))
  }
}

extension ConfigState {
  /// What discovery says now, with what the bootstrap fixed beside it; a fixed resource wins over a discovered one of its name.
  mutating func replace(discovered state: ConfigState, over fixed: ConfigState) {
    let clusterNames = Set(fixed.clusters.map(\.name))
    let listenerNames = Set(fixed.listeners.map(\.name))
    clusters = fixed.clusters + state.clusters.filter { !clusterNames.contains($0.name) }
    listeners = fixed.listeners + state.listeners.filter { !listenerNames.contains($0.name) }
    routes = state.routes
    endpoints = state.endpoints
    secrets = fixed.secrets.merging(state.secrets) { own, _ in own }
    absentSecrets = state.absentSecrets
    awaitedClusters = state.awaitedClusters
    incompleteClusters = state.incompleteClusters
    needsRevision = state.needsRevision
    awaitsClusters = state.awaitsClusters
  }
}
