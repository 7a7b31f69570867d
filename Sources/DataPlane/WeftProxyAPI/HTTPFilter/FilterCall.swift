// FilterCall: what a filter sees and may ask for while it is called.

public import WeftBase
public import WeftHTTP
public import WeftTelemetry

/// What a held stream waits for; the engine sees to it.
@frozen @usableFromInline
package enum HoldWish: BitwiseCopyable, Sendable {
  case none
  /// Time. *Units*: nanoseconds.
  case wait(nanoseconds: UInt64)
  /// The answer to the request on the desk (`callHead`, `callBody`), from the cluster at that position.
  case ask(cluster: Int32, timeoutNanoseconds: UInt64)
  /// The request's content, up to so many bytes.
  case readBody(limit: Int)
}

/// What came of a hold.
@frozen @usableFromInline
package enum HoldAnswer: BitwiseCopyable, Sendable {
  /// The time is over.
  case time
  /// Head and content of the answer lie on the desk (`answerHead`, `answerBody`).
  case response
  /// No answer was to be had.
  case failed
  /// The request's content is complete and lies on the desk (`body`).
  case body
  /// It is larger than was asked for; what came so far lies on the desk.
  case bodyTooLarge
}

/// What the engine lays out for filters, and where they put what they want: one per worker, in use only while a filter is called.
@safe @frozen @usableFromInline
package struct FilterDesk: BitwiseCopyable {
  @frozen @usableFromInline
  package struct Reply: BitwiseCopyable {
    @usableFromInline package var status: UInt16 = 0
    /// Sent as `grpc-status` to gRPC clients; −1: what the status stands for.
    @usableFromInline package var grpcStatus: Int32 = -1
    @usableFromInline package var details: StaticString = "filter"
    @usableFromInline package var body = ByteView.empty
    @usableFromInline package var flags = ResponseFlags()
    @inlinable package init() {}
  }

  /// What the filters of one walk have touched: forgotten in one store when the next begins.
  @frozen @usableFromInline
  package struct Marks: OptionSet, BitwiseCopyable {
    @usableFromInline package let rawValue: UInt32
    @inlinable package init(rawValue: UInt32) { self.rawValue = rawValue }
    /// Fields of `replyFields` are a part of the reply.
    @inlinable package static var replyFields: Marks { Marks(rawValue: 1) }
    /// `callHead` was emptied for this walk.
    @inlinable package static var callHead: Marks { Marks(rawValue: 2) }
    /// There are `flags`.
    @inlinable package static var noted: Marks { Marks(rawValue: 4) }
  }

  @usableFromInline package var now = MonotonicInstant.zero
  /// The stream's own draw.
  @usableFromInline package var random: UInt64 = 0
  @usableFromInline package var worker: Int = 0
  /// Set anew with every change of values.
  @usableFromInline package var runtime = RuntimeView.empty
  @usableFromInline package var marks: Marks = []
  @usableFromInline package var flags = ResponseFlags()
  @usableFromInline package var reply = Reply()
  /// Taken, and `none` again, when a stream is held.
  @usableFromInline package var wish = HoldWish.none
  /// The content that was asked for; empty but while its filter is told of it.
  @usableFromInline package var body = ByteView.empty
  @usableFromInline package var answerBody = ByteView.empty
  /// Where a filter builds the content of a request of its own.
  @usableFromInline package let callBody: UnsafeMutablePointer<ByteBuffer>
  @usableFromInline package let callHead: MessageHead
  @usableFromInline package let answerHead: MessageHead
  @usableFromInline package let replyFields: MessageHead
  /// How values with operators are made, and by which engine: the engine sets itself when it is whole.
  @usableFromInline package let host: any FilterHost.Type
  @usableFromInline package var engine: UnsafeMutableRawPointer
  @usableFromInline package var stream = StreamIndex.none

  package init(
    callBody: UnsafeMutablePointer<ByteBuffer>, callHead: MessageHead, answerHead: MessageHead,
    replyFields: MessageHead,
    host: any FilterHost.Type, worker: Int
  ) {
    self.worker = worker
    unsafe self.callBody = callBody
    self.callHead = callHead
    self.answerHead = answerHead
    self.replyFields = replyFields
    self.host = host
    unsafe engine = UnsafeMutableRawPointer(callBody)
  }
}

