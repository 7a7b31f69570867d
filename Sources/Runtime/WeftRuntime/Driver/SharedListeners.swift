// SharedListeners: where loops of one process listen together, and nobody else does.

import Glibc
import Synchronization
import WeftBase

/// The addresses at which several loops of this process listen.
///
/// SO_REUSEPORT lets any two sockets of one user share an address, also those of two programs that know nothing of each other, and the kernel
/// then deals connections out between them. So the first socket of an address binds and listens without it, which the kernel refuses when
/// anybody is there, and is opened to others afterwards. Those that follow from the same process find the address here; the first one of
/// another process is refused as long as one of ours listens.
///
/// *Threads*: any; held while a socket is opened or closed, which is rare.
final class SharedListeners: Sendable {
  static let ofProcess = SharedListeners()

  struct Place {
    /// The socket that all take connections from (a descriptor of the table's own), or -1: each has its own.
    var socket: Int32 = -1
    var users = 0
  }

  let places = Mutex<[SocketAddress: Place]>([:])
}

extension SocketAddress {
  /// Whether connections to one may also be meant for the other.
  func overlaps(_ other: SocketAddress) -> Bool {
    if isUnix || other.isUnix { return self == other }
    return port == other.port && (ip == other.ip || ip.isAny || other.ip.isAny)
  }
}

extension WeftError {
  /// An address nobody can listen at.
  static func cannotBind(_ address: SocketAddress, _ number: Int32) -> WeftError {
    let reason = number == EADDRINUSE ? "address already in use" : SystemErrorName.describe(number)
    return WeftError(.system, "cannot bind \(address): \(reason)", systemError: number)
  }
}
