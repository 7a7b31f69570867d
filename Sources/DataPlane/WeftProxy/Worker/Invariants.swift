// Invariants: what is true of a worker's slots between any two events. Tests and the simulation look after every step; nothing else does.
//
// Not told here, because one worker cannot know it: the levels of circuit breakers and budgets (shared between workers), statistics (shared
// by scope), and that every pooled block has exactly one owner (the pool does not say who has taken what).

import WeftBase
import WeftHTTP
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTables
import WeftUpstream

/// Who lists what, and how many there are: filled by one walk over all slots. A class, so that a check is given it without copies.
private final class Census {
  /// The client, or upstream connection, in whose list a stream is; the host in whose queue it is.
  var client: [StreamIndex: DownstreamIndex] = [:]
  var carrier: [StreamIndex: UpstreamIndex] = [:]
  var queue: [StreamIndex: HostIndex] = [:]
  /// The host in whose idle or multiplexed list a connection is.
  var idle: [UpstreamIndex: HostIndex] = [:]
  var multiplexed: [UpstreamIndex: HostIndex] = [:]
  var speaking: [UpstreamIndex: HostIndex] = [:]
  var hosts: [HostIndex: HostCensus] = [:]
  /// Requests, and hosts, of a cluster.
  var clusters: [ClusterIndex: (requests: Int32, hosts: Int32)] = [:]
}

private struct HostCensus: Equatable {
  var requests: UInt32 = 0
  var connections: UInt32 = 0
  var connecting: UInt32 = 0
  var http2Connections: UInt32 = 0
  var expectedCapacity: UInt32 = 0
}

extension WorkerEngine {
  /// What is not as it must be between events, in words; empty when all is well.
  ///
  /// *Cost*: looks at every slot a few times, and allocates. Never called while serving.
  package func checkInvariants() -> [String] {
    var found = Violations()
    let census = Census()
    take(census, &found)
    streams.forEach { check(stream: $0, census, &found) }
    checkFilters(&found)
    downstreams.forEach { check(downstream: $0, &found) }
    upstreams.forEach { check(upstream: $0, census, &found) }
    hosts.forEach { check(host: $0, census, &found) }
    clusters.forEach { check(cluster: $0, census, &found) }
    checkSnapshots(&found)
    checkListeners(&found)
    checkDepartures(&found)
    checkNetworkFilters(&found)
    checkPlaces(&found)
    checkHalves(&found)
    checkRuntime(&found)
    return found.words
  }

  /// Everybody reads the table in force, and clusters have the limits that it makes of their configuration.
  private func checkRuntime(_ found: inout Violations) {
    let view = runtime[].view
    found.expect(
      desk[].runtime.isSame(as: view) && networkDesk[].runtime.isSame(as: view)
        && view.isSame(as: runtime[].table?.view ?? .empty), "runtime: not everybody reads the table in force")
    clusters.forEach { i in
      let config = clusters[i].config
      let breakers = runtime[].table?.breakers(of: config[].config) ?? config[].config.circuitBreakers
      found.expect(
        clusters[i].standardLimits.requests == breakers.standard.maxRequests
          && clusters[i].highLimits.requests == breakers.high.maxRequests,
        "cluster \(i.index): limits are not those of its configuration and the runtime")
    }
  }

  private func take(_ census: Census, _ found: inout Violations) {
    downstreams.forEach { d in
      for s in streamList(downstreams[d].streams, "client \(d.index)", { streams[$0].siblings }, &found) {
        census.client[s] = d
      }
    }
    upstreams.forEach { u in
      let slot = upstreams[u]
      for s in streamList(slot.streams, "upstream \(u.index)", { streams[$0].links }, &found) { census.carrier[s] = u }
      var host = census.hosts[slot.host] ?? HostCensus()
      host.connections += 1
      if slot.kind == .http2 { host.http2Connections += 1 }
      if slot.life.isOpening {
        host.connecting += 1
        host.expectedCapacity += slot.expectedCapacity
      }
      census.hosts[slot.host] = host
    }
    hosts.forEach { h in
      let host = hosts[h]
      for s in streamList(host.waiting, "host \(h.index)", { streams[$0].links }, &found) { census.queue[s] = h }
      for u in connectionList(host.idle, h, &found) { census.idle[u] = h }
      for u in connectionList(host.multiplexed, h, &found) { census.multiplexed[u] = h }
      for u in connectionList(host.speaking, h, &found) { census.speaking[u] = h }
      census.clusters[host.cluster, default: (0, 0)].hosts += 1
    }
    streams.forEach { s in
      if !streams[s].cluster.isNone { census.clusters[streams[s].cluster, default: (0, 0)].requests += 1 }
      if !streams[s].host.isNone { census.hosts[streams[s].host, default: HostCensus()].requests += 1 }
    }
  }