/// What a filter may have done by the engine in the middle of a call. Nothing of it ends or changes the stream.
@usableFromInline
package protocol FilterHost {
  /// Applies configured changes, operators included. `isResponse`: `head` is the response's. `request`: of which operators tell; nil: `head`, or the
  /// request of that response.
  static func _apply(
    _ engine: UnsafeMutableRawPointer, _ stream: StreamIndex, _ changes: ConstantTable<CompiledHeaderChange>,
    _ head: MessageHead, of request: MessageHead?, isResponse: Bool)
  /// The value that a change gives, in the arena of `request`.
  static func _value(
    _ engine: UnsafeMutableRawPointer, _ stream: StreamIndex, _ change: CompiledHeaderChange, of request: MessageHead
  ) -> ByteView
  /// A field of the request, for the filters of its response; nil when it has none.
  static func _requestField(_ engine: UnsafeMutableRawPointer, _ stream: StreamIndex, _ name: ByteView) -> ByteView?
  /// The client's address, as far as `use_remote_address` and `x-forwarded-for` tell; in the desk's arena.
  static func _remoteAddress(_ engine: UnsafeMutableRawPointer, _ stream: StreamIndex, _ scratch: MessageHead)
    -> ByteView
  /// Name of the cluster that the route leads to; empty when that is not known.
  static func _routeCluster(_ engine: UnsafeMutableRawPointer, _ stream: StreamIndex) -> ByteView
  /// What is known of the request's connection; texts in the desk's arena.
  static func _connection(
    _ engine: UnsafeMutableRawPointer, _ stream: StreamIndex, _ scratch: MessageHead
  ) -> ConnectionEnds
  /// Counts a response of `status` with the cluster that the route leads to.
  static func _countAtRouteCluster(_ engine: UnsafeMutableRawPointer, _ stream: StreamIndex, _ status: UInt16)
  /// `count` numbers of the request's connection under `key`, 0 at first; nil when the connection has too many already.
  static func _connectionCells(
    _ engine: UnsafeMutableRawPointer, _ stream: StreamIndex, _ key: UInt64, _ count: Int
  ) -> ConnectionCells?
  /// Passes the response's content on at a pace.
  static func _pace(_ engine: UnsafeMutableRawPointer, _ stream: StreamIndex, _ bytesPerSecond: UInt64)
  /// Tells the stream's filters of its end.
  static func _hearEnd(_ engine: UnsafeMutableRawPointer, _ stream: StreamIndex)
  /// Keeps bytes until the stream ends.
  static func _keep(_ engine: UnsafeMutableRawPointer, _ stream: StreamIndex, _ bytes: ByteView) -> KeptBytes
  static func _kept(_ engine: UnsafeMutableRawPointer, _ stream: StreamIndex, _ bytes: KeptBytes) -> ByteView
}

/// Bytes that a filter has kept for later events of its stream (`FilterCall.keep`): a plain place, for its state.
@frozen @usableFromInline
package struct KeptBytes: BitwiseCopyable, Sendable {
  package var offset: UInt32
  package var count: UInt32
  package init(offset: UInt32 = 0, count: UInt32 = 0) { (self.offset, self.count) = (offset, count) }
  package var isEmpty: Bool { count == 0 }
}

/// Where a request came from and to. Texts are valid until the call returns, or `callHead` is started anew.
@frozen @usableFromInline
package struct ConnectionEnds: BitwiseCopyable {
  /// Of both ends: the address, or the path of a Unix-domain socket (then the port is 0 and `isPath` says so).
  package var (peer, local) = (ByteView.empty, ByteView.empty)
  package var (peerPort, localPort) = (UInt16(0), UInt16(0))
  package var (peerIsPath, localIsPath) = (false, false)
  /// By certificate: the peer's URI name, else DNS name, else subject, if it was checked and good; our own URI name.
  package var (peerPrincipal, localPrincipal) = (ByteView.empty, ByteView.empty)
  /// What the client asked for by TLS (SNI).
  package var serverName = ByteView.empty
  package var isSecure = false
  package var version = HTTPVersion.http11
  /// Number of the stream.
  package var number: UInt64 = 0
  /// *Units*: nanoseconds since 1970.
  package var startUnixNanoseconds: Int64 = 0
  /// Content of the request so far.
  package var bytesReceived: UInt64 = 0

  package init() {}
}

