// The house rules a machine can see: headers, paths in documents, package list, counts.
import Foundation
import Testing

@Suite("house rules")
struct HouseTests {
  @Test("every target has a header file that says what it owns", arguments: ArrowTests.targets.map(\.name))
  func targetHasHeader(name: String) throws {
    let target = try #require(ArrowTests.targets.first { $0.name == name })
    let header = target.room == "Programs" ? "\(target.folder)/main.swift" : "\(target.folder)/\(name).swift"
    try #require(Repository.exists(header), "\(header) is missing")
    let comments = Repository.lines(header).prefix { $0.hasPrefix("//") }
    #expect(comments.count >= (target.room == "Programs" ? 1 : 5), "\(header): say what it owns and what it never does")
  }

  @Test("paths quoted in documents exist")
  func quotedPathsExist() {
    let documents =
      Repository.files(under: "docs", suffix: ".md")
      + ["README.md", "ARCHITECTURE.md", "STYLE.md", "GLOSSARY.md", "CHANGELOG.md", "CONTRIBUTING.md"]
    let quoted = #/`(?<path>(?:Sources|Tests|Tools|Protos|Fuzz|Benchmarks|Examples|docs)/[A-Za-z0-9_.\/-]+)`/#
    var seen = 0
    for document in documents {
      for match in Repository.text(document).matches(of: quoted) {
        seen += 1
        let path = String(match.path)
        #expect(Repository.exists(path.hasSuffix("/") ? String(path.dropLast()) : path), "\(document) names \(path)")
      }
    }
    #expect(seen > 10, "the pattern finds no quoted paths any more")
  }

  @Test("the faults that are planted for the simulation can be planted")
  func plantedPatchApplies() throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["git", "-C", Repository.root.path, "apply", "--check", "docs/internals/planted.patch"]
    try process.run()
    process.waitUntilExit()
    #expect(process.terminationStatus == 0, "docs/internals/planted.patch has to follow the sources")
  }

  @Test(
    "the verdict of a build is that of its log, of all products or of one",
    arguments: [
      ("[1/1] Linking a\nBuild complete! (1.0s)", 0), ("Build of product 'a' complete! (1.0s)", 0),
      ("a.swift:1:1: error: no", 1), ("", 1),
    ])
  func buildVerdict(log: String, status: Int32) throws {
    let process = Process()
    process.executableURL = Repository.root.appendingPathComponent("Tools/progress.sh")
    let (input, output) = (Pipe(), Pipe())
    process.standardInput = input
    process.standardOutput = output
    try process.run()
    input.fileHandleForWriting.write(Data((log + "\n").utf8))
    try input.fileHandleForWriting.close()
    _ = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    #expect(process.terminationStatus == status)
  }

  @Test("open ends name their issue")
  func openEndsNameTheirIssue() {
    let marker = #/\b(?:TODO|FIXME|XXX)\b(?<issue>\(#\d+\))?/#
    for folder in ["Sources", "Tools", "Fuzz", "Examples"] {
      for path in Repository.files(under: folder, suffix: ".swift") where !path.contains("/Generated/") {
        for match in Repository.text(path).matches(of: marker) {
          #expect(match.issue != nil, "\(path): write \(match.output.0)(#issue)")
        }
      }
    }
  }

  @Test("every unchecked Sendable carries its proof on the line or the three above")
  func uncheckedSendableIsProved() {
    for path in Repository.files(under: "Sources", suffix: ".swift") {
      let lines = Repository.lines(path)
      for (index, line) in lines.enumerated() where line.contains("@unchecked Sendable") && !line.hasPrefix("//") {
        let near = lines[max(0, index - 3)...index]
        #expect(near.contains { $0.contains("//") }, "\(path):\(index + 1)")
      }
    }
  }

  @Test("the package list is sorted and unique within each group")
  func packageListIsSorted() {
    let rows = Repository.lines("Tools/packages.txt").filter { !$0.hasPrefix("#") && !$0.isEmpty }.map(String.init)
    #expect(rows == Array(Set(rows)).sorted(by: Self.groupThenName))
  }

  private static func groupThenName(_ left: String, _ right: String) -> Bool {
    let order = ["build", "test", "bench"]
    let a = left.split(separator: " ").map(String.init)
    let b = right.split(separator: " ").map(String.init)
    let i = order.firstIndex(of: a[0]) ?? order.count
    let j = order.firstIndex(of: b[0]) ?? order.count
    return i != j ? i < j : a[1] < b[1]
  }

  @Test("generated files say what wrote them")
  func generatedFilesAreMarked() {
    for path in Repository.files(under: "Sources", suffix: ".swift") where path.contains("/Generated/") {
      #expect(Repository.lines(path).first?.lowercased().contains("generated") == true, "\(path)")
    }
  }
}
