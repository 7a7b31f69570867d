// Downstream connections: from accept to close, up to the point where bytes become requests.

import WeftBase
import WeftHTTP
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTLS
import WeftTables
import WeftTelemetry
import WeftUpstream

extension WorkerEngine {
  // MARK: Arrival

  /// *Returns*: whether it is a client's connection now; else it was closed.
  func downstreamAccepted(_ c: ConnectionID, _ listener: ListenerID, _ peer: SocketAddress) -> Bool {
    var position = listenerTable[].position(of: listener)
    guard position >= 0, configuration[].current != .max else { return refused(c) }
    var local = loop.localAddress(c)
    if listenerTable[].entries[position].config.restoresDestination(of: local),
      let original = loop.originalDestination(c)
    {
      local = original
    }
    // A virtual listener hands the connection to the one that owns the address the client meant; it keeps what nobody owns.
    if listenerTable[].entries[position].config[].usesOriginalDestination,
      let owner = listenerTable[].owner(of: local, besides: position)
    {
      position = owner
    }
    let snapshot = listenerTable[].entries[position].snapshot
    let compiled = listenerTable[].entries[position].config
    let stats = listenerTable[].entries[position].stats
    stats.add(.downstreamCxTotal)
    if listenerTable[].entries[position].connections >= listenerTable[].entries[position].maximum {
      stats.add(.downstreamCxOverflow)
      return refused(c)
    }
    if clientConnections >= limits.acceptedConnections
      || runtime[].connections != .max && allClientConnections >= runtime[].connections, !compiled[].ignoresGlobalLimit
    {
      stats.add(.downstreamGlobalCxOverflow)
      return refused(c)
    }
    let slot = DownstreamConnection(
      connection: c, listener: UInt32(position), snapshot: snapshot, peer: peer, local: local,
      decoder: H1Decoder(role: .request, limits: HTTPLimits()), now: now)
    guard let d = downstreams.insert(slot) else {
      stats.add(.downstreamGlobalCxOverflow)
      return refused(c)
    }
    stats.add(.downstreamCxActive)
    listenerTable[].entries[position].connections += 1
    retain(snapshot: snapshot)
    loop.setUser(c, Self.word(d))
    namePeer(d)
    if !compiled[].filters.isEmpty {
      startInspection(d, compiled)
      return true
    }
    let facts = ConnectionFacts(destination: local, source: peer, worker: number)
    enterChain(d, facts)
    return true
  }

  private func refused(_ c: ConnectionID) -> Bool {
    loop.close(c, .reset)
    return false
  }

  /// Puts a connection into its filter chain.
  func enterChain(_ d: DownstreamIndex, _ chain: Int32) {
    let slot = downstreams.ref(d)
    // The listener's configuration may have been replaced since the connection came; chain and clusters are of one snapshot.
    let current = listenerTable[].entries[Int(slot[].listener)].snapshot
    if slot[].snapshot != current {
      retain(snapshot: current)
      release(snapshot: slot[].snapshot)
      slot[].snapshot = current
    }
    let compiled = listenerTable[].entries[Int(slot[].listener)].config
    guard chain >= 0 else {
      listenerTable[].entries[Int(slot[].listener)].stats.add(.noFilterChainMatch)
      return close(downstream: d, .reset)
    }
    slot[].chain = chain
    slot[].chainConfig = compiled[].chains[Int(chain)]
    slot[].headDeadline = .distantFuture
    if startNetworkFilters(d) { startChain(d) }
  }

  /// The connection's chain begins: TLS, or the terminal filter.
  func startChain(_ d: DownstreamIndex) {
    let slot = downstreams.ref(d)
    guard let chainConfig = slot[].chainConfig else { return }
    if let security = chainConfig[].tls {
      guard security.isReady else {
        listenerTable[].entries[Int(slot[].listener)].stats.add(.sslSecretsNotReady)
        return close(downstream: d, .reset)
      }
      slot[].transport.started()
      let limit = chainConfig[].handshakeTimeout
      slot[].headDeadline = limit > 0 ? now.advanced(nanoseconds: Int64(clamping: limit)) : now + limits.handshakeTime
      arm(downstream: d, at: slot[].headDeadline)
      prepareChain(d, chainConfig)
      loop.startTransport(slot[].connection, security.makeSession())
      return
    }
    prepareChain(d, chainConfig)
    if slot[].kind == .tcp { startTCP(d) }
  }