  /// Every stream has a client that knows it, and what it names is there and names it back.
  private func check(stream s: StreamIndex, _ census: Census, _ found: inout Violations) {
    let stream = streams[s]
    guard downstreams.contains(stream.downstream) else { return found.add("stream \(s.index) outlives its client") }
    let d = downstreams[stream.downstream]
    found.expect(
      d.kind.hasMany ? census.client[s] == stream.downstream : d.stream == s,
      "stream \(s.index) is unknown to its client")
    if d.kind == .http2, !d.h2.isNone, d.isOpen, !d.h2[].contains(stream.downstreamID) {
      found.expect(
        stream.response.isSent && stream.tunnel.isOpen, "stream \(s.index) ended on the wire, and lives on")
    }
    if stream.upstream.isNone {
      found.expect(census.carrier[s] == nil, "stream \(s.index) is listed by a connection it does not name")
    } else if upstreams.contains(stream.upstream) {
      let u = upstreams[stream.upstream]
      found.expect(
        u.hasMany ? census.carrier[s] == stream.upstream : u.stream == s,
        "stream \(s.index) is unknown to its upstream connection")
      found.expect(
        u.kind != .codec || stream.codec?[].identity == u.codec[].identity,
        "stream \(s.index) speaks another protocol than its upstream connection")
      found.expect(u.kind == .tcp || u.host == stream.host, "stream \(s.index) runs on another host's connection")
    } else {
      found.add("stream \(s.index) names an upstream connection that is gone")
    }
    found.expect(
      stream.cluster.isNone || clusters.contains(stream.cluster), "stream \(s.index) names a cluster that is gone")
    found.expect(stream.host.isNone || hosts.contains(stream.host), "stream \(s.index) names a host that is gone")
    found.expect(
      stream.host.isNone == (stream.place == .nowhere),
      "stream \(s.index) has a host without being counted there, or the other way round")
    found.expect(
      stream.upstream.isNone == (stream.place != .running),
      "stream \(s.index) is \(stream.place) and its connection says otherwise")
    let isWaiting = stream.place == .waiting
    found.expect(
      census.queue[s] == (isWaiting ? stream.host : nil), "stream \(s.index) is in the wrong queue, or in none")
    found.expect(
      stream.retryPermit == .none || !stream.cluster.isNone, "stream \(s.index) retries without a cluster")
    found.expect(
      stream.requestPermit == .none || stream.place != .nowhere,
      "stream \(s.index) holds a request it is not counted for")
    found.expect(
      stream.retryAt == .distantFuture || (stream.upstream.isNone && !isWaiting) || stream.race == .owner,
      "stream \(s.index) has an attempt under way and another one coming")
    check(companionsOf: s, &found)
    if d.isOpen, d.kind == .http1 || d.kind.hasMany || d.kind == .inside {
      // A timer may be early, when deadlines have moved on; late it may not be.
      found.expect(d.timer.at <= earliest(s), "nothing will wake stream \(s.index) at its deadline")
    }
  }

