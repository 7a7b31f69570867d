// UpstreamConnection: a connection to a host, in one of its pools or carrying streams.

package import WeftBase
package import WeftHTTP
package import WeftProxyAPI
package import WeftRuntime

/// A connection that this worker made.
///
/// *Shape*: a slot. An HTTP/1 connection is either connecting, idle (a member of its host's `idle` list) or carries one stream; an HTTP/2
/// connection is a member of `multiplexed` while it takes new streams.
@usableFromInline
package struct UpstreamConnection: Linked {
  @frozen @usableFromInline
  package enum Kind: UInt8, BitwiseCopyable { case undecided, http1, http2, codec, tcp }
  @frozen @usableFromInline
  package enum List: UInt8, BitwiseCopyable { case none, idle, multiplexed, speaking }

  @frozen @usableFromInline
  package struct Flags: OptionSet, BitwiseCopyable {
    @usableFromInline package let rawValue: UInt16
    @inlinable package init(rawValue: UInt16) { self.rawValue = rawValue }
    @inlinable package static var connecting: Flags { Flags(rawValue: 1 << 0) }
    /// Its write queue is above the high mark.
    @inlinable package static var writeBlocked: Flags { Flags(rawValue: 1 << 1) }
    @inlinable package static var readPaused: Flags { Flags(rawValue: 1 << 2) }
    /// No new stream: it closes when it is free.
    @inlinable package static var draining: Flags { Flags(rawValue: 1 << 3) }
    /// `close` was called; only `closed` is still to come.
    @inlinable package static var closed: Flags { Flags(rawValue: 1 << 4) }
    @inlinable package static var secure: Flags { Flags(rawValue: 1 << 5) }
    @inlinable package static var flushQueued: Flags { Flags(rawValue: 1 << 6) }
    /// The connect time-out ended it.
    @inlinable package static var timedOut: Flags { Flags(rawValue: 1 << 7) }
    /// A PING of ours waits for its answer.
    @inlinable package static var pingOutstanding: Flags { Flags(rawValue: 1 << 8) }
    @inlinable package static var readEnded: Flags { Flags(rawValue: 1 << 9) }
    /// Bytes of the response in progress have arrived.
    @inlinable package static var responseStarted: Flags { Flags(rawValue: 1 << 10) }
    @inlinable package static var protocolError: Flags { Flags(rawValue: 1 << 11) }
    @inlinable package static var closedByUs: Flags { Flags(rawValue: 1 << 12) }
  }

  package var connection: ConnectionID
  package var host: SlabIndex
  /// Where it goes: a host of a DNS name may be elsewhere by now.
  package let address: SocketAddress
  @usableFromInline package var kind: Kind = .undecided
  @usableFromInline package var list: List = .none
  @usableFromInline package var flags: Flags = [.connecting]
  @usableFromInline package var links = SlotLinks()
  package var decoder: H1Decoder
  package var h2 = H2Cell.none
  package var codec = CodecCell.none
  /// The stream it carries (HTTP/1, TCP).
  package var stream = SlabIndex.none
  /// HTTP/2 and codecs: the streams it carries, oldest first, whether or not the codec still knows them.
  package var streams = SlotList()
  /// Streams it carries now, and has carried.
  package var active: UInt32 = 0
  package var served: UInt32 = 0
  /// How many it may carry in its life.
  package var mostServed: UInt32 = .max
  /// Streams it was counted to be able to carry while it connects.
  package var expectedCapacity: UInt32 = 0
  package var created: MonotonicInstant
  package var idleSince: MonotonicInstant
  /// End of the connect time-out, later the answer to a PING that is due.
  package var deadline = MonotonicInstant.distantFuture
  /// When the next keep-alive PING is due; how many frames had come when the last one left.
  package var nextPingAt = MonotonicInstant.distantFuture
  package var framesAtPing: UInt32 = 0
  package var lifeDeadline = MonotonicInstant.distantFuture
  package var timer = LazyTimer()
  /// Counted by the breakers of the high priority.
  package var highPriority = false

  /// It lists its streams: there may be many at once.
  package var hasMany: Bool { kind == .http2 || kind == .codec }

  package init(
    connection: ConnectionID, host: SlabIndex, address: SocketAddress, decoder: H1Decoder, now: MonotonicInstant
  ) {
    self.connection = connection
    self.host = host
    self.address = address
    self.decoder = decoder
    self.created = now
    self.idleSince = now
  }
}
