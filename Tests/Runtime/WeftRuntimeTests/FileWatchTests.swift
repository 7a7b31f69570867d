import Glibc
import Testing
import WeftBase
import WeftRuntime
import WeftTestKit

@Suite("watch of directories")
struct FileWatchTests {
  private final class Idle: LoopHandler {
    func accepted(_ c: ConnectionID, on listener: ListenerID, from peer: SocketAddress) {}
    func connected(_ c: ConnectionID) {}
    func received(_ c: ConnectionID, _ bytes: ByteView) -> Int { bytes.count }
    func readEnded(_ c: ConnectionID) {}
    func closed(_ c: ConnectionID, _ reason: CloseReason) {}
  }

  @Test("tells of files that are moved in, written and removed; not of another directory's")
  func tells() throws {
    let here = TemporaryDirectory()
    let elsewhere = TemporaryDirectory()
    let loop = EventLoop(driver: EpollDriver())
    let handler = Idle()
    loop.handler = handler
    var count = 0
    let watch = try FileWatch(loop) { count += 1 }
    #expect(watch.follow([here.path, here.path + "/none"]) == [here.path + "/none"])
    func tells(_ change: () -> Void) -> Bool {
      count = 0
      change()
      loop.turn(until: loop.now)
      loop.turn(until: loop.now)
      return count > 0
    }
    #expect(tells { here.write("a", "1") })
    #expect(tells { here.remove("a") })
    elsewhere.write("b", "1")
    let other = elsewhere.file("b")
    #expect(!tells {})
    #expect(tells { _ = unsafe rename(other, here.path + "/b") })
    #expect(tells { _ = unsafe symlink("b", here.path + "/c") })
    #expect(watch.follow([]).isEmpty)
    #expect(!tells { here.write("a", "2") })
    loop.shutdown()
  }
}
