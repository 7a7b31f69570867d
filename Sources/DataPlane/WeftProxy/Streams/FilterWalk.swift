// FilterWalk: the filters of a stream are called here, held and resumed.
//
// A chain without filters is no chain (`Stream.filters` is nil): what it costs is that one look per event. *Who may end the stream*: each of these
// functions that says so; a filter itself never calls the engine, it leaves a wish on the desk.

package import WeftBase
package import WeftHTTP
import WeftModel
package import WeftProxyAPI
import WeftRuntime
package import WeftTelemetry
import WeftUpstream

extension WorkerEngine {
  /// Lays out what the stream's filters will see.
  private func layDesk(_ s: SlabIndex) {
    let stream = streams.ref(s)
    let secure = downstreams[stream[].downstream].flags.contains(.secure)
    desk[].now = now
    desk[].random = stream[].random
    desk[].stream = s
    desk[].isSecure = secure
    desk[].isGRPC = stream[].flags.contains(.isGRPC)
    desk[].reply.hasFields = false
    desk[].wish = .none
    desk[].callHead.reset()
    desk[].body = .empty
    desk[].routeIsStale = false
    desk[].flags = ResponseFlags()
    desk[].routeCluster = .empty
    guard let route = stream[].route else { return }
    switch route[].clusterKind {
    case .fixed: desk[].routeCluster = route[].clusterName
    case .weighted:
      let entry = route[].weightedEntry(stream[].random)
      if entry >= 0 { desk[].routeCluster = route[].weighted[entry].name }
    case .header: break
    }
  }

  /// Takes up the chain for a stream that begins. False when there is no room for its state.
  func takeFilters(_ s: SlabIndex, _ chain: ConfigRef<HTTPFilterChain>) -> Bool {
    let stream = streams.ref(s)
    if !chain[].image.isEmpty {
      guard let block = filterBlocks[].take(chain[].image) else { return false }
      stream[].frame.block = block
    }
    stream[].filters = chain
    stream[].routes = downstreams[stream[].downstream].manager?[].routes
    chooseFilterConfigs(s, chain)
    return true
  }

  /// The configuration of the filters as the stream's route has it: the weighted cluster's, else the route's, else the chain's.
  private func chooseFilterConfigs(_ s: SlabIndex, _ chain: ConfigRef<HTTPFilterChain>) {
    let stream = streams.ref(s)
    stream[].filterConfigs = chain[].configs
    guard let route = stream[].route else { return }
    if !route[].filterConfigs.isEmpty { stream[].filterConfigs = route[].filterConfigs }
    if route[].clusterKind == .weighted {
      let entry = route[].weightedEntry(stream[].random)
      if entry >= 0, !route[].weighted[entry].filterConfigs.isEmpty {
        stream[].filterConfigs = route[].weighted[entry].filterConfigs
      }
    }
  }

  /// Calls the filters of one event from entry `start` on, until one does not say *go*. `call` is inlined: twenty instructions per filter.
  @inline(__always)
  private func walk<Code>(
    _ list: EventList<Code>, _ start: Int, _ s: SlabIndex, _ call: (Code, FilterSite) -> FilterVerdict
  ) -> (verdict: FilterVerdict, entry: Int) {
    let stream = streams.ref(s)
    let block =
      unsafe stream[].frame.block == .max
      ? UnsafeMutableRawPointer(desk.address) : filterBlocks[].address(stream[].frame.block)
    let configs = stream[].filterConfigs
    var i = start
    while i < list.count {
      let entry = list[i]
      if let config = unsafe configs[Int(entry.position)].config {
        let verdict = unsafe call(entry.code, FilterSite(block + Int(entry.offset), config, desk.address))
        if verdict != .go { return (verdict, i) }
      }
      i &+= 1
    }
    return (.go, i)
  }

  // MARK: The request

  /// Runs the filters over a request's head, from entry `start` of their list on, and acts on what they say. May end the stream.
  func filterRequest(_ s: SlabIndex, _ head: MessageHead, _ chain: ConfigRef<HTTPFilterChain>, from start: Int = 0) {
    layDesk(s)
    let end = !head.hasContent && head.framing != .tunnel
    let (verdict, entry) = walk(chain[].requestHead, start, s) { code, at in code._requestHead(at, head, end) }
    conclude(s, head, chain, verdict, at: entry)
  }

