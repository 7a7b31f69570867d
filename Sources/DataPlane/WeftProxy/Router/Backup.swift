// Backup: several attempts of one request at a time (`hedge_on_per_try_timeout`).
//
// An attempt whose time is over goes on; the next one begins beside it, and the first acceptable head of an answer wins. The client's stream owns
// them all: one attempt lies in its own slot, as always, each further one in a stream of our own that accompanies it. When one of those wins, the
// two slots exchange their attempts, so that the client's stream never has to look for its upstream elsewhere. What lost is cancelled.
//
// *Who decides*: the client's stream, whose retries, budget and rules they share. An attempt that fails costs the client nothing while another
// one runs or is about to begin; the last one's failure is the client's. *Who may end what*: a connection that an attempt leaves goes to whoever waits
// for it, another attempt of the same request perhaps, which may fail at that very moment. So whether anything is left is asked when it is needed,
// of what is under way (`StreamPlace`), and every function here looks for the client's stream again once it has let go of an attempt.

import WeftBase
import WeftHTTP
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTables
import WeftTelemetry
import WeftUpstream

extension Stream {
  /// What `flags` say of an attempt, not of the request or its answer.
  private static let ofAttempt: Flags = [.reusedConnection, .requestChunked]

  /// Exchanges the attempts of two slots. Who lists them is for the caller to tell.
  fileprivate static func exchangeAttempts(_ a: inout Stream, _ b: inout Stream) {
    let (ofA, ofB) = (a.flags.intersection(ofAttempt), b.flags.intersection(ofAttempt))
    a.flags = a.flags.subtracting(ofAttempt).union(ofB)
    b.flags = b.flags.subtracting(ofAttempt).union(ofA)
    // Of both requests all has come, and of neither answer anything was passed on: what differs is the attempts'.
    swap(&a.request, &b.request)
    swap(&a.response, &b.response)
    swap(&a.place, &b.place)
    swap(&a.responseFlow, &b.responseFlow)
    swap(&a.requestPermit, &b.requestPermit)
    swap(&a.attemptTime, &b.attemptTime)
    swap(&a.upstream, &b.upstream)
    swap(&a.upstreamID, &b.upstreamID)
    swap(&a.upstreamKind, &b.upstreamKind)
    swap(&a.host, &b.host)
    swap(&a.lastHost, &b.lastHost)
    swap(&a.lastLocal, &b.lastLocal)
    swap(&a.wanted, &b.wanted)
    swap(&a.requestBody, &b.requestBody)
    swap(&a.responseLeft, &b.responseLeft)
    swap(&a.responseCredit, &b.responseCredit)
    swap(&a.grpcStatus, &b.grpcStatus)
    swap(&a.awaitsGRPCStatus, &b.awaitsGRPCStatus)
    swap(&a.tryDeadline, &b.tryDeadline)
    swap(&a.lastActivity, &b.lastActivity)
    swap(&a.upstreamStarted, &b.upstreamStarted)
    swap(&a.upstreamFirstByte, &b.upstreamFirstByte)
  }

  /// Whether its attempt runs, or waits for a connection.
  var isUnderWay: Bool { place == .running || place == .waiting }
}

extension WorkerEngine {
  /// The client's stream of which `a` is an attempt.
  func owner(of a: StreamIndex) -> StreamIndex {
    if streams[a].race != .backup { return a }
    let o = downstreams[streams[a].downstream].token.stream
    return o.isNone ? a : o
  }

  /// Whether the attempt goes on when its time is over.
  func hedges(_ a: StreamIndex) -> Bool {
    let stream = streams.ref(owner(of: a))
    return stream[].flags.contains(.hedges) && !stream[].tunnel.isAsked && stream[].expectsAnswer
  }

  /// The time of an attempt is over, and it goes on: another one is begun beside it, if rules, retries and budget allow. May end the stream.
  func attemptIsLate(_ a: StreamIndex) {
    let o = owner(of: a)
    let stream = streams.ref(o)
    if clusters[stream[].cluster].hasOutlierDetection { report(a, .localFailure) }
    streams[a].attemptTime.ranOut()
    // One that is about to begin does for both.
    guard stream[].flags.contains(.hasRetryPolicy), stream[].retryAt == .distantFuture, canReplay(o),
      let rules = retryRules(o), let wait = decide(o, a, rules, isTimeout: true)
    else { return }
    streams[a].attemptTime.succeeded()
    stream[].race.began()
    schedule(next: o, after: wait)
  }

  /// The time for the next attempt has come. May end the stream.
  func retryDue(_ o: StreamIndex) {
    let stream = streams.ref(o)
    if stream[].race == .owner {
      stream[].retryAt = .distantFuture
      if hasRivals(o, besides: .none) { return startBackup(o) }
      stream[].race.ended()
    }
    again(o)
  }

  /// Begins an attempt of `o` beside those that run. May end the stream.
  private func startBackup(_ o: StreamIndex) {
    let owner = streams.ref(o)
    guard let kept = owner[].head, let b = accompany(o, .backup, owner[].cluster, owner[].requestBody.view) else {
      return
    }
    let backup = streams.ref(b)
    // An ORIGINAL_DST cluster sends it where its client meant to go.
    downstreams[backup[].downstream].local = downstreams[owner[].downstream].local
    backup[].race.joined()
    backup[].flags.formUnion(owner[].flags.intersection([.hedges, .filtersAttempts]))
    backup[].route = owner[].route
    backup[].codec = owner[].codec
    backup[].hash = owner[].hash
    backup[].bodyCopy.keep()
    backup[].attempts = owner[].attempts
    if owner[].attempts < .max { owner[].attempts += 1 }
    backup[].tried = owner[].tried
    backup[].tryTimeout = owner[].tryTimeout
    backup[].tryIdleTimeout = owner[].tryIdleTimeout
    // Only for what it tells its upstream: the owner's own ends them all.
    backup[].totalDeadline = owner[].totalDeadline
    kept.view(in: replayHead)
    backup[].head = StoredHead(replayHead, pool: pool)
    attempt(b, replayHead)
    guard streams.contains(b) else { return }
    owner[].tried = backup[].tried
    armStream(b)
  }