  private func prepareChain(_ d: DownstreamIndex, _ chain: ConfigRef<CompiledFilterChain>) {
    let slot = downstreams.ref(d)
    switch chain[].terminal {
    case .http:
      guard let manager = chain[].http else { return close(downstream: d, .reset) }
      slot[].manager = manager
      let stats = registry.block(HTTPMetric.self, manager[].scope, worker: number)
      slot[].stats = stats
      stats.add(.downstreamCxTotal)
      stats.add(.downstreamCxActive)
      if slot[].transport.isSecure {
        stats.add(.downstreamCxSSLTotal)
        stats.add(.downstreamCxSSLActive)
      }
      slot[].kind.http()
      if manager[].lingerTime != EventLoop.lingerTime { loop.setLingerTime(slot[].connection, manager[].lingerTime) }
      slot[].decoder = H1Decoder(role: .request, limits: manager[].limits)
      // Behind TLS nothing may be written before the handshake is done: `downstreamSecured` starts the codec.
      if !slot[].transport.isSecure { startConfiguredCodec(d, manager) }
      if manager[].maxConnectionDuration > 0 {
        slot[].drainDeadline = now.advanced(nanoseconds: Int64(clamping: manager[].maxConnectionDuration))
        arm(downstream: d, at: slot[].drainDeadline)
      }
      armIdle(d)
    case .tcp:
      slot[].kind.bytes()
    case .filter:
      slot[].kind.bytes()
      // Behind TLS nothing may be written before the handshake is done: `downstreamSecured` begins.
      if !slot[].transport.isSecure { beginTerminal(d) }
    }
  }

  private func startConfiguredCodec(_ d: DownstreamIndex, _ manager: ConfigRef<CompiledHTTPManager>) {
    if let codec = manager[].protocolCodec { return startCodec(d, codec) }
    if manager[].codec == .http1 { startHTTP1(d) } else if manager[].codec == .http2 { startHTTP2(d) }
  }

  func downstreamSecured(_ d: DownstreamIndex) {
    let slot = downstreams.ref(d)
    slot[].headDeadline = .distantFuture
    slot[].transport.secured()
    if let session = loop.transport(slot[].connection) {
      session.handshake.countSuccess(in: listenerTable[].entries[Int(slot[].listener)].stats)
    }
    if let chain = slot[].chainConfig, chain[].terminal == .filter { return beginTerminal(d) }
    if slot[].kind == .tcp { return startTCP(d) }
    guard slot[].kind == .http, let session = loop.transport(slot[].connection) else { return }
    if let tls = session as? TLSSession {
      slot[].presentsCertificate = tls.presentedCertificate
      slot[].hasVerifiedCertificate = tls.verifiedCertificate
    }
    if let manager = slot[].manager { startConfiguredCodec(d, manager) }
    let agreed = session.negotiatedProtocol
    if slot[].kind != .http {
      // The configuration has decided.
    } else if agreed == "h2" {
      startHTTP2(d)
    } else if agreed == "http/1.1" || agreed == "http/1.0" {
      startHTTP1(d)
    }
    armIdle(d)
  }

  func startHTTP1(_ d: DownstreamIndex) {
    let slot = downstreams.ref(d)
    slot[].kind.http1()
    slot[].stats?.add(.downstreamCxHTTP1Total)
    slot[].stats?.add(.downstreamCxHTTP1Active)
  }

  func startHTTP2(_ d: DownstreamIndex) {
    let slot = downstreams.ref(d)
    guard let manager = slot[].manager else { return }
    slot[].kind.http2()
    // What a client may send unasked is what we are ready to keep for it.
    var limits = manager[].limits
    let window = max(65_535, UInt32(clamping: manager[].bufferLimit))
    limits.http2.initialStreamWindow = min(limits.http2.initialStreamWindow, window)
    slot[].h2 = H2Cell.make(role: .server, limits: limits)
    slot[].stats?.add(.downstreamCxHTTP2Total)
    slot[].stats?.add(.downstreamCxHTTP2Active)
    flushLater(downstream: d)
    if manager[].pingInterval > 0 { armPing(d, manager) }
    // Its listener has begun to drain meanwhile.
    if slot[].farewell.isDue { beginDrain(downstream: d) }
  }

  // MARK: Bytes

  func downstreamReceived(_ d: DownstreamIndex, _ bytes: ByteView) -> Int {
    let slot = downstreams.ref(d)
    if slot[].life.isClosed { return bytes.count }
    return slot[].network.isNone ? passOn(d, bytes) : receivedFiltered(d, bytes)
  }

