// How connections begin: listening, accepting, connecting, transports.

import Glibc
package import WeftBase

extension EventLoop {
  /// Listens on `address`; port 0 takes a free one (see `address(of:)`).
  package func listen(on address: SocketAddress, _ options: ListenOptions = ListenOptions())
    throws(WeftError)
    -> ListenerID
  {
    try listen(options) { (driver, key) throws(WeftError) in try driver.listen(on: address, options, key: key) }
  }

  /// Makes a listener of the socket that `open` gives for a key.
  func listen(
    _ options: ListenOptions,
    _ open: (Driver, UInt64) throws(WeftError) -> (socket: Int32, address: SocketAddress)
  ) throws(WeftError) -> ListenerID {
    let state = ListenerState(socket: -1, address: .unnamedUnix, options: listenOptions.count)
    guard let slot = listeners.insert(state) else {
      throw WeftError(.limitReached, "a loop has at most \(listeners.maximum) listeners")
    }
    do throws(WeftError) {
      let (socket, bound) = try open(driver, Kind.key(slot, Kind.listener))
      listeners[slot].socket = socket
      listeners[slot].address = bound
    } catch {
      listeners.remove(slot)
      throw error
    }
    // Slots of closed listeners are used again, so that changing listeners for ever does not grow the table.
    if let free = freeListenOptions.popLast() {
      listenOptions[free] = options
      listeners[slot].options = free
    } else {
      listenOptions.append(options)
    }
    return ListenerID(slot)
  }

  /// The true address of a listener.
  package func address(of listener: ListenerID) -> SocketAddress {
    listeners.contains(listener.slot) ? listeners[listener.slot].address : .unnamedUnix
  }

  /// Closes a listener; its connections stay. Connections the kernel had not handed over yet are reset by it.
  package func stopAccepting(_ listener: ListenerID) {
    guard listeners.contains(listener.slot) else { return }
    driver.stopListening(listeners[listener.slot].socket)
    forget(listener)
  }

  func forget(_ listener: ListenerID) {
    freeListenOptions.append(listeners[listener.slot].options)
    listeners.remove(listener.slot)
  }

  /// Accepts what waits in the listener's queue, now: closing the listener would reset it. Not from inside a callback.
  package func acceptWaiting(_ listener: ListenerID) {
    guard let handler else { return }
    for _ in 0..<16 { acceptAll(listener, handler) }
  }

  func acceptAll(_ listener: ListenerID, _ handler: any LoopHandler) {
    var budget = limits.acceptsPerTurn
    if listeners.contains(listener.slot) {
      let own = listenOptions[listeners[listener.slot].options].acceptsPerTurn
      if own > 0 { budget = min(budget, own) }
    }
    var peer = SocketAddress.unnamedUnix
    // The handler may stop the listener from inside `accepted`.
    while budget > 0, listeners.contains(listener.slot) {
      budget -= 1
      let options = listenOptions[listeners[listener.slot].options].accepted
      let socket = driver.accept(listeners[listener.slot].socket, options, peer: &peer)
      if socket < 0 {
        switch -socket {
        case EMFILE:
          unsafe state.pointee.statistics.shedNoDescriptors += 1
          continue
        case EINTR, ECONNABORTED: continue
        default: return
        }
      }
      if handler.takesAway(socket, on: listener, from: peer) { continue }
      _ = begin(socket, on: listener, from: peer, options.watermarks, handler)
    }
  }

  /// Takes over a socket that another loop has accepted, as if it had come in on `listener` here. Not from inside a callback.
  /// *Returns*: whether it is a connection now; else it was closed.
  package func adopt(_ socket: Int32, on listener: ListenerID, from peer: SocketAddress) -> Bool {
    guard let handler, listeners.contains(listener.slot) else {
      driver.close(socket, reset: true)
      return false
    }
    return begin(
      socket, on: listener, from: peer, listenOptions[listeners[listener.slot].options].accepted.watermarks, handler)
  }

