// FilterWalk: the filters of a stream are called here, held and resumed.
//
// A chain without filters is no chain (`Stream.filters` is nil): what it costs is that one look per event. *Who may end the stream*: each of these
// functions that says so; a filter itself never calls the engine, it leaves a wish on the desk.

package import WeftBase
package import WeftHTTP
import WeftModel
package import WeftProxyAPI
import WeftRuntime
import WeftTLS
import WeftTables
package import WeftTelemetry
import WeftUpstream

extension WorkerEngine {
  /// Lays out what the stream's filters will see. What it leaves out is asked for (`FilterHost`), or empty between walks.
  @inline(__always)
  func layDesk(_ s: StreamIndex, _ stream: SlotRef<Stream>) {
    desk[].now = now
    desk[].random = stream[].random
    desk[].stream = s
    desk[].marks = []
    desk[].flags = ResponseFlags()
  }

  /// Takes up the chain for a stream that begins. False when there is no room for its state.
  @inline(__always)
  func takeFilters(
    _ stream: SlotRef<Stream>, _ head: MessageHead, _ chain: ConfigRef<HTTPFilterChain>,
    _ manager: ConfigRef<CompiledHTTPManager>
  ) -> Bool {
    switch chain[].place {
    case .blankSlot: break
    case .slot: stream[].frame.states = chain[].frameStates
    case .block:
      guard let block = filterBlocks[].take(chain[].image) else { return false }
      stream[].frame.block = block
    }
    stream[].filters = chain
    stream[].routes = manager[].routes
    stream[].filterConfigs = chosenConfigs(stream, head, chain)
    return true
  }

  /// The configuration of the filters as the stream's route has it: the weighted cluster's, else the route's, else the chain's.
  @inline(__always)
  private func chosenConfigs(
    _ stream: SlotRef<Stream>, _ head: MessageHead, _ chain: ConfigRef<HTTPFilterChain>
  ) -> FilterConfigs {
    guard let route = stream[].route else { return chain[].configs }
    let ofRoute = route[].filterConfigs
    switch route[].clusterKind {
    case .fixed: break
    case .weighted, .header:
      let ofEntry = chooseCluster(stream, head, route)
      if !ofEntry.isEmpty { return ofEntry }
    }
    return ofRoute.isEmpty ? chain[].configs : ofRoute
  }

  /// Takes down which cluster the route leads to, for filters that ask. What the weighted entry says of filters; empty when there is none, or it says
  /// nothing.
  @inline(never)
  private func chooseCluster(
    _ stream: SlotRef<Stream>, _ head: MessageHead, _ route: ConfigRef<CompiledRoute>
  ) -> FilterConfigs {
    stream[].namedCluster = -1
    guard case .weighted = route[].clusterKind else {
      stream[].namedCluster = clusterPosition(named: head.value(named: route[].clusterHeader), stream[].snapshot)
      return FilterConfigs()
    }
    // Chosen once: the same entry is forwarded to.
    let entry = route.weightedEntry(stream[].random, runtime[].view)
    stream[].weightedCluster = Int32(entry)
    guard entry >= 0 else { return FilterConfigs() }
    let header = route[].weighted[entry].header
    if !header.isEmpty {
      stream[].namedCluster = clusterPosition(named: head.value(named: header), stream[].snapshot)
    }
    return route[].weighted[entry].filterConfigs
  }

  /// A filter changed what the route depends on. Those that have seen the head, up to entry `last` of their list, keep the configuration they began
  /// with: what they took of it they give back to it. False when there is no room to say so.
  private func routeAnew(
    _ s: StreamIndex, _ head: MessageHead, _ chain: ConfigRef<HTTPFilterChain>, upTo last: Int
  ) -> Bool {
    let stream = streams.ref(s)
    let old = stream[].filterConfigs
    stream[].weightedCluster = -1
    findRoute(s, head)
    let new = chosenConfigs(stream, head, chain)
    if new.isSame(as: old) { return true }
    if stream[].frame.block == .max {
      guard let block = filterBlocks[].take(chain[].image) else { return false }
      // From here on the states are there.
      unsafe filterBlocks[].address(block).copyMemory(from: states(stream), byteCount: 8 * chain[].image.count)
      stream[].frame.block = block
    }
    let seen = last < chain[].requestHead.count ? Int(chain[].requestHead[last].position) : chain[].count - 1
    stream[].filterConfigs = filterBlocks[].mix(
      stream[].frame.block, at: Int(chain[].configsOffset), old, upTo: seen, new)
    return true
  }

