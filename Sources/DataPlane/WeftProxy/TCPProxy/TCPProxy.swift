// TCPProxy: bytes both ways between a client and an endpoint, each side's end passed on to the other.

import WeftBase
import WeftHTTP
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTables
import WeftTelemetry
import WeftUpstream

extension WorkerEngine {
  /// The connection's filter chain is a TCP proxy: the upstream is connected at once, server-first protocols depend on it.
  func startTCP(_ d: DownstreamIndex) {
    let slot = downstreams.ref(d)
    guard let proxy = slot[].chainConfig?[].tcp else { return }
    let stats = registry.block(TCPMetric.self, proxy[].scope, worker: number)
    slot[].tcpStats = stats
    stats.add(.downstreamCxTotal)
    guard
      let s = streams.insert(
        Stream(downstream: d, downstreamID: 0, snapshot: slot[].snapshot, random: random(), now: now))
    else { return close(downstream: d, .reset) }
    retain(snapshot: slot[].snapshot)
    slot[].stream = s
    slot[].active = 1
    // Nothing is read before there is somewhere to write it.
    pauseReading(downstream: d)
    let draw = streams[s].random % max(1, proxy[].totalWeight)
    let state = clusterState(slot[].snapshot, proxy.choose(draw))
    guard !state.isNone else {
      stats.add(.downstreamCxNoRoute)
      streams[s].responseFlags.insert(.noClusterFound)
      return endTCP(s, .reset)
    }
    streams[s].cluster = state
    clusters[state].activeRequests += 1
    if proxy[].maxConnectionDuration > 0 {
      slot[].drainDeadline = now.advanced(nanoseconds: Int64(clamping: proxy[].maxConnectionDuration))
      arm(downstream: d, at: slot[].drainDeadline)
    }
    if proxy[].idleTimeout > 0 {
      arm(downstream: d, at: now.advanced(nanoseconds: Int64(clamping: proxy[].idleTimeout)))
    }
    connectTCP(s)
  }

  private func connectTCP(_ s: StreamIndex) {
    let stream = streams.ref(s)
    let state = clusters.ref(stream[].cluster)
    let d = stream[].downstream
    if state[].hasOutlierDetection { refreshEjections(stream[].cluster) }
    var h: HostIndex
    if state[].config[].isOriginalDestination {
      guard let host = originalDestinationHost(stream[].cluster, downstreams[d].local) else {
        state[].stats.add(.originalDestinationHostInvalid)
        stream[].responseFlags.insert(.noHealthyUpstream)
        return endTCP(s, .reset)
      }
      h = host
    } else {
      let hash = state[].hashes ? sourceHash(d) : nil
      guard case .host(let position, let panicking) = state[].balancer[].pick(hash: hash, random: &turn[].random) else {
        state[].stats.add(.upstreamCxNoneHealthy)
        stream[].responseFlags.insert(.noHealthyUpstream)
        return endTCP(s, .reset)
      }
      if panicking { state[].stats.add(.lbHealthyPanic) }
      h = state[].members[].hosts[Int(position)]
      state[].balancer[].started(position)
    }
    if state[].config[].keepsApart || !connectionOrigins[].isEmpty {
      guard let part = pool(h, for: s, nil) else {
        stream[].responseFlags.insert(.noHealthyUpstream)
        if hosts[h].position >= 0 { state[].balancer[].finished(hosts[h].position) }
        return endTCP(s, .reset)
      }
      h = part
    }
    guard state[].standard.take(.connections, limit: state[].standardLimits.connections) else {
      state[].stats.add(.upstreamCxOverflow)
      stream[].responseFlags.insert(.upstreamOverflow)
      if hosts[h].position >= 0 { state[].balancer[].finished(hosts[h].position) }
      if !hosts[h].whole.isNone { releaseIfUnused(host: h) }
      return endTCP(s, .reset)
    }
    stream[].host = h
    if stream[].attempts < .max { stream[].attempts += 1 }
    hosts[h].activeRequests += 1
    hosts[h].numbers.requestsTotal &+= 1
    stream[].place.counted()
    guard let u = connect(h, breaker: state[].standard, speaking: .opaque) else {
      state[].standard.give(.connections)
      stream[].responseFlags.insert(.upstreamConnectionFailure)
      return endTCP(s, .reset)
    }
    upstreams[u].kind.bytes()
    upstreams[u].stream = s
    upstreams[u].active = 1
    stream[].upstream = u
    stream[].place.connected()
    stream[].upstreamStarted = now
  }

