// Upstream connections: from connect to close, and their bytes.

import Glibc
import WeftBase
import WeftHTTP
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTelemetry
import WeftUpstream

extension WorkerEngine {
  // MARK: Making one

  /// Begins to connect to a host; the outcome comes as `upstreamConnected` or `upstreamClosed`.
  func connect(_ h: HostIndex, breaker: CircuitBreaker, speaking protocols: UpstreamProtocols) -> UpstreamIndex? {
    let host = hosts.ref(h)
    let state = clusters.ref(host[].cluster)
    var slot = UpstreamConnection(
      connection: .none, host: h, address: host[].address, decoder: state[].decoder, now: now)
    slot.mostServed = state[].config[].maxRequestsPerConnection
    guard let u = upstreams.insert(slot) else { return nil }
    let c = loop.connect(to: host[].address, options(of: h), tag: Self.word(u))
    guard !c.isNone else {
      upstreams.remove(u)
      return nil
    }
    upstreams[u].connection = c
    host[].connections += 1
    host[].connecting += 1
    host[].numbers.connectionsTotal &+= 1
    state[].stats.add(.upstreamCxTotal)
    state[].stats.add(.upstreamCxActive)
    let config = state[].config
    if let header = config[].proxyHeader { sendPreface(u, header) }
    if let security = config[].security, !security.isReady {
      state[].stats.add(.sslSecretsNotReady)
      close(upstream: u, .reset)
    } else if let security = config[].security {
      upstreams[u].transport.started()
      let names = connectionNames(h)
      loop.startTransport(
        c, security.makeSession(serverName: names.sent, expecting: names.expected, protocols: protocols))
    }
    if config[].connectTimeout > 0 {
      upstreams[u].deadline = now.advanced(nanoseconds: Int64(clamping: config[].connectTimeout))
      arm(upstream: u, at: upstreams[u].deadline)
    }
    return u
  }

  /// How a connection to the host is made: as the cluster says, or from where its part comes.
  private func options(of h: HostIndex) -> ConnectionOptions {
    let host = hosts.ref(h)
    let config = clusters[host[].cluster].config
    var options = config[].options
    if let source = host[].key.source {
      options.bindTo = source.address
      options.transparent = true
      options.mark = source.mark
    } else if host[].address.isUnix {
      options.bindTo = nil
    } else if let other = config[].otherBinding, other.ip.family == host[].address.ip.family {
      options.bindTo = other
    }
    return options
  }

  /// The connection's first bytes, before TLS.
  private func sendPreface(_ u: UpstreamIndex, _ header: ProxyPreface) {
    let slot = upstreams.ref(u)
    let preface = hosts[slot[].host].key.preface
    if !preface.isEmpty {
      _ = loop.write(slot[].connection, preface)
      return
    }
    prefaceBytes[].removeAll()
    header.writeLocal(from: loop.localAddress(slot[].connection), to: slot[].address, into: &prefaceBytes[])
    _ = loop.write(slot[].connection, prefaceBytes[].view)
  }

  func upstreamConnected(_ u: UpstreamIndex) {
    let slot = upstreams.ref(u)
    if slot[].life.isClosed { return }
    let host = hosts.ref(slot[].host)
    let state = clusters.ref(host[].cluster)
    connectingEnded(u)
    slot[].life.connected()
    slot[].transport.secured()
    slot[].deadline = .distantFuture
    state[].stats.record(.upstreamCxConnectMs, (now.nanoseconds &- slot[].created.nanoseconds) / 1_000_000)
    if slot[].transport.isSecure, let session = loop.transport(slot[].connection) {
      session.handshake.countSuccess(in: state[].stats)
    }
    if state[].config[].maxConnectionDuration > 0 {
      slot[].lifeDeadline = now.advanced(nanoseconds: Int64(clamping: state[].config[].maxConnectionDuration))
      arm(upstream: u, at: slot[].lifeDeadline)
    }
    if slot[].kind == .tcp { return upstreamConnectedTCP(u) }
    if slot[].kind == .codec {
      startHeartbeats(u)
      return freed(upstream: u)
    }
    if slot[].kind == .undecided {
      let agreed = loop.transport(slot[].connection)?.negotiatedProtocol ?? ""
      if agreed == "h2" { slot[].kind.http2() } else { slot[].kind.http1() }
      if slot[].kind == .http2 { host[].http2Connections += 1 }
    }
    if slot[].kind == .http2 {
      state[].stats.add(.upstreamCxHTTP2Total)
      var limits = state[].config[].limits
      let window = max(65_535, state[].config[].config.perConnectionBufferLimitBytes)
      limits.http2.initialStreamWindow = min(limits.http2.initialStreamWindow, window)
      slot[].h2 = H2Cell.make(role: .client, limits: limits)
      flushLater(upstream: u)
      if state[].config[].pingInterval > 0 {
        slot[].nextPingAt = nextPing(state[].config)
        arm(upstream: u, at: slot[].nextPingAt)
      }
    } else {
      state[].stats.add(.upstreamCxHTTP1Total)
    }
    freed(upstream: u)
  }

