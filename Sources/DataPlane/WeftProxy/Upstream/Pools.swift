// Pools: which connection of a host a request gets, and what it waits for when there is none.

import WeftBase
import WeftHTTP
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTables
import WeftTelemetry
import WeftUpstream

/// Which protocol a request wants its connection to speak.
enum WantedProtocol: UInt8, BitwiseCopyable {
  case http1, http2
  /// Whatever ALPN agrees on.
  case any
  /// That of the stream's codec.
  case codec
}

extension WorkerEngine {
  /// HTTP has the version that the cluster asks for; any other protocol is its stream's own.
  func wantedProtocol(_ s: StreamIndex) -> WantedProtocol {
    let stream = streams.ref(s)
    if stream[].codec != nil { return .codec }
    switch clusters[stream[].cluster].config[].upstreamProtocol {
    case .http1: return .http1
    case .http2: return .http2
    case .automatic: return .any
    case .useDownstream: return downstreams[streams[owner(of: s)].downstream].kind == .http2 ? .http2 : .http1
    }
  }

  /// A connection that can take a request now: for HTTP/1 the most recently used idle one, for HTTP/2 the first with room.
  func readyConnection(_ h: HostIndex, _ wanted: WantedProtocol, for s: StreamIndex) -> UpstreamIndex? {
    if wanted == .codec { return readyCodec(h, for: s) }
    let host = hosts.ref(h)
    if wanted != .http1, !host[].multiplexed.isEmpty {
      let u = host[].multiplexed.first
      if upstreams[u].h2[].availableStreams > 0, !awaitsSettings(s, u) {
        beforeFirstStream(u)
        return u
      }
    }
    if wanted != .http2, !host[].idle.isEmpty {
      let u = host[].idle.first
      unlist(upstream: u)
      return u
    }
    return nil
  }

  /// Queues the stream until a connection of the host is ready. May end the stream (breaker).
  func wait(_ s: StreamIndex, _ h: HostIndex, _ wanted: WantedProtocol) {
    let stream = streams.ref(s)
    let host = hosts.ref(h)
    let state = clusters.ref(stream[].cluster)
    let highPriority = stream[].route?[].highPriority ?? false
    let breaker = state[].breaker(highPriority)
    guard breaker.take(.pending, limit: state[].breakerLimits(highPriority).pending) else {
      state[].stats.add(.upstreamRqPendingOverflow)
      uncount(s)
      return overflow(s)
    }
    stream[].place.queued()
    stream[].wanted = wanted
    state[].stats.add(.upstreamRqPendingTotal)
    state[].stats.add(.upstreamRqPendingActive)
    streams.pushLast(s, &host[].waiting)
    // A multiplexed connection that is being opened will take several; others one each.
    if host[].waiting.count > host[].expectedCapacity, !settingsAreComing(to: h, for: s) {
      open(h, for: s)
    }
    if host[].connections == 0, streams.contains(s), stream[].place == .waiting {
      leaveWaiting(s)
      uncount(s)
      overflow(s)
    }
  }

  /// Takes a stream out of its host's queue.
  func leaveWaiting(_ s: StreamIndex) {
    let stream = streams.ref(s)
    guard stream[].place.leftQueue() else { return }
    let host = hosts.ref(stream[].host)
    streams.unlink(s, &host[].waiting)
    let state = clusters.ref(stream[].cluster)
    state[].breaker(stream[].route?[].highPriority ?? false).give(.pending)
    state[].stats.subtract(.upstreamRqPendingActive)
  }

  /// Opens a connection to the host unless the breaker forbids it (a host's first of a protocol is always allowed: one of the other protocol
  /// would never take the request). `s`: the first of those who wait for it.
  private func open(_ h: HostIndex, for s: StreamIndex) {
    let host = hosts.ref(h)
    let state = clusters.ref(host[].cluster)
    let (wanted, codec) = (streams[s].wanted, streams[s].codec)
    let highPriority = streams[s].route?[].highPriority ?? false
    let breaker = state[].breaker(highPriority)
    let alike =
      switch wanted {
      case .any, .codec: host[].connections
      case .http1: host[].connections - host[].http2Connections
      case .http2: host[].http2Connections
      }
    if alike == 0, host[].whole.isNone || isFirstConnection(h) {
      breaker.takeAnyway(.connections)
    } else if !breaker.take(.connections, limit: state[].breakerLimits(highPriority).connections) {
      state[].stats.add(.upstreamCxOverflow)
      if retireOther(h, for: s) { return }
      // A name's first connection may take the place of an idle one of another name.
      guard host[].connections == 0, makeRoom(for: h) else { return }
      breaker.takeAnyway(.connections)
    }
    let protocols: UpstreamProtocols =
      switch wanted {
      case .http1: .http1
      case .http2: .http2
      case .any: .anyHTTP
      case .codec: .opaque
      }
    guard let u = connect(h, breaker: breaker, speaking: protocols) else { return breaker.give(.connections) }
    let slot = upstreams.ref(u)
    slot[].highPriority = highPriority
    slot[].expectedCapacity =
      wanted == .http2 ? min(100, slot[].mostServed, state[].config[].limits.http2.maxConcurrentStreams) : 1
    if wanted == .http1 { slot[].kind.http1() }
    if wanted == .http2 {
      slot[].kind.http2()
      host[].http2Connections += 1
    }
    if let codec {
      slot[].kind.codec()
      slot[].codec = codec[].open(.endpoint)
      if slot[].codec[].exchange == .multiplexed { slot[].expectedCapacity = min(100, slot[].mostServed) }
    }
    host[].expectedCapacity += slot[].expectedCapacity
  }

