// Route: from a canonical head to an attempt at an endpoint.

import WeftBase
import WeftHTTP
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTables
import WeftTelemetry
import WeftUpstream

extension WorkerEngine {
  /// Finds the route of a request, runs its filters, and acts on the route that is then its. May end the stream.
  func route(_ s: StreamIndex, _ head: MessageHead) {
    let stream = streams.ref(s)
    let slot = downstreams.ref(stream[].downstream)
    guard let manager = slot[].manager else { return }
    stream[].route = found(head, stream, slot, manager)
    var filters = manager[].filters
    if stream[].tunnel.isAsked, !manager[].upgradeFilters.isEmpty {
      filters = self.filters(of: stream[].tunnel, head, manager, stream[].route)
    }
    if let chain = filters {
      guard takeFilters(stream, head, chain, manager) else { return noRoomForFilters(s, head) }
      let end = !head.hasContent && head.framing != .tunnel
      guard filterRequest(s, stream, head, chain, end: end) else { return }
    }
    act(s, head, stream, slot, manager)
  }

  /// Looks the request's route up again, as its head stands now. None leaves `Stream.route` nil.
  func findRoute(_ s: StreamIndex, _ head: MessageHead) {
    let stream = streams.ref(s)
    let slot = downstreams.ref(stream[].downstream)
    guard let manager = slot[].manager else { return }
    stream[].route = found(head, stream, slot, manager)
  }

  @inline(__always)
  private func found(
    _ head: MessageHead, _ stream: SlotRef<Stream>, _ slot: SlotRef<DownstreamConnection>,
    _ manager: ConfigRef<CompiledHTTPManager>
  ) -> ConfigRef<CompiledRoute>? {
    var input = RouteInput(random: stream[].random, isSecure: head.scheme.equals("https"))
    input.runtime = runtime[].view
    input.clientCertificatePresented = slot[].presentsCertificate
    input.clientCertificateValidated = slot[].hasVerifiedCertificate
    // A stream that was held keeps the table of its own configuration, whatever its connection has gone on to.
    let table = stream[].routes ?? manager[].routes
    let position = table[].match(head, input)
    return position >= 0 ? table[].routes[Int(position)] : nil
  }

  /// The filters of a request that was held are through: acts on the route. May end the stream.
  func routed(_ s: StreamIndex, _ head: MessageHead) {
    let stream = streams.ref(s)
    let slot = downstreams.ref(stream[].downstream)
    guard let manager = slot[].manager else { return }
    act(s, head, stream, slot, manager)
  }

  /// Once per request, filtered or not: its two callers have looked the slots up already.
  @inline(__always)
  private func act(
    _ s: StreamIndex, _ head: MessageHead, _ stream: SlotRef<Stream>, _ slot: SlotRef<DownstreamConnection>,
    _ manager: ConfigRef<CompiledHTTPManager>
  ) {
    guard let route = stream[].route else {
      slot[].stats?.add(.noRoute)
      keepForLog(s, head)
      stream[].responseFlags.insert(.noRouteFound)
      if isMisdirected(head, slot, manager[].routes) {
        return localReply(s, 421, .empty, details: "misdirected_request")
      }
      return localReply(s, 404, .empty, details: "route_not_found")
    }
    slot[].stats?.add(.rqTotal)
    if manager[].upstreamFilters != nil { stream[].flags.insert(.filtersAttempts) }
    if stream[].tunnel.isAsked {
      guard allowsTunnel(stream[].tunnel, head, manager, route) else {
        slot[].stats?.add(.downstreamRqWSOnNonWSRoute)
        keepForLog(s, head)
        return localReply(s, 403, .empty, details: "upgrade_failed")
      }
      countUpgrade(s)
    }
    switch route[].action {
    case .forward: forward(s, head, route)
    case .redirect:
      slot[].stats?.add(.rqRedirect)
      keepForLog(s, head)
      redirect(s, head, route)
    case .respond:
      slot[].stats?.add(.rqDirectResponse)
      keepForLog(s, head)
      localReply(s, route[].status, route[].body, details: "direct_response")
    case .none:
      keepForLog(s, head)
      stream[].responseFlags.insert(.noRouteFound)
      localReply(s, 404, .empty, details: "route_not_found")
    }
  }