  /// Calls the filters of one event from entry `start` of their list on, until one does not say *go*. `call` is inlined: seventeen instructions per
  /// filter.
  @inline(__always)
  func walk<Code>(
    _ list: EventList<Code>, _ start: Int, _ stream: SlotRef<Stream>, _ call: (Code, FilterSite) -> FilterVerdict
  ) -> (verdict: FilterVerdict, entry: Int) {
    let states = unsafe states(stream)
    let configs = stream[].filterConfigs
    precondition(start >= 0 && configs.count >= list.reach)
    var i = start
    while i < list.count {
      let entry = unsafe list[unchecked: i]
      if let config = unsafe configs[unchecked: Int(entry.position)].config {
        let verdict = unsafe call(entry.code, FilterSite(states + Int(entry.offset), config, desk.address))
        if verdict != .go { return (verdict, i) }
      }
      i &+= 1
    }
    return (.go, i)
  }

  /// Where the states of a stream's filters lie.
  ///
  /// Why sound: a slot stays where it is as long as its slab, and a filter's state is not used beyond its call.
  @inline(__always)
  @unsafe func states(_ stream: SlotRef<Stream>) -> UnsafeMutableRawPointer {
    if stream[].frame.block != .max { return unsafe filterBlocks[].address(stream[].frame.block) }
    return unsafe withUnsafeMutableBytes(of: &stream[].frame.states) { unsafe $0.baseAddress.unsafelyUnwrapped }
  }

  // MARK: The request

  /// Runs the filters over a request's head. False when it is held, or the stream has ended.
  @inline(never)
  func filterRequest(
    _ s: StreamIndex, _ stream: SlotRef<Stream>, _ head: MessageHead, _ chain: ConfigRef<HTTPFilterChain>, end: Bool
  ) -> Bool {
    layDesk(s, stream)
    let (verdict, entry) = walk(chain[].requestHead, 0, stream) { code, at in code._requestHead(at, head, end) }
    if verdict == .go, desk[].marks.isEmpty { return true }
    return settle(s, stream, head, chain, end: end, verdict, at: entry)
  }

  /// The same from entry `start` of their list on.
  @inline(never)
  private func filterRequest(
    _ s: StreamIndex, _ stream: SlotRef<Stream>, _ head: MessageHead, _ chain: ConfigRef<HTTPFilterChain>, end: Bool,
    from start: Int
  ) -> Bool {
    layDesk(s, stream)
    let (verdict, entry) = walk(chain[].requestHead, start, stream) { code, at in code._requestHead(at, head, end) }
    return settle(s, stream, head, chain, end: end, verdict, at: entry)
  }

  /// A filter, the one at `entry`, has said more than *go*. False when the request does not go on.
  @inline(never)
  private func settle(
    _ s: StreamIndex, _ stream: SlotRef<Stream>, _ head: MessageHead, _ chain: ConfigRef<HTTPFilterChain>, end: Bool,
    _ verdict: FilterVerdict, at entry: Int
  ) -> Bool {
    takeNotes(stream)
    switch verdict {
    case .go: return true
    case .reroute:
      guard routeAnew(s, head, chain, upTo: entry) else {
        noRoomForFilters(s, head)
        return false
      }
      // The filters behind this one are configured by the route that is the request's now.
      return filterRequest(s, stream, head, chain, end: end, from: entry + 1)
    case .hold, .reply, .reset:
      conclude(s, head, verdict, at: entry)
      return false
    }
  }

  /// Acts on what a filter said about a request's head that is not to go on. May end the stream.
  private func conclude(_ s: StreamIndex, _ head: MessageHead, _ verdict: FilterVerdict, at entry: Int) {
    switch verdict {
    case .go, .reroute: break
    case .hold:
      streams[s].frame.heldAt = UInt8(truncatingIfNeeded: entry)
      hold(s, head)
    case .reply:
      keepForLog(s, head)
      replyOfFilter(s)
    case .reset:
      keepForLog(s, head)
      resetByFilter(s)
    }
  }

  /// The request that was held goes on at entry `start`. May end the stream.
  private func passOn(_ s: StreamIndex, _ chain: ConfigRef<HTTPFilterChain>, from start: Int) {
    let end = !replayHead.hasContent && replayHead.framing != .tunnel
    guard filterRequest(s, streams.ref(s), replayHead, chain, end: end, from: start) else { return }
    // What came during the hold: all filters have seen the head now.
    if !chain[].requestData.isEmpty, !filterWaitingContent(s, chain) { return }
    if streams[s].frame.trailersWait { filterWaitingTrailers(s, chain) }
    routed(s, replayHead)
  }

