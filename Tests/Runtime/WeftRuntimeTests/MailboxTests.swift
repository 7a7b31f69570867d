import Testing
import WeftBase
import WeftRuntime

@Suite("mailbox of a loop")
struct MailboxTests {
  private final class Idle: LoopHandler {
    func accepted(_ c: ConnectionID, on listener: ListenerID, from peer: SocketAddress) {}
    func connected(_ c: ConnectionID) {}
    func received(_ c: ConnectionID, _ bytes: ByteView) -> Int { bytes.count }
    func readEnded(_ c: ConnectionID) {}
    func closed(_ c: ConnectionID, _ reason: CloseReason) {}
  }

  @Test("work that waits when the loop ends is told that it will not run")
  func dropped() {
    let loop = EventLoop(driver: EpollDriver())
    let handler = Idle()
    loop.handler = handler
    let outcome = Outcome()
    loop.mailbox.post({ _ in outcome.ran = true }, dropped: { outcome.dropped = true })
    loop.shutdown()
    #expect(outcome.dropped && !outcome.ran)
    let accepted = loop.mailbox.post({ _ in }, dropped: { outcome.ran = true })
    #expect(!accepted && !outcome.ran)
  }

  private final class Outcome: @unchecked Sendable {  // one thread
    var ran = false
    var dropped = false
  }
}