  /// What a filter said about a request's head. May end the stream.
  private func conclude(
    _ s: SlabIndex, _ head: MessageHead, _ chain: ConfigRef<HTTPFilterChain>, _ verdict: FilterVerdict, at entry: Int
  ) {
    let stream = streams.ref(s)
    stream[].responseFlags.formUnion(desk[].flags)
    if desk[].routeIsStale {
      findRoute(s, head)
      chooseFilterConfigs(s, chain)
    }
    switch verdict {
    case .go: routed(s, head)
    case .hold:
      stream[].frame.heldAt = UInt8(truncatingIfNeeded: entry)
      hold(s, head)
    case .reply:
      keepForLog(s, head)
      replyOfFilter(s)
    case .reset:
      keepForLog(s, head)
      stream[].responseFlags.insert(.localReset)
      stream[].details = ByteView("filter_reset")
      abort(s, byClient: false)
    }
  }

  /// Answers as the desk says. Ends the stream.
  private func replyOfFilter(_ s: SlabIndex) {
    let reply = desk[].reply
    streams[s].responseFlags.formUnion(reply.flags)
    localReply(
      s, reply.status, reply.body, details: reply.details,
      fields: reply.hasFields ? desk[].replyFields : nil,
      grpcStatus: reply.grpcStatus < 0 ? nil : UInt16(clamping: reply.grpcStatus))
  }

  // MARK: Holding

