// UpstreamConnection: a connection to a host, in one of its pools or carrying streams.

package import WeftBase
package import WeftHTTP
public import WeftProxyAPI
package import WeftRuntime

/// A connection that this worker made.
///
/// *Shape*: a slot. An HTTP/1 connection is either connecting, idle (a member of its host's `idle` list) or carries one stream; an HTTP/2
/// connection is a member of `multiplexed` while it takes new streams.
@usableFromInline
package struct UpstreamConnection: Linked {
  @frozen @usableFromInline
  package enum List: UInt8, BitwiseCopyable { case none, idle, multiplexed, speaking }

  package var connection: ConnectionID
  package var host: HostIndex
  /// Where it goes: a host of a DNS name may be elsewhere by now.
  package let address: SocketAddress
  @usableFromInline package var kind = UpstreamKind.undecided
  @usableFromInline package var list: List = .none
  // How far it has come.
  package var life = UpstreamLife.connecting
  package var transport = TransportState.plain
  package var read = ReadSide.open
  package var write = WriteSide.open
  package var flush = FlushState.none
  package var ping = PingState.none
  /// Whether bytes of the response in progress have arrived.
  package var answer = FirstBytes.awaited
  @usableFromInline package var links = SlotLinks<UpstreamSlot>()
  package var decoder: H1Decoder
  package var h2 = H2Cell.none
  package var codec = CodecCell.none
  /// The stream it carries (HTTP/1, TCP).
  package var stream = StreamIndex.none
  /// HTTP/2 and codecs: the streams it carries, oldest first, whether or not the codec still knows them.
  package var streams = SlotList<StreamSlot>()
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
    connection: ConnectionID, host: HostIndex, address: SocketAddress, decoder: H1Decoder, now: MonotonicInstant
  ) {
    self.connection = connection
    self.host = host
    self.address = address
    self.decoder = decoder
    self.created = now
    self.idleSince = now
  }
}
