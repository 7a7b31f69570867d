// DownstreamConnection: a connection that a client made, as a slot.

package import WeftBase
package import WeftHTTP
package import WeftProxyAPI
import WeftTables
import WeftTelemetry
package import WeftRuntime
package import WeftUpstream

/// A connection that a client made. Trivially copyable: no class, closure, array or string inside.
package struct DownstreamConnection: BitwiseCopyable {
  package var connection: ConnectionID
  package var kind = DownstreamKind.unmatched
  // How far it has come.
  package var life = DownstreamLife.open
  package var farewell = Farewell.none
  package var transport = TransportState.plain
  package var read = ReadSide.open
  package var write = WriteSide.open
  package var flush = FlushState.none
  /// Whether part of a request head, or of the frame that holds one, has arrived: then `headDeadline` runs.
  package var nextHead = FirstBytes.awaited
  /// The listener it came from: position in the worker's table.
  package var listener: UInt32
  /// The configuration it uses (`WorkerEngine.snapshots`), and its filter chain there (-1: none chosen).
  package var snapshot: UInt32
  package var chain: Int32 = -1
  var chainConfig: ConfigRef<CompiledFilterChain>?
  /// What the chain's network filters keep of it; none where there are none.
  package var network = NetworkIndex.none
  var manager: ConfigRef<CompiledHTTPManager>?
  var stats: StatBlock<HTTPMetric>?
  var tcpStats: StatBlock<TCPMetric>?
  package var decoder: H1Decoder
  package var h2 = H2Cell.none
  package var codec = CodecCell.none
  /// HTTP/1 and TCP: the stream in progress.
  package var stream = StreamIndex.none
  /// HTTP/2 and codecs: the streams in progress, oldest first, whether or not the codec still knows them.
  package var streams = SlotList<StreamSlot>()
  package var active: UInt32 = 0
  /// `inside`: what its stream is for; which hold of which stream waits for the answer, or whom it accompanies.
  var purpose = InsidePurpose.ask
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
  package var isOpen: Bool { !life.isClosed }
}
