import WeftBase
import WeftHTTP
import WeftRuntime

/// One connection of the loop. Subclasses speak a protocol on it; the members they override are its events.
class LoopConnection {
  let core: LoopCore
  let id: ConnectionID

  init(core: LoopCore, id: ConnectionID) {
    self.core = core
    self.id = id
  }

  var loop: EventLoop { core.loop }

  // From the loop
  func connected() {}
  func secured() {}
  func received(_ bytes: ByteView) -> Int { bytes.count }
  func readEnded() { loop.close(id) }
  func socketEnded() {}
  func drained() {}
  func closed(_ error: ServiceError) {}

  // From exchanges
  /// The exchange has a head, bytes or an end to send.
  func pump(_ exchange: LoopExchange) {}
  /// The exchange's task has taken `bytes` of what was received.
  func consumed(_ exchange: LoopExchange, _ bytes: Int) {}
  /// The exchange is over for us; the peer is told as the protocol allows.
  func abort(_ exchange: LoopExchange, _ code: H2ErrorCode) {}

  // From servers and pools
  /// Takes no new exchanges and closes when the last one has ended.
  func drain() {}
  /// Ends everything now.
  func close(_ error: ServiceError) { loop.close(id, .reset) }
}
