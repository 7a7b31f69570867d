// Mirrors: copies of a request that go elsewhere, and whose answers nobody waits for.
//
// A copy is a stream of our own with its own cluster, breakers, time-out and statistics. It is fed with the content of its original as that comes
// in, and never holds it up: a copy that does not take what the original sends is cut when more waits than the original may buffer, and counted.

import WeftBase
import WeftHTTP
import WeftProxyAPI
import WeftRuntime
import WeftTables
import WeftTelemetry
import WeftUpstream

extension WorkerEngine {
  /// Forwards a request that may have copies. May end the stream.
  @inline(never)
  func forwardMirrored(_ s: StreamIndex, _ head: MessageHead, _ mirrors: ConstantTable<CompiledMirror>) {
    // What a filter has gathered of the content, which the attempt will not leave here.
    var body = StreamBuffer()
    body.append(streams[s].requestBody.unsentView, pool: pool)
    attempt(s, head)
    for i in mirrors.indices {
      if !streams.contains(s) || streams[s].flags.contains(.localReply) { break }
      mirror(s, mirrors[i], body)
    }
    body.release(to: pool)
  }

  /// Begins a copy of the request.
  private func mirror(_ s: StreamIndex, _ policy: CompiledMirror, _ body: StreamBuffer) {
    let owner = streams.ref(s)
    let share = runtime[].view.partsPerMillion(policy.share)
    if share < 1_000_000, random() % 1_000_000 >= UInt64(share) { return }
    guard let kept = owner[].head else { return }
    let head = desk[].callHead
    kept.view(in: head)
    let name = policy.clusterHeader.isEmpty ? policy.cluster : head.value(named: policy.clusterHeader) ?? .empty
    let snapshot = owner[].snapshot
    let state = clusterState(
      snapshot, ClusterPositions.position(of: name, in: configuration[].uses[Int(snapshot)].names))
    guard !state.isNone, let m = accompany(s, .mirror, state, body.unsentView) else { return }
    let copy = streams.ref(m)
    copy[].timeout = owner[].timeout
    copy[].boundsAnswerOnly = owner[].boundsAnswerOnly
    // Without a time-out of the route, silence ends it.
    copy[].idleTimeout = owner[].idleTimeout
    if owner[].request.hasArrived {
      setTotalDeadline(m)
      part(m)
    }
    if !policy.host.isEmpty {
      head.authority = policy.host
    } else if policy.appendsSuffix, head.authority.first != UInt8(ascii: "[") {
      // Behind an address in brackets it would make an authority that nobody may send.
      let whole = head.authority
      let bare = whole.withoutPort
      head.authority = head.concatenate(head.concatenate(bare, ByteView("-shadow")), whole.dropFirst(bare.count))
    }
    if owner[].route?[].includesAttemptCount ?? false { head.set(.envoyAttemptCount, ByteView("1")) }
    head.set(.envoyInternal, ByteView("true"))
    if clusters[state].hashes, let route = owner[].route {
      let (slot, client) = (downstreams.ref(copy[].downstream), downstreams.ref(owner[].downstream))
      slot[].peer = client[].peer
      slot[].local = client[].local
      copy[].remote = owner[].remote
      takeHash(m, head, route)
    }
    copy[].head = StoredHead(head, pool: pool)
    attempt(m, head)
    if streams.contains(m) { armStream(m) }
  }

  /// Content of a request has come: its copies get it, too. One that cannot take what comes is cut. May end the stream.
  @inline(never)
  func feedMirrors(_ s: StreamIndex, _ data: ByteView, end: Bool) {
    var m = streams[s].companions
    while !m.isNone {
      let copy = streams.ref(m)
      copy[].bytesReceived &+= UInt64(data.count)
      copy[].lastActivity = now
      if isBlocked(m) {
        copy[].requestBody.append(data, pool: pool)
      } else {
        passRequest(m, data, end: end)
      }
      m = copy[].siblings.next
    }
    // Not before all have it: the connection that one leaves goes to whoever waits for it, another copy or the request itself, which may end by that.
    while streams.contains(s), let m = overdue(s) {
      clusters[streams[m].cluster].stats.add(.retryOrShadowAbandoned)
      finish(m)
    }
  }

  /// A copy for which more waits than its original may buffer.
  private func overdue(_ s: StreamIndex) -> StreamIndex? {
    let limit = bufferLimit(s)
    var m = streams[s].companions
    while !m.isNone, streams[m].requestBody.unsent <= limit { m = streams[m].siblings.next }
    return m.isNone ? nil : m
  }

  /// Whether what is written to its connection now would only wait there.
  private func isBlocked(_ m: StreamIndex) -> Bool {
    let u = streams[m].upstream
    return !u.isNone && upstreams[u].write == .blocked
  }

  /// All of a request has come: its copies are whole and go on by themselves.
  @inline(never)
  func endMirrors(_ s: StreamIndex) {
    while true {
      let m = streams[s].companions
      if m.isNone { return }
      part(m)
      copyTrailers(of: s, to: m)
      requestEnd(m)
    }
  }
}