/// Where a call happens, untyped: three words, passed in registers.
///
/// Why sound: made by the engine's walk only, from the chain's layout and the stream's block; never stored.
@frozen @safe @usableFromInline
package struct FilterSite: BitwiseCopyable {
  @usableFromInline let state: UnsafeMutableRawPointer
  @usableFromInline let config: UnsafeRawPointer
  @usableFromInline let desk: UnsafeMutablePointer<FilterDesk>
  @inlinable package init(
    _ state: UnsafeMutableRawPointer, _ config: UnsafeRawPointer, _ desk: UnsafeMutablePointer<FilterDesk>
  ) {
    unsafe (self.state, self.config, self.desk) = (state, config, desk)
  }
}

/// The typed view of a call: config, moment, and what a filter may ask for. It asks by returning and never calls the engine, so nothing
/// re-enters while `self` is being changed. Lent and `~Copyable`: it cannot be kept.
@frozen @safe @usableFromInline
package struct FilterCall<Config: BitwiseCopyable>: ~Copyable {
  @usableFromInline let place: UnsafeRawPointer
  @usableFromInline let desk: UnsafeMutablePointer<FilterDesk>
  @_transparent @usableFromInline package init(_ site: FilterSite) { unsafe (place, desk) = (site.config, site.desk) }

  /// Read in place: `x.config.rules` loads that field and copies nothing else.
  @inlinable package var config: Config {
    @inline(__always) unsafeAddress { unsafe place.assumingMemoryBound(to: Config.self) }
  }
  @inlinable package var now: MonotonicInstant { unsafe desk.pointee.now }
  /// One draw per stream, the same in each of its filters.
  @inlinable package var random: UInt64 { unsafe desk.pointee.random }
  /// What runtime keys say now.
  @inlinable package var runtime: RuntimeView { unsafe desk.pointee.runtime }
  /// Number of the worker: which of a config's per-worker cells to use.
  @inlinable package var worker: Int { unsafe desk.pointee.worker }
  /// Name of the cluster that the request's route leads to; empty when the request names it itself, and there is none of that name.
  package var routeCluster: ByteView {
    unsafe desk.pointee.host._routeCluster(desk.pointee.engine, desk.pointee.stream)
  }
  /// The request's content, after `readBody`.
  @inlinable package var body: ByteView { unsafe desk.pointee.body }
  @inlinable package var answerHead: MessageHead { unsafe desk.pointee.answerHead }
  @inlinable package var answerBody: ByteView { unsafe desk.pointee.answerBody }

  // MARK: Answering here

  /// Answers the request. `body` is static, configuration, `body` or `answerBody` of this call; not in the arena of `callHead` or
  /// `replyFields`, which the filters of the response use again before it is sent.
  package func reply(
    _ status: UInt16, body: ByteView = .empty, details: StaticString, flag: ResponseFlag? = nil, grpcStatus: Int32 = -1
  ) -> FilterVerdict {
    unsafe desk.pointee.reply.status = status
    unsafe desk.pointee.reply.body = body
    unsafe desk.pointee.reply.details = details
    unsafe desk.pointee.reply.flags = flag.map { ResponseFlags($0) } ?? ResponseFlags()
    unsafe desk.pointee.reply.grpcStatus = grpcStatus
    return .reply
  }
  /// Fields for the reply that follows. Emptied when first asked for.
  @inlinable package var replyFields: MessageHead {
    let head = unsafe desk.pointee.replyFields
    if unsafe !desk.pointee.marks.contains(.replyFields) {
      head.reset()
      unsafe desk.pointee.marks.insert(.replyFields)
    }
    return head
  }

  // MARK: Waiting

  /// Holds the stream for a time.
  @inlinable package func wait(nanoseconds: UInt64) -> FilterVerdict {
    unsafe desk.pointee.wish = .wait(nanoseconds: nanoseconds)
    return .hold
  }
  /// Holds the stream until its content has come. It is kept, and passed on when the stream goes on.
  @inlinable package func readBody(limit: Int) -> FilterVerdict {
    unsafe desk.pointee.wish = .readBody(limit: limit)
    return .hold
  }
  /// A request of the proxy's own: fill in head and content, then `ask`. Emptied when first asked for.
  package var callHead: MessageHead {
    let head = unsafe desk.pointee.callHead
    if unsafe !desk.pointee.marks.contains(.callHead) {
      head.reset()
      unsafe desk.pointee.marks.insert(.callHead)
    }
    return head
  }
  @inlinable package func writeCallBody(_ body: (inout ByteBuffer) -> Void) {
    unsafe body(&desk.pointee.callBody.pointee)
  }
  /// Sends the request in `callHead` and `callBody` to the cluster at position `cluster` (`FilterContext.cluster`) and holds the stream for its answer.
  @inlinable package func ask(cluster: Int32, timeoutNanoseconds: UInt64) -> FilterVerdict {
    unsafe desk.pointee.wish = .ask(cluster: cluster, timeoutNanoseconds: timeoutNanoseconds)
    return .hold
  }

  // MARK: Changing

  /// Notes for the access log what was done to the request.
  package func note(_ flag: ResponseFlag) {
    unsafe desk.pointee.flags.insert(flag)
    unsafe desk.pointee.marks.insert(.noted)
  }
  /// The stream's filters are told when it ends (`StreamEndFilter`).
  package func hearEnd() {
    unsafe desk.pointee.host._hearEnd(desk.pointee.engine, desk.pointee.stream)
  }

  /// Applies configured changes to `head`, operators included. `request`: the client's, where `head` is another message (`callHead`, `replyFields`).
  package func apply(
    _ changes: ConstantTable<CompiledHeaderChange>, to head: MessageHead, of request: MessageHead? = nil,
    isResponse: Bool = false
  ) {
    if changes.isEmpty { return }
    unsafe desk.pointee.host._apply(
      desk.pointee.engine, desk.pointee.stream, changes, head, of: request, isResponse: isResponse)
  }
  /// The value that `change` gives, in the arena of `request`.
  package func value(_ change: CompiledHeaderChange, of request: MessageHead) -> ByteView {
    unsafe desk.pointee.host._value(desk.pointee.engine, desk.pointee.stream, change, of: request)
  }
  /// The first field of the request called `name`, as it was routed: for the filters of its response. Valid until the call returns.
  package func requestField(_ name: ByteView) -> ByteView? {
    unsafe desk.pointee.host._requestField(desk.pointee.engine, desk.pointee.stream, name)
  }
  /// The client's address as text, in `callHead`'s arena.
  package func remoteAddress() -> ByteView {
    unsafe desk.pointee.host._remoteAddress(desk.pointee.engine, desk.pointee.stream, callHead)
  }
  /// Both ends of the connection, with texts in `callHead`'s arena.
  package func connection() -> ConnectionEnds {
    unsafe desk.pointee.host._connection(desk.pointee.engine, desk.pointee.stream, callHead)
  }
  /// Numbers that live as long as the request's connection, 0 at first, under a key that tells one use from another (`TokenBucket.identity`); nil when the
  /// connection has too many already.
  package func connectionCells(_ key: UInt64, _ count: Int) -> ConnectionCells? {
    unsafe desk.pointee.host._connectionCells(desk.pointee.engine, desk.pointee.stream, key, count)
  }
  /// Counts a response of `status` with the cluster that the route leads to, as if it were its answer.
  package func countAtRouteCluster(_ status: UInt16) {
    unsafe desk.pointee.host._countAtRouteCluster(desk.pointee.engine, desk.pointee.stream, status)
  }

  /// Passes the response's content on at no more than `bytesPerSecond`, a sixteenth of it at a time; the lower of two paces holds. What comes faster
  /// waits under the usual limits. To be said before the response begins.
  package func paceResponse(bytesPerSecond: UInt64) {
    unsafe desk.pointee.host._pace(desk.pointee.engine, desk.pointee.stream, bytesPerSecond)
  }

  // MARK: Keeping

  /// Keeps what `write` appends until the stream ends; the filter's state holds where. *Cost*: a copy; use it for what does not fit the state.
  package func keep(_ write: (inout ByteBuffer) -> Void) -> KeptBytes {
    unsafe Self.keep(&desk.pointee.callBody.pointee, desk, write)
  }
  @unsafe private static func keep(
    _ buffer: inout ByteBuffer, _ desk: UnsafeMutablePointer<FilterDesk>, _ write: (inout ByteBuffer) -> Void
  ) -> KeptBytes {
    let start = buffer.count
    write(&buffer)
    defer { buffer.truncate(to: start) }
    if buffer.count == start { return KeptBytes() }
    return unsafe desk.pointee.host._keep(
      desk.pointee.engine, desk.pointee.stream, buffer.view.dropFirst(start))
  }
  /// What was kept; valid until the call returns.
  package func kept(_ bytes: KeptBytes) -> ByteView {
    if bytes.isEmpty { return .empty }
    return unsafe desk.pointee.host._kept(desk.pointee.engine, desk.pointee.stream, bytes)
  }
}