  /// Whether a connection that was made for one name of its certificate is used for another one, which may well be served on a connection of
  /// its own: browsers do that with HTTP/2. 421 makes them try again there; Envoy's 404 they show. *Source*: RFC 9110, 15.5.20.
  private func isMisdirected(
    _ head: MessageHead, _ slot: SlotRef<DownstreamConnection>, _ table: ConfigRef<RouteTable>
  ) -> Bool {
    guard slot[].transport.isSecure, !table[].knowsHost(of: head),
      let name = loop.transport(slot[].connection)?.serverName, !name.isEmpty
    else { return false }
    return name.withByteView { !$0.equalsIgnoringCase(head.authority.withoutPort) }
  }

  /// The log shows requests that were never forwarded, too.
  func keepForLog(_ s: StreamIndex, _ head: MessageHead) {
    let stream = streams.ref(s)
    guard stream[].head == nil else { return }
    let isLogged = downstreams[stream[].downstream].manager?[].hasAccessLogs ?? false
    // The filters of the answer may ask for the request, too.
    guard isLogged || !(stream[].filters?[].responseHead.isEmpty ?? true) else { return }
    stream[].head = StoredHead(head, pool: pool)
  }

  private func redirect(_ s: StreamIndex, _ head: MessageHead, _ route: ConfigRef<CompiledRoute>) {
    let location = route.location(head)
    // The location lies in the request's arena; the reply copies it into its own head before that is reused.
    localReply(s, route[].status, .empty, details: "direct_response", location: location)
  }

  private func forward(_ s: StreamIndex, _ head: MessageHead, _ route: ConfigRef<CompiledRoute>) {
    let stream = streams.ref(s)
    let slot = downstreams.ref(stream[].downstream)
    var position = route[].cluster
    var entryHost = ByteView.empty
    switch route[].clusterKind {
    case .fixed: break
    case .weighted:
      let entry =
        stream[].weightedCluster >= 0
        ? Int(stream[].weightedCluster) : route.weightedEntry(stream[].random, runtime[].view)
      guard entry >= 0 else {
        position = -1
        break
      }
      stream[].weightedCluster = Int32(entry)
      position = route[].weighted[entry].cluster
      entryHost = route[].weighted[entry].hostRewrite
      let header = route[].weighted[entry].header
      if !header.isEmpty { position = clusterPosition(named: head.value(named: header), stream[].snapshot) }
    case .header:
      position = clusterPosition(named: head.value(named: route[].clusterHeader), stream[].snapshot)
    }
    let state = clusterState(stream[].snapshot, position)
    guard !state.isNone else {
      slot[].stats?.add(.noCluster)
      keepForLog(s, head)
      stream[].responseFlags.insert(.noClusterFound)
      return localReply(s, route[].clusterNotFoundStatus, .empty, details: "cluster_not_found")
    }
    stream[].cluster = state
    clusters[state].activeRequests += 1
    if clusters[state].maintenanceShare > 0, random() % 1_000_000 < UInt64(clusters[state].maintenanceShare) {
      return refuseForMaintenance(s, head)
    }

    if route[].idleTimeout != .max { stream[].idleTimeout = route[].idleTimeout }
    if route[].maxStreamDuration != .max {
      stream[].lifeDeadline =
        route[].maxStreamDuration == 0
        ? .distantFuture : stream[].started.advanced(nanoseconds: Int64(clamping: route[].maxStreamDuration))
    }
    setTimeouts(s, head, route)
    changeRequest(s, head, route, entryHost: entryHost)
    rewrite(head, route, s)
    // Of the request as the route has changed it.
    if clusters[state].hashes { takeHash(s, head, route) }
    setRetries(s, head, route)
    // A head is kept while it may be needed again: for another attempt, while waiting, or for the log.
    let flags = stream[].flags
    if flags.contains(.hasRetryPolicy) || (flags.contains(.idempotent) && !flags.contains(.isGRPC)), head.hasContent,
      !stream[].tunnel.isAsked
    {
      stream[].bodyCopy.keep()
    }
    // The stream's timer is armed when the request has been begun.
    if !head.hasContent || head.framing == .tunnel || stream[].request.hasArrived { setTotalDeadline(s) }
    // `head` may be a view of the one that was kept while a filter held the stream.
    let old = stream[].head
    stream[].head = StoredHead(head, pool: pool)
    let mirrors = clusters[state].config[].mirrors.isEmpty ? route[].mirrors : clusters[state].config[].mirrors
    if mirrors.isEmpty || stream[].tunnel.isAsked || stream[].codec != nil {
      attempt(s, head)
    } else {
      forwardMirrored(s, head, mirrors)
    }
    old?.release(to: pool)
  }