  /// A held stream waits for something that will come or end; what filters have of the worker is had by streams that live.
  private func checkFilters(_ found: inout Violations) {
    var (blocks, keeping, paced) = (0, 0, 0)
    streams.forEach { s in
      let stream = streams[s]
      let frame = stream.frame
      if frame.block != .max { blocks += 1 }
      if frame.keepsBytes { keeping += 1 }
      if frame.isPaced { paced += 1 }
      found.expect(!frame.keepsBytes || keptBytes[][s.index] != nil, "stream \(s.index) has lost what a filter keeps")
      found.expect(!frame.isPaced || paces[][s.index] != nil, "stream \(s.index) has lost its pace")
      found.expect(
        frame.phase == .running || stream.filters != nil, "stream \(s.index) is held by a filter it does not have")
      switch frame.phase {
      case .running:
        found.expect(stream.asked.isNone, "stream \(s.index) asks something for nobody")
        found.expect(frame.bodyLimit < 0, "stream \(s.index) gathers content for nobody")
      case .held:
        found.expect(stream.head != nil, "stream \(s.index) is held without its head")
        found.expect(stream.upstream.isNone && stream.host.isNone, "stream \(s.index) is held and runs at once")
        found.expect(
          !stream.asked.isNone || frame.bodyLimit >= 0 || frame.until != .distantFuture,
          "stream \(s.index) is held for nothing")
      case .responseHeld:
        found.expect(stream.responseHead != nil, "stream \(s.index) is held without its response's head")
        found.expect(!stream.response.hasStarted, "stream \(s.index) is held and answered at once")
        found.expect(
          !stream.asked.isNone || frame.until != .distantFuture, "stream \(s.index) is held for nothing, with an answer"
        )
      }
      if !stream.asked.isNone { checkAsked(s, stream, &found) }
    }
    found.expect(
      filterBlocks[].lent == blocks, "filters' states: \(filterBlocks[].lent) are lent, \(blocks) streams have one")
    found.expect(keptBytes[].count == keeping, "filters' bytes are kept for streams that are gone")
    found.expect(paces[].count == paced, "streams that are gone have a pace")
    downstreams.forEach { d in
      let slot = downstreams[d]
      guard slot.kind == .inside, slot.purpose == .ask, streams.contains(slot.stream) else { return }
      let waiter = slot.token.stream
      found.expect(
        streams.contains(waiter) && streams[waiter].asked == slot.stream
          && streams[waiter].frame.hold == slot.token.hold,
        "stream \(slot.stream.index) of our own answers nobody")
    }
  }

  /// The stream of our own that a held one waits for.
  private func checkAsked(_ s: StreamIndex, _ stream: Stream, _ found: inout Violations) {
    guard streams.contains(stream.asked) else { return found.add("stream \(s.index) waits for an answer that is gone") }
    let d = streams[stream.asked].downstream
    found.expect(
      downstreams.contains(d) && downstreams[d].kind == .inside && downstreams[d].token.stream == s,
      "stream \(s.index) waits for another's answer")
  }

  /// Whatever accompanies a stream is one of our own and names it; what accompanies nobody has all of its request.
  private func check(companionsOf s: StreamIndex, _ found: inout Violations) {
    var previous = StreamIndex.none
    var c = streams[s].companions
    while !c.isNone {
      guard streams.contains(c), downstreams.contains(streams[c].downstream) else {
        return found.add("stream \(s.index) has a companion that is gone")
      }
      let slot = downstreams[streams[c].downstream]
      found.expect(
        slot.kind == .inside && slot.purpose != .ask && slot.token.stream == s,
        "stream \(s.index) is accompanied by stream \(c.index), which does not know it")
      found.expect(
        (slot.purpose == .backup) == (streams[s].race == .owner),
        "stream \(s.index) has a \(slot.purpose) while it has one attempt, or several")
      guard streams[c].siblings.previous == previous else {
        return found.add("the companions of stream \(s.index) do not lead back")
      }
      previous = c
      c = streams[c].siblings.next
    }
    let slot = downstreams[streams[s].downstream]
    check(raceOf: s, slot, &found)
    guard slot.kind == .inside, slot.purpose != .ask else { return }
    let owner = slot.token.stream
    if owner.isNone {
      found.expect(slot.purpose == .mirror, "stream \(s.index) is an attempt at nobody's request")
      found.expect(streams[s].request.hasArrived, "stream \(s.index) is fed by nobody and not whole")
    } else if streams.contains(owner) {
      var c = streams[owner].companions
      while !c.isNone, c != s, streams.contains(c) { c = streams[c].siblings.next }
      found.expect(c == s, "stream \(s.index) accompanies stream \(owner.index), which does not know it")
    } else {
      found.add("stream \(s.index) outlives the one it accompanies")
    }
  }