  /// Every block for filters' states is in use. Ends the stream.
  func noRoomForFilters(_ s: StreamIndex, _ head: MessageHead) {
    let stream = streams.ref(s)
    keepForLog(s, head)
    downstreams[stream[].downstream].stats?.add(.downstreamRqFilterStateOverflow)
    stream[].responseFlags.insert(.upstreamOverflow)
    localReply(s, 503, .empty, details: "filter_state_overflow", overloaded: true)
  }

  /// Answers as the desk says. Ends the stream.
  func replyOfFilter(_ s: StreamIndex) {
    let reply = desk[].reply
    dropHeldResponse(s)
    streams[s].responseFlags.formUnion(reply.flags)
    if reply.status == 413 { downstreams[streams[s].downstream].stats?.add(.downstreamRqTooLarge) }
    localReply(
      s, reply.status, reply.body, details: reply.details,
      fields: desk[].marks.contains(.replyFields) ? desk[].replyFields : nil,
      grpcStatus: reply.grpcStatus < 0 ? nil : UInt16(clamping: reply.grpcStatus))
  }

  /// Ends the stream without an answer.
  func resetByFilter(_ s: StreamIndex) {
    let stream = streams.ref(s)
    stream[].responseFlags.insert(.localReset)
    stream[].details = ByteView("filter_reset")
    abort(s, byClient: false)
  }

  // MARK: Holding

  /// Keeps the request until what its filter wished for has come. May end the stream.
  private func hold(_ s: StreamIndex, _ head: MessageHead) {
    let stream = streams.ref(s)
    let old = stream[].head
    stream[].head = StoredHead(head, pool: pool)
    // Not before all is done: `head`, and what the filter has written, may be views of it.
    defer { old?.release(to: pool) }
    stream[].frame.hold &+= 1
    stream[].frame.phase.held()
    let token = HoldToken(stream: s, hold: stream[].frame.hold)
    let wish = desk[].wish
    desk[].wish = .none
    switch wish {
    case .wait(let nanoseconds):
      stream[].frame.until = now.advanced(nanoseconds: Int64(clamping: nanoseconds))
      armStream(s)
    case .readBody(let limit):
      stream[].frame.bodyLimit = Int32(clamping: limit)
      if stream[].requestBody.unsent > limit {
        resume(token, .bodyTooLarge)
      } else if stream[].request.hasArrived || head.framing == .tunnel {
        resume(token, .body)
      } else {
        // What was held back while the stream waited for something else.
        resumeRequest(s)
      }
    case .ask(let cluster, let timeout): ask(token, cluster, timeout)
    case .none:
      // A filter that holds for nothing would hold for ever.
      resume(token, .failed)
    }
  }

  /// What a held stream waited for. Nothing happens when the stream, or that hold of it, is gone. May end the stream.
  func resume(_ token: HoldToken, _ answer: HoldAnswer) {
    let s = token.stream
    guard streams.contains(s), streams[s].frame.hold == token.hold else { return }
    switch streams[s].frame.phase {
    case .running: return
    case .held: goOn(s, answer)
    case .responseHeld: responseGoesOn(s, answer)
    }
    // Deadlines were set on the way that nobody has armed for.
    if streams.contains(s) { armStream(s) }
  }

  private func goOn(_ s: StreamIndex, _ answer: HoldAnswer) {
    let stream = streams.ref(s)
    stream[].frame.phase.released()
    stream[].frame.until = .distantFuture
    stream[].frame.bodyLimit = -1
    guard let chain = stream[].filters, let kept = stream[].head else { return }
    kept.view(in: replayHead)
    let entry = Int(stream[].frame.heldAt)
    let position = Int(chain[].requestHead[entry].position)
    guard let code = chain[].holding[position], let config = unsafe stream[].filterConfigs[position].config else {
      return passOn(s, chain, from: entry + 1)
    }
    layDesk(s, stream)
    desk[].body = stream[].requestBody.unsentView
    let verdict = unsafe code._resumed(site(s, chain, position, config), answer, replayHead)
    // A view of the stream's own buffer, which what follows may move.
    desk[].body = .empty
    takeNotes(stream)
    switch verdict {
    case .go: break
    case .reroute:
      guard routeAnew(s, replayHead, chain, upTo: entry) else { return noRoomForFilters(s, replayHead) }
    case .hold, .reply, .reset: return conclude(s, replayHead, verdict, at: entry)
    }
    passOn(s, chain, from: entry + 1)
  }

