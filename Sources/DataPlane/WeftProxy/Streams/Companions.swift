// Companions: streams of our own that accompany a client's stream, which owns them as long as it feeds them.
//
// *Who ends one*: itself, or the end of its owner. A copy of a request leaves its owner when the request is whole, and lives on by itself; a
// further attempt never outlives its owner.

import WeftBase
import WeftHTTP
import WeftProxyAPI
import WeftRuntime
import WeftTelemetry
import WeftUpstream

extension WorkerEngine {
  /// Makes a stream of our own that accompanies `s`, with the request as far as it has come; `body` is what has come of its content. Nil at the limit
  /// of streams, which is counted.
  func accompany(_ s: StreamIndex, _ purpose: InsidePurpose, _ cluster: ClusterIndex, _ body: ByteView) -> StreamIndex?
  {
    let state = clusters.ref(cluster)
    guard let c = openInside(streams[s].snapshot, purpose, HoldToken(stream: s, hold: 0)) else {
      state[].stats.add(.retryOrShadowAbandoned)
      return nil
    }
    join(c, s)
    let (owner, companion) = (streams.ref(s), streams.ref(c))
    // For whom it is, endpoints may have to be told when its owner is gone, too.
    downstreams[companion[].downstream].peer = downstreams[owner[].downstream].peer
    downstreams[companion[].downstream].local = downstreams[owner[].downstream].local
    companion[].cluster = cluster
    state[].activeRequests += 1
    companion[].flags = owner[].flags.intersection([.isHEAD, .isGRPC, .idempotent])
    if owner[].request.hasArrived { companion[].request.endArrived() }
    companion[].requestBody.append(body, pool: pool)
    companion[].bytesReceived = UInt64(body.count)
    copyTrailers(of: s, to: c)
    return c
  }

  /// Puts `c` first among the companions of `owner`.
  func join(_ c: StreamIndex, _ owner: StreamIndex) {
    let first = streams[owner].companions
    streams[c].siblings.next = first
    if !first.isNone { streams[first].siblings.previous = c }
    streams[owner].companions = c
  }

  /// Takes `c` from the stream it accompanies, if it still does.
  func part(_ c: StreamIndex) {
    let slot = downstreams.ref(streams[c].downstream)
    guard slot[].purpose != .ask, !slot[].token.stream.isNone else { return }
    let links = streams[c].siblings
    if links.previous.isNone {
      streams[slot[].token.stream].companions = links.next
    } else {
      streams[links.previous].siblings.next = links.next
    }
    if !links.next.isNone { streams[links.next].siblings.previous = links.previous }
    streams[c].siblings = SlotLinks<StreamSlot>()
    slot[].token = .none
  }

  /// The trailers of the request that `c` accompanies.
  func copyTrailers(of s: StreamIndex, to c: StreamIndex) {
    guard let trailers = streams[s].requestTrailers else { return }
    trailers.view(in: trailerHead)
    streams[c].requestTrailers = StoredHead(trailerHead, pool: pool)
  }

  /// Ends whatever accompanies `s`.
  @inline(never)
  func endCompanions(_ s: StreamIndex) {
    while true {
      let c = streams[s].companions
      if c.isNone { return }
      // It took as long as it was let, which says nothing of its endpoint.
      streams[c].upstreamStarted = .zero
      finish(c)
    }
  }
}