  /// The runtime says that the cluster is not to be asked. May end the stream.
  private func refuseForMaintenance(_ s: StreamIndex, _ head: MessageHead) {
    keepForLog(s, head)
    streams[s].responseFlags.insert(.upstreamOverflow)
    clusters[streams[s].cluster].stats.add(.upstreamRqMaintenanceMode)
    localReply(s, 503, ByteView("maintenance mode"), details: "maintenance_mode", overloaded: true)
  }

  /// Path and host as the route rewrites them. What was there before stays visible in `x-envoy-original-path` and `x-envoy-original-host`.
  private func rewrite(_ head: MessageHead, _ route: ConfigRef<CompiledRoute>, _ s: StreamIndex) {
    // By cases: `==` of another module's enums is a call.
    switch route[].pathRewrite {
    case .none: break
    case .prefix, .regex:
      if let path = route.rewrittenPath(head) {
        if !suppressesEnvoyHeaders(s) { head.set(.envoyOriginalPath, head.path) }
        head.path = path
      }
    }
    switch route[].hostRewrite {
    case .none, .automatic: break
    case .literal, .header, .pathRegex:
      if let host = route.rewrittenHost(head, endpoint: .empty), !host.isEmpty { replaceHost(s, head, host, route) }
    }
  }

  private func suppressesEnvoyHeaders(_ s: StreamIndex) -> Bool {
    downstreams[streams[owner(of: s)].downstream].manager?[].suppressesEnvoyHeaders ?? false
  }

  /// What is added may name path and host as they came; to what the route adds, a weighted entry's host counts as that.
  private func changeRequest(
    _ s: StreamIndex, _ head: MessageHead, _ route: ConfigRef<CompiledRoute>, entryHost: ByteView
  ) {
    let entry = Int(streams[s].weightedCluster)
    if entry >= 0, !route[].entryChangesLast { apply(route[].weighted[entry].requestChanges, to: head, s) }
    if !entryHost.isEmpty { head.authority = entryHost }
    apply(route[].requestChanges, to: head, s)
    if entry >= 0, route[].entryChangesLast { apply(route[].weighted[entry].requestChanges, to: head, s) }
  }

  /// The cluster that a request names itself.
  func clusterPosition(named name: ByteView?, _ snapshot: UInt32) -> Int32 {
    guard let name else { return -1 }
    return ClusterPositions.position(of: name, in: configuration[].uses[Int(snapshot)].names)
  }

  /// The name of the last attempt's endpoint as the authority, where the route asks for it.
  func rewriteHostAutomatically(_ s: StreamIndex, _ head: MessageHead) {
    let stream = streams.ref(s)
    guard let route = stream[].route, case .automatic = route[].hostRewrite else { return }
    let name = endpointName(stream)
    if !name.isEmpty { replaceHost(s, head, name, route) }
  }

