import Testing

@testable import WeftCLI

@Suite("output of commands")
struct OutputTests {
  @Test("pads columns, and leaves no blanks at line ends")
  func tables() {
    let table = Table(["NAME", "PORTS", "X"], rows: [["reviews", "9080", ""], ["a", "80,443", "yes"]])
    #expect(table.text() == "NAME      PORTS    X\nreviews   9080\na         80,443   yes")
  }

  @Test("finds the shortest edit between two lists of lines")
  func differences() {
    let edits = LineDifference.between(["a", "b", "c"], ["a", "x", "c", "d"])
    #expect(edits == [.kept("a"), .removed("b"), .added("x"), .kept("c"), .added("d")])
    #expect(LineDifference.between([], ["a"]) == [.added("a")])
    #expect(LineDifference.between(["a"], []) == [.removed("a")])
  }

  @Test("colours only when told to")
  func colours() {
    let plain = Terminal(colours: false) { _, _ in }
    let coloured = Terminal(colours: true) { _, _ in }
    #expect(plain.good("x") == "x")
    #expect(coloured.good("x") == "\u{1B}[32mx\u{1B}[0m")
  }
}
