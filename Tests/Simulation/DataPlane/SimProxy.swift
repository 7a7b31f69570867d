// SimProxy: one weft-proxy worker of a world, its configuration, and what must hold of it.

import Foundation
import WeftAccessLogs
import WeftBase
import WeftHTTP
import WeftHTTPFilters
import WeftListenerFilters
import WeftLoadBalancers
import WeftModel
import WeftNetworkFilters
import WeftProtobuf
import WeftProtocols
import WeftProxyAPI
import WeftTelemetry
import WeftTestKit
import WeftUpstream
import WeftXDSMessages

@testable import WeftCompile
@testable import WeftProxy
@testable import WeftRuntime
@testable import WeftTables

final class SimProxy {
  let world: SimWorld
  let name: String
  let process: SimWorld.Process
  let engine: WorkerEngine
  let registry = MetricsRegistry(workers: 1)
  /// Where its HTTP listeners count. What is counted there is balanced against the whole log, so it stays when a listener goes and comes again.
  let scopes: [String]
  private let leases: [ScopeLease]
  private let logs = AccessLogFiles(workers: 1)
  private let folder = TemporaryDirectory()
  private let compiler: SnapshotCompiler
  var config = ConfigState()
  /// How many clusters are in force: all, but for those that wait for a secret.
  private var activeClusters = 0

  init(
    _ world: SimWorld, _ name: String, scopes: [String], limits: WorkerEngine.Limits = WorkerEngine.Limits(),
    security: (any SecurityFactory)? = nil
  ) {
    self.world = world
    self.name = name
    self.scopes = scopes
    leases = scopes.map { [registry] in registry.lease(ScopeKey(.http, $0)) }
    process = world.addProcess(name)
    engine = WorkerEngine(
      loop: process.loop, number: 0, registry: registry, limits: limits,
      seed: RandomSource.mix(world.seed, UInt64(name.count)))
    var httpFilters = Array(HTTPFilters.registry.members)
    httpFilters.append(AnswerHolder.self)
    compiler = SnapshotCompiler(
      metrics: registry, logs: logs, security: security, random: RandomSource(seed: world.seed),
      extensions: ProxyExtensions(
        httpFilters: HTTPFilterRegistry(httpFilters), networkFilters: NetworkFilters.registry,
        listenerFilters: ListenerFilters.registry, loadBalancers: LoadBalancers.registry,
        retryPriorities: RetryPriorities.registry,
        protocols: Protocols.registry, accessLogs: AccessLogs.registry))
    // The Date header would tell of the machine's time: where a second ends, HPACK writes more bytes.
    engine.clock[].origin = 1_700_000_000_000_000_000
    process.loop.handler = engine
  }

  /// Compiles the configuration and puts it into force. *Returns*: whether something of it waits for what has not come.
  @discardableResult
  func apply(mayWarm: Bool = false) -> Bool {
    let result = compiler.compile(config)
    let isWarming = !result.warming.isEmpty || !result.missingSecrets.isEmpty
    world.expect(
      result.rejections.isEmpty && (mayWarm || !isWarming), "\(name) refuses \(result.rejections) \(result.warming)")
    engine.apply(result.snapshot)
    activeClusters =
      result.missingSecrets.isEmpty ? config.clusters.count : result.snapshot.clusters.count { $0 != nil }
    return isWarming
  }

  /// A log whose lines can be counted: status, flags, request.
  var accessLog: AccessLog {
    var message = Envoy_Extensions_AccessLoggers_File_V3_FileAccessLog()
    message.path = folder.file("access.log")
    message.accessLogFormat = .format(
      "%RESPONSE_CODE% %RESPONSE_FLAGS% %REQ(X-ID)% %RESPONSE_CODE_DETAILS% %PATH(NQ)%\n")
    return AccessLog(ExtensionConfig(typeName: FileAccessLog.message, message: message.serialized()))
  }

  /// Requests for `path` that were answered.
  func logCount(_ path: String) -> Int { logLines().count { !$0.hasPrefix("0 ") && $0.hasSuffix(" \(path)") } }

  func logLines() -> [Substring] {
    logs.flush()
    let text = (try? String(contentsOfFile: folder.file("access.log"), encoding: .utf8)) ?? ""
    return text.split(separator: "\n")
  }

  // MARK: What must hold