  /// The name of the last attempt's endpoint; empty when it has none, or is no member of its cluster any more.
  func endpointName(_ stream: SlotRef<Stream>) -> ByteView {
    let host = stream[].host.isNone ? stream[].tried.last : stream[].host
    guard !host.isNone, hosts.contains(host) else { return .empty }
    let position = Int(hosts[host].position)
    let config = clusters[stream[].cluster].config
    return position >= 0 && position < config[].endpoints.count ? config[].endpoints[position].hostname : .empty
  }

  private func replaceHost(
    _ s: StreamIndex, _ head: MessageHead, _ host: ByteView, _ route: ConfigRef<CompiledRoute>
  ) {
    if !suppressesEnvoyHeaders(s) { head.set(.envoyOriginalHost, head.authority) }
    if route[].appendsForwardedHost {
      head.appendJoined(.forwardedHost, separator: ByteView(","), head.authority)
    }
    head.authority = host
  }

  /// The route's total time-out runs from the end of the request.
  func startTotalTimeout(_ s: StreamIndex) {
    if setTotalDeadline(s) { armStream(s) }
  }

  @discardableResult
  func setTotalDeadline(_ s: StreamIndex) -> Bool {
    let stream = streams.ref(s)
    guard stream[].timeout > 0, stream[].totalDeadline == .distantFuture, !stream[].response.hasArrived
    else {
      return false
    }
    stream[].totalDeadline = now.advanced(nanoseconds: Int64(clamping: stream[].timeout))
    return true
  }

  // MARK: An attempt

  /// Sends the request in `head` to an endpoint, or queues it for a connection. May end the stream.
  func attempt(_ s: StreamIndex, _ head: MessageHead) {
    let stream = streams.ref(s)
    let state = clusters.ref(stream[].cluster)
    if state[].config[].filters != nil { stream[].flags.insert(.filtersAttempts) }
    if state[].hasOutlierDetection { refreshEjections(stream[].cluster) }
    // A backup at the host that does not answer would be of no use.
    let avoid =
      stream[].attempts > 0
      && (stream[].race == .backup || stream[].route?[].retryRules?.avoidsPreviousHosts ?? false)
    let omitsCanaries = stream[].attempts > 0 && stream[].route?[].retryRules?.omitsCanaries ?? false
    var h: HostIndex
    if state[].config[].isOriginalDestination {
      let d = stream[].downstream
      guard let host = originalDestinationHost(stream[].cluster, downstreams[d].local) else {
        state[].stats.add(.originalDestinationHostInvalid)
        return noHost(s)
      }
      h = host
    } else {
      let excluded = excludedPriorities(stream, state)
      let pick = state[].balancer[].pick(
        hash: stream[].hash.value, random: &turn[].random,
        avoiding: avoid ? stream[].tried.positions(in: hosts) : TriedHosts(),
        attempts: avoid || omitsCanaries ? hostAttempts(stream) : 1,
        leavingOut: excluded, omittingCanaries: omitsCanaries
      )
      if !excluded.isEmpty { orderTables(stream[].cluster) }
      guard case .host(let position, let panicking) = pick else {
        state[].stats.add(.upstreamCxNoneHealthy)
        return noHost(s)
      }
      if panicking { state[].stats.add(.lbHealthyPanic) }
      state[].balancer[].started(position)
      h = state[].members[].hosts[Int(position)]
      stream[].tried.insert(h)
    }
    if state[].config[].keepsApart || !connectionOrigins[].isEmpty {
      guard let part = pool(h, for: s, head) else {
        if hosts[h].position >= 0 { state[].balancer[].finished(hosts[h].position) }
        stream[].responseFlags.insert(.noHealthyUpstream)
        return localReply(s, 503, ByteView("no healthy upstream"), details: "upstream_server_name_unusable")
      }
      h = part
    }
    let host = hosts.ref(h)
    stream[].host = h
    stream[].place.counted()
    if stream[].attempts < .max { stream[].attempts += 1 }
    host[].activeRequests += 1
    host[].numbers.requestsTotal &+= 1
    rewriteHostAutomatically(s, head)
    if stream[].route?[].includesAttemptCount ?? false {
      head.set(.envoyAttemptCount, head.decimal(UInt64(stream[].attempts)))
    }
    if stream[].attempts > 1 { announceRetry(s, head) }

    // What a CONNECT that ends here says is no HTTP: it has a connection of its own from the first byte on.
    if terminatesConnect(s) { return wait(s, h, .http1) }
    let wanted = wantedProtocol(s)
    if let u = readyConnection(h, wanted, for: s) {
      guard takeRequest(s) else {
        list(upstream: u)
        return overflow(s)
      }
      if stream[].flags.contains(.filtersAttempts) {
        let verdict = filterAttempt(s, head)
        if verdict != .go {
          uncount(s)
          list(upstream: u)
          return stopAttempt(s, verdict)
        }
      }
      start(s, on: u, head)
    } else {
      wait(s, h, wanted)
    }
  }

