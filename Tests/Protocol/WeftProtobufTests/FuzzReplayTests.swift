// Every input in Fuzz/Corpus/protobuf and every past crash, through the checks of Fuzz/protobuf.swift.
import Glibc
import Testing
import WeftBase
import WeftProtobuf

@Suite("protobuf fuzz replay")
struct ProtobufFuzzReplayTests {
  static let registry = TypeRegistry([Weft_Test_Sample.self])

  @Test("inputs that were interesting once stay harmless")
  func replay() throws {
    let root = #filePath.split(separator: "/").dropLast(4).joined(separator: "/")
    var count = 0
    for folder in ["Corpus", "Crashes"] {
      for bytes in inputs("/\(root)/Fuzz/\(folder)/protobuf") {
        count += 1
        if let message = try? Weft_Test_Sample(serialized: bytes) {
          #expect(try Weft_Test_Sample(serialized: message.serialized()).serialized() == message.serialized())
          if let json = try? message.json(options: JSONEncodingOptions(registry: Self.registry)) {
            let back = try Weft_Test_Sample(json: json, options: JSONDecodingOptions(registry: Self.registry))
            #expect(throws: Never.self) { try back.json(options: JSONEncodingOptions(registry: Self.registry)) }
          }
        }
        if let json = try? JSONValue(parsing: bytes) {
          #expect(try JSONValue(parsing: json.bytes()) == json)
          _ = try? Weft_Test_Sample(json: json, options: JSONDecodingOptions(unknownFields: .ignore))
        }
      }
    }
    #expect(count >= 12, "the corpus is not where it should be")
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