  /// Where the filter at `position` is called.
  @unsafe
  func site(
    _ s: StreamIndex, _ chain: ConfigRef<HTTPFilterChain>, _ position: Int, _ config: UnsafeRawPointer
  ) -> FilterSite {
    unsafe FilterSite(states(streams.ref(s)) + Int(chain[].offsets[position]), config, desk.address)
  }

  /// Content of a request that its filter wants to see whole. True when it was taken. May end the stream.
  func keepHeldBody(_ s: StreamIndex, _ data: ByteView) -> Bool {
    let stream = streams.ref(s)
    guard stream[].frame.bodyLimit >= 0 else { return false }
    stream[].requestBody.append(data, pool: pool)
    creditRequest(s, data.count)
    if stream[].requestBody.unsent > Int(stream[].frame.bodyLimit) {
      resume(HoldToken(stream: s, hold: stream[].frame.hold), .bodyTooLarge)
    }
    return true
  }

  /// The end of a request that a filter holds. May end the stream.
  func heldRequestEnded(_ s: StreamIndex) {
    let frame = streams[s].frame
    if frame.bodyLimit >= 0 { resume(HoldToken(stream: s, hold: frame.hold), .body) }
  }

  // MARK: The response, trailers, the end

  /// Runs the filters over a final response head, from entry `start` of their list on. False when the stream has ended, is held, or is being answered
  /// otherwise.
  @inline(__always)
  func filterResponse(
    _ s: StreamIndex, _ stream: SlotRef<Stream>, _ head: MessageHead, _ chain: ConfigRef<HTTPFilterChain>, end: Bool,
    from start: Int = 0
  ) -> Bool {
    if start >= chain[].responseHead.count { return true }
    layDesk(s, stream)
    let (verdict, entry) = walk(chain[].responseHead, start, stream) { code, at in code._responseHead(at, head, end) }
    if verdict == .go, desk[].marks.isEmpty { return true }
    return settle(s, stream, response: head, chain, end: end, verdict, at: entry)
  }

  /// A filter has said more than *go*. False when the response does not go on.
  @inline(never)
  private func settle(
    _ s: StreamIndex, _ stream: SlotRef<Stream>, response head: MessageHead, _ chain: ConfigRef<HTTPFilterChain>,
    end: Bool, _ verdict: FilterVerdict, at entry: Int
  ) -> Bool {
    takeNotes(stream)
    switch verdict {
    case .go: return true
    case .reply where !stream[].flags.contains(.localReply):
      replyOfFilter(s)
      return false
    case .hold where !stream[].flags.contains(.localReply) && !stream[].tunnel.isOpen && stream[].codec == nil:
      stream[].frame.heldAt = UInt8(truncatingIfNeeded: entry)
      holdResponse(s, head)
      return false
    case .reset:
      resetByFilter(s)
      return false
    case .reply, .hold, .reroute:
      // A reply to a reply would have no end, who talks in a tunnel waits for nobody, messages of a codec share their connections, which a held one
      // would stop, and the request has been routed: the next filter's turn.
      desk[].wish = .none
      return filterResponse(s, stream, head, chain, end: end, from: entry + 1)
    }
  }

  /// What filters have noted for the log.
  @inline(__always)
  func takeNotes(_ stream: SlotRef<Stream>) {
    if desk[].marks.contains(.noted) { stream[].responseFlags.formUnion(desk[].flags) }
  }

  func filterTrailers(_ s: StreamIndex, request trailers: MessageHead, _ chain: ConfigRef<HTTPFilterChain>) {
    if chain[].requestTrailers.isEmpty { return }
    if streams[s].frame.phase == .held {
      // Filters behind the one that holds have not seen the head yet; all see the trailers when they have.
      streams[s].frame.trailersWait = true
      return
    }
    let stream = streams.ref(s)
    layDesk(s, stream)
    _ = walk(chain[].requestTrailers, 0, stream) { code, at in
      code._requestTrailers(at, trailers)
      return .go
    }
  }