  /// Keeps the request until what its filter wished for has come. May end the stream.
  private func hold(_ s: SlabIndex, _ head: MessageHead) {
    let stream = streams.ref(s)
    let old = stream[].head
    stream[].head = StoredHead(head, pool: pool)
    // Not before all is done: `head`, and what the filter has written, may be views of it.
    defer { old?.release(to: pool) }
    stream[].frame.hold &+= 1
    stream[].frame.phase = .held
    let token = HoldToken(stream: s, hold: stream[].frame.hold)
    switch desk[].wish {
    case .wait(let nanoseconds):
      stream[].frame.until = now.advanced(nanoseconds: Int64(clamping: nanoseconds))
      armStream(s)
    case .readBody(let limit):
      stream[].frame.bodyLimit = Int32(clamping: limit)
      if stream[].requestBody.unsent > limit {
        resume(token, .bodyTooLarge)
      } else if stream[].flags.contains(.requestEnded) || head.framing == .tunnel {
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
    guard streams.contains(s), streams[s].frame.phase == .held, streams[s].frame.hold == token.hold else { return }
    goOn(s, answer)
    // Deadlines were set on the way that nobody has armed for.
    if streams.contains(s) { armStream(s) }
  }

  private func goOn(_ s: SlabIndex, _ answer: HoldAnswer) {
    let stream = streams.ref(s)
    stream[].frame.phase = .running
    stream[].frame.until = .distantFuture
    stream[].frame.bodyLimit = -1
    guard let chain = stream[].filters, let kept = stream[].head else { return }
    kept.view(in: replayHead)
    let entry = Int(stream[].frame.heldAt)
    let position = Int(chain[].requestHead[entry].position)
    guard let code = chain[].holding[position], let config = unsafe stream[].filterConfigs[position].config else {
      return filterRequest(s, replayHead, chain, from: entry + 1)
    }
    layDesk(s)
    desk[].body = stream[].requestBody.unsentView
    let block =
      unsafe stream[].frame.block == .max
      ? UnsafeMutableRawPointer(desk.address) : filterBlocks[].address(stream[].frame.block)
    let site = unsafe FilterSite(block + Int(chain[].offsets[position]), config, desk.address)
    let verdict = code._resumed(site, answer, replayHead)
    if verdict == .go {
      stream[].responseFlags.formUnion(desk[].flags)
      if desk[].routeIsStale {
        findRoute(s, replayHead)
        chooseFilterConfigs(s, chain)
      }
      return filterRequest(s, replayHead, chain, from: entry + 1)
    }
    conclude(s, replayHead, chain, verdict, at: entry)
  }

  /// Content of a request that its filter wants to see whole. True when it was taken. May end the stream.
  func keepHeldBody(_ s: SlabIndex, _ data: ByteView) -> Bool {
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
  func heldRequestEnded(_ s: SlabIndex) {
    let frame = streams[s].frame
    if frame.bodyLimit >= 0 { resume(HoldToken(stream: s, hold: frame.hold), .body) }
  }

  // MARK: The response, trailers, the end

  /// Runs the filters over a final response head. False when the stream has ended or is being answered otherwise.
  func filterResponse(_ s: SlabIndex, _ head: MessageHead, _ chain: ConfigRef<HTTPFilterChain>, end: Bool) -> Bool {
    let list = chain[].responseHead
    if list.isEmpty { return true }
    let stream = streams.ref(s)
    var start = 0
    while true {
      layDesk(s)
      let (verdict, entry) = walk(list, start, s) { code, at in code._responseHead(at, head, end) }
      stream[].responseFlags.formUnion(desk[].flags)
      switch verdict {
      case .go: return true
      case .reply where !stream[].flags.contains(.localReply):
        replyOfFilter(s)
        return false
      case .reset:
        stream[].responseFlags.insert(.localReset)
        stream[].details = ByteView("filter_reset")
        abort(s, byClient: false)
        return false
      case .reply, .hold:
        // A reply to a reply would have no end, and a response is not held: the next filter's turn.
        start = entry + 1
      }
    }
  }

  func filterTrailers(_ s: SlabIndex, request trailers: MessageHead, _ chain: ConfigRef<HTTPFilterChain>) {
    if chain[].requestTrailers.isEmpty { return }
    layDesk(s)
    _ = walk(chain[].requestTrailers, 0, s) { code, at in
      code._requestTrailers(at, trailers)
      return .go
    }
  }

  func filterTrailers(_ s: SlabIndex, response trailers: MessageHead, _ chain: ConfigRef<HTTPFilterChain>) {
    if chain[].responseTrailers.isEmpty { return }
    layDesk(s)
    _ = walk(chain[].responseTrailers, 0, s) { code, at in
      code._responseTrailers(at, trailers)
      return .go
    }
  }

  /// The stream ends: its filters give back what they took.
  func endFilters(_ s: SlabIndex, _ chain: ConfigRef<HTTPFilterChain>) {
    let stream = streams.ref(s)
    if !chain[].streamEnd.isEmpty {
      layDesk(s)
      _ = walk(chain[].streamEnd, 0, s) { code, at in
        code._streamEnded(at)
        return .go
      }
    }
    if stream[].frame.block != .max { filterBlocks[].give(stream[].frame.block) }
    stream[].frame.block = .max
    stream[].frame.phase = .running
    stream[].filters = nil
  }
}

// MARK: What filters have done by the engine

extension WorkerEngine: FilterHost {
  /// Why sound: the desk names its engine, which outlives it, and lends it for the length of a call.
  @unsafe private static func engine(_ pointer: UnsafeMutableRawPointer) -> WorkerEngine {
    unsafe Unmanaged<WorkerEngine>.fromOpaque(pointer).takeUnretainedValue()
  }

  package static func _apply(
    _ engine: UnsafeMutableRawPointer, _ stream: SlabIndex, _ changes: ConstantTable<CompiledHeaderChange>,
    _ head: MessageHead, isResponse: Bool
  ) {
    let own = unsafe Self.engine(engine)
    own.apply(changes, to: head, stream, response: isResponse ? head : nil)
  }

  package static func _requestField(
    _ engine: UnsafeMutableRawPointer, _ stream: SlabIndex, _ name: ByteView
  ) -> ByteView? {
    let own = unsafe Self.engine(engine)
    guard let kept = own.streams[stream].head else { return nil }
    kept.view(in: own.replayHead)
    return own.replayHead.first(named: name)
  }

  package static func _remoteAddress(
    _ engine: UnsafeMutableRawPointer, _ stream: SlabIndex, _ scratch: MessageHead
  ) -> ByteView {
    let own = unsafe Self.engine(engine)
    let slot = own.streams.ref(stream)
    own.scratch[].removeAll()
    (slot[].remote ?? own.downstreams[slot[].downstream].peer.ip).write(to: &own.scratch[])
    return scratch.copy(own.scratch[].view)
  }
}
