// StreamLog: what a stream knows of itself, for access logs and header values.

import WeftBase
import WeftHTTP
import WeftProxyAPI
import WeftRuntime
import WeftTables
import WeftTelemetry
import WeftUpstream

/// A stream as formats see it.
struct StreamSource: AccessLogSource {
  let record: AccessLogRecord
  let request: MessageHead?
  let response: MessageHead?
  let trailers: MessageHead?

  func requestHeader(_ name: ByteView) -> ByteView? {
    guard let request else { return nil }
    return request.value(named: name)
  }

  func requestHeader(_ name: ByteView, number: Int) -> ByteView? {
    guard let request, number > 0 else { return requestHeader(name) }
    var index = request.firstIndex(named: name)
    for _ in 0..<number { index = index.flatMap { request.firstIndex(named: name, from: $0 + 1) } }
    return index.map { request.field(at: $0).value }
  }

  func responseHeader(_ name: ByteView) -> ByteView? { response?.value(named: name) }
  func responseTrailer(_ name: ByteView) -> ByteView? { trailers?.first(named: name) }

  var requestHeadersBytes: UInt64 { request?.byteSum ?? 0 }
  var responseHeadersBytes: UInt64 { response?.byteSum ?? 0 }
  var responseTrailersBytes: UInt64 { trailers?.byteSum ?? 0 }
}

/// Nothing: what literal values are made of.
struct NoSource: AccessLogSource {
  var record: AccessLogRecord { AccessLogRecord() }
  func requestHeader(_ name: ByteView) -> ByteView? { nil }
  func responseHeader(_ name: ByteView) -> ByteView? { nil }
  func responseTrailer(_ name: ByteView) -> ByteView? { nil }
  var requestHeadersBytes: UInt64 { 0 }
  var responseHeadersBytes: UInt64 { 0 }
  var responseTrailersBytes: UInt64 { 0 }
}

extension MessageHead {
  /// Bytes of all names and values, pseudo-fields included, as neither version writes them.
  fileprivate var byteSum: UInt64 {
    var sum = status > 0 ? 10 : 0  // `:status` and its value
    for (name, value) in [(7, methodText), (5, path), (10, authority), (7, scheme), (9, protocolText)]
    where !value.isEmpty { sum += name + value.count }
    for field in fields { sum += field.name.count + field.value.count }
    // The length of an answer that was made here is written with it.
    if isResponse, !contains(.contentLength), case .length(let n) = framing { sum += 14 + decimal(n).count }
    return UInt64(sum)
  }
}

extension WorkerEngine {
  /// Applies configured changes to a head on its way. `request`: of which operators tell; nil: `head`, or the request of that response.
  func apply(
    _ changes: ConstantTable<CompiledHeaderChange>, to head: MessageHead, _ s: StreamIndex,
    of request: MessageHead? = nil, response: MessageHead? = nil
  ) {
    if changes.isEmpty { return }
    var needsSource = false
    for i in changes.indices where changes[i].format != nil { needsSource = true }
    if !needsSource { return head.apply(changes, from: NoSource(), scratch: &scratch[]) }
    var request = request ?? (response == nil ? head : nil)
    if request == nil, let kept = streams[s].head {
      kept.view(in: replayHead)
      request = replayHead
    }
    head.apply(changes, from: source(s, of: request, response: response), scratch: &scratch[])
  }

  /// A stream on its way, as the values of its headers tell of it.
  func source(_ s: StreamIndex, of request: MessageHead?, response: MessageHead?) -> StreamSource {
    var record = record(s)
    // The status is known before the client is told.
    if let response {
      record.status = response.status
    } else {
      // These go with the first attempt, and nobody has answered yet.
      record.attempts = max(1, record.attempts)
      record.responseCodeDetails = .empty
    }
    return StreamSource(record: record, request: request, response: response, trailers: nil)
  }

