// Driver: the system calls a loop needs, as virtual methods. EpollDriver does them, MemoryDriver plays them.

package import WeftBase

/// A readiness event.
@frozen @usableFromInline
package struct DriverEvent: BitwiseCopyable {
  /// What the socket was registered with.
  @usableFromInline package var key: UInt64
  @usableFromInline package var flags: Flags

  @frozen @usableFromInline
  package struct Flags: OptionSet, BitwiseCopyable, Sendable {
    @usableFromInline package let rawValue: UInt8
    @inlinable package init(rawValue: UInt8) { self.rawValue = rawValue }
    @inlinable package static var readable: Flags { Flags(rawValue: 1) }
    @inlinable package static var writable: Flags { Flags(rawValue: 2) }
    /// The peer's FIN has come, or both directions are shut.
    @inlinable package static var hangup: Flags { Flags(rawValue: 4) }
    @inlinable package static var error: Flags { Flags(rawValue: 8) }
  }

  @inlinable
  package init(key: UInt64, flags: Flags) {
    self.key = key
    self.flags = flags
  }
}

/// A run of bytes for a gathering write.
@frozen @safe @usableFromInline
package struct WriteVector: BitwiseCopyable {
  @usableFromInline package var base: UnsafeRawPointer
  @usableFromInline package var count: Int

  @inlinable
  package init(base: UnsafeRawPointer, count: Int) {
    unsafe self.base = base
    self.count = count
  }
}

/// System calls behind virtual methods; about 2 ns each.
///
/// *Shape*: sockets are non-blocking and named by small numbers; readiness is edge-triggered, each socket registered once for both
/// directions. Calls return `-errno` on failure.
/// *Threads*: the loop's, but for the waker.
package class Driver {
  package init() {}

  /// Wakes a waiting loop from any thread.
  package var waker: @Sendable () -> Void { {} }

  /// The clock.
  package func now() -> MonotonicInstant { .zero }

  /// Waits until something is ready, `deadline` has come (nil: no limit), or the waker is called; fills `events`.
  package func wait(
    until deadline: MonotonicInstant?, events: UnsafeMutableBufferPointer<DriverEvent>
  ) -> Int { 0 }

  /// A listening socket, registered under `key`, and its true address. *Errors*: somebody else listens there, whatever they share.
  package func listen(on address: SocketAddress, _ options: ListenOptions, key: UInt64)
    throws(WeftError) -> (
      socket: Int32, address: SocketAddress
    )
  { throw WeftError(.unsupported, "this driver cannot listen") }

  /// Closes a listening socket.
  package func stopListening(_ listener: Int32) { close(listener, reset: false) }

  /// A connection of `listener`, not yet registered, or `-errno`; `-EMFILE` means one was shed.
  package func accept(_ listener: Int32, _ options: ConnectionOptions, peer: inout SocketAddress)
    -> Int32
  { -1 }

  /// Registers an accepted socket under `key`.
  package func register(_ socket: Int32, key: UInt64) -> Int32 { 0 }

  /// Added to the `errno` of a connect that failed before it was tried: the local address, or an option it was to have, could not be had.
  package static var bindFault: Int32 { 1 << 16 }

  /// Begins to connect; the socket is registered under `key` and becomes writable when the outcome is known. *Errors*: `-errno`, with `bindFault`
  /// where our own side of the connection is the reason.
  package func connect(to address: SocketAddress, _ options: ConnectionOptions, key: UInt64)
    -> Int32
  { -1 }

  /// The outcome of a connect: 0 or `errno`.
  package func pendingError(_ socket: Int32) -> Int32 { 0 }

  /// Bytes read, 0 at the peer's FIN.
  package func read(_ socket: Int32, into base: UnsafeMutableRawPointer, capacity: Int) -> Int { 0 }

  /// Bytes taken.
  package func write(_ socket: Int32, _ base: UnsafeRawPointer, count: Int) -> Int { 0 }

  /// Bytes taken of all `vectors` together.
  package func write(_ socket: Int32, _ vectors: UnsafeBufferPointer<WriteVector>) -> Int { 0 }

  /// Bytes that could be read at once.
  package func unreadBytes(_ socket: Int32) -> Int { 0 }

  /// Bytes written that the peer's side has not taken yet: a reset would take them away from it.
  package func unsentBytes(_ socket: Int32) -> Int { 0 }

  /// Lets go of a connected socket without a word to its peer: the descriptor, which is the caller's from then on, or `-errno`.
  package func release(_ socket: Int32) -> Int32 { -1 }

  /// Takes over the descriptor of a connected socket, registered under `key`; what has arrived meanwhile is reported. `-errno`: the descriptor
  /// stays the caller's.
  package func adopt(_ descriptor: Int32, key: UInt64) -> Int32 { -1 }

  /// Closes a released descriptor that nobody adopts.
  package func discard(_ descriptor: Int32) {}

  /// Lets go of a listening socket: what waits in its queue waits for whoever adopts the descriptor.
  package func releaseListener(_ listener: Int32) -> Int32 { -1 }

  /// Takes over the descriptor of a listening socket, as `listen` would have made it with `options`, and tells its address.
  package func adoptListener(_ descriptor: Int32, _ options: ListenOptions, key: UInt64)
    throws(WeftError) -> (
      socket: Int32, address: SocketAddress
    )
  { throw WeftError(.unsupported, "this driver cannot listen") }

  /// Sends FIN.
  package func shutdownWrite(_ socket: Int32) {}

  /// Closes; `reset` sends RST instead of FIN.
  package func close(_ socket: Int32, reset: Bool) {}

  package func localAddress(_ socket: Int32) -> SocketAddress { .unnamedUnix }
  package func peerAddress(_ socket: Int32) -> SocketAddress { .unnamedUnix }
  /// Where the client wanted to go before REDIRECT sent it here; nil when nothing redirected it.
  package func originalDestination(_ socket: Int32) -> SocketAddress? { nil }

  /// Watches a foreign descriptor, level-triggered; replaces an earlier interest. `[]` ends it.
  package func watch(_ descriptor: Int32, _ interest: DriverEvent.Flags, key: UInt64) -> Int32 {
    -1
  }
}