  /// The priorities that this attempt does not go to, by the route's word.
  @inline(__always)
  private func excludedPriorities(_ stream: SlotRef<Stream>, _ state: SlotRef<ClusterState>) -> PrioritySet {
    guard stream[].attempts > 0, let policy = stream[].route?[].retryPriority else { return PrioritySet() }
    return policy.leavesOut(state[].balancer[].history(of: stream[].tried.positions(in: hosts)))
  }

  /// How many draws of the balancer may go to find a host that was not tried yet.
  private func hostAttempts(_ stream: SlotRef<Stream>) -> Int {
    max(stream[].race == .backup ? 3 : 1, Int(stream[].route?[].retryRules?.hostAttempts ?? 1))
  }

  /// There is nobody to send the attempt to. May end the stream.
  private func noHost(_ s: StreamIndex) {
    let stream = streams.ref(s)
    if stream[].attempts < .max { stream[].attempts += 1 }
    if leavesToRivals(s) { return }
    stream[].responseFlags.insert(.noHealthyUpstream)
    localReply(s, 503, ByteView("no healthy upstream"), details: "no_healthy_upstream")
  }

  /// A connection is there for the request, which counts as running from now on. False, and off the books, when too many run already.
  func takeRequest(_ s: StreamIndex) -> Bool {
    let stream = streams.ref(s)
    let state = clusters.ref(stream[].cluster)
    let highPriority = stream[].route?[].highPriority ?? false
    guard state[].breaker(highPriority).take(.requests, limit: state[].breakerLimits(highPriority).requests) else {
      state[].stats.add(.upstreamRqPendingOverflow)
      uncount(s)
      return false
    }
    stream[].requestPermit.taken()
    state[].stats.add(.upstreamRqTotal)
    state[].stats.add(.upstreamRqActive)
    return true
  }

  /// The request runs no more. Said before its connection goes to the next one, which may be the one too many.
  @inline(__always)
  func giveRequest(_ s: StreamIndex) {
    let stream = streams.ref(s)
    guard stream[].requestPermit.given() else { return }
    let state = clusters.ref(stream[].cluster)
    state[].breaker(stream[].route?[].highPriority ?? false).give(.requests)
    state[].stats.subtract(.upstreamRqActive)
  }

  /// Takes the request off its host's and cluster's books.
  func uncount(_ s: StreamIndex) {
    let stream = streams.ref(s)
    guard stream[].place.uncounted() else { return }
    let state = clusters.ref(stream[].cluster)
    giveRequest(s)
    let h = stream[].host
    let host = hosts.ref(h)
    if stream[].awaitsGRPCStatus { countGRPCOutcome(s, isComplete: stream[].response.hasArrived) }
    host[].activeRequests -= 1
    if host[].position >= 0 { state[].balancer[].finished(host[].position) }
    stream[].host = .none
    // Only a log asks where a request went; otherwise `detach` has said it.
    if stream[].keepsResponseHead, !stream[].request.hasStarted { stream[].lastHost = host[].address }
    if host[].isRemoved || !host[].whole.isNone { releaseIfUnused(host: h) }
  }