  /// The hash of the client's address, where the proxy asks for it.
  private func sourceHash(_ d: DownstreamIndex) -> UInt64? {
    let slot = downstreams.ref(d)
    guard slot[].chainConfig?[].tcp?[].hashesSource ?? false, !slot[].peer.isUnix else { return nil }
    return hash(of: slot[].peer.ip)
  }

  func upstreamConnectedTCP(_ u: UpstreamIndex) {
    let s = upstreams[u].stream
    guard !s.isNone else { return close(upstream: u, .reset) }
    let stream = streams.ref(s)
    stream[].request.headPassed()
    stream[].lastActivity = now
    if downstreams[stream[].downstream].chainConfig?[].tcp?[].logNeeds.isUpstreamLocal ?? false {
      stream[].lastLocal = localAddress(upstream: u)
    }
    if clusters[stream[].cluster].hasOutlierDetection { report(s, .success) }
    resumeReading(downstream: stream[].downstream)
  }

  func receivedTCP(_ d: DownstreamIndex, _ bytes: ByteView) -> Int {
    let slot = downstreams.ref(d)
    if slot[].chainConfig?[].terminal == .filter { return receivedTerminal(d, bytes) }
    let s = slot[].stream
    guard !s.isNone else { return bytes.count }
    let stream = streams.ref(s)
    guard stream[].request.hasStarted, !stream[].upstream.isNone else {
      pauseReading(downstream: d)
      return 0
    }
    stream[].lastActivity = now
    stream[].bytesReceived &+= UInt64(bytes.count)
    slot[].tcpStats?.add(.downstreamCxRxBytesTotal, UInt64(bytes.count))
    clusters[stream[].cluster].stats.add(.upstreamCxTxBytesTotal, UInt64(bytes.count))
    let u = stream[].upstream
    if loop.write(upstreams[u].connection, bytes) == .blocked {
      upstreams[u].write.block()
      slot[].tcpStats?.add(.downstreamFlowControlPausedReading)
      pauseReading(downstream: d)
    }
    return bytes.count
  }

  func upstreamReceivedTCP(_ u: UpstreamIndex, _ bytes: ByteView) -> Int {
    let s = upstreams[u].stream
    guard !s.isNone else { return bytes.count }
    let stream = streams.ref(s)
    let d = stream[].downstream
    stream[].lastActivity = now
    stream[].bytesSent &+= UInt64(bytes.count)
    downstreams[d].tcpStats?.add(.downstreamCxTxBytesTotal, UInt64(bytes.count))
    if turn[].outputFilters > 0 { showOutput(downstreams[d].connection, bytes) }
    if loop.write(downstreams[d].connection, bytes) == .blocked {
      downstreams[d].write.block()
      clusters[stream[].cluster].stats.add(.upstreamFlowControlPausedReading)
      pauseReading(upstream: u)
    }
    return bytes.count
  }

  /// The client sends no more; it may still read.
  func endedTCP(_ d: DownstreamIndex) {
    let s = downstreams[d].stream
    if downstreams[d].chainConfig?[].terminal == .filter { return inputEndedTerminal(d) }
    guard !s.isNone else { return close(downstream: d, .gracefully) }
    let stream = streams.ref(s)
    stream[].request.endArrived()
    guard !stream[].upstream.isNone, stream[].request.hasStarted else { return endTCP(s, .gracefully) }
    loop.finishWriting(upstreams[stream[].upstream].connection)
  }

  /// The endpoint sends no more; it may still read.
  func upstreamEndedTCP(_ u: UpstreamIndex) {
    let s = upstreams[u].stream
    guard !s.isNone else { return close(upstream: u, .gracefully) }
    streams[s].response.endArrived()
    loop.finishWriting(downstreams[streams[s].downstream].connection)
  }

  func upstreamDrainedTCP(_ u: UpstreamIndex) {
    let s = upstreams[u].stream
    if !s.isNone { resumeReading(downstream: streams[s].downstream) }
  }

