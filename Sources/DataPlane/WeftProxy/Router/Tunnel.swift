// Tunnel: upgrades and CONNECT, from the request for one to the end of both directions, in any pair of HTTP versions.
//
// Inside, an upgrade always has HTTP/1's form (GET, `Upgrade`, 101), as routes and logs expect it: an extended CONNECT is turned into it
// when it comes, and made from it when it leaves (`UpgradeTranslation.swift`). Nothing of a tunnel is passed on before it is granted; after
// that it is content like any other, with the same back-pressure, and each side's end is passed on by itself.

import WeftBase
import WeftHTTP
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTables
import WeftTelemetry
import WeftUpstream

/// Why an upgrade cannot be sent to an upstream.
struct UpgradeRefusal {
  var status: UInt16
  var flag: ResponseFlag
  var details: StaticString
}

extension WorkerEngine {
  // MARK: The request

  /// An HTTP/2 client's request for another protocol.
  @inline(never)
  func takeExtendedConnect(_ head: MessageHead) { head.becomeUpgrade() }

  /// Whether the request gets what it asks for: the route has the last word on each protocol, allowing or refusing it; the connection
  /// manager speaks for routes that say nothing.
  func allowsTunnel(
    _ tunnel: TunnelState, _ head: MessageHead, _ manager: ConfigRef<CompiledHTTPManager>,
    _ route: ConfigRef<CompiledRoute>
  ) -> Bool {
    let wanted = Self.wanted(tunnel, head)
    for i in route[].upgrades.indices where route[].upgrades[i].name.equalsIgnoringCase(wanted) {
      return route[].upgrades[i].isEnabled
    }
    for i in manager[].upgrades.indices where manager[].upgrades[i].equalsIgnoringCase(wanted) { return true }
    return false
  }

  /// The filters of a request for a tunnel: those of its kind of upgrade, or those of all requests, which a refused one has, too.
  func filters(
    of tunnel: TunnelState, _ head: MessageHead, _ manager: ConfigRef<CompiledHTTPManager>,
    _ route: ConfigRef<CompiledRoute>?
  ) -> ConfigRef<HTTPFilterChain>? {
    if let route, !allowsTunnel(tunnel, head, manager, route) { return manager[].filters }
    let wanted = Self.wanted(tunnel, head)
    for i in manager[].upgradeFilters.indices where manager[].upgradeFilters[i].name.equalsIgnoringCase(wanted) {
      return manager[].upgradeFilters[i].chain
    }
    return manager[].filters
  }

  /// What a request for a tunnel asks for, as it is configured: all of it, if it names several protocols, because the upstream may choose any.
  private static func wanted(_ tunnel: TunnelState, _ head: MessageHead) -> ByteView {
    tunnel.isConnect ? ByteView("connect") : head.joinedValue(named: ByteView(HeaderName.upgrade.text)) ?? .empty
  }

  func countUpgrade(_ s: StreamIndex) {
    let stream = streams.ref(s)
    guard stream[].upgradeStats == nil, let stats = downstreams[stream[].downstream].stats else { return }
    stats.add(.downstreamCxUpgradesTotal)
    stats.add(.downstreamCxUpgradesActive)
    stream[].upgradeStats = stats
  }

  /// Whether the request is a CONNECT whose route ends it here.
  func terminatesConnect(_ s: StreamIndex) -> Bool {
    streams[s].tunnel.isConnect && (streams[s].route?[].terminatesConnect ?? false)
  }

  /// The TCP connection for a CONNECT is there: it is granted here, as an upstream that speaks HTTP would grant it. What comes from the
  /// other side is the tunnel's from its first byte on.
  func grantConnect(_ s: StreamIndex, _ u: UpstreamIndex) {
    upstreams[u].decoder.startOpaque()
    upstreams[u].answer.came()
    responseHead.startResponse(200, framing: .tunnel)
    responseHead(s, responseHead, end: false)
  }

  /// Gives the upgrade in `head` the form that the upstream connection `u` understands. Returns why it cannot go there.
  func translateUpgrade(_ s: StreamIndex, _ u: UpstreamIndex, _ head: MessageHead) -> UpgradeRefusal? {
    if upstreams[u].kind == .http2 {
      guard upstreams[u].h2[].peerAllowsExtendedConnect else {
        return UpgradeRefusal(
          status: 503, flag: .upstreamRemoteReset, details: "extended_connect_not_allowed_by_upstream")
      }
      guard !head.hasContent || head.framing == .tunnel else {
        // An extended CONNECT has no content before the tunnel.
        return UpgradeRefusal(status: 501, flag: .downstreamProtocolError, details: "upgrade_with_content_over_http2")
      }
      head.becomeExtendedConnect()
      return nil
    }
    if makesKey(s, head) {
      head.set(.secWebSocketKey, key(s, head))
      if !head.contains(.secWebSocketVersion) { head.append(.secWebSocketVersion, ByteView("13")) }
    }
    return nil
  }

  /// HTTP/2's WebSocket handshake has no key, HTTP/1's cannot do without. A client that sent one (a proxy in front of us may keep it for
  /// its own HTTP/1 client) checks the answer itself.
  private func makesKey(_ s: StreamIndex, _ request: MessageHead) -> Bool {
    isHTTP2(downstream: streams[s].downstream) && isWebSocket(request) && !request.contains(.secWebSocketKey)
  }