  /// A request with several attempts has something to wait for, and no answer yet; each further attempt is under way in a slot of its own.
  private func check(raceOf s: StreamIndex, _ slot: DownstreamConnection, _ found: inout Violations) {
    let stream = streams[s]
    let isBackup = slot.kind == .inside && slot.purpose == .backup
    found.expect(
      (stream.race == .backup) == isBackup, "stream \(s.index) is a backup without its slot, or the other way")
    switch stream.race {
    case .none: found.expect(stream.attemptTime != .replaced, "stream \(s.index) has an attempt too few")
    case .owner:
      found.expect(
        stream.isUnderWay || stream.retryAt != .distantFuture || !stream.companions.isNone,
        "stream \(s.index) waits for none of its attempts")
      found.expect(
        stream.request.hasArrived && !stream.response.hasStarted,
        "stream \(s.index) has several attempts before its request or after its answer")
    case .backup:
      found.expect(
        stream.isUnderWay && stream.retryAt == .distantFuture && stream.companions.isNone,
        "backup \(s.index) is no single attempt")
      found.expect(
        stream.request.hasArrived && stream.response.arrival != .whole && !stream.response.hasStarted
          && stream.retryPermit == .none && stream.filters == nil,
        "backup \(s.index) is more than an attempt")
      let owner = slot.token.stream
      found.expect(
        streams.contains(owner) && streams[owner].cluster == stream.cluster, "backup \(s.index) is of another cluster")
    }
  }

  /// A client's streams are its own, and counted.
  private func check(downstream i: DownstreamIndex, _ found: inout Violations) {
    let d = downstreams[i]
    var s = d.streams.first
    while !s.isNone, streams.contains(s) {
      found.expect(streams[s].downstream == i, "client \(i.index) lists another's stream")
      s = streams[s].siblings.next
    }
    if d.kind.hasMany {
      found.expect(d.stream.isNone, "client \(i.index) has one stream beside its list")
      found.expect(
        d.active == d.streams.count, "client \(i.index) counts \(d.active) streams and has \(d.streams.count)")
    } else {
      found.expect(d.streams.isEmpty, "client \(i.index) has a list of one")
      found.expect(d.active == (d.stream.isNone ? 0 : 1), "client \(i.index) counts \(d.active) streams")
      if !d.stream.isNone {
        found.expect(
          streams.contains(d.stream) && streams[d.stream].downstream == i,
          "client \(i.index) names no stream of its own")
      }
    }
    found.expect(
      d.transport != .handshaking || d.active == 0, "client \(i.index) is served before its handshake is done")
    found.expect(
      d.kind.hasMany || !d.farewell.isAnnounced, "client \(i.index) was sent a farewell its protocol does not have")
    if d.kind == .codec { checkHeld(i, &found) }
    guard d.kind == .http2, d.isOpen, !d.h2.isNone else { return }
    var cursor = 0
    while let id = d.h2[].nextStream(after: &cursor) {
      guard let word = d.h2[].user(id), word != 0 else { continue }
      let s = StreamIndex(rawValue: word)
      if streams.contains(s) {
        found.expect(
          streams[s].downstream == i && streams[s].downstreamID == id, "client \(i.index) mixes up stream \(id)")
      }
    }
  }

  /// What a client of a codec has in flight is what its streams still hold, and each of them has a number of its own.
  private func checkHeld(_ i: DownstreamIndex, _ found: inout Violations) {
    let d = downstreams[i]
    var held = 0
    var s = d.streams.first
    while !s.isNone, streams.contains(s) {
      held += streams[s].requestCredit
      s = streams[s].siblings.next
    }
    found.expect(d.codec[].held == held, "client \(i.index) counts \(d.codec[].held) bytes and holds \(held)")
  }

  /// The numbers under way are those of the streams, or were answered already.
  private func checkNumbers(_ i: UpstreamIndex, _ found: inout Violations) {
    let u = upstreams[i]
    found.expect(u.codec[].underWay <= Int(u.active), "upstream \(i.index) waits for answers nobody asked for")
    var numbers: Set<UInt32> = []
    var s = u.streams.first
    while !s.isNone, streams.contains(s) {
      found.expect(numbers.insert(streams[s].upstreamID).inserted, "upstream \(i.index) gave a number twice")
      found.expect(
        u.codec[].owner(of: streams[s].upstreamID) ?? s.rawValue == s.rawValue, "upstream \(i.index) mixes up streams")
      s = streams[s].links.next
    }
  }

