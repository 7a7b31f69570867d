// ProxyWorld: a client, a worker of the proxy and servers on one simulated network in virtual time.

import Testing
import WeftBase
import WeftHTTP
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTelemetry
import WeftUpstream

@testable import WeftCompile
@testable import WeftProxy

final class ProxyWorld {
  let network: MemoryNetwork
  let clientLoop: EventLoop
  let clientDriver: MemoryDriver
  let proxyDriver: MemoryDriver
  let proxyLoop: EventLoop
  let serverLoop: EventLoop
  let client: Peers
  let server: Peers
  let engine: WorkerEngine
  let registry = MetricsRegistry(workers: 1)
  let logs = AccessLogFiles(workers: 1)
  /// Runtime values, with a layer for `set`.
  let values: RuntimeStore
  private let compiler: SnapshotCompiler
  private var hasBroken = false
  private var turns = 0
  var config = ConfigState()
  static let proxyAddress = SocketAddress(.loopback4, port: 15001)

  init(
    seed: UInt64 = 1, splits: Bool = false, window: Int = 64 << 10, security: (any SecurityFactory)? = nil,
    limits: WorkerEngine.Limits = WorkerEngine.Limits(), loopLimits: Limits = Limits(),
    extensions: ProxyExtensions = .basics, tables: BalancerTables = BalancerTables()
  ) {
    var behaviour = MemoryBehaviour()
    behaviour.splits = splits
    behaviour.windowBytes = window
    network = MemoryNetwork(seed: seed, behaviour: behaviour)
    clientDriver = MemoryDriver(network: network)
    clientLoop = EventLoop(driver: clientDriver, seed: seed)
    proxyDriver = MemoryDriver(network: network)
    proxyLoop = EventLoop(driver: proxyDriver, limits: loopLimits, seed: seed &+ 1)
    serverLoop = EventLoop(driver: MemoryDriver(network: network), seed: seed &+ 2)
    client = Peers(clientLoop)
    server = Peers(serverLoop)
    engine = WorkerEngine(loop: proxyLoop, number: 0, registry: registry, limits: limits, seed: seed &+ 3)
    values = RuntimeStore([RuntimeLayer(name: "admin", .admin)], metrics: registry)
    compiler = SnapshotCompiler(
      metrics: registry, logs: logs, security: security, random: RandomSource(seed: seed),
      extensions: extensions.withBasics, tables: tables, runtime: values)
    clientLoop.handler = client
    proxyLoop.handler = engine
    serverLoop.handler = server
  }

  var loops: [EventLoop] { [clientLoop, proxyLoop, serverLoop] }

  /// Compiles `config` and gives it to the worker.
  func apply(sourceLocation: SourceLocation = #_sourceLocation) {
    let result = compiler.compile(config)
    #expect(result.rejections.isEmpty, "\(result.rejections)", sourceLocation: sourceLocation)
    if let table = values.tableOfNewKeys() { engine.apply(table) }
    engine.apply(result.snapshot)
  }

  /// Sets a runtime key, as the admin page does; nil takes it away.
  func set(_ key: String, _ value: String?) {
    guard case .success(let table) = values.modify([(key, value.map { RuntimeValue(text: $0) })]) else {
      Issue.record("runtime values cannot be changed")
      return
    }
    engine.apply(table)
  }

  /// Compiles `config`, gives it to the worker as far as it can be taken, and tells what was refused.
  func rejections() -> [ConfigError] {
    let result = compiler.compile(config)
    engine.apply(result.snapshot)
    return result.rejections
  }

  /// One listener on port 15001 whose routes all lead to cluster `backend`, with a server on each of `ports`.
  func simple(
    ports: [UInt16] = [8080], manager change: (inout HTTPConnectionManager) -> Void = { _ in },
    route changeRoute: (inout RouteAction) -> Void = { _ in }, cluster changeCluster: (inout Cluster) -> Void = { _ in }
  ) {
    var action = RouteAction(cluster: .cluster("backend"))
    changeRoute(&action)
    var host = VirtualHost(name: "all", domains: ["*"])
    host.routes = [Route(match: RouteMatch(.prefix("/")), action: .forward(action))]
    var routes = RouteConfiguration(name: "routes")
    routes.virtualHosts = [host]
    var manager = HTTPConnectionManager(statPrefix: "test", routes: .inline(routes))
    manager.serverName = "weft"
    change(&manager)
    listen([.httpConnectionManager(manager)])
    var cluster = Cluster(name: "backend")
    var endpoints = LocalityEndpoints()
    for port in ports { endpoints.endpoints.append(Endpoint(address: .socket(host: "127.0.0.1", port: port))) }
    cluster.loadAssignment.localities = [endpoints]
    changeCluster(&cluster)
    config.clusters = [cluster]
    for port in ports { server.listen(port) }
    apply()
  }

  func listen(_ filters: [ConfiguredNetworkFilter]) {
    var listener = Listener(name: "in", address: .socket(host: "127.0.0.1", port: 15001))
    var chain = FilterChain(name: "chain")
    chain.filters = filters
    listener.filterChains = [chain]
    config.listeners = [listener]
  }

  /// Turns the loops until `done`. After every turn the worker's slots must agree with each other.
  @discardableResult
  func run(for limit: Duration = .seconds(30), until done: () -> Bool) -> Bool {
    network.run(loops, for: limit) {
      checkInvariants()
      return done()
    }
  }

  func advance(by duration: Duration) {
    let end = network.time + duration
    run(for: duration) { network.time >= end }
    network.advance(loops, by: .zero)
    checkInvariants()
  }

