import Testing
import WeftTestKit

@testable import WeftCLI

@Suite("reference pages")
struct ReferenceTests {
  @Test("the command line's page says what the code says; `make docs` rewrites it")
  func commandLinePage() throws {
    #expect(try SourceTree.text("docs/reference/cli.md") == CommandLineTool.reference() + "\n")
  }
}
