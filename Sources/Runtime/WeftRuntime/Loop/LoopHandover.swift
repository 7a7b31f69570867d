// How connections and listeners leave a loop and come to another one, in this process or the next (D17), without their peers noticing.

package import WeftBase

/// A connection that no loop has: a descriptor and plain bytes.
package struct ReleasedConnection {
  /// Whoever holds this owns it: a loop adopts it, or it is closed.
  package var descriptor: Int32
  package var peer: SocketAddress
  /// What was read and not consumed; the next loop delivers it before anything else.
  package var unread: [UInt8]
  /// `readEnded` was told; it is not told again.
  package var hasPeerEnded: Bool
}

extension EventLoop {
  /// Lets go of a connection without a word to its peer or its handler: there is no `closed`. Not from inside a callback.
  ///
  /// *Returns*: nil where it has to stay, for now or for good: while it connects, has something to send, closes or is broken, and when a
  /// transport stands between (its keys do not lie in the socket).
  package func release(_ c: ConnectionID) -> ReleasedConnection? {
    guard let c = alive(c), c.it.queue.isEmpty, c.it.life == .open, c.it.output == .open, !c.it.transport.isSecure
    else {
      return nil
    }
    let peer = driver.peerAddress(c.it.socket)
    let descriptor = driver.release(c.it.socket)
    guard descriptor >= 0 else { return nil }
    let released = ReleasedConnection(
      descriptor: descriptor, peer: peer, unread: c.it.stash.view.array,
      hasPeerEnded: c.it.input == .ended)
    releaseStash(c)
    connections.remove(c.id.slot)
    return released
  }

  /// Takes over what another loop has released; `tag` is the connection's first `user`. Nothing is told of its beginning: the next events are
  /// the bytes that came with it, and what arrives. `.none`: it was closed, for the loop is full.
  package func adopt(
    _ released: ReleasedConnection, _ options: ConnectionOptions = ConnectionOptions(), tag: UInt64 = 0
  ) -> ConnectionID {
    var connection = Connection(socket: -1, life: .open, user: tag, watermarks: options.watermarks, listener: .none)
    if released.hasPeerEnded { connection.input.end() }
    guard let slot = connections.insert(connection) else {
      unsafe state.pointee.statistics.shedConnectionLimit += 1
      driver.discard(released.descriptor)
      return .none
    }
    let socket = driver.adopt(released.descriptor, key: slot.rawValue)
    guard socket >= 0 else {
      driver.discard(released.descriptor)
      connections.remove(slot)
      return .none
    }
    let c = unsafe ConnectionReference(ConnectionID(slot), connections.pointer(slot))
    c.it.socket = socket
    if !released.unread.isEmpty {
      released.unread.withByteView { appendToStash(c, $0) }
      c.it.facts.insert(.owesStash)
      list(c)
    }
    return c.id
  }

  /// Stops accepting from a listener without closing it; whoever adopts the descriptor accepts what waits. nil: it cannot leave.
  package func releaseListener(_ listener: ListenerID) -> Int32? {
    guard listeners.contains(listener.slot) else { return nil }
    let descriptor = driver.releaseListener(listeners[listener.slot].socket)
    if descriptor < 0 { return nil }
    forget(listener)
    return descriptor
  }

  /// Listens with a descriptor that another loop released, with the same options. *Errors*: it is none, or the loop is full; the descriptor
  /// stays the caller's.
  package func adoptListener(_ descriptor: Int32, _ options: ListenOptions = ListenOptions()) throws(WeftError)
    -> ListenerID
  {
    try listen(options) { (driver, key) throws(WeftError) in try driver.adoptListener(descriptor, options, key: key) }
  }
}