  /// Where a connection comes from, which the system is asked once.
  @inline(never)
  func localAddress(upstream u: UpstreamIndex) -> SocketAddress {
    if let known = upstreamLocals[][u.index] { return known }
    let address = loop.localAddress(upstreams[u].connection)
    upstreamLocals[][u.index] = address
    return address
  }

  /// When the keep-alive PING after the one of now is due.
  func nextPing(_ config: ConfigRef<CompiledCluster>) -> MonotonicInstant {
    let jitter = config[].pingJitter
    let wait = config[].pingInterval &+ (jitter > 0 ? random() % (jitter &+ 1) : 0)
    return now.advanced(nanoseconds: Int64(clamping: wait))
  }

  /// The connection no longer counts as being opened; its `life` says so next.
  private func connectingEnded(_ u: UpstreamIndex) {
    let slot = upstreams.ref(u)
    guard slot[].life.isOpening else { return }
    let host = hosts.ref(slot[].host)
    host[].connecting -= 1
    host[].expectedCapacity -= min(host[].expectedCapacity, slot[].expectedCapacity)
  }

  // MARK: Bytes

  func upstreamReceived(_ u: UpstreamIndex, _ bytes: ByteView) -> Int {
    let slot = upstreams.ref(u)
    if slot[].life.isClosed { return bytes.count }
    clusters[hosts[slot[].host].cluster].stats.add(.upstreamCxRxBytesTotal, UInt64(bytes.count))
    switch slot[].kind {
    case .http1: return upstreamReceivedHTTP1(u, bytes)
    case .http2: return upstreamReceivedHTTP2(u, bytes)
    case .codec: return upstreamReceivedCodec(u, bytes)
    case .tcp: return upstreamReceivedTCP(u, bytes)
    case .undecided: return bytes.count
    }
  }

  func upstreamReceivedHTTP1(_ u: UpstreamIndex, _ bytes: ByteView) -> Int {
    let slot = upstreams.ref(u)
    if slot[].stream.isNone {
      // Nobody asked: what comes cannot belong to any request, and the connection cannot be trusted any more.
      clusters[hosts[slot[].host].cluster].stats.add(.upstreamCxProtocolError)
      close(upstream: u, .reset)
      return bytes.count
    }
    slot[].answer.came()
    var input = bytes
    while true {
      let s = slot[].stream
      if s.isNone || slot[].life.isClosed { break }
      if streams[s].responseFlow == .paused {
        if streams[s].response.hasArrived {
          surplus(u, input)
          return bytes.count
        }
        pauseReading(upstream: u)
        return bytes.count - input.count
      }
      switch slot[].decoder.next(&input, head: responseHead) {
      case .head:
        if responseHead.isInformational {
          responseHead(s, end: false)
          continue
        }
        if responseHead.flags.contains(.closesConnection) { slot[].life.retired() }
        // A response without content is complete with its head: the end is taken here, so that both leave together.
        var end = false
        if !responseHead.hasContent || streams[s].flags.contains(.isHEAD), responseHead.framing != .tunnel {
          end = takeEnd(u, &input)
        }
        responseHead(s, end: end)
      case .data(let data):
        let left = streams[s].responseLeft
        var end = false
        if left >= 0 {
          streams[s].responseLeft = left - Int64(data.count)
          if left == Int64(data.count) { end = takeEnd(u, &input) }
        }
        responseData(s, data, end: end)
      case .trailers:
        responseTrailers(s, responseHead)
      case .end:
        surplus(u, input)
        responseEnded(s)
      case .needMore:
        return bytes.count - input.count
      case .invalid(let error):
        upstreamInvalid(u, error)
        return bytes.count
      }
    }
    return bytes.count
  }

  /// The event after the last byte of a response of known length: its end.
  private func takeEnd(_ u: UpstreamIndex, _ input: inout ByteView) -> Bool {
    guard case .end = upstreams[u].decoder.next(&input, head: trailerHead) else { return false }
    surplus(u, input)
    return true
  }

  /// More bytes than the response had belong to no request: the connection serves no other one. Said before the stream learns of its
  /// end, which would give the connection to the next.
  @inline(__always)
  private func surplus(_ u: UpstreamIndex, _ rest: ByteView) {
    if rest.isEmpty { return }
    upstreams[u].life.retired()
    clusters[hosts[upstreams[u].host].cluster].stats.add(.upstreamCxProtocolError)
  }