  /// The trailers came while a filter held the stream; now all filters have seen the head.
  private func filterWaitingTrailers(_ s: StreamIndex, _ chain: ConfigRef<HTTPFilterChain>) {
    let stream = streams.ref(s)
    stream[].frame.trailersWait = false
    guard let kept = stream[].requestTrailers else { return }
    kept.view(in: trailerHead)
    filterTrailers(s, request: trailerHead, chain)
    stream[].requestTrailers = StoredHead(trailerHead, pool: pool)
    kept.release(to: pool)
  }

  func filterTrailers(_ s: StreamIndex, response trailers: MessageHead, _ chain: ConfigRef<HTTPFilterChain>) {
    if chain[].responseTrailers.isEmpty { return }
    let stream = streams.ref(s)
    layDesk(s, stream)
    _ = walk(chain[].responseTrailers, 0, stream) { code, at in
      code._responseTrailers(at, trailers)
      return .go
    }
  }

  /// The stream ends: what its filters have is given back (`FilterFrame.owes`).
  func endFilters(_ s: StreamIndex, _ chain: ConfigRef<HTTPFilterChain>) {
    let stream = streams.ref(s)
    if stream[].frame.hearsEnd, !chain[].streamEnd.isEmpty {
      layDesk(s, stream)
      _ = walk(chain[].streamEnd, 0, stream) { code, at in
        code._streamEnded(at)
        return .go
      }
    }
    if stream[].frame.block != .max { filterBlocks[].give(stream[].frame.block) }
    if stream[].frame.keepsBytes, var kept = keptBytes[].removeValue(forKey: s.index) { kept.release(to: pool) }
    if stream[].frame.isPaced { paces[].removeValue(forKey: s.index) }
    stream[].frame = FilterFrame()
  }
}

// MARK: What filters have done by the engine

extension WorkerEngine: FilterHost {
  /// Lends the engine that the desk names. *Cost*: no reference is counted.
  ///
  /// Why sound: it outlives its desk, and the call.
  @inline(__always)
  @unsafe static func lend<R>(_ pointer: UnsafeMutableRawPointer, _ body: (WorkerEngine) -> R) -> R {
    unsafe Unmanaged<WorkerEngine>.fromOpaque(pointer)._withUnsafeGuaranteedRef(body)
  }

  package static func _apply(
    _ engine: UnsafeMutableRawPointer, _ stream: StreamIndex, _ changes: ConstantTable<CompiledHeaderChange>,
    _ head: MessageHead, of request: MessageHead?, isResponse: Bool
  ) {
    unsafe lend(engine) { own in
      own.apply(changes, to: head, stream, of: request, response: isResponse ? head : nil)
    }
  }

  package static func _value(
    _ engine: UnsafeMutableRawPointer, _ stream: StreamIndex, _ change: CompiledHeaderChange, of request: MessageHead
  ) -> ByteView {
    guard let format = change.format else { return change.value }
    return unsafe lend(engine) { own in
      own.scratch[].removeAll()
      format.appendHeaderValue(from: own.source(stream, of: request, response: nil), to: &own.scratch[])
      return request.copy(own.scratch[].view)
    }
  }

  package static func _requestField(
    _ engine: UnsafeMutableRawPointer, _ stream: StreamIndex, _ name: ByteView
  ) -> ByteView? {
    unsafe lend(engine) { own in
      guard let kept = own.streams[stream].head else { return nil }
      kept.view(in: own.replayHead)
      return own.replayHead.first(named: name)
    }
  }

  package static func _remoteAddress(
    _ engine: UnsafeMutableRawPointer, _ stream: StreamIndex, _ scratch: MessageHead
  ) -> ByteView {
    unsafe lend(engine) { own in
      let slot = own.streams.ref(stream)
      own.scratch[].removeAll()
      (slot[].remote ?? own.downstreams[slot[].downstream].peer.ip).write(to: &own.scratch[])
      return scratch.copy(own.scratch[].view)
    }
  }

  package static func _routeCluster(_ engine: UnsafeMutableRawPointer, _ stream: StreamIndex) -> ByteView {
    let slot = unsafe lend(engine) { own in own.streams.ref(stream) }
    guard let route = slot[].route else { return .empty }
    if slot[].namedCluster >= 0 {
      return unsafe lend(engine) { own in
        let state = own.routeCluster(stream)
        return state.isNone ? .empty : own.clusters[state].config[].name
      }
    }
    switch route[].clusterKind {
    case .fixed: return route[].clusterName
    case .weighted:
      let entry = Int(slot[].weightedCluster)
      return entry >= 0 ? route[].weighted[entry].name : .empty
    case .header: return .empty
    }
  }

