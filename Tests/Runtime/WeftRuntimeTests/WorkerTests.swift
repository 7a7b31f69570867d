import Glibc
import Testing
import WeftBase
import WeftRuntime

@Suite("worker")
struct WorkerTests {
  private final class Idle: LoopHandler {
    func accepted(_ c: ConnectionID, on listener: ListenerID, from peer: SocketAddress) {}
    func connected(_ c: ConnectionID) {}
    func received(_ c: ConnectionID, _ bytes: ByteView) -> Int { bytes.count }
    func readEnded(_ c: ConnectionID) {}
    func closed(_ c: ConnectionID, _ reason: CloseReason) {}
  }

  @Test("work posted from other threads runs on the loop in order, and stop ends it")
  func mailbox() throws {
    let (worker, mailbox) = try Worker.loop(name: "test-loop") { _ in Idle() }
    let seen = Handover<[Int]>()
    for i in 0..<1_000 {
      mailbox.post { loop in
        // `user data` of this test: the order of arrival, kept where only the loop's thread sees it.
        Order.shared.append(i)
        if i == 999 {
          seen.give(Order.shared.numbers)
          loop.stop()
        }
      }
    }
    #expect(seen.take() == Array(0..<1_000))
    worker.join()
    #expect(!mailbox.post { _ in })
  }

  /// Touched by one loop's thread only.
  private final class Order: @unchecked Sendable {
    static let shared = Order()
    var numbers: [Int] = []
    func append(_ n: Int) { numbers.append(n) }
  }

  @Test("an error while setting up is thrown to the starter")
  func setUpFails() {
    #expect(throws: WeftError.self) {
      _ = try Worker.loop(name: "fails") { _ in throw WeftError(.refused, "no") }
    }
  }

  @Test("a signal comes as an event of the loop")
  func signals() throws {
    let got = Handover<SignalWatch.Signal>()
    let (worker, mailbox) = try Worker.loop(name: "signals") { loop in
      let handler = SignalHandler()
      handler.watch = try SignalWatch(loop, [.user1]) { got.give($0) }
      // Sent to this thread, which blocks it, so that no other thread of the test process is hit.
      pthread_kill(pthread_self(), SIGUSR1)
      return handler
    }
    #expect(got.take() == .user1)
    mailbox.post { $0.stop() }
    worker.join()
  }

  private final class SignalHandler: LoopHandler {
    var watch: SignalWatch?
    func accepted(_ c: ConnectionID, on listener: ListenerID, from peer: SocketAddress) {}
    func connected(_ c: ConnectionID) {}
    func received(_ c: ConnectionID, _ bytes: ByteView) -> Int { bytes.count }
    func readEnded(_ c: ConnectionID) {}
    func closed(_ c: ConnectionID, _ reason: CloseReason) {}
  }
}
