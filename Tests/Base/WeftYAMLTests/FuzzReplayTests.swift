// Every input in Fuzz/Corpus/yaml and every past crash, through the checks of Fuzz/yaml.swift.
import Glibc
import Testing
import WeftBase
import WeftYAML

@Suite("YAML fuzz replay")
struct YAMLFuzzReplayTests {
  @Test("inputs that were interesting once stay harmless")
  func replay() throws {
    let root = #filePath.split(separator: "/").dropLast(4).joined(separator: "/")
    var count = 0
    for folder in ["Corpus", "Crashes"] {
      for bytes in inputs("/\(root)/Fuzz/\(folder)/yaml") {
        count += 1
        for document in (try? YAML.documents(bytes, limits: YAMLLimits(nodes: 10_000))) ?? [] {
          #expect(try YAML.document(YAML.text(document.value)).value == document.value)
          #expect(try JSONValue(parsing: document.value.bytes()) == document.value)
        }
      }
    }
    #expect(count >= 4, "the corpus is not where it should be")
  }

  private func inputs(_ folder: String) -> [[UInt8]] {
    guard let directory = unsafe opendir(folder) else { return [] }
    defer { unsafe closedir(directory) }
    var all: [[UInt8]] = []
    while let entry = unsafe readdir(directory) {
      let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { raw in
        unsafe String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name.hasPrefix(".") { continue }
      let file = unsafe open("\(folder)/\(name)", O_RDONLY)
      defer { close(file) }
      var bytes = [UInt8](repeating: 0, count: 65536)
      let count = unsafe read(file, &bytes, bytes.count)
      all.append(Array(bytes[..<max(0, count)]))
    }
    return all
  }
}
