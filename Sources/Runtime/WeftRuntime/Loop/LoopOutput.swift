// How output leaves: to the socket at once, and through a queue of pooled blocks when the socket is full.

import Glibc
package import WeftBase

extension EventLoop {
  /// Writes `bytes`: at once what the socket takes, the rest is queued. They may be reused when this returns. Before a connect has
  /// succeeded everything is queued.
  package func write(_ c: ConnectionID, _ bytes: ByteView) -> WriteOutcome {
    guard let c = reference(c), c.it.isWritable else { return .closed }
    if c.it.transport.isSecure { return encrypt(c, bytes, .empty) }
    return send(c, bytes)
  }

  /// Writes `first` and `second` in one system call (a head and its body).
  package func write(_ c: ConnectionID, _ first: ByteView, _ second: ByteView) -> WriteOutcome {
    guard let c = reference(c), c.it.isWritable else { return .closed }
    if c.it.transport.isSecure { return encrypt(c, first, second) }
    if first.isEmpty || second.isEmpty { return send(c, first.isEmpty ? second : first) }
    guard c.it.queue.isEmpty, !c.it.queues else {
      _ = enqueue(c, first)
      return enqueue(c, second)
    }
    unsafe vectors[0] = WriteVector(base: first.base, count: first.count)
    unsafe vectors[1] = WriteVector(base: second.base, count: second.count)
    let n = writeVectors(c, 2, total: first.count + second.count)
    if n < 0 { return .closed }
    if n == first.count + second.count { return .written }
    if n < first.count { _ = enqueue(c, first.dropFirst(n)) }
    return enqueue(c, second.dropFirst(n - first.count))
  }

  /// Ends our side after the queue has drained: close_notify where secure, then FIN. Reading goes on; when the peer has ended as well, the
  /// connection is closed.
  package func finishWriting(_ c: ConnectionID) {
    guard let c = alive(c), c.it.isWritable else { return }
    finishTransport(c)
    c.it.output.requestEnd()
    afterDraining(c)
  }

  /// Sends raw bytes (plaintext of a plain connection, ciphertext of a secure one).
  func send(_ c: ConnectionReference, _ bytes: ByteView) -> WriteOutcome {
    guard c.it.queue.isEmpty, !c.it.queues else {
      return enqueue(c, bytes)
    }
    if bytes.isEmpty { return .written }
    var n: Int
    repeat {
      n = unsafe driver.write(c.it.socket, bytes.base, count: bytes.count)
      unsafe state.pointee.statistics.writes += 1
    } while n == -Int(EINTR)
    if n == bytes.count {
      unsafe state.pointee.statistics.bytesWritten += UInt64(n)
      return .written
    }
    if n < 0 {
      if n != -Int(EAGAIN) {
        writeFailed(c, Int32(truncatingIfNeeded: -n))
        return .closed
      }
      n = 0
    }
    unsafe state.pointee.statistics.bytesWritten += UInt64(n)
    c.it.facts.insert(.writeFull)
    return enqueue(c, bytes.dropFirst(n))
  }

  private func enqueue(_ c: ConnectionReference, _ bytes: ByteView) -> WriteOutcome {
    c.it.queue.append(bytes, pool: pool)
    let queued = c.it.queue.count
    if queued > limits.queuedBytes {
      unsafe state.pointee.statistics.queueLimitReached += 1
      end(c, CloseReason(.outputLimit), reset: true)
      return .closed
    }
    if queued > Int(c.it.high) { c.it.facts.insert(.owesDrained) }
    return c.it.facts.contains(.owesDrained) ? .blocked : .queued
  }

  /// Writes the first `count` vectors; what was taken, 0 when the socket is full, negative when it broke.
  private func writeVectors(_ c: ConnectionReference, _ count: Int, total: Int) -> Int {
    var n: Int
    repeat {
      n = unsafe driver.write(c.it.socket, UnsafeBufferPointer(rebasing: vectors[0..<count]))
      unsafe state.pointee.statistics.writes += 1
    } while n == -Int(EINTR)
    if n < 0, n != -Int(EAGAIN) {
      writeFailed(c, Int32(truncatingIfNeeded: -n))
      return n
    }
    n = max(n, 0)
    unsafe state.pointee.statistics.bytesWritten += UInt64(n)
    if n < total { c.it.facts.insert(.writeFull) }
    return n
  }

  /// Sends from the queue what the socket takes. Called from events only, as it may tell the handler.
  func flush(_ c: ConnectionReference, _ handler: any LoopHandler) {
    var progress = false
    while !c.it.queue.isEmpty, !c.it.facts.contains(.writeFull), !c.it.life.isDead {
      let (count, total) = unsafe c.it.queue.gather(vectors)
      let n = writeVectors(c, count, total: total)
      if n < 0 { return }
      if n > 0 {
        c.it.queue.consume(n, pool: pool)
        progress = true
      }
    }
    if progress, c.it.life == .closing {
      lingering.cancel(c.it.lingerTimer)
      armLinger(c)
    }
    afterDraining(c)
    if c.it.facts.contains(.owesDrained), c.it.queue.count <= Int(c.it.low) {
      c.it.facts.remove(.owesDrained)
      if c.it.isWritable { handler.drained(c.id) }
    }
  }

  /// Sends the FIN that waited for the queue.
  func afterDraining(_ c: ConnectionReference) {
    guard c.it.queue.isEmpty, c.it.output == .endRequested, !c.it.life.isDead, c.it.life != .connecting else { return }
    c.it.output.end()
    if c.it.isInputOver || c.it.lingerMilliseconds == 0 { return end(c, c.it.reason, reset: false) }
    driver.shutdownWrite(c.it.socket)
  }

  // MARK: Transports

  private func encrypt(_ c: ConnectionReference, _ first: ByteView, _ second: ByteView)
    -> WriteOutcome
  {
    precondition(
      c.it.transport.isOpen,
      "plaintext may not be written before the handshake is done")
    guard let session = transports[c.id.index] else { return .closed }
    if !first.isEmpty, !session.send(first, output: &ciphertext) { return transportBroke(c) }
    if !second.isEmpty, !session.send(second, output: &ciphertext) { return transportBroke(c) }
    return sendCiphertext(c)
  }

  private func transportBroke(_ c: ConnectionReference) -> WriteOutcome {
    sendCiphertext(c)
    if !c.it.life.isDead { end(c, CloseReason(.transportFailed), reset: false) }
    return .closed
  }

  /// Sends what a session has produced.
  @discardableResult
  func sendCiphertext(_ c: ConnectionReference) -> WriteOutcome {
    if ciphertext.isEmpty { return .written }
    let outcome = send(c, ciphertext.view)
    ciphertext.removeAll()
    return outcome
  }

  /// close_notify, once.
  func finishTransport(_ c: ConnectionReference) {
    guard c.it.transport.isSecure, c.it.life != .connecting,
      let session = transports[c.id.index]
    else {
      return
    }
    session.finish(output: &ciphertext)
    sendCiphertext(c)
  }
}
