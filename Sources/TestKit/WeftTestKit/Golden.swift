// Golden files: inputs and expected results kept as text below Tests/Golden, where a reviewer sees every change of them.
import Glibc

/// Files below `Tests/Golden`, by their path from there.
package enum Golden {
  /// Names of the files directly in a folder that end in `suffix`, sorted. *Errors*: `FileProblem` when it cannot be read.
  package static func files(in folder: String, suffix: String = "") throws -> [String] {
    try SourceTree.files(in: "Tests/Golden/\(folder)").map { String($0.dropFirst("Tests/Golden/\(folder)/".count)) }
      .filter { $0.hasSuffix(suffix) }
  }

  package static func text(_ path: String) throws -> String { try SourceTree.text("Tests/Golden/\(path)") }

  package static func bytes(_ path: String) throws -> [UInt8] {
    try SourceTree.bytes("\(SourceTree.root)/Tests/Golden/\(path)")
  }

  /// What the file says the result should be. `make golden-update` writes `made` there first: read the difference before you commit it.
  package static func expected(_ path: String, for made: String) throws -> String {
    if unsafe getenv("WEFT_GOLDEN_UPDATE").map({ unsafe String(cString: $0) }) == "1" {
      let whole = "\(SourceTree.root)/Tests/Golden/\(path)"
      guard let file = unsafe fopen(whole, "w") else { throw FileProblem(path: path, code: errno) }
      let written = unsafe fputs(made, file)
      guard unsafe fclose(file) == 0, written >= 0 else { throw FileProblem(path: path, code: errno) }
    }
    return try text(path)
  }
}
