// UpstreamConnection: a connection to a host, in one of its pools or carrying streams.

package import WeftBase
package import WeftHTTP
package import WeftRuntime

/// A connection that this worker made.
///
/// *Shape*: a slot. An HTTP/1 connection is either connecting, idle (a member of its host's `idle` list) or carries one stream; an HTTP/2
/// connection is a member of `multiplexed` while it takes new streams.
package struct UpstreamConnection: Linked {
  package enum Kind: UInt8, BitwiseCopyable { case undecided, http1, http2, tcp }
  package enum List: UInt8, BitwiseCopyable { case none, idle, multiplexed }

  package struct Flags: OptionSet, BitwiseCopyable {
    package let rawValue: UInt16
    package init(rawValue: UInt16) { self.rawValue = rawValue }
    package static let connecting = Flags(rawValue: 1 << 0)
    /// Its write queue is above the high mark.
    package static let writeBlocked = Flags(rawValue: 1 << 1)
    package static let readPaused = Flags(rawValue: 1 << 2)
    /// No new stream: it closes when it is free.
    package static let draining = Flags(rawValue: 1 << 3)
    /// `close` was called; only `closed` is still to come.
    package static let closed = Flags(rawValue: 1 << 4)
    package static let secure = Flags(rawValue: 1 << 5)
    package static let flushQueued = Flags(rawValue: 1 << 6)
    /// The connect time-out ended it.
    package static let timedOut = Flags(rawValue: 1 << 7)
    /// A PING of ours waits for its answer.
    package static let pingOutstanding = Flags(rawValue: 1 << 8)
    package static let readEnded = Flags(rawValue: 1 << 9)
    /// Bytes of the response in progress have arrived.
    package static let responseStarted = Flags(rawValue: 1 << 10)
    package static let protocolError = Flags(rawValue: 1 << 11)
    package static let closedByUs = Flags(rawValue: 1 << 12)
  }

  package var connection: ConnectionID
  package var host: SlabIndex
  /// Where it goes: a host of a DNS name may be elsewhere by now.
  package let address: SocketAddress
  package var kind: Kind = .undecided
  package var list: List = .none
  package var flags: Flags = [.connecting]
  package var links = SlotLinks()
  package var decoder: H1Decoder
  package var h2 = H2Cell.none
  /// The stream it carries (HTTP/1, TCP).
  package var stream = SlabIndex.none
  /// Streams it carries now, and has carried.
  package var active: UInt32 = 0
  package var served: UInt32 = 0
  /// Streams it was counted to be able to carry while it connects.
  package var expectedCapacity: UInt32 = 1
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