  /// At every moment: nothing is kept beyond its limit.
  func checkBounds() {
    var kept = 0
    engine.streams.forEach { s in
      let stream = engine.streams[s]
      var limit = max(65_535, engine.bufferLimit(s))
      if !stream.cluster.isNone {
        limit = max(limit, Int(engine.clusters[stream.cluster].config[].config.perConnectionBufferLimitBytes))
      }
      // What is kept may pass the limit by what one turn delivers.
      let most = limit + process.loop.limits.readBytesPerTurn
      if stream.requestBody.count > most || stream.responseBody.count > most {
        world.fail(
          "\(name) keeps \(stream.requestBody.count) and \(stream.responseBody.count) bytes of a stream, the limit is \(limit)"
        )
      }
      kept += stream.requestBody.footprint + stream.responseBody.footprint
    }
    if kept > engine.pool.lentBytes { world.fail("\(name): streams hold more than the pool has lent") }
    let broken = engine.checkInvariants()
    if !broken.isEmpty { world.fail("\(name): \(broken.joined(separator: "; "))") }
    if !engine.listensAsConfigured() { world.fail("\(name): the listeners are not those of its configuration") }
  }

  /// Whether some request that still comes in is copied at this moment.
  var hasCopy: Bool {
    var found = false
    engine.streams.forEach {
      if !engine.streams[$0].companions.isNone, engine.streams[$0].race == .none { found = true }
    }
    return found
  }

  /// Whether some request has several attempts at this moment.
  var hasRace: Bool {
    var found = false
    engine.streams.forEach { if engine.streams[$0].race == .backup { found = true } }
    return found
  }

  /// Whether a request waits for a connection.
  var hasWaiting: Bool {
    var found = false
    engine.streams.forEach { if engine.streams[$0].place == .waiting { found = true } }
    return found
  }

  func value(_ metric: HTTPMetric, _ scope: String) -> UInt64 {
    registry.value(metric, registry.scope(ScopeKey(.http, scope)))
  }
  func value(_ metric: ClusterMetric, _ cluster: String) -> UInt64 {
    registry.value(metric, registry.scope(ScopeKey(.cluster, cluster)))
  }

  /// At every moment: gauges say what is there.
  func checkGauges() {
    var connections = 0
    var requests = 0
    engine.downstreams.forEach { d in
      if engine.downstreams[d].stats == nil { return }
      connections += 1
      requests += Int(engine.downstreams[d].active)
    }
    let counted = scopes.reduce(0) { $0 + Int(value(.downstreamCxActive, $1)) }
    let active = scopes.reduce(0) { $0 + Int(value(.downstreamRqActive, $1)) }
    world.expect(counted == connections, "\(name): gauges of connections say \(counted), there are \(connections)")
    world.expect(active == requests, "\(name): gauges of requests say \(active), there are \(requests)")
    var upstream: [String: (connections: Int, waiting: Int)] = [:]
    engine.hosts.forEach { h in
      let host = engine.hosts[h]
      let cluster = engine.clusters[host.cluster].members[].name
      upstream[cluster, default: (0, 0)].connections += Int(host.connections)
      upstream[cluster, default: (0, 0)].waiting += Int(host.waiting.count)
    }
    for (cluster, there) in upstream {
      let says = (value(.upstreamCxActive, cluster), value(.upstreamRqPendingActive, cluster))
      world.expect(
        says == (UInt64(there.connections), UInt64(there.waiting)),
        "\(name): gauges of \(cluster) say \(says), there are \(there)")
    }
  }

  /// Whether an answer has ended at its HTTP/2 server and waits for a client that does not take it.
  var hasEndedBehindBlockedClient: Bool {
    var found = false
    engine.streams.forEach { s in
      let stream = engine.streams[s]
      if found || stream.upstream.isNone { return }
      let u = engine.upstreams[stream.upstream]
      found = u.kind == .http2 && !u.h2.isNone && !u.h2[].contains(stream.upstreamID)
    }
    return found
  }

  /// When everything is over: nothing is left, and the books balance.
  func checkEnd(clusters: [String]) {
    func none(_ count: Int, _ what: String) { world.expect(count == 0, "\(name): \(count) \(what) left at the end") }
    none(engine.streams.count, "streams")
    none(engine.downstreams.count, "client connections")
    none(engine.upstreams.count, "upstream connections")
    none(process.loop.statistics.connections, "connections of the loop")
    none(process.loop.timers.count, "timers")
    none(process.loop.lingering.count, "lingering timers")
    none(engine.pool.lentBytes, "bytes lent by the pool")
    world.expect(engine.snapshotsInUse == 1, "\(name): \(engine.snapshotsInUse) configurations in use at the end")
    checkClusters(clusters)
    var total = 0
    for scope in scopes {
      let requests = value(.downstreamRqTotal, scope)
      total += Int(requests)
      none(Int(value(.downstreamRqActive, scope)), "active requests of \(scope)")
      none(Int(value(.downstreamCxActive, scope)), "active connections of \(scope)")
      none(Int(value(.downstreamCxHTTP1Active, scope)), "active HTTP/1 connections of \(scope)")
      none(Int(value(.downstreamCxHTTP2Active, scope)), "active HTTP/2 connections of \(scope)")
      world.expect(
        value(.downstreamCxTotal, scope) == value(.downstreamCxDestroy, scope),
        "\(name): \(value(.downstreamCxTotal, scope)) connections of \(scope), \(value(.downstreamCxDestroy, scope)) ended"
      )
      let classes = [
        HTTPMetric.downstreamRq1xx, .downstreamRq2xx, .downstreamRq3xx, .downstreamRq4xx, .downstreamRq5xx,
      ]
      .reduce(0) { $0 + value($1, scope) }
      world.expect(
        classes == value(.downstreamRqCompleted, scope),
        "\(name): \(value(.downstreamRqCompleted, scope)) requests of \(scope) completed, \(classes) by class")
    }
    checkLog(total, completed: scopes.reduce(0) { $0 + Int(value(.downstreamRqCompleted, $1)) })
  }