  private func responseHead(_ s: StreamIndex, end: Bool) {
    if case .length(let n) = responseHead.framing, !end { streams[s].responseLeft = Int64(clamping: n) }
    responseHead(s, responseHead, end: end)
  }

  /// The upstream broke HTTP.
  private func upstreamInvalid(_ u: UpstreamIndex, _ error: H1Error) {
    let slot = upstreams.ref(u)
    clusters[hosts[slot[].host].cluster].stats.add(.upstreamCxProtocolError)
    let s = slot[].stream
    guard !s.isNone else { return close(upstream: u, .reset) }
    let stream = streams.ref(s)
    if stream[].race != .none { return upstreamReset(s, .protocolError) }
    stream[].responseFlags.insert(.upstreamProtocolError)
    if stream[].response.hasStarted { return upstreamReset(s, .protocolError) }
    if !stream[].host.isNone { hosts[stream[].host].numbers.requestsFailed &+= 1 }
    if clusters[stream[].cluster].hasOutlierDetection { report(s, .localFailure) }
    // Not worth another try: who answers so once does so again.
    localReply(
      s, UpstreamResetReason.protocolError.status,
      UpstreamResetReason.protocolError.words.body(after: stream[].attempts), details: error.detail)
  }

  func upstreamReadEnded(_ u: UpstreamIndex) {
    let slot = upstreams.ref(u)
    if slot[].life.isClosed { return }
    slot[].read.ended()
    slot[].life.retired()
    switch slot[].kind {
    case .tcp: return upstreamEndedTCP(u)
    case .http1:
      let s = slot[].stream
      if s.isNone { return retire(upstream: u) }
      if streams[s].response.isAwaited || slot[].decoder.isIdle {
        return closeWithStreams(u, reasonOfLoss(u))
      }
      switch slot[].decoder.endOfInput() {
      case .end: responseEnded(s)
      case .invalid: closeWithStreams(u, reasonOfLoss(u))
      default: break
      }
      if upstreams.contains(u), !slot[].stream.isNone, !streams[slot[].stream].response.hasArrived {
        closeWithStreams(u, .connectionTermination)
      }
    default: closeWithStreams(u, .connectionTermination)
    }
  }

  /// What the end of a connection means for its stream: half an HTTP/1 message is a broken answer, none at all is none.
  private func reasonOfLoss(_ u: UpstreamIndex) -> UpstreamResetReason {
    let slot = upstreams.ref(u)
    guard slot[].kind == .http1, !slot[].stream.isNone, slot[].answer == .come,
      !slot[].life.isClosedByUs, case .invalid = slot[].decoder.endOfInput()
    else { return .connectionTermination }
    clusters[hosts[slot[].host].cluster].stats.add(.upstreamCxProtocolError)
    return .protocolError
  }

  /// Closes a connection whose streams cannot go on.
  func closeWithStreams(_ u: UpstreamIndex, _ reason: UpstreamResetReason) {
    close(upstream: u, .gracefully)
    resetStreams(u, reason)
  }

  private func resetStreams(_ u: UpstreamIndex, _ reason: UpstreamResetReason) {
    let slot = upstreams.ref(u)
    if !slot[].stream.isNone {
      let s = slot[].stream
      if slot[].kind == .tcp { upstreamLostTCP(s, reason) } else { upstreamReset(s, reason) }
    }
    if slot[].hasMany { forEachStream(ofUpstream: u) { upstreamReset($0, reason) } }
  }

  // MARK: End

  func close(upstream u: UpstreamIndex, _ mode: CloseMode) {
    let slot = upstreams.ref(u)
    if slot[].life.isClosed { return }
    unlist(upstream: u)
    if slot[].kind == .http2, !slot[].h2.isNone, mode == .gracefully {
      slot[].h2[].goAway()
      flushHTTP2(upstream: u)
    }
    if mode == .gracefully, stage[].holds(slot[].connection) { flushStage() }
    slot[].life.closed()
    loop.close(slot[].connection, mode)
  }

  /// Ends a connection on which nothing is under way. One of HTTP/1 gives its place to others as soon as its last bytes have left, whatever its server
  /// does then: it may be busy elsewhere.
  func retire(upstream u: UpstreamIndex) {
    let slot = upstreams.ref(u)
    if slot[].kind == .http1 { loop.setLingerTime(slot[].connection, .zero) }
    close(upstream: u, .gracefully)
  }

