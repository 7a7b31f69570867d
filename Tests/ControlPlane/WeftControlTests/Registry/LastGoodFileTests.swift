import Glibc
import Synchronization
import Testing
import WeftBase
import WeftControlAPI
import WeftTestKit

@Suite("last-good file")
struct LastGoodFileTests {
  @Test("the newest state is written, in one step, and read back")
  func roundTrip() async {
    let directory = TemporaryDirectory()
    let file = LastGoodFile(directory.file("a.json"))
    #expect(file.read() == nil)
    for number in 1...5 { file.note { ["number": .int(number)] } }
    await file.flush()
    #expect(LastGoodFile(directory.file("a.json")).read() == ["number": 5])
    #expect(file.failure == nil)
  }

  @Test("half a file is as good as none")
  func damaged() {
    let directory = TemporaryDirectory()
    directory.write("a.json", "{\"number\": ")
    #expect(LastGoodFile(directory.file("a.json")).read() == nil)
  }

  @Test("a place that cannot be written is told, holds nobody up, and is tried again")
  func unwritable() async {
    let directory = TemporaryDirectory()
    let file = LastGoodFile(directory.file("nowhere/a.json"))
    file.note { ["number": 1] }
    await file.flush()
    #expect(file.failure?.contains("nowhere") == true)
  }

  @Test("who listens is told once when writing begins to fail and once when it works again")
  func told() async {
    final class Told: Sendable { let list = Mutex<[Bool]>([]) }
    let directory = TemporaryDirectory()
    let file = LastGoodFile(directory.file("later/a.json"))
    let told = Told()
    file.onFailureChange { failure in told.list.withLock { $0.append(failure != nil) } }
    for number in 1...2 {
      file.note { ["number": .int(number)] }
      await file.flush()
    }
    #expect(unsafe mkdir(directory.file("later"), 0o700) == 0)
    for number in 3...4 {
      file.note { ["number": .int(number)] }
      await file.flush()
    }
    #expect(told.list.withLock { $0 } == [true, false])
  }
}