  /// A breaker of our own refused the attempt. Never retried.
  func overflow(_ s: StreamIndex) {
    if leavesToRivals(s) { return }
    let stream = streams.ref(s)
    let words = UpstreamResetReason.overflow.words
    stream[].responseFlags.insert(words.flag)
    localReply(s, 503, words.body(after: stream[].attempts), details: words.details, overloaded: true)
  }

  /// Passes the request's head, and what is there of its body, to a connection.
  func start(_ s: StreamIndex, on u: UpstreamIndex, _ head: MessageHead) {
    let stream = streams.ref(s)
    let slot = upstreams.ref(u)
    if stream[].tunnel.isUpgrade, let refusal = translateUpgrade(s, u, head) {
      uncount(s)
      stream[].responseFlags.insert(refusal.flag)
      return localReply(s, refusal.status, .empty, details: refusal.details)
    }
    stream[].upstream = u
    stream[].upstreamKind = slot[].kind
    stream[].place.connected()
    stream[].request.takenBack()
    stream[].request.headPassed()
    stream[].response.awaitedAnew()
    if slot[].served > 0 { stream[].flags.insert(.reusedConnection) } else { stream[].flags.remove(.reusedConnection) }
    stream[].upstreamStarted = now
    stream[].lastActivity = now
    stream[].responseLeft = -1
    stream[].grpcStatus = GRPCStatusMapping.none
    if stream[].logNeeds.isUpstreamLocal { stream[].lastLocal = localAddress(upstream: u) }
    slot[].served &+= 1
    slot[].active &+= 1
    let ended = !head.hasContent && stream[].requestTrailers == nil && !stream[].tunnel.isAsked
    if slot[].kind == .http2 {
      guard let id = slot[].h2[].sendRequest(head, endStream: ended, user: s.rawValue, now: now) else {
        // Configuration or an old client made of it what HTTP/2 cannot carry, an empty authority for example.
        slot[].active &-= 1
        stream[].upstream = .none
        stream[].place.disconnected()
        return unsendableRequest(s, "http2.unserialisable_request")
      }
      stream[].upstreamID = id
      streams.pushLast(s, &slot[].streams)
      flushLater(upstream: u)
      if slot[].h2[].availableStreams == 0 { unlist(upstream: u) }
    } else if slot[].kind == .codec {
      startMessage(s, on: u)
    } else {
      slot[].stream = s
      let tunnel = stream[].tunnel.isAsked
      slot[].answer.awaitedAnew()
      if terminatesConnect(s) {
        armTry(s)
        return grantConnect(s, u)
      }
      stage(for: slot[].connection)
      if case .chunked = head.framing {
        stream[].flags.insert(.requestChunked)
      } else {
        stream[].flags.remove(.requestChunked)
      }
      do throws(H1EncodeError) {
        let upgrade = tunnel && head.method != .connect
        try H1Encoder.writeRequest(
          head, options: H1HeadOptions(connection: upgrade ? .upgrade : .persist), to: &stage[].buffer)
      } catch {
        // It came over HTTP/2, or was changed here, in a form that no HTTP/1 line can hold.
        detach(s, reusable: true)
        if !streams.contains(s) { return }
        return unsendableRequest(s, "http1.unserialisable_request")
      }
      // Only now: a connection whose request was never written must not wait for its response.
      slot[].decoder.expectResponse(to: head.method, upgradeRequested: tunnel && head.method != .connect)
    }
    if slot[].served >= slot[].mostServed { lastRequestBegan(u) }
    if ended { stream[].request.endPassed() }
    armTry(s)
    if stream[].requestBody.unsent > 0 || (stream[].request.hasArrived && !ended) { pumpRequest(s) }
  }

  /// The upstream's version of HTTP has no form for this request. No other endpoint would take it, and none is to blame.
  private func unsendableRequest(_ s: StreamIndex, _ details: StaticString) {
    let stream = streams.ref(s)
    uncount(s)
    stream[].responseFlags.insert(.downstreamProtocolError)
    localReply(s, 400, .empty, details: details)
  }
}
