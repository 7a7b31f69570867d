// Every input in Fuzz/Corpus and every past crash in Fuzz/Crashes, through the checks the fuzzers make.

import Glibc
import Testing

@Suite("HTTP fuzz replay")
struct HTTPFuzzReplayTests {
  @Test("inputs that were interesting once stay harmless", arguments: ["http1", "http2", "hpack"])
  func replay(_ target: String) {
    let root = "/" + #filePath.split(separator: "/").dropLast(5).joined(separator: "/")
    var count = 0
    for folder in ["Corpus", "Crashes"] {
      for bytes in inputs("\(root)/Fuzz/\(folder)/\(target)") {
        count += 1
        switch target {
        case "http1": checkHTTP1(bytes)
        case "http2": checkHTTP2(bytes)
        default: checkHPACK(bytes)
        }
      }
    }
    #expect(count >= 3, "the corpus is not where it should be")
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
      guard let file = unsafe fopen("\(folder)/\(name)", "r") else { continue }
      defer { unsafe fclose(file) }
      var bytes = [UInt8](repeating: 0, count: 1 << 17)
      let n = unsafe fread(&bytes, 1, bytes.count, file)
      all.append(Array(bytes.prefix(n)))
    }
    return all
  }
}