  /// Records the first disagreement; what follows from it would only hide it.
  func checkInvariants() {
    turns &+= 1
    // With hundreds of slots a look costs more than a turn: every sixteenth must do then.
    if hasBroken || (engine.streams.count + engine.upstreams.count > 40 && turns & 15 != 0) { return }
    let found = engine.checkInvariants()
    if found.isEmpty { return }
    hasBroken = true
    Issue.record("\(found.joined(separator: "; "))")
  }

  /// Lets everything happen that happens without time passing.
  func settle() { advance(by: .milliseconds(1)) }

  func connect(from own: IPAddress? = nil) -> Peer { client.connect(Self.proxyAddress, from: own) }

  func value(_ metric: HTTPMetric) -> UInt64 { registry.value(metric, registry.scope(ScopeKey(.http, "test"))) }
  func value(_ metric: ClusterMetric) -> UInt64 {
    registry.value(metric, registry.scope(ScopeKey(.cluster, "backend")))
  }

  /// Nothing may be left of requests that have ended.
  func expectClean(sourceLocation: SourceLocation = #_sourceLocation) {
    #expect(engine.streams.count == 0, "streams left", sourceLocation: sourceLocation)
    #expect(value(HTTPMetric.downstreamRqActive) == 0, sourceLocation: sourceLocation)
    #expect(value(ClusterMetric.upstreamRqActive) == 0, sourceLocation: sourceLocation)
    #expect(value(ClusterMetric.upstreamRqPendingActive) == 0, sourceLocation: sourceLocation)
  }
}

/// Raw ends of connections: what they got, and what to do when they get something.
final class Peers: LoopHandler {
  let loop: EventLoop
  private(set) var all: [Peer] = []
  /// Accepted connections, in order.
  private(set) var accepted: [Peer] = []
  /// Called for each accepted connection.
  var onAccept: (Peer) -> Void = { _ in }
  /// Called when bytes have come.
  var onBytes: (Peer) -> Void = { _ in }
  private var listeners: [SocketAddress: ListenerID] = [:]

  init(_ loop: EventLoop) { self.loop = loop }

  func listen(_ port: UInt16, at ip: IPAddress = .loopback4) {
    let address = SocketAddress(ip, port: port)
    if listeners[address] == nil { listeners[address] = try? loop.listen(on: address) }
  }

  func stopListening(_ port: UInt16) {
    if let id = listeners.removeValue(forKey: SocketAddress(.loopback4, port: port)) { loop.stopAccepting(id) }
  }

  func connect(_ address: SocketAddress, from own: IPAddress? = nil) -> Peer {
    let peer = Peer(loop)
    all.append(peer)
    var options = ConnectionOptions()
    options.bindTo = own.map { SocketAddress($0, port: 0) }
    peer.id = loop.connect(to: address, options, tag: UInt64(all.count))
    return peer
  }

  private func peer(_ c: ConnectionID) -> Peer? {
    let word = loop.user(c)
    return word == 0 ? nil : all[Int(word) - 1]
  }

  func accepted(_ c: ConnectionID, on listener: ListenerID, from remote: SocketAddress) {
    let peer = Peer(loop)
    peer.id = c
    peer.remote = remote
    peer.isConnected = true
    peer.port = loop.localAddress(c).port
    all.append(peer)
    accepted.append(peer)
    loop.setUser(c, UInt64(all.count))
    onAccept(peer)
  }
  func connected(_ c: ConnectionID) {
    guard let peer = peer(c) else { return }
    peer.isConnected = true
    for bytes in peer.early { bytes.withByteView { _ = loop.write(c, $0) } }
    peer.early = []
  }
  func received(_ c: ConnectionID, _ bytes: ByteView) -> Int {
    guard let peer = peer(c) else { return bytes.count }
    peer.received += bytes.array
    if let h2 = peer.h2 { h2.receive(bytes, peer) }
    onBytes(peer)
    return bytes.count
  }
  func readEnded(_ c: ConnectionID) {
    peer(c)?.readEnded = true
    if let peer = peer(c), peer.closesOnEnd { loop.close(c) }
  }
  func closed(_ c: ConnectionID, _ reason: CloseReason) {
    peer(c)?.isClosed = true
    peer(c)?.closeReason = reason
  }
}

/// One raw end.
final class Peer {
  let loop: EventLoop
  var id = ConnectionID.none
  var isConnected = false
  var readEnded = false
  var isClosed = false
  var closeReason: CloseReason?
  var closesOnEnd = true
  var port: UInt16 = 0
  /// Of an accepted connection: where it came from.
  var remote = SocketAddress.unnamedUnix
  var received: [UInt8] = []
  var early: [[UInt8]] = []
  var h2: H2Peer?

  init(_ loop: EventLoop) { self.loop = loop }

  var text: String { String(decoding: received, as: UTF8.self) }
  var isOver: Bool { readEnded || isClosed }

  func send(_ text: String) { send(Array(text.utf8)) }

  func send(_ bytes: [UInt8]) {
    if !isConnected { return early.append(bytes) }
    bytes.withByteView { _ = loop.write(id, $0) }
  }

  func finish() { loop.finishWriting(id) }
  func close() { loop.close(id) }
  func reset() { loop.close(id, .reset) }
  func pause() { loop.pauseReading(id) }
  func resume() { loop.resumeReading(id) }

  /// Takes the text received so far.
  func take() -> String {
    defer { received = [] }
    return text
  }
}
