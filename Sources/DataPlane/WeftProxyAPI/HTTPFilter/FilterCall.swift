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
    /// Fields of `replyFields` are a part of it.
    @usableFromInline package var hasFields = false
    @inlinable package init() {}
  }

  @usableFromInline package var now = MonotonicInstant.zero
  /// The stream's own draw.
  @usableFromInline package var random: UInt64 = 0
  @usableFromInline package var worker: Int = 0
  @usableFromInline package var isSecure = false
  @usableFromInline package var isGRPC = false
  @usableFromInline package var reply = Reply()
  @usableFromInline package var wish = HoldWish.none
  /// A filter changed what the route depends on.
  @usableFromInline package var routeIsStale = false
  @usableFromInline package var flags = ResponseFlags()
  @usableFromInline package var body = ByteView.empty
  @usableFromInline package var answerBody = ByteView.empty
  /// Name of the cluster the route leads to; empty when that is not known.
  @usableFromInline package var routeCluster = ByteView.empty
  /// Where a filter builds the content of a request of its own.
  @usableFromInline package let callBody: UnsafeMutablePointer<ByteBuffer>
  @usableFromInline package let callHead: MessageHead
  @usableFromInline package let answerHead: MessageHead
  @usableFromInline package let replyFields: MessageHead
  /// How values with operators are made, and by which engine: the engine sets itself when it is whole.
  @usableFromInline package let host: any FilterHost.Type
  @usableFromInline package var engine: UnsafeMutableRawPointer
  @usableFromInline package var stream = SlabIndex.none

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
  /// Applies configured changes, operators included. `isResponse`: `head` is the response's.
  static func _apply(
    _ engine: UnsafeMutableRawPointer, _ stream: SlabIndex, _ changes: ConstantTable<CompiledHeaderChange>,
    _ head: MessageHead, isResponse: Bool)
  /// A field of the request, for the filters of its response; nil when it has none.
  static func _requestField(_ engine: UnsafeMutableRawPointer, _ stream: SlabIndex, _ name: ByteView) -> ByteView?
  /// The client's address, as far as `use_remote_address` and `x-forwarded-for` tell; in the desk's arena.
  static func _remoteAddress(_ engine: UnsafeMutableRawPointer, _ stream: SlabIndex, _ scratch: MessageHead) -> ByteView
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
  @usableFromInline let site: FilterSite
  @inlinable package init(_ site: FilterSite) { self.site = site }

  /// Read in place: `x.config.rules` loads that field and copies nothing else.
  @inlinable package var config: Config {
    @inline(__always) unsafeAddress { unsafe site.config.assumingMemoryBound(to: Config.self) }
  }
  @inlinable package var now: MonotonicInstant { unsafe site.desk.pointee.now }
  /// One draw per stream, the same in each of its filters.
  @inlinable package var random: UInt64 { unsafe site.desk.pointee.random }
  /// Number of the worker: which of a config's per-worker cells to use.
  @inlinable package var worker: Int { unsafe site.desk.pointee.worker }
  @inlinable package var isSecure: Bool { unsafe site.desk.pointee.isSecure }
  @inlinable package var isGRPC: Bool { unsafe site.desk.pointee.isGRPC }
  /// Name of the cluster that the request's route leads to; empty when it names none or several.
  @inlinable package var routeCluster: ByteView { unsafe site.desk.pointee.routeCluster }
  /// The request's content, after `readBody`.
  @inlinable package var body: ByteView { unsafe site.desk.pointee.body }
  @inlinable package var answerHead: MessageHead { unsafe site.desk.pointee.answerHead }
  @inlinable package var answerBody: ByteView { unsafe site.desk.pointee.answerBody }

  // MARK: Answering here

  /// Answers the request. `body` is static, configuration, `body` or `answerBody` of this call; not in the arena of `callHead` or
  /// `replyFields`, which the filters of the response use again before it is sent.
  package func reply(
    _ status: UInt16, body: ByteView = .empty, details: StaticString, flag: ResponseFlag? = nil, grpcStatus: Int32 = -1
  ) -> FilterVerdict {
    unsafe site.desk.pointee.reply.status = status
    unsafe site.desk.pointee.reply.body = body
    unsafe site.desk.pointee.reply.details = details
    unsafe site.desk.pointee.reply.flags = flag.map { ResponseFlags($0) } ?? ResponseFlags()
    unsafe site.desk.pointee.reply.grpcStatus = grpcStatus
    return .reply
  }
  /// Fields for the reply that follows. Emptied when first asked for.
  @inlinable package var replyFields: MessageHead {
    let head = unsafe site.desk.pointee.replyFields
    if unsafe !site.desk.pointee.reply.hasFields {
      head.reset()
      unsafe site.desk.pointee.reply.hasFields = true
    }
    return head
  }

  // MARK: Waiting

  /// Holds the stream for a time.
  @inlinable package func wait(nanoseconds: UInt64) -> FilterVerdict {
    unsafe site.desk.pointee.wish = .wait(nanoseconds: nanoseconds)
    return .hold
  }
  /// Holds the stream until its content has come. It is kept, and passed on when the stream goes on.
  @inlinable package func readBody(limit: Int) -> FilterVerdict {
    unsafe site.desk.pointee.wish = .readBody(limit: limit)
    return .hold
  }
  /// A request of the proxy's own: fill in head and content, then `ask`.
  @inlinable package var callHead: MessageHead { unsafe site.desk.pointee.callHead }
  @inlinable package func writeCallBody(_ body: (inout ByteBuffer) -> Void) {
    unsafe body(&site.desk.pointee.callBody.pointee)
  }
  /// Sends the request in `callHead` and `callBody` to the cluster at position `cluster` (`FilterContext.cluster`) and holds the stream for its answer.
  @inlinable package func ask(cluster: Int32, timeoutNanoseconds: UInt64) -> FilterVerdict {
    unsafe site.desk.pointee.wish = .ask(cluster: cluster, timeoutNanoseconds: timeoutNanoseconds)
    return .hold
  }

  // MARK: Changing

  /// Something the route depends on was changed: it is found anew before the request is routed.
  @inlinable package func clearRoute() { unsafe site.desk.pointee.routeIsStale = true }
  /// Notes for the access log what was done to the request.
  package func note(_ flag: ResponseFlag) { unsafe site.desk.pointee.flags.insert(flag) }

  /// Applies configured changes to `head`, operators included.
  package func apply(
    _ changes: ConstantTable<CompiledHeaderChange>, to head: MessageHead, isResponse: Bool = false
  ) {
    if changes.isEmpty { return }
    unsafe site.desk.pointee.host._apply(
      site.desk.pointee.engine, site.desk.pointee.stream, changes, head, isResponse: isResponse)
  }
  /// The first field of the request called `name`, as it was routed: for the filters of its response. Valid until the call returns.
  package func requestField(_ name: ByteView) -> ByteView? {
    unsafe site.desk.pointee.host._requestField(site.desk.pointee.engine, site.desk.pointee.stream, name)
  }
  /// The client's address as text, in `callHead`'s arena.
  @inlinable package func remoteAddress() -> ByteView {
    unsafe site.desk.pointee.host._remoteAddress(
      site.desk.pointee.engine, site.desk.pointee.stream, site.desk.pointee.callHead)
  }
}
