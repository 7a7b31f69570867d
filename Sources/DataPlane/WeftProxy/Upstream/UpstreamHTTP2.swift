// HTTP/2 from endpoints: frames to response events.

import WeftBase
import WeftHTTP
import WeftProxyAPI
import WeftRuntime
import WeftTelemetry
import WeftUpstream

extension WorkerEngine {
  func upstreamReceivedHTTP2(_ u: UpstreamIndex, _ bytes: ByteView) -> Int {
    let slot = upstreams.ref(u)
    let h2 = slot[].h2
    var input = bytes
    // As with clients, whose credits are many and small.
    var windowOpened = false
    while !slot[].life.isClosed {
      switch h2[].next(&input, head: responseHead, now: now) {
      case .headers(let id, let end):
        guard let s = stream(u, id) else { continue }
        responseHead(s, responseHead, end: end)
      case .trailers(let id):
        guard let s = stream(u, id) else { continue }
        responseTrailers(s, responseHead)
        responseEnded(s)
      case .data(let id, let data, let end):
        guard let s = stream(u, id) else {
          h2[].consumed(id, data.count)
          continue
        }
        responseData(s, data, end: end)
      case .headersTooLarge(let id):
        if let s = stream(u, id) { upstreamReset(s, .protocolError) }
      case .reset(let id, let code, let byPeer):
        guard let s = stream(u, id) else { continue }
        if code == .noError, streams[s].response.hasArrived {
          tunnelStopped(s)
          continue
        }
        upstreamReset(s, byPeer ? peerReset(u, code) : .protocolError)
      case .windowOpened(let id):
        if id == 0 {
          windowOpened = true
        } else if let s = stream(u, id) {
          pumpRequest(s)
        }
      case .goAway(let last, _):
        goAwayReceived(u, last)
      case .settings:
        if slot[].list == .none, h2[].availableStreams > 0 {
          freed(upstream: u)
        } else if !hosts[slot[].host].waiting.isEmpty {
          // Upgrades wait for the first SETTINGS.
          serveWaiting(u)
        }
        if slot[].list != .none, h2[].availableStreams == 0 { unlist(upstream: u) }
      case .pong:
        slot[].ping.answered()
        slot[].deadline = .distantFuture
      case .connectionError:
        clusters[hosts[slot[].host].cluster].stats.add(.upstreamCxProtocolError)
        closeWithStreams(u, .protocolError)
        return bytes.count
      case .needMore:
        if windowOpened {
          forEachStream(ofUpstream: u) { pumpRequest($0) }
          if slot[].life.isClosed { return bytes.count - input.count }
        }
        flushLater(upstream: u)
        return bytes.count - input.count
      }
    }
    return bytes.count
  }

  /// What the endpoint's RST_STREAM says of its stream.
  private func peerReset(_ u: UpstreamIndex, _ code: H2ErrorCode) -> UpstreamResetReason {
    switch code {
    case .refusedStream: return .remoteRefusedStream
    case .protocolError:
      // The reason is also that of resets of ours, which are not counted as received.
      clusters[hosts[upstreams[u].host].cluster].stats.add(.upstreamRqRxReset)
      return .protocolError
    default: return .remoteReset
    }
  }

  private func stream(_ u: UpstreamIndex, _ id: H2StreamID) -> StreamIndex? {
    guard let word = upstreams[u].h2[].user(id), word != 0 else { return nil }
    let index = StreamIndex(rawValue: word)
    return streams.contains(index) && streams[index].upstream == u ? index : nil
  }

  /// The endpoint takes no more streams; those above the last it took were not processed and go elsewhere.
  private func goAwayReceived(_ u: UpstreamIndex, _ last: H2StreamID) {
    let slot = upstreams.ref(u)
    slot[].life.retired()
    unlist(upstream: u)
    clusters[hosts[slot[].host].cluster].stats.add(.upstreamCxCloseNotify)
    forEachStream(ofUpstream: u) { s in
      if streams[s].upstreamID > last { upstreamReset(s, .remoteRefusedStream) }
    }
    if slot[].active == 0 { close(upstream: u, .gracefully) }
  }
}