  /// An upstream connection is in the list its state calls for, and its streams name it.
  private func check(upstream i: UpstreamIndex, _ census: Census, _ found: inout Violations) {
    let u = upstreams[i]
    var s = u.streams.first
    while !s.isNone, streams.contains(s) {
      found.expect(streams[s].upstream == i, "upstream \(i.index) lists another's stream")
      s = streams[s].links.next
    }
    if u.kind == .codec { checkNumbers(i, &found) }
    if u.hasMany {
      found.expect(u.stream.isNone, "upstream \(i.index) has one stream beside its list")
      found.expect(
        u.active == u.streams.count, "upstream \(i.index) counts \(u.active) streams and has \(u.streams.count)")
    } else {
      found.expect(u.streams.isEmpty, "upstream \(i.index) has a list of one")
      found.expect(u.active == (u.stream.isNone ? 0 : 1), "upstream \(i.index) counts \(u.active) streams")
      if !u.stream.isNone {
        found.expect(
          streams.contains(u.stream) && streams[u.stream].upstream == i,
          "upstream \(i.index) names no stream of its own")
      }
    }
    guard hosts.contains(u.host) else { return found.add("upstream \(i.index) outlives its host") }
    found.expect(
      census.idle[i] == (u.list == .idle ? u.host : nil), "upstream \(i.index) is not in the idle list it names")
    found.expect(
      census.multiplexed[i] == (u.list == .multiplexed ? u.host : nil),
      "upstream \(i.index) is not in the multiplexed list it names")
    found.expect(
      census.speaking[i] == (u.list == .speaking ? u.host : nil), "upstream \(i.index) is not in the list it names")
    if u.list != .none {
      found.expect(
        u.life == .open, "upstream \(i.index) is \(u.life), on offer and cannot be had")
      found.expect((u.kind == .http2) == (u.list == .multiplexed), "upstream \(i.index) is in the wrong list")
      found.expect((u.kind == .codec) == (u.list == .speaking), "upstream \(i.index) is in the wrong list")
      found.expect(u.list != .idle || u.stream.isNone, "upstream \(i.index) is idle and busy")
    }
    found.expect(
      !u.life.isUp || u.transport != .handshaking, "upstream \(i.index) is \(u.life) before its handshake is done")
    if u.kind == .http1, u.stream.isNone, u.life.isUp {
      found.expect(u.list == .idle, "upstream \(i.index) serves nobody and is on offer to nobody")
    }
  }

  /// A host's books agree with the connections and streams there are.
  private func check(host i: HostIndex, _ census: Census, _ found: inout Violations) {
    let host = hosts[i]
    guard clusters.contains(host.cluster) else { return found.add("host \(i.index) outlives its cluster") }
    let counted = HostCensus(
      requests: host.activeRequests, connections: host.connections, connecting: host.connecting,
      http2Connections: host.http2Connections, expectedCapacity: host.expectedCapacity)
    let there = census.hosts[i] ?? HostCensus()
    found.expect(counted == there, "host \(i.index) counts \(counted) and has \(there)")
    if !host.whole.isNone {
      // Two with one hash are possible, if hardly ever: the newer is found.
      let known = turn[].parts[host.key.hash]
      found.expect(known != nil && hosts.contains(known ?? .none), "part \(i.index) of a host cannot be found")
    }
    if host.position >= 0, host.whole.isNone {
      let list = clusters[host.cluster].members[].hosts
      found.expect(
        Int(host.position) < list.count && list[Int(host.position)] == i, "host \(i.index) is not where it says it is")
    }
  }

  private func check(cluster i: ClusterIndex, _ census: Census, _ found: inout Violations) {
    let cluster = clusters[i]
    let there = census.clusters[i] ?? (0, 0)
    found.expect(
      cluster.activeRequests == there.requests,
      "cluster \(i.index): \(cluster.activeRequests) of \(there.requests) requests")
    found.expect(cluster.hostSlots == there.hosts, "cluster \(i.index): \(cluster.hostSlots) of \(there.hosts) hosts")
    let list = cluster.members[].hosts
    for h in list { found.expect(hosts.contains(h), "cluster \(i.index) names a host that is gone") }
    found.expect(
      !cluster.balancer[].awaitsTables || cluster.config[].balancer?.traits.hasTable ?? false,
      "cluster \(i.index): waits for tables its policy does not have")
    // What the balancer believes to run is what runs.
    found.expect(
      cluster.balancer[].hostCount == list.count,
      "cluster \(i.index): \(list.count) hosts, \(cluster.balancer[].hostCount) in its balancer")
    var sum: UInt32 = 0
    for (position, h) in list.enumerated() where position < cluster.balancer[].hostCount && hosts.contains(h) {
      var running = hosts[h].activeRequests
      forEachPart(h) { running += hosts[$0].activeRequests }
      let believed = cluster.balancer[].activeRequests(Int32(position))
      found.expect(believed == running, "host \(h.index): \(running) requests, its balancer counts \(believed)")
      sum &+= running
    }
    found.expect(
      cluster.balancer[].allActiveRequests == sum,
      "cluster \(i.index): \(sum) requests, its balancer counts \(cluster.balancer[].allActiveRequests)")
  }

