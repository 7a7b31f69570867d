// Inputs that fuzzers found: every run of the tests passes them through the fuzzers' own checks again.

/// Corpus and crashes of a fuzz target (`Fuzz/<target>.swift`).
package enum FuzzReplay {
  /// What was interesting once (`Fuzz/Corpus/<target>`) and what once broke a promise (`Fuzz/Crashes/<target>`), by name.
  /// *Errors*: `FileProblem` when there is no corpus.
  package static func inputs(_ target: String) throws -> [[UInt8]] {
    let crashes = "Fuzz/Crashes/\(target)"
    var paths = try SourceTree.files(in: "Fuzz/Corpus/\(target)")
    // A target that never broke has no folder of crashes.
    if let more = try? SourceTree.files(in: crashes) { paths += more }
    return try paths.map { try SourceTree.bytes("\(SourceTree.root)/\($0)") }
  }
}