  /// Everything the log may ask for.
  func record(_ s: StreamIndex) -> AccessLogRecord {
    let stream = streams.ref(s)
    let slot = downstreams.ref(stream[].downstream)
    var record = AccessLogRecord()
    let start = stream[].started.nanoseconds
    func since(_ instant: MonotonicInstant) -> Int64 {
      instant == .zero ? -1 : Int64(clamping: instant.nanoseconds &- start)
    }
    record.protocolName = slot[].kind == .http2 ? .http2 : stream[].flags.contains(.clientHTTP10) ? .http10 : .http11
    if let codec = stream[].codec {
      record.protocolName = .other
      record.otherProtocol = codec[].name
    }
    record.status = stream[].response.hasStarted ? stream[].status : 0
    record.flags = stream[].responseFlags
    record.grpcStatus = stream[].grpcStatus
    if record.grpcStatus == GRPCStatusMapping.none, record.status > 0, stream[].flags.contains(.isGRPC) {
      // An answer that carries none has failed as its HTTP status says.
      record.grpcStatus = Int64(GRPCStatusMapping.grpcStatus(of: record.status))
    }
    record.attempts = UInt32(stream[].attempts)
    record.startUnixNanoseconds = wallClock() &- Int64(clamping: now.nanoseconds &- start)
    record.lastDownstreamRx = since(stream[].requestEndedAt)
    record.firstUpstreamTx = since(stream[].upstreamStarted)
    record.firstUpstreamRx = since(stream[].upstreamFirstByte)
    record.firstDownstreamTx = since(stream[].responseStartedAt)
    record.end = Int64(clamping: now.nanoseconds &- start)
    if stream[].response.hasArrived { record.lastUpstreamRx = record.end }
    if stream[].response.isSent { record.lastDownstreamTx = record.end }
    record.bytesReceived = stream[].bytesReceived
    record.bytesSent = stream[].bytesSent
    record.connectionID = slot[].connection.rawValue
    record.streamID = s.rawValue
    record.random = stream[].random
    record.responseCodeDetails = stream[].details
    if let route = stream[].route {
      record.routeName = route[].name
      record.virtualHostName = route[].virtualHost
      record.routeMetadata = route[].metadata
    }
    // Where nothing was forwarded, the cluster that the route names.
    let cluster = stream[].cluster.isNone ? routeCluster(s) : stream[].cluster
    if !cluster.isNone {
      record.upstreamCluster = clusters[cluster].config[].name
      record.clusterMetadata = clusters[cluster].config[].metadata
    }
    if !connectionMetadata[].isEmpty, let found = connectionMetadata[][stream[].downstream.index] {
      record.dynamicMetadata = found.values
    }
    if let chain = slot[].chainConfig { record.filterChainName = chain[].name }
    // Behind another proxy the client is whom that one saw; its port is not known.
    record.downstreamRemote =
      stream[].remote.map { LogAddress(SocketAddress($0.unmapped, port: 0)) } ?? LogAddress(slot[].peer)
    record.downstreamDirectRemote = LogAddress(slot[].directPeer)
    record.downstreamLocal = LogAddress(slot[].local)
    record.downstreamDirectLocal = LogAddress(slot[].local)
    if !stream[].upstream.isNone {
      record.upstreamRemote = LogAddress(upstreams[stream[].upstream].address)
    } else if !stream[].host.isNone {
      record.upstreamRemote = LogAddress(hosts[stream[].host].address)
    } else if let last = stream[].lastHost {
      record.upstreamRemote = LogAddress(last)
    }
    if let local = stream[].lastLocal { record.upstreamLocal = LogAddress(local) }
    if !stream[].cluster.isNone { record.upstreamHostName = endpointName(stream) }
    switch stream[].upstreamKind {
    case .http1: record.upstreamProtocol = .http11
    case .http2: record.upstreamProtocol = .http2
    case .codec: record.upstreamProtocol = .other
    case .undecided, .tcp: break
    }
    return record
  }

  /// Writes the access log of a stream that ends.
  func log(_ s: StreamIndex, _ manager: ConfigRef<CompiledHTTPManager>) {
    let stream = streams.ref(s)
    var request: MessageHead?
    var response: MessageHead?
    var trailers: MessageHead?
    if let head = stream[].head {
      head.view(in: requestHead)
      rewriteHostAutomatically(s, requestHead)
      request = requestHead
    }
    if let head = stream[].responseHead {
      head.view(in: replayHead)
      response = replayHead
    }
    if let head = stream[].responseTrailers {
      head.view(in: trailerHead)
      trailers = trailerHead
    }
    let source = StreamSource(record: record(s), request: request, response: response, trailers: trailers)
    for log in manager[].accessLogs { log.write(source, worker: number, runtime[].view) }
  }
}

extension LogAddress {
  init(_ address: SocketAddress) {
    if address.isUnix {
      self.init()
      return
    }
    switch address.ip.family {
    case .v4: self.init(ipv4: UInt32(truncatingIfNeeded: address.ip.low), port: address.port)
    case .v6: self.init(ipv6High: address.ip.high, low: address.ip.low, port: address.port)
    }
  }
}
