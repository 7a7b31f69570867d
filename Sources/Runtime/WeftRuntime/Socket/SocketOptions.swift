// Options of listeners and connections.

import CLinux

/// TCP keepalive.
package struct Keepalive: Hashable, Sendable {
  /// Silence before the first probe. *Units*: whole seconds.
  package var idle: Duration
  /// Time between probes. *Units*: whole seconds.
  package var interval: Duration
  /// Unanswered probes before the connection is given up.
  package var probes: Int

  package init(idle: Duration = .seconds(300), interval: Duration = .seconds(30), probes: Int = 5) {
    self.idle = idle
    self.interval = interval
    self.probes = probes
  }
}

/// How much output a connection queues before its writer is told to stop.
package struct Watermarks: Hashable, Sendable {
  /// Above this many queued bytes `write` answers `.blocked`.
  package var high: Int
  /// `drained` comes when the queue has fallen to this many bytes.
  package var low: Int

  package init(high: Int = 1 << 20) { self.init(high: high, low: high / 2) }

  package init(high: Int, low: Int) {
    self.high = high
    self.low = low
  }
}

/// Options of one connection, accepted or made.
package struct ConnectionOptions: Hashable, Sendable {
  package var watermarks = Watermarks()
  /// TCP_NODELAY.
  package var noDelay = true
  package var keepalive: Keepalive?
  /// TCP_USER_TIMEOUT: how long sent bytes may stay unacknowledged.
  package var userTimeout: Duration?
  /// Local address to connect from (IP_TRANSPARENT sockets set it to the client's).
  package var bindTo: SocketAddress?
  /// IP_TRANSPARENT on the connecting socket; needs CAP_NET_ADMIN.
  package var transparent = false
  /// IP_FREEBIND on the connecting socket: `bindTo` may be an address that the machine does not have yet.
  package var freeBind = false
  /// SO_MARK; 0 leaves it alone.
  package var mark: UInt32 = 0
  /// Options of a connecting socket that are set as they are, in their order and before it is bound. One that the kernel refuses costs the
  /// connection.
  package var raw: [RawSocketOption] = []
  /// SO_SNDBUF and SO_RCVBUF; 0 leaves the kernel's tuning on. *Units*: bytes.
  package var kernelBufferBytes = 0

  package init() {}
}

/// An option for `setsockopt`, by its numbers.
package struct RawSocketOption: Hashable, Sendable {
  /// When it is set.
  package enum Stage: Hashable, Sendable { case beforeBind, afterBind, afterListen }
  package var level: Int32
  package var name: Int32
  package var value: [UInt8]
  package var stage: Stage

  package init(level: Int32, name: Int32, value: [UInt8], stage: Stage = .beforeBind) {
    self.level = level
    self.name = name
    self.value = value
    self.stage = stage
  }
}

/// Options of a listener.
package struct ListenOptions: Hashable, Sendable {
  /// How the loops of this process may listen at one address together. Another process never may.
  package enum Sharing: Hashable, Sendable {
    /// Not at all: the second is refused.
    case none
    /// SO_REUSEPORT: each loop has a socket of its own and the kernel deals connections out to them.
    case reusePort
    /// All loops take connections from one socket.
    case oneSocket
  }

  package var sharing = Sharing.none
  package var backlog = 4096
  /// TCP_FASTOPEN: how many connections may wait that have sent data with their SYN; 0 leaves it off.
  package var fastOpenQueue: Int32 = 0
  /// Connections accepted in one turn, if fewer than `Limits.acceptsPerTurn`; 0 says nothing.
  package var acceptsPerTurn = 0
  /// Options set as they are, in their order.
  package var raw: [RawSocketOption] = []
  /// IP_TRANSPARENT: accept connections to foreign addresses (TPROXY); needs CAP_NET_ADMIN.
  package var transparent = false
  /// IP_FREEBIND: listen on addresses the machine does not have yet.
  package var freeBind = false
  /// IPV6_V6ONLY.
  package var v6Only = false
  /// Mode of a Unix-domain socket file; an old socket file is removed first.
  package var unixMode: UInt32 = 0o600
  /// Options of the accepted connections.
  package var accepted = ConnectionOptions()

  package init() {}
}

/// What the kernel lets this process do with sockets.
package enum SocketRights {
  /// Whether a socket may have an address that is not the machine's (IP_TRANSPARENT): CAP_NET_ADMIN, asked for once.
  package static let transparent: Bool = {
    let socket = weft_stream_socket(AddressBytes.family(of: .loopback(port: 0)))
    guard socket >= 0 else { return false }
    defer { _ = weft_close(socket) }
    return weft_set_transparent(socket, 0) >= 0
  }()
}