  /// Makes an accepted socket a connection.
  private func begin(
    _ socket: Int32, on listener: ListenerID, from peer: SocketAddress, _ watermarks: Watermarks,
    _ handler: any LoopHandler
  ) -> Bool {
    let connection = Connection(socket: socket, life: .open, user: 0, watermarks: watermarks, listener: listener)
    guard let slot = connections.insert(connection) else {
      unsafe state.pointee.statistics.shedConnectionLimit += 1
      driver.close(socket, reset: true)
      return false
    }
    guard driver.register(socket, key: slot.rawValue) >= 0 else {
      driver.close(socket, reset: true)
      connections.remove(slot)
      return false
    }
    unsafe state.pointee.statistics.accepted += 1
    handler.accepted(ConnectionID(slot), on: listener, from: peer)
    return true
  }

  /// Begins to connect. The outcome comes as `connected` or `closed`; `tag` is the connection's first `user`. `.none` at
  /// `Limits.connections`, without any callback.
  package func connect(
    to address: SocketAddress, _ options: ConnectionOptions = ConnectionOptions(), tag: UInt64 = 0
  ) -> ConnectionID {
    let connection = Connection(
      socket: -1, life: .connecting, user: tag, watermarks: options.watermarks, listener: .none)
    guard let slot = connections.insert(connection) else {
      unsafe state.pointee.statistics.shedConnectionLimit += 1
      return .none
    }
    let c = unsafe ConnectionReference(ConnectionID(slot), connections.pointer(slot))
    let socket = driver.connect(to: address, options, key: slot.rawValue)
    if socket >= 0 {
      c.it.socket = socket
    } else {
      let isOurs = -socket >= Driver.bindFault
      end(
        c,
        CloseReason(isOurs ? .bindFailed : .connectFailed, systemError: isOurs ? -socket - Driver.bindFault : -socket),
        reset: false)
    }
    return c.id
  }

  /// Called at the first event of a connecting socket.
  func finishConnecting(_ c: ConnectionReference, _ handler: any LoopHandler) {
    let error = driver.pendingError(c.it.socket)
    if error != 0 { return end(c, CloseReason(.connectFailed, systemError: error), reset: false) }
    c.it.life.socketConnected()
    if c.it.transport.isSecure { return beginTransport(c) }
    established(c, handler)
    if c.it.life.isDead { return }
    if !c.it.queue.isEmpty { flush(c, handler) } else { afterDraining(c) }
  }

  /// Socket and transport are ready.
  func established(_ c: ConnectionReference, _ handler: any LoopHandler) {
    if c.it.life == .opening {
      c.it.life.told()
      unsafe state.pointee.statistics.connected += 1
      handler.connected(c.id)
    } else {
      handler.secured(c.id)
    }
  }

  /// Puts `session` between socket and handler.
  ///
  /// For `connect`: right after it, so that `connected` waits for the handshake; what was written before goes first, and in the clear. For accepted connections: in `accepted`, or in `received`
  /// before any reply; bytes not consumed there go to the session first, and `secured` tells when the handshake is done. Writing
  /// before that traps.
  package func startTransport(_ c: ConnectionID, _ session: any TransportSession) {
    guard let c = alive(c) else { return session.end() }
    precondition(!c.it.transport.isSecure, "a connection has one transport")
    while transports.count <= c.id.index { transports.append(nil) }
    transports[c.id.index] = session
    c.it.transport.start()
    if c.it.life == .connecting { return }
    // Bytes already read belong to the session; `received` may be running, so they are fed when it has returned.
    c.it.facts.insert(.feedStash)
    list(c)
    beginTransport(c)
  }

  private func beginTransport(_ c: ConnectionReference) {
    guard let session = transports[c.id.index] else { return }
    session.start(output: &ciphertext)
    sendCiphertext(c)
  }
}