  /// Gives bytes to the terminal filter, or to what comes before it is known.
  @inline(__always)
  func passOn(_ d: DownstreamIndex, _ bytes: ByteView) -> Int {
    let slot = downstreams.ref(d)
    switch slot[].kind {
    case .http1: return receivedHTTP1(d, bytes)
    case .http2: return receivedHTTP2(d, bytes)
    case .codec: return receivedCodec(d, bytes)
    case .tcp: return receivedTCP(d, bytes)
    case .inside: return bytes.count
    case .http:
      switch H2Preface.match(bytes) {
      case .yes:
        startHTTP2(d)
        return receivedHTTP2(d, bytes)
      case .no:
        startHTTP1(d)
        return receivedHTTP1(d, bytes)
      case .needMore:
        if !bytes.isEmpty, slot[].nextHead != .come { headBegan(d) }
        return 0
      }
    case .unmatched: return inspect(d, bytes)
    }
  }

  // MARK: End

  /// Begins to close; `downstreamClosed` follows. Streams in flight end there.
  func close(downstream d: DownstreamIndex, _ mode: CloseMode, idle: Bool = false) {
    let slot = downstreams.ref(d)
    if slot[].life.isClosed { return }
    if mode == .gracefully {
      if slot[].kind == .http2 { flushHTTP2(downstream: d) }
      if stage[].holds(slot[].connection) { flushStage() }
    }
    if idle { slot[].life.closedIdle() } else { slot[].life.closed() }
    loop.close(slot[].connection, mode)
  }

  func downstreamReadEnded(_ d: DownstreamIndex) {
    let slot = downstreams.ref(d)
    if slot[].life.isClosed { return }
    slot[].read.ended()
    if slot[].kind == .tcp { return endedTCP(d) }
    if loop.stillReads(slot[].connection) { answerTheRest(d) } else { clientLeft(d) }
  }

  /// After its close_notify a client has closed its socket, too: it reads no answers.
  func downstreamSocketEnded(_ d: DownstreamIndex) {
    let slot = downstreams.ref(d)
    if slot[].life.isClosed || slot[].kind == .tcp { return }
    clientLeft(d)
  }

  /// A client has ended with close_notify, which is half of a close: what it has asked for in full is answered, then the connection ends.
  private func answerTheRest(_ d: DownstreamIndex) {
    let slot = downstreams.ref(d)
    slot[].life.noMoreRequests()
    switch slot[].kind {
    case .http1:
      if slot[].stream.isNone { return clientLeft(d) }
      let stream = streams.ref(slot[].stream)
      if !stream[].request.hasArrived || stream[].tunnel.isOpen { clientLeft(d) }
    case .http2:
      // No answer to a PING can come any more.
      slot[].nextPingAt = .distantFuture
      slot[].pingDeadline = .distantFuture
      forEachStream(ofDownstream: d) { s in
        if !streams[s].request.hasArrived { clientGone(s) }
      }
      if slot[].active == 0 { close(downstream: d, .gracefully) }
    case .codec:
      // Its requests are whole: a message passes at once.
      if slot[].active == 0 { clientLeft(d) }
    default: clientLeft(d)
    }
  }

  /// A client has ended its socket: it gave up, and work on its behalf ends. What it half-closed for cannot be told from that.
  private func clientLeft(_ d: DownstreamIndex) {
    let slot = downstreams.ref(d)
    if slot[].kind == .http1, !slot[].stream.isNone {
      let s = streams.ref(slot[].stream)
      if s[].tunnel.isOpen { return requestEnd(slot[].stream) }
      s[].responseFlags.insert(.downstreamConnectionTermination)
      s[].details = ByteView("downstream_remote_disconnect")
    }
    close(downstream: d, .gracefully)
    endStreams(ofDownstream: d)
  }