  /// The cluster that the stream's route names, whether or not the stream got as far.
  func routeCluster(_ stream: StreamIndex) -> ClusterIndex {
    let slot = streams.ref(stream)
    guard let route = slot[].route else { return .none }
    var position = route[].cluster
    if case .weighted = route[].clusterKind {
      let entry = Int(slot[].weightedCluster)
      position = entry >= 0 ? route[].weighted[entry].cluster : -1
    }
    if slot[].namedCluster >= 0 { position = slot[].namedCluster }
    return clusterState(slot[].snapshot, position)
  }

  package static func _countAtRouteCluster(_ engine: UnsafeMutableRawPointer, _ stream: StreamIndex, _ status: UInt16) {
    unsafe lend(engine) { own in
      let state = own.routeCluster(stream)
      if state.isNone { return }
      own.clusters[state].stats.add(.upstreamRqCompleted)
      own.clusters[state].stats.add(ClusterMetric.codeClass(status))
      own.clusters[state].stats.countStatus(status)
    }
  }

  package static func _hearEnd(_ engine: UnsafeMutableRawPointer, _ stream: StreamIndex) {
    unsafe lend(engine) { own in
      own.streams[stream].frame.hearsEnd = true
    }
  }

  package static func _keep(
    _ engine: UnsafeMutableRawPointer, _ stream: StreamIndex, _ bytes: ByteView
  ) -> KeptBytes {
    unsafe lend(engine) { own in
      own.streams[stream].frame.keepsBytes = true
      var buffer = own.keptBytes[][stream.index] ?? StreamBuffer()
      let place = KeptBytes(offset: UInt32(clamping: buffer.count), count: UInt32(clamping: bytes.count))
      buffer.append(bytes, pool: own.pool)
      own.keptBytes[][stream.index] = buffer
      return place
    }
  }

  package static func _kept(
    _ engine: UnsafeMutableRawPointer, _ stream: StreamIndex, _ bytes: KeptBytes
  ) -> ByteView {
    unsafe lend(engine) { own in
      guard let buffer = own.keptBytes[][stream.index] else { return .empty }
      let (offset, count) = (Int(bytes.offset), Int(bytes.count))
      guard offset + count <= buffer.unsent else { return .empty }
      return buffer.unsentView[offset..<offset + count]
    }
  }

  package static func _connection(
    _ engine: UnsafeMutableRawPointer, _ stream: StreamIndex, _ scratch: MessageHead
  ) -> ConnectionEnds {
    unsafe lend(engine) { own in
      let slot = own.streams.ref(stream)
      let client = own.downstreams.ref(slot[].downstream)
      var facts = ConnectionEnds()
      (facts.peer, facts.peerPort, facts.peerIsPath) = own.text(client[].peer, in: scratch)
      (facts.local, facts.localPort, facts.localIsPath) = own.text(client[].local, in: scratch)
      facts.version = client[].kind == .http2 ? .http2 : slot[].flags.contains(.clientHTTP10) ? .http10 : .http11
      facts.number = stream.rawValue
      facts.startUnixNanoseconds =
        own.wallClock() &- Int64(clamping: own.now.nanoseconds &- slot[].started.nanoseconds)
      facts.bytesReceived = slot[].bytesReceived
      guard client[].transport.isSecure, let session = own.loop.transport(client[].connection) else { return facts }
      facts.isSecure = true
      facts.serverName = session.serverName.withByteView { scratch.copy($0) }
      guard let session = session as? TLSSession else { return facts }
      if client[].hasVerifiedCertificate, let peer = session.peerCertificate() {
        let name = peer.uri ?? peer.subjectAltNames.first { $0.kind == .dns }?.text ?? peer.subject
        facts.peerPrincipal = name.withByteView { scratch.copy($0) }
      }
      if let own = session.localURIs().first { facts.localPrincipal = own.withByteView { scratch.copy($0) } }
      return facts
    }
  }

  private func text(_ address: SocketAddress, in scratch: MessageHead) -> (ByteView, UInt16, isPath: Bool) {
    if let path = address.unixPath { return (path.withByteView { scratch.copy($0) }, 0, true) }
    self.scratch[].removeAll()
    address.ip.write(to: &self.scratch[])
    return (scratch.copy(self.scratch[].view), address.port, false)
  }
}