  /// The upstream connection is gone: another attempt while nothing was passed on, else the end, by a reset where it was one.
  func upstreamLostTCP(_ s: StreamIndex, _ reason: UpstreamResetReason) {
    let stream = streams.ref(s)
    let d = stream[].downstream
    stream[].upstream = .none
    stream[].place.disconnected()
    let connected = stream[].request.hasStarted
    if !connected {
      if clusters[stream[].cluster].hasOutlierDetection { report(s, .localFailure) }
      uncountTCP(s)
      // More attempts than can be counted are not made.
      let most = UInt16(clamping: downstreams[d].chainConfig?[].tcp?[].maxConnectAttempts ?? 1)
      if stream[].attempts < most { return connectTCP(s) }
      stream[].responseFlags.insert(.upstreamConnectionFailure)
      stream[].responseFlags.insert(.upstreamRetryLimitExceeded)
    }
    guard connected, reason == .remoteReset else { return endTCP(s, .gracefully) }
    stream[].responseFlags.insert(reason.words.flag)
    // What an end in order would say, that all has come, is not so.
    endTCP(s, .reset)
  }

  private func uncountTCP(_ s: StreamIndex) {
    let stream = streams.ref(s)
    guard stream[].place.uncounted() else { return }
    let h = stream[].host
    let host = hosts.ref(h)
    host[].activeRequests -= 1
    if host[].position >= 0 { clusters[stream[].cluster].balancer[].finished(host[].position) }
    stream[].lastHost = host[].address
    stream[].host = .none
    releaseIfUnused(host: h)
  }

  /// Writes the line of a session that ends.
  func logTCP(_ s: StreamIndex, _ proxy: ConfigRef<CompiledTCPProxy>) {
    var record = record(s)
    record.kind = .tcpConnectionEnd
    record.protocolName = .none
    let source = StreamSource(record: record, request: nil, response: nil, trailers: nil)
    for log in proxy[].accessLogs { log.write(source, worker: number, runtime[].view) }
  }

  /// Ends a session: both connections close, the log is written.
  func endTCP(_ s: StreamIndex, _ mode: CloseMode) {
    let stream = streams.ref(s)
    let d = stream[].downstream
    let slot = downstreams.ref(d)
    slot[].stream = .none
    slot[].active = 0
    let u = stream[].upstream
    if !u.isNone {
      upstreams[u].stream = .none
      upstreams[u].active = 0
      close(upstream: u, slot[].life.isClosed && mode == .reset ? .reset : .gracefully)
    }
    if let proxy = slot[].chainConfig?[].tcp, !proxy[].accessLogs.isEmpty { logTCP(s, proxy) }
    uncountTCP(s)
    if !stream[].cluster.isNone {
      let cluster = stream[].cluster
      clusters[cluster].activeRequests -= 1
      if clusters[cluster].pieces == 0 { releaseIfUnused(cluster: cluster) }
    }
    let snapshot = stream[].snapshot
    streams.remove(s)
    release(snapshot: snapshot)
    if !slot[].life.isClosed { close(downstream: d, mode) }
  }

  /// The client's connection is gone.
  func clientGoneTCP(_ s: StreamIndex, _ reason: CloseMode) {
    if !streams[s].response.hasArrived {
      streams[s].responseFlags.insert(.downstreamConnectionTermination)
    }
    endTCP(s, reason)
  }

  func timerTCP(_ d: DownstreamIndex) {
    let slot = downstreams.ref(d)
    let s = slot[].stream
    guard !s.isNone, let proxy = slot[].chainConfig?[].tcp else { return }
    if slot[].drainDeadline <= now {
      slot[].tcpStats?.add(.maxDownstreamConnectionDuration)
      streams[s].responseFlags.insert(.durationTimeout)
      return endTCP(s, .gracefully)
    }
    var next = slot[].drainDeadline
    if proxy[].idleTimeout > 0 {
      let end = streams[s].lastActivity.advanced(nanoseconds: Int64(clamping: proxy[].idleTimeout))
      if end <= now {
        slot[].tcpStats?.add(.idleTimeout)
        streams[s].details = ByteView("idle_timeout")
        return endTCP(s, .gracefully)
      }
      next = min(next, end)
    }
    if next != .distantFuture { arm(downstream: d, at: next) }
  }
}