  /// A snapshot is there for as long as something names it.
  private func checkSnapshots(_ found: inout Violations) {
    var users = [Int](repeating: 0, count: configuration[].snapshots.count)
    func name(_ i: UInt32, _ who: String) {
      guard Int(i) < users.count, configuration[].snapshots[Int(i)] != nil else {
        return found.add("\(who) names a configuration that is gone")
      }
      users[Int(i)] += 1
    }
    streams.forEach { name(streams[$0].snapshot, "stream \($0.index)") }
    downstreams.forEach { name(downstreams[$0].snapshot, "client \($0.index)") }
    for entry in listenerTable[].entries where entry.life != .free { name(entry.snapshot, "listener \(entry.name)") }
    for i in users.indices where configuration[].snapshots[i] != nil {
      let counted = configuration[].uses[i].users
      found.expect(counted == users[i], "configuration \(i) counts \(counted) users and has \(users[i])")
    }
  }

  private func checkListeners(_ found: inout Violations) {
    var connections = [Int](repeating: 0, count: listenerTable[].entries.count)
    downstreams.forEach {
      if Int(downstreams[$0].listener) < connections.count { connections[Int(downstreams[$0].listener)] += 1 }
    }
    for (i, entry) in listenerTable[].entries.enumerated() where entry.life != .free {
      if entry.life.accepts, !entry.id.slot.isNone {
        found.expect(
          listenerTable[].position(of: entry.id) == i, "listener \(entry.name) is not where its socket says it is")
      }
      found.expect(
        entry.connections == connections[i],
        "listener \(entry.name) counts \(entry.connections) connections and has \(connections[i])")
    }
  }

  /// Every client of a listener that is gone was told or is listed to be, and what is listed is gone on with.
  private func checkDepartures(_ found: inout Violations) {
    let departures = turn[].departures
    found.expect(departures.isEmpty || departures.isAsked, "connections are to be ended, and no turn will do it")
    found.expect(departures.left >= 0 && departures.left <= limits.closesPerTurn, "a turn ends more than it may")
    var listed = Set<DownstreamIndex>()
    for clients in departures.clients { listed.formUnion(clients.list[clients.next...]) }
    forEachClient { i in
      let d = downstreams[i]
      guard d.isOpen, listenerTable[].entries[Int(d.listener)].life == .draining else { return }
      found.expect(d.farewell.isDue || listed.contains(i), "client \(i.index) of a listener that is gone is not told")
    }
    for h in departures.hosts where hosts.contains(h) {
      found.expect(
        hosts[h].isRemoved || !hosts[h].whole.isNone, "host \(h.index) stays, and its connections are to end")
    }
  }

  /// Whether the listening set is that of the configuration in force. Not among the invariants: who has been told of a listener that could not
  /// be opened takes the failure with him.
  package func listensAsConfigured() -> Bool {
    let current = Int(configuration[].current)
    guard current < configuration[].snapshots.count, let snapshot = configuration[].snapshots[current] else {
      return true
    }
    return listens(as: snapshot)
  }

  /// Blocks of network filters belong to one connection each, which rests while it is held and has not begun its chain if it is held before that.
  private func checkNetworkFilters(_ found: inout Violations) {
    var blocks = 0
    var holds = 0
    var outputs = 0
    downstreams.forEach { i in
      let d = downstreams[i]
      guard !d.network.isNone else { return }
      blocks += 1
      guard networkBlocks.contains(d.network), let chain = d.chainConfig?[].network else {
        return found.add("client \(i.index) names a block of network filters that is gone")
      }
      if !chain[].output.isEmpty { outputs += 1 }
      let phase = networkBlocks[d.network].phase
      let waits = turn[].networkHolds[i.index] != nil
      if waits { holds += 1 }
      if phase == .running { return found.expect(!waits, "client \(i.index) is not held, and waits for the end of it") }
      if !d.isOpen { return }
      found.expect(waits, "nothing will end the hold of client \(i.index)")
      found.expect(d.read == .paused || phase == .heldInput, "client \(i.index) is held and read")
      found.expect(
        (phase == .heldBefore) == (d.kind == .unmatched), "client \(i.index) is held in another place than it is at")
    }
    found.expect(
      networkBlocks.count == blocks, "\(networkBlocks.count) blocks of network filters for \(blocks) clients")
    found.expect(turn[].networkHolds.count == holds, "\(turn[].networkHolds.count) holds for \(holds) clients")
    found.expect(turn[].outputFilters == outputs, "\(turn[].outputFilters) connections to watch, \(outputs) are there")
  }