  /// What the streams in flight wait for, for the story.
  func tellStreams() {
    engine.streams.forEach { s in
      let stream = engine.streams[s]
      let d = engine.downstreams[stream.downstream]
      var id = "?"
      if let head = stream.head {
        head.view(in: engine.trailerHead)
        id = engine.trailerHead.first(named: ByteView("x-id"))?.string ?? "?"
      }
      var upstream = "none"
      if !stream.upstream.isNone {
        let u = engine.upstreams[stream.upstream]
        upstream =
          "\(u.kind) \(u.connection.index) state \(u.life)-\(u.read)-\(u.write) queued \(process.loop.queuedBytes(u.connection)) "
          + "paused \(process.loop.isPaused(u.connection))"
      }
      world.tell(
        "\(name): #\(id) state \(stream.place)-\(stream.tunnel) request \(stream.bytesReceived) unsent "
          + "\(stream.requestBody.unsent) left \(stream.requestLeft) response \(stream.bytesSent) unsent "
          + "\(stream.responseBody.unsent); down \(d.kind) \(d.connection.index) state \(d.life)-\(d.read)-\(d.write) queued "
          + "\(process.loop.queuedBytes(d.connection)) paused \(process.loop.isPaused(d.connection)); up \(upstream)")
    }
  }

  /// The log's lines about a request, for the story.
  func tellLog() { for line in logLines() { world.tell("\(name) logs \(line)") } }

  private func checkLog(_ total: Int, completed: Int) {
    let lines = logLines()
    world.expect(lines.count == total, "\(name): \(total) requests, \(lines.count) lines in the access log")
    let answered = lines.count { !$0.hasPrefix("0 ") }
    world.expect(answered == completed, "\(name): \(completed) requests completed, \(answered) logged with a status")
    let bare = lines.filter { line in
      let words = line.split(separator: " ")
      return words.count < 4 || (words[0] == "0" && words[1] == "-")
    }
    world.expect(bare.isEmpty, "\(name): logged without a reason: \(bare.prefix(3))")
  }

  private func checkClusters(_ names: [String]) {
    var hosts = 0
    engine.clusters.forEach { i in
      let state = engine.clusters[i]
      let label = state.members[].name
      hosts += Int(state.hostSlots)
      for (breaker, priority) in [(state.standard, "default"), (state.high, "high")] {
        for resource in BreakerResource.allCases where breaker.used(resource) != 0 {
          world.fail(
            "\(name): breaker \(priority).\(resource) of \(label) is at \(Int64(bitPattern: breaker.used(resource)))")
        }
      }
      world.expect(state.activeRequests == 0, "\(name): \(state.activeRequests) requests on the books of \(label)")
      for h in state.members[].hosts {
        let host = engine.hosts[h]
        world.expect(
          host.activeRequests == 0 && host.connections == 0 && host.connecting == 0 && host.expectedCapacity == 0
            && host.waiting.isEmpty && host.idle.isEmpty && host.multiplexed.isEmpty,
          "\(name): \(host.address) of \(label) is not at rest: \(host.activeRequests) requests, \(host.connections)"
            + " connections, \(host.connecting) connecting, \(host.expectedCapacity) expected")
      }
    }
    world.expect(engine.hosts.count == hosts, "\(name): \(engine.hosts.count) host slots, \(hosts) in clusters")
    world.expect(
      engine.clusters.count == activeClusters,
      "\(name): \(engine.clusters.count) clusters, \(activeClusters) of \(config.clusters.count) in force")
    for cluster in names {
      for gauge in [ClusterMetric.upstreamRqActive, .upstreamRqPendingActive, .upstreamCxActive] {
        world.expect(
          value(gauge, cluster) == 0, "\(name): \(gauge) of \(cluster) is \(value(gauge, cluster)) at the end")
      }
      world.expect(
        value(.upstreamCxTotal, cluster) == value(.upstreamCxDestroy, cluster),
        "\(name): \(value(.upstreamCxTotal, cluster)) connections to \(cluster), \(value(.upstreamCxDestroy, cluster)) ended"
      )
    }
  }
}
