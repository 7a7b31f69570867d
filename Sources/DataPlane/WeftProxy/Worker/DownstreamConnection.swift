// DownstreamConnection: a connection that a client made, as a slot.

package import WeftBase
package import WeftHTTP
package import WeftProxyAPI
import WeftTelemetry
package import WeftRuntime
package import WeftUpstream

/// A connection that a client made. Trivially copyable: no class, closure, array or string inside.
package struct DownstreamConnection: BitwiseCopyable {
  package enum Kind: UInt8, BitwiseCopyable {
    /// Its filter chain is not chosen yet: TLS handshake or inspection under way.
    case unmatched
    /// HTTP, version not known yet.
    case http
    case http1, http2
    /// A protocol of a codec (`CodecConnection/CodecDownstream.swift`).
    case codec
    case tcp
    /// No client at all: a stream of the proxy's own (`Streams/InsideStreams.swift`).
    case inside

    /// It lists its streams: there may be many at once.
    @inline(__always)
    package var hasMany: Bool { self == .http2 || self == .codec }
  }

  package struct Flags: OptionSet, BitwiseCopyable {
    package let rawValue: UInt16
    package init(rawValue: UInt16) { self.rawValue = rawValue }
    /// Its write queue is above the high mark.
    package static let writeBlocked = Flags(rawValue: 1 << 0)
    /// The loop was asked to stop reading.
    package static let readPaused = Flags(rawValue: 1 << 1)
    /// No further request: it closes when what is in flight has ended.
    package static let closing = Flags(rawValue: 1 << 2)
    /// `close` was called; only `closed` is still to come.
    package static let closed = Flags(rawValue: 1 << 3)
    /// The first GOAWAY, the announcement, was sent.
    package static let goAwayAnnounced = Flags(rawValue: 1 << 4)
    package static let goAwayFinal = Flags(rawValue: 1 << 5)
    package static let secure = Flags(rawValue: 1 << 6)
    /// The peer finished sending.
    package static let readEnded = Flags(rawValue: 1 << 7)
    /// In the list of connections to flush at the end of the turn.
    package static let flushQueued = Flags(rawValue: 1 << 8)
    /// Part of a request head has arrived and `headDeadline` runs.
    package static let headStarted = Flags(rawValue: 1 << 9)
    /// Its time or its number of requests is over: say so with the next response.
    package static let lastRequest = Flags(rawValue: 1 << 11)
    package static let protocolError = Flags(rawValue: 1 << 12)
    package static let closedByUs = Flags(rawValue: 1 << 13)
    package static let transportStarted = Flags(rawValue: 1 << 14)
    /// Closed by a drain while it had nothing to do: nobody waits for its end.
    package static let endedIdle = Flags(rawValue: 1 << 15)
  }

  package var connection: ConnectionID
  package var kind = Kind.unmatched
  package var flags: Flags = []
  /// The listener it came from: position in the worker's table.
  package var listener: UInt32
  /// The configuration it uses (`WorkerEngine.snapshots`), and its filter chain there (-1: none chosen).
  package var snapshot: UInt32
  package var chain: Int32 = -1
  var chainConfig: ConfigRef<CompiledFilterChain>?
  /// What the chain's network filters keep of it; none where there are none.
  package var network = SlabIndex.none
  var manager: ConfigRef<CompiledHTTPManager>?
  var stats: StatBlock<HTTPMetric>?
  var tcpStats: StatBlock<TCPMetric>?
  package var decoder: H1Decoder
  package var h2 = H2Cell.none
  package var codec = CodecCell.none
  /// HTTP/1 and TCP: the stream in progress.
  package var stream = SlabIndex.none
  /// HTTP/2 and codecs: the streams in progress, oldest first, whether or not the codec still knows them.
  package var streams = SlotList()
  package var active: UInt32 = 0
  /// `inside`: which hold of which stream waits for the answer.
  var token = HoldToken.none
  package var requests: UInt32 = 0
  package var accepted: MonotonicInstant
  /// When the last stream ended.
  package var idleSince: MonotonicInstant
  package var headDeadline = MonotonicInstant.distantFuture
  package var drainDeadline = MonotonicInstant.distantFuture
  package var timer = LazyTimer()
  /// HTTP/2 with `connection_keepalive`: when the next PING goes, when the last one has been unanswered too long, and what had come before it.
  var nextPingAt = MonotonicInstant.distantFuture
  var pingDeadline = MonotonicInstant.distantFuture
  var framesAtPing: UInt32 = 0
  /// The address of the client, and the address it meant; where listener filters found others than the socket's, those.
  package var peer: SocketAddress
  package var local: SocketAddress
  /// The socket's peer.
  package let directPeer: SocketAddress
  /// The peer's address as `x-forwarded-for` shows it.
  var peerText = ShortText()
  /// What it adds to `x-forwarded-client-cert`, once it was asked for.
  var certificateText: ClientCertificateText?
  /// The client has shown a certificate; it was checked and good.
  package var presentsCertificate = false
  package var hasVerifiedCertificate = false

  package init(
    connection: ConnectionID, listener: UInt32, snapshot: UInt32, peer: SocketAddress, local: SocketAddress,
    decoder: H1Decoder, now: MonotonicInstant
  ) {
    self.connection = connection
    self.listener = listener
    self.snapshot = snapshot
    self.peer = peer
    directPeer = peer
    self.local = local
    self.decoder = decoder
    self.accepted = now
    self.idleSince = now
  }

  /// Still of use: not being closed.
  package var isOpen: Bool { !flags.contains(.closed) }
}