  /// An idle connection of the host that those who wait cannot take gives its place to one that they can. *Returns*: whether there is one; when it has
  /// ended, they are looked at again.
  private func retireOther(_ h: HostIndex, for s: StreamIndex) -> Bool {
    let host = hosts.ref(h)
    let wanted = streams[s].wanted
    if terminatesConnect(s) || wanted == .codec, !host[].idle.isEmpty {
      retire(upstream: host[].idle.last)
      return true
    }
    // One of the codec that is wanted would have room.
    for first in [host[].speaking.first, wanted == .codec ? host[].multiplexed.first : .none] {
      var u = first
      while !u.isNone {
        if upstreams[u].life == .open, upstreams[u].active == 0 {
          retire(upstream: u)
          return true
        }
        u = upstreams[u].links.next
      }
    }
    return false
  }

  /// A connection has room: waiting streams take it; an HTTP/1 connection that nobody wants becomes idle.
  func freed(upstream u: UpstreamIndex) {
    let slot = upstreams.ref(u)
    guard slot[].life.isUp else { return }
    let host = hosts.ref(slot[].host)
    if slot[].life == .draining {
      if slot[].active == 0 { retire(upstream: u) }
      return
    }
    if slot[].kind == .codec { return freedCodec(u) }
    // Of a host that has left, too, those are served first who wait for just this connection.
    if slot[].kind == .http2 {
      serveWaiting(u)
      guard upstreams.contains(u), !slot[].life.isClosed else { return }
      // Those who waited may have taken the last requests that it carries.
      if slot[].life == .draining { return openForWaiting(slot[].host) }
      if host[].isRemoved { return drain(upstream: u) }
      if slot[].h2[].availableStreams > 0, slot[].list == .none { list(upstream: u) }
      if slot[].active == 0 { idleBegan(u) }
      openForWaiting(slot[].host)
      return
    }
    // Who wants a connection that has not served is not passed by for ever: this one gives its place, where no other is on its way.
    let first = host[].waiting.first
    if !first.isNone, slot[].served > 0, host[].expectedCapacity == 0, terminatesConnect(first) {
      return retire(upstream: u)
    }
    while let s = nextWaiting(slot[].host, .http1, u) {
      if startWaiting(s, on: u) { return }
      guard upstreams.contains(u), !slot[].life.isClosed, hosts.contains(slot[].host) else { return }
    }
    if host[].isRemoved { return drain(upstream: u) }
    list(upstream: u)
    idleBegan(u)
    openForWaiting(slot[].host)
  }

  /// Streams that still wait, because they want another protocol or there was no room, get a connection made; to a host that has left,
  /// none is made any more. May let go of the host.
  func openForWaiting(_ h: HostIndex) {
    let host = hosts.ref(h)
    guard host[].waiting.count > host[].expectedCapacity, !host[].waiting.isEmpty else { return }
    if host[].isRemoved { return moveWaiting(h) }
    let s = host[].waiting.first
    if settingsAreComing(to: h, for: s) { return }
    open(h, for: s)
    // Nothing will wake those who wait where there is no connection and none is allowed.
    while hosts.contains(h), hosts[h].connections == 0, !hosts[h].waiting.isEmpty {
      let s = hosts[h].waiting.first
      leaveWaiting(s)
      uncount(s)
      overflow(s)
    }
  }

  /// Those who wait for a connection of a host that has left look for another host. May let go of the host.
  func moveWaiting(_ h: HostIndex) {
    while hosts.contains(h), !hosts[h].waiting.isEmpty {
      let s = hosts[h].waiting.first
      leaveWaiting(s)
      uncount(s)
      // Nothing was tried yet.
      streams[s].attempts &-= 1
      again(s)
    }
  }

  /// Gives a multiplexed connection to those who wait, as far as it has room.
  func serveWaiting(_ u: UpstreamIndex) {
    let slot = upstreams.ref(u)
    while slot[].life == .open, slot[].h2[].availableStreams > 0,
      let s = nextWaiting(slot[].host, .http2, u)
    {
      _ = startWaiting(s, on: u)
    }
  }

  /// The first waiting stream that the connection `u`, which speaks `has`, can take.
  func nextWaiting(_ h: HostIndex, _ has: WantedProtocol, _ u: UpstreamIndex) -> StreamIndex? {
    var s = hosts[h].waiting.first
    while !s.isNone {
      let wanted = streams[s].wanted
      let fits = has == .codec ? speaks(u, s) : wanted == .any || wanted == has
      if fits, has == .http1 || !awaitsSettings(s, u),
        upstreams[u].served == 0 || !terminatesConnect(s)
      {
        return s
      }
      s = streams[s].links.next
    }
    return nil
  }