  private func isWebSocket(_ request: MessageHead) -> Bool {
    request.first(.upgrade)?.equalsIgnoringCase("websocket") ?? false
  }

  /// The key of this attempt: made again from the stream's random draw when the answer comes.
  private func key(_ s: StreamIndex, _ head: MessageHead) -> ByteView {
    let seed = streams[s].random ^ UInt64(streams[s].attempts)
    return WebSocketHandshake.key(
      RandomSource.mix(seed, 0x9e37_79b9_7f4a_7c15), RandomSource.mix(seed, 0xe703_7ed1_a0b4_28db), scratch: head)
  }

  // MARK: The answer

  /// Looks at a final answer to a request for a tunnel. When it grants it, the stream becomes one and `head` gets HTTP/1's form. Returns
  /// what is wrong with an answer that must not be passed on.
  func answerTunnel(_ s: StreamIndex, _ head: MessageHead) -> StaticString? {
    let stream = streams.ref(s)
    let overHTTP2 = upstreams[stream[].upstream].kind == .http2
    let isSuccess = head.status >= 200 && head.status < 300
    let isUpgrade = stream[].tunnel.isUpgrade
    guard isUpgrade && !overHTTP2 ? head.status == 101 : isSuccess else { return nil }
    let d = downstreams.ref(stream[].downstream)
    // Who answers before the request is complete leaves open where the tunnel begins.
    if d[].kind == .http1, !d[].decoder.awaitsTunnelDecision { return "tunnel_before_end_of_request" }
    if isUpgrade, let fault = checkHandshake(s, head, overHTTP2: overHTTP2, toHTTP2: d[].kind == .http2) {
      return fault
    }
    head.framing = .tunnel
    head.remove(.contentLength)
    head.remove(.transferEncoding)
    stream[].tunnel.granted()
    stream[].flags.remove([.requestChunked, .isHEAD])
    stream[].requestLeft = -1
    // A conversation lasts as long as it lasts; silence still ends it (the idle time-out).
    stream[].totalDeadline = .distantFuture
    stream[].requestDeadline = .distantFuture
    return nil
  }

  /// The part of an upgrade's answer that depends on the pair of versions.
  private func checkHandshake(_ s: StreamIndex, _ head: MessageHead, overHTTP2: Bool, toHTTP2: Bool) -> StaticString? {
    guard let kept = streams[s].head else { return "upgrade_without_request" }
    kept.view(in: replayHead)
    let wanted = replayHead.first(.upgrade) ?? .empty
    if overHTTP2 {
      head.becomeSwitchingProtocols(to: head.copy(wanted))
      guard !toHTTP2, isWebSocket(replayHead), let key = replayHead.first(.secWebSocketKey) else { return nil }
      // The server behind an HTTP/2 hop may be an HTTP/1 one whose answer came through; else the answer is ours to give.
      let expected = WebSocketHandshake.accept(key, scratch: head)
      if let given = head.joinedValue(named: ByteView(HeaderName.secWebSocketAccept.text)) {
        return given.equals(expected) ? nil : "websocket_accept_mismatch"
      }
      if key.count == WebSocketHandshake.keyLength { head.append(.secWebSocketAccept, expected) }
      return nil
    }
    guard toHTTP2 else { return nil }
    // HTTP/2 does not repeat the protocol in its answer: it must be the one that was asked for.
    guard head.joinedValue(named: ByteView(HeaderName.upgrade.text))?.equalsIgnoringCase(wanted) ?? false else {
      return "upgrade_mismatch"
    }
    if makesKey(s, replayHead) {
      let expected = WebSocketHandshake.accept(key(s, head), scratch: head)
      guard head.joinedValue(named: ByteView(HeaderName.secWebSocketAccept.text))?.equals(expected) ?? false else {
        return "websocket_accept_mismatch"
      }
      head.remove(.secWebSocketAccept)
    }
    return nil
  }

  /// The upstream granted something that was not asked for. Ends the attempt.
  func tunnelFault(_ s: StreamIndex, _ details: StaticString) {
    let stream = streams.ref(s)
    let state = clusters.ref(stream[].cluster)
    state[].stats.add(.upstreamCxProtocolError)
    countFailure(s)
    if state[].hasOutlierDetection { report(s, .localFailure) }
    stream[].responseFlags.insert(.upstreamProtocolError)
    localReply(
      s, 502, ByteView("upstream connect error or disconnect/reset before headers. reset reason: protocol error"),
      details: details)
  }

  // MARK: The end

  /// Both directions of a tunnel have ended, and all that was said has been passed on. Ends the stream then.
  func finishTunnelIfOver(_ s: StreamIndex) {
    let stream = streams.ref(s)
    if stream[].tunnel.isOpen, stream[].request.isSent, stream[].response.isSent { finish(s) }
  }

  /// An HTTP/2 upstream has ended its side and wants to hear no more. What the client still says goes nowhere.
  func tunnelStopped(_ s: StreamIndex) {
    let stream = streams.ref(s)
    guard stream[].tunnel.isOpen else { return }
    stream[].requestBody.release(to: pool)
    stream[].request.endArrived()
    stream[].request.endPassed()
    finishTunnelIfOver(s)
  }
}