  /// What is kept of messages that have begun is counted.
  private func checkHalves(_ found: inout Violations) {
    var (requests, answers) = (0, 0)
    downstreams.forEach { if !downstreams[$0].codec.isNone { requests += downstreams[$0].codec[].counted } }
    upstreams.forEach { if !upstreams[$0].codec.isNone { answers += upstreams[$0].codec[].counted } }
    found.expect(turn[].halfRequests == requests, "clients' half messages are \(requests) bytes, not as counted")
    found.expect(turn[].halfAnswers == answers, "endpoints' half messages are \(answers) bytes, not as counted")
  }

  /// Slots that stand for clients inside are known to be that, every connection has a place among the workers', and what listener filters are at
  /// or have found is a client's that is there.
  private func checkPlaces(_ found: inout Violations) {
    var clients = 0
    var inspected: Set<UInt32> = []
    var live: Set<UInt32> = []
    forEachClient {
      clients += 1
      live.insert($0.index)
      if downstreams[$0].kind == .unmatched { inspected.insert($0.index) }
    }
    found.expect(inspected.isSuperset(of: inspections[].keys), "listener filters look at a client that has its chain")
    found.expect(live.isSuperset(of: connectionMetadata[].keys), "what listener filters found outlives its client")
    found.expect(live.isSuperset(of: connectionOrigins[].keys), "what endpoints are told of a client outlives it")
    found.expect(live.isSuperset(of: connectionStates[].keys), "what filters keep for a client outlives it")
    var servers: Set<UInt32> = []
    upstreams.forEach { servers.insert($0.index) }
    found.expect(servers.isSuperset(of: upstreamLocals[].keys), "where a connection comes from outlives it")
    found.expect(
      clients == clientConnections,
      "counts \(turn[].insideClients) clients from inside and has \(Int(downstreams.count) - clients)")
    // Others may have taken places here for what is on its way.
    if let places = balance[]?.places[number] {
      found.expect(places >= clients, "\(places) places for \(clients) connections")
    }
  }

  // MARK: Lists

  /// The streams of a list, whose links must agree both ways and with its count.
  private func streamList(
    _ list: SlotList<StreamSlot>, _ owner: @autoclosure () -> String, _ links: (StreamIndex) -> SlotLinks<StreamSlot>,
    _ found: inout Violations
  ) -> [StreamIndex] {
    walk(list, owner, limit: streams.count, { streams.contains($0) }, links, &found)
  }

  private func connectionList(
    _ list: SlotList<UpstreamSlot>, _ h: HostIndex, _ found: inout Violations
  ) -> [UpstreamIndex] {
    walk(
      list, { "host \(h.index)" }, limit: upstreams.count, { upstreams.contains($0) }, { upstreams[$0].links }, &found)
  }

  private func walk<Kind>(
    _ list: SlotList<Kind>, _ owner: () -> String, limit: Int, _ isLive: (SlotIndex<Kind>) -> Bool,
    _ links: (SlotIndex<Kind>) -> SlotLinks<Kind>, _ found: inout Violations
  ) -> [SlotIndex<Kind>] {
    var result: [SlotIndex<Kind>] = []
    var previous = SlotIndex<Kind>.none
    var next = list.first
    while !next.isNone {
      guard isLive(next), result.count < limit else {
        found.add("\(owner()) has a list with a dead slot in it, or a ring")
        return result
      }
      found.expect(links(next).previous == previous, "\(owner()) has a list that does not lead back")
      result.append(next)
      previous = next
      next = links(next).next
    }
    found.expect(list.last == previous, "\(owner()) has a list with another end")
    found.expect(Int(list.count) == result.count, "\(owner()) has a list of \(list.count) with \(result.count) in it")
    return result
  }
}

private struct Violations {
  private(set) var words: [String] = []

  mutating func add(_ text: String) { words.append(text) }

  mutating func expect(_ holds: Bool, _ text: @autoclosure () -> String) {
    if !holds { words.append(text()) }
  }
}
