// The repository as data: what the tidy tests read. Nothing here runs the project.
import Foundation

enum Repository {
  static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

  /// Every file below `folder` whose name ends in `suffix`, as paths relative to the root, sorted.
  static func files(under folder: String, suffix: String) -> [String] {
    let base = root.appendingPathComponent(folder)
    guard let walk = FileManager.default.enumerator(atPath: base.path) else { return [] }
    return walk.compactMap { $0 as? String }
      .filter { $0.hasSuffix(suffix) && !$0.hasPrefix(".build") && !$0.contains("/.build/") }
      .map { folder.isEmpty ? $0 : folder + "/" + $0 }
      .sorted()
  }

  static func text(_ path: String) -> String {
    (try? String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)) ?? ""
  }

  static func lines(_ path: String) -> [Substring] {
    text(path).split(separator: "\n", omittingEmptySubsequences: false)
  }

  /// The names in a text: runs of ASCII letters, digits and underscores.
  static func words(_ text: String) -> Set<String> {
    var words: Set<String> = []
    for word in text.utf8.split(whereSeparator: { byte in
      !((byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7A || byte >= 0x30 && byte <= 0x39 || byte == 0x5F)
    }) { words.insert(String(Substring(word))) }
    return words
  }

  static func exists(_ path: String) -> Bool {
    FileManager.default.fileExists(atPath: root.appendingPathComponent(path).path)
  }
}

/// A target as Package.swift declares it.
struct DeclaredTarget {
  var name: String
  var room: String
  var dependencies: [String]

  var folder: String { room == "Tools" ? "Tools/\(name)" : "Sources/\(room)/\(name)" }

  /// Reads the `library(…)` and `program(…)` lines of a manifest.
  static func all(in manifest: String = Repository.text("Package.swift")) -> [DeclaredTarget] {
    let library = #/library\(\s*"(?<name>\w+)",\s*in:\s*"(?<room>\w+)",\s*\[(?<list>[^\]]*)\]/#
    let program = #/program\(\s*"(?<name>[\w-]+)",(?:\s*in:\s*"(?<room>\w+)",)?\s*\[(?<list>[^\]]*)\]/#
    func names(_ list: Substring) -> [String] {
      list.split(separator: ",").map { $0.trimmingCharacters(in: CharacterSet(charactersIn: " \n\"")) }
        .filter { !$0.isEmpty }
    }
    let libraries = manifest.matches(of: library).map {
      DeclaredTarget(name: String($0.name), room: String($0.room), dependencies: names($0.list))
    }
    let programs = manifest.matches(of: program).map {
      DeclaredTarget(name: String($0.name), room: String($0.room ?? "Programs"), dependencies: names($0.list))
    }
    return libraries + programs
  }
}