  // MARK: What becomes of an attempt

  /// The answer to one of several attempts is good. *Returns*: the client's stream, whose attempt it is now.
  func winner(_ a: StreamIndex) -> StreamIndex {
    let o = owner(of: a)
    let stream = streams.ref(o)
    // It was not the retry that succeeded.
    if streams[a].attemptTime == .replaced { giveRetry(o) }
    if a != o { exchangeAttempts(o, a) }
    endRace(o)
    stream[].retryAt = .distantFuture
    armStream(o)
    return o
  }

  /// There is an answer for the client, or nobody to give one: attempts that fail from here on do so without a word, and those that wait for a
  /// connection will not have the one that is given back next.
  func endRace(_ o: StreamIndex) {
    streams[o].race.ended()
    streams[o].attemptTime.began()
    var b = streams[o].companions
    while !b.isNone {
      if streams[b].place == .waiting {
        clusters[streams[b].cluster].stats.add(.upstreamRqCancelled)
        leaveWaiting(b)
      }
      b = streams[b].siblings.next
    }
  }

  /// A further attempt could not be made, and `localReply` was to say so. The client is told when nothing else is to be waited for.
  func backupRefused(_ b: StreamIndex, _ status: UInt16, _ body: ByteView, details: StaticString, overloaded: Bool) {
    let o = owner(of: b)
    let flags = streams[b].responseFlags
    let isLast = streams[o].race == .owner && !hasRivals(o, besides: b)
    drop(b)
    guard isLast, streams.contains(o) else { return }
    streams[o].responseFlags.formUnion(flags)
    localReply(o, status, body, details: details, overloaded: overloaded)
  }

  /// Whether the stream's own attempt may fail without a word to the client; it is given up then.
  func leavesToRivals(_ o: StreamIndex) -> Bool {
    guard hasRivals(o, besides: o) else { return false }
    drop(o)
    return true
  }

  /// Whether any attempt but `a` runs or is about to begin.
  func hasRivals(_ o: StreamIndex, besides a: StreamIndex) -> Bool {
    let stream = streams.ref(o)
    guard stream[].race == .owner else { return false }
    if stream[].retryAt != .distantFuture || (a != o && stream[].isUnderWay) { return true }
    var c = stream[].companions
    while !c.isNone {
      if c != a, streams[c].race == .backup, streams[c].isUnderWay { return true }
      c = streams[c].siblings.next
    }
    return false
  }

  /// Forgets an attempt: a backup's slot is given back, the owner's own place is free for the next one.
  func drop(_ a: StreamIndex) {
    guard streams[a].race == .backup else { return forgetAttempt(a) }
    // It took as long as it was let, which says nothing of its endpoint.
    streams[a].upstreamStarted = .zero
    finish(a)
  }

  // MARK: The winner

  /// The winner's attempt becomes the owner's, and the owner's the backup's, with the lists and connections that name them.
  private func exchangeAttempts(_ o: StreamIndex, _ b: StreamIndex) {
    unlistAttempt(o)
    unlistAttempt(b)
    let (owner, backup) = (streams.ref(o), streams.ref(b))
    Stream.exchangeAttempts(&owner[], &backup[])
    if owner[].logNeeds.isUpstreamLocal, !owner[].upstream.isNone {
      owner[].lastLocal = localAddress(upstream: owner[].upstream)
    }
    listAttempt(o)
    listAttempt(b)
  }

  private func unlistAttempt(_ s: StreamIndex) {
    let stream = streams.ref(s)
    switch stream[].place {
    case .waiting:
      let host = hosts.ref(stream[].host)
      streams.unlink(s, &host[].waiting)
    case .running:
      let slot = upstreams.ref(stream[].upstream)
      if slot[].hasMany { streams.unlink(s, &slot[].streams) }
    case .nowhere, .counted: break
    }
  }

  private func listAttempt(_ s: StreamIndex) {
    let stream = streams.ref(s)
    switch stream[].place {
    case .waiting:
      let host = hosts.ref(stream[].host)
      streams.pushLast(s, &host[].waiting)
    case .running:
      let slot = upstreams.ref(stream[].upstream)
      guard slot[].hasMany else {
        slot[].stream = s
        return
      }
      streams.pushLast(s, &slot[].streams)
      if slot[].kind == .http2 {
        slot[].h2[].setUser(stream[].upstreamID, s.rawValue)
      } else {
        slot[].codec[].give(stream[].upstreamID, to: s.rawValue)
      }
    case .nowhere, .counted: break
    }
  }

  /// The whole request has taken too long: each of its attempts has, on its own books.
  func backupsTimedOut(_ o: StreamIndex) {
    var b = streams[o].companions
    while !b.isNone {
      if streams[b].race == .backup {
        clusters[streams[b].cluster].stats.add(.upstreamRqTimeout)
        countTimeout(b)
        countFailure(b)
        if streams[b].attemptTime == .running, clusters[streams[b].cluster].hasOutlierDetection {
          report(b, .localFailure)
        }
      }
      b = streams[b].siblings.next
    }
  }
}