  func downstreamClosed(_ d: DownstreamIndex, _ reason: CloseReason) {
    let slot = downstreams.ref(d)
    let byUs = slot[].life.isClosedByUs
    let hadStreams = slot[].active > 0
    slot[].life.ended()
    // After an orderly end what the client sent last still goes its way.
    endStreams(ofDownstream: d, reason.kind == .ended || reason.kind == .lingerTimeout ? .gracefully : .reset)
    let lived = (now.nanoseconds &- slot[].accepted.nanoseconds) / 1_000_000
    if let stats = slot[].stats {
      stats.add(.downstreamCxDestroy)
      stats.add(byUs ? .downstreamCxDestroyLocal : .downstreamCxDestroyRemote)
      if hadStreams {
        stats.add(.downstreamCxDestroyActiveRq)
        stats.add(byUs ? .downstreamCxDestroyLocalActiveRq : .downstreamCxDestroyRemoteActiveRq)
      }
      if reason.kind == .lingerTimeout { stats.add(.downstreamCxDelayedCloseTimeout) }
      stats.subtract(.downstreamCxActive)
      if slot[].transport.isSecure { stats.subtract(.downstreamCxSSLActive) }
      if slot[].kind == .http1 { stats.subtract(.downstreamCxHTTP1Active) }
      if slot[].kind == .http2 { stats.subtract(.downstreamCxHTTP2Active) }
      stats.record(.downstreamCxLengthMs, lived)
    }
    let listener = Int(slot[].listener)
    let listenerStats = listenerTable[].entries[listener].stats
    if slot[].transport.isSecure, let session = loop.transport(slot[].connection) {
      session.handshake.countFault(in: listenerStats)
    }
    endNetworkFilters(d)
    inspections[][d.index] = nil
    connectionMetadata[][d.index] = nil
    connectionOrigins[][d.index] = nil
    connectionStates[][d.index] = nil
    if slot[].kind == .unmatched, slot[].chain < 0, !byUs || slot[].read == .ended {
      listenerStats.add(.downstreamListenerFilterRemoteClose)
    }
    listenerStats.subtract(.downstreamCxActive)
    listenerStats.add(.downstreamCxDestroy)
    listenerStats.record(.downstreamCxLengthMs, lived)
    stage[].drop(slot[].connection)
    if !slot[].timer.id.isNone { loop.cancel(slot[].timer.id) }
    slot[].h2.free()
    if !slot[].codec.isNone { turn[].halfRequests -= slot[].codec[].counted }
    slot[].codec.free()
    releaseCertificateText(slot)
    release(snapshot: slot[].snapshot)
    downstreams.remove(d)
    balance[]?.left(number)
    listenerTable[].entries[listener].connections -= 1
    if listenerTable[].entries[listener].connections == 0 { retireListener(listener) }
  }

  /// Ends every stream of a connection whose client is gone.
  func endStreams(ofDownstream d: DownstreamIndex, _ mode: CloseMode = .reset) {
    let slot = downstreams.ref(d)
    if !slot[].stream.isNone {
      if slot[].kind == .tcp { clientGoneTCP(slot[].stream, mode) } else { clientGone(slot[].stream) }
    }
    if slot[].kind.hasMany { forEachStream(ofDownstream: d) { clientGone($0) } }
  }

  // MARK: Flow control

  /// The write queue passed its high mark: what feeds it stops.
  func downstreamBlocked(_ d: DownstreamIndex) {
    let slot = downstreams.ref(d)
    guard slot[].write.block() else { return }
    slot[].stats?.add(.downstreamFlowControlPausedReading)
    if !slot[].stream.isNone, slot[].kind == .http1 { pauseResponse(slot[].stream) }
    // A client that does not read gets no further requests read: their answers would only queue.
    // Nor does one that gets back what it sends.
    if slot[].kind.hasMany || ((slot[].kind == .http1 || slot[].kind == .tcp) && slot[].stream.isNone) {
      pauseReading(downstream: d)
    }
    // HTTP/2: each stream stops by itself when it next has data (`writableResponse` looks at the flag).
  }

  func downstreamDrained(_ d: DownstreamIndex) {
    let slot = downstreams.ref(d)
    slot[].write.drained()
    if slot[].life.isClosed { return }
    slot[].stats?.add(.downstreamFlowControlResumedReading)
    if slot[].kind == .http2 {
      resumeReading(downstream: d)
      slot[].h2[].outputFlushed()
      forEachStream(ofDownstream: d) { pumpResponse($0) }
      flushLater(downstream: d)
    } else if slot[].kind == .codec {
      resumeCodec(d)
    } else if !slot[].stream.isNone {
      if slot[].kind == .tcp {
        let u = streams[slot[].stream].upstream
        if !u.isNone { resumeReading(upstream: u) }
      } else {
        pumpResponse(slot[].stream)
      }
    } else if slot[].kind == .http1 || slot[].kind == .tcp {
      resumeReading(downstream: d)
    }
  }

  func pauseReading(downstream d: DownstreamIndex) {
    let slot = downstreams.ref(d)
    guard !slot[].life.isClosed, slot[].read.pause() else { return }
    loop.pauseReading(slot[].connection)
  }

  func resumeReading(downstream d: DownstreamIndex) {
    let slot = downstreams.ref(d)
    guard !slot[].life.isClosed, slot[].read.resume() else { return }
    loop.resumeReading(slot[].connection)
  }
}