  func upstreamClosed(_ u: UpstreamIndex, _ reason: CloseReason) {
    let slot = upstreams.ref(u)
    let h = slot[].host
    let host = hosts.ref(h)
    let state = clusters.ref(host[].cluster)
    let stats = state[].stats
    let wasConnecting = slot[].life.isOpening
    let timedOut = slot[].life == .timedOut
    let hadStreams = slot[].active > 0
    unlist(upstream: u)
    connectingEnded(u)
    slot[].life.ended()
    if slot[].transport.isSecure, let session = loop.transport(slot[].connection) {
      session.handshake.countFault(in: stats)
    }
    stage[].drop(slot[].connection)
    if wasConnecting {
      stats.add(.upstreamCxConnectFail)
      if timedOut { stats.add(.upstreamCxConnectTimeout) }
      host[].numbers.connectionsFailed &+= 1
    } else {
      stats.record(.upstreamCxLengthMs, (now.nanoseconds &- slot[].created.nanoseconds) / 1_000_000)
    }
    stats.add(.upstreamCxDestroy)
    let byUs = slot[].life.isClosedByUs
    stats.add(byUs ? .upstreamCxDestroyLocal : .upstreamCxDestroyRemote)
    if hadStreams {
      stats.add(.upstreamCxDestroyWithActiveRq)
      stats.add(byUs ? .upstreamCxDestroyLocalWithActiveRq : .upstreamCxDestroyRemoteWithActiveRq)
    }
    stats.subtract(.upstreamCxActive)
    state[].breaker(slot[].highPriority).give(.connections)
    host[].connections -= 1
    if slot[].kind == .http2 { host[].http2Connections -= 1 }
    let tcp = slot[].kind == .tcp
    let failure = timedOut ? .connectTimeout : Self.failure(reason)
    if reason.kind == .bindFailed { stats.add(.bindErrors) }
    resetStreams(u, wasConnecting ? failure : tcp && reason.kind == .peerReset ? .remoteReset : reasonOfLoss(u))
    if !slot[].timer.id.isNone { loop.cancel(slot[].timer.id) }
    slot[].h2.free()
    if !slot[].codec.isNone { turn[].halfAnswers -= slot[].codec[].counted }
    slot[].codec.free()
    if !upstreamLocals[].isEmpty { upstreamLocals[][u.index] = nil }
    upstreams.remove(u)
    if wasConnecting, !tcp { connectFailed(h, failure) }
    if hosts.contains(h) { afterClose(h) }
  }

  /// Why a connection could not be made.
  private static func failure(_ reason: CloseReason) -> UpstreamResetReason {
    if reason.kind != .bindFailed { return .connectFailure }
    return reason.systemError == EPERM || reason.systemError == EACCES ? .bindNotAllowed : .bindFailure
  }

  /// A connection could not be made: those it was opened for fail with it.
  private func connectFailed(_ h: HostIndex, _ reason: UpstreamResetReason) {
    guard hosts.contains(h) else { return }
    let host = hosts.ref(h)
    // Streams beyond what other connections in the making will carry.
    while hosts.contains(h), host[].waiting.count > host[].expectedCapacity {
      let s = host[].waiting.first
      clusters[host[].cluster].stats.add(.upstreamRqPendingFailureEject)
      leaveWaiting(s)
      upstreamReset(s, reason)
    }
  }

  /// A connection is gone; streams that still wait need another one.
  private func afterClose(_ h: HostIndex) {
    openForWaiting(h)
    if hosts.contains(h) { releaseIfUnused(host: h) }
  }

  // MARK: Flow control

  func upstreamBlocked(_ u: UpstreamIndex) {
    let slot = upstreams.ref(u)
    guard slot[].write.block() else { return }
    if !slot[].stream.isNone { pauseRequest(slot[].stream) }
  }

  func upstreamDrained(_ u: UpstreamIndex) {
    let slot = upstreams.ref(u)
    slot[].write.drained()
    if slot[].life.isClosed { return }
    if slot[].kind == .http2 {
      slot[].h2[].outputFlushed()
      forEachStream(ofUpstream: u) { pumpRequest($0) }
      flushLater(upstream: u)
    } else if slot[].kind == .codec {
      forEachStream(ofUpstream: u) { pumpRequest($0) }
    } else if !slot[].stream.isNone {
      if slot[].kind == .tcp { upstreamDrainedTCP(u) } else { pumpRequest(slot[].stream) }
    }
  }

  func pauseReading(upstream u: UpstreamIndex) {
    let slot = upstreams.ref(u)
    guard !slot[].life.isClosed, slot[].read.pause() else { return }
    loop.pauseReading(slot[].connection)
  }

  func resumeReading(upstream u: UpstreamIndex) {
    let slot = upstreams.ref(u)
    guard !slot[].life.isClosed, slot[].read.resume() else { return }
    loop.resumeReading(slot[].connection)
  }
}