  /// Whether the endpoint's word on upgrades, which stands in its SETTINGS, has to be waited for.
  @inline(__always)
  private func awaitsSettings(_ s: StreamIndex, _ u: UpstreamIndex) -> Bool {
    streams[s].tunnel.isUpgrade && !upstreams[u].h2[].hasReceivedSettings
  }

  /// Whether one of the host's connections will be able to say soon if it takes the upgrade: another one would know no more.
  private func settingsAreComing(to h: HostIndex, for s: StreamIndex) -> Bool {
    if !streams[s].tunnel.isUpgrade { return false }
    var u = hosts[h].multiplexed.first
    while !u.isNone {
      if awaitsSettings(s, u) { return true }
      u = upstreams[u].links.next
    }
    return false
  }

  /// *Returns*: whether the stream, or what it ended with, had the connection; not so when too many requests run already.
  func startWaiting(_ s: StreamIndex, on u: UpstreamIndex) -> Bool {
    leaveWaiting(s)
    guard let head = streams[s].head else {
      localReply(s, 503, .empty, details: "waiting_without_request")
      return false
    }
    guard takeRequest(s) else {
      overflow(s)
      return false
    }
    head.view(in: replayHead)
    if streams[s].route?[].includesAttemptCount ?? false {
      replayHead.set(.envoyAttemptCount, replayHead.decimal(UInt64(streams[s].attempts)))
    }
    if streams[s].attempts > 1 { announceRetry(s, replayHead) }
    rewriteHostAutomatically(s, replayHead)
    if streams[s].flags.contains(.filtersAttempts) {
      let verdict = filterAttempt(s, replayHead)
      if verdict != .go {
        uncount(s)
        stopAttempt(s, verdict)
        return false
      }
    }
    start(s, on: u, replayHead)
    return true
  }

  // MARK: Lists

  func list(upstream u: UpstreamIndex) {
    let slot = upstreams.ref(u)
    guard slot[].list == .none else { return }
    let host = hosts.ref(slot[].host)
    if slot[].kind == .http2 {
      slot[].list = .multiplexed
      upstreams.pushFirst(u, &host[].multiplexed)
    } else if slot[].kind == .codec {
      slot[].list = .speaking
      upstreams.pushFirst(u, &host[].speaking)
    } else {
      slot[].list = .idle
      upstreams.pushFirst(u, &host[].idle)
    }
  }

  func unlist(upstream u: UpstreamIndex) {
    let slot = upstreams.ref(u)
    let host = hosts.ref(slot[].host)
    switch slot[].list {
    case .none: return
    case .idle: upstreams.unlink(u, &host[].idle)
    case .multiplexed: upstreams.unlink(u, &host[].multiplexed)
    case .speaking: upstreams.unlink(u, &host[].speaking)
    }
    slot[].list = .none
  }

  func idleBegan(_ u: UpstreamIndex) {
    let slot = upstreams.ref(u)
    slot[].idleSince = now
    let timeout = clusters[hosts[slot[].host].cluster].config[].idleTimeout
    if slot[].kind == .http2 { arm(upstream: u, at: now + limits.idleMemoryTime) }
    if timeout > 0 { arm(upstream: u, at: now.advanced(nanoseconds: Int64(clamping: timeout))) }
  }

  /// The connection has been given the last request that `max_requests_per_connection` allows it. Said when a request is placed, not when one
  /// ends: a multiplexed connection takes many before the first has ended.
  func lastRequestBegan(_ u: UpstreamIndex) {
    if upstreams[u].life == .draining { return }
    clusters[hosts[upstreams[u].host].cluster].stats.add(.upstreamCxMaxRequests)
    drain(upstream: u)
  }

  /// No new stream; closes when the last one has ended.
  func drain(upstream u: UpstreamIndex) {
    let slot = upstreams.ref(u)
    slot[].life.retired()
    unlist(upstream: u)
    if slot[].active == 0, slot[].life != .connecting { retire(upstream: u) }
  }

  /// A PING before the first stream after a long silence shows whether the other side is still there.
  private func beforeFirstStream(_ u: UpstreamIndex) {
    let slot = upstreams.ref(u)
    guard slot[].active == 0 else { return }
    let config = clusters[hosts[slot[].host].cluster].config
    guard config[].pingAfterIdle > 0, config[].pingTimeout > 0, slot[].ping != .outstanding,
      now.nanoseconds &- slot[].idleSince.nanoseconds > config[].pingAfterIdle
    else { return }
    sendPing(u, timeout: config[].pingTimeout)
  }

  func sendPing(_ u: UpstreamIndex, timeout: UInt64) {
    let slot = upstreams.ref(u)
    slot[].h2[].ping(now.nanoseconds)
    slot[].ping.sent()
    slot[].framesAtPing = UInt32(truncatingIfNeeded: slot[].h2[].framesReceived)
    slot[].deadline = now.advanced(nanoseconds: Int64(clamping: timeout))
    arm(upstream: u, at: slot[].deadline)
    flushLater(upstream: u)
  }
}
