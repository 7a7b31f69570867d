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
}
