import Testing
import WeftBase
import WeftHTTP
import WeftModel

@testable import WeftProxyAPI

@Suite("a connection of a codec")
struct CodecConnectionTests {
  /// Holds the compiled configuration for as long as the test runs.
  private let storage = SnapshotStorage()

  private func open(_ peer: CodecPeer = .client) throws -> CodecCell {
    try CompiledCodec(Lines.self, ExtensionConfig(typeName: "example.Lines", message: []), storage).open(peer)
  }

  /// The lines that come of `pieces`.
  private func read(_ pieces: [String]) throws -> [String] {
    let cell = try open()
    defer { cell.free() }
    let scratch = HeadScratch()
    var lines: [String] = []
    for piece in pieces {
      piece.withByteView { bytes in
        var input = bytes
        while true {
          var message = ByteView.empty
          guard case .message = cell[].next(&input, scratch.head, &message) else { break }
          lines.append(message.string)
          #expect(scratch.head.path.string == "/a")
        }
        #expect(input.isEmpty, "what is not whole is kept")
      }
    }
    return lines
  }

  @Test("messages are the same however their bytes are cut")
  func cuts() throws {
    let text = "GET a 1\nGET a 22\nLOG! a\n"
    let whole = try read([text])
    #expect(whole == ["GET a 1\n", "GET a 22\n", "LOG! a\n"])
    #expect(try read(text.map { "\($0)" }) == whole)
    for i in text.indices { #expect(try read([String(text[..<i]), String(text[i...])]) == whole) }
  }

  @Test("what is no message ends the connection however its bytes are cut")
  func nonsense() throws {
    for first in [1, 2, 100, 255, 256, 300] {
      let cell = try open()
      defer { cell.free() }
      let scratch = HeadScratch()
      var event = CodecEvent.needMore(1)
      for piece in [String(repeating: "x", count: first), String(repeating: "y", count: 300 - first)] {
        piece.withByteView { bytes in
          var input = bytes
          var message = ByteView.empty
          if case .needMore = event, !input.isEmpty { event = cell[].next(&input, scratch.head, &message) }
        }
      }
      guard case .malformed(let details) = event else {
        Issue.record("\(first): \(event)")
        continue
      }
      #expect("\(details)" == "lines.too_long")
    }
  }

  @Test("numbers under way differ from each other, and lead to their streams in any order")
  func numbers() throws {
    let cell = try open(.endpoint)
    defer { cell.free() }
    var random = RandomSource(seed: 5)
    var model: [UInt32: UInt64] = [:]
    for step in 0..<20_000 {
      if model.isEmpty || random.next() % 5 < 2 || (step < 3000 && random.next() % 2 == 0) {
        let user = random.next()
        let number = cell[].open(user)
        #expect(model.updateValue(user, forKey: number) == nil)
      } else if let number = model.keys.first, let user = model[number] {
        #expect(cell[].owner(of: number) == user && cell[].close(UInt64(number)) == user)
        #expect(cell[].close(UInt64(number)) == nil)
        model[number] = nil
      }
      #expect(cell[].underWay == model.count)
    }
    #expect(cell[].close(1 << 40) == nil && cell[].close(0) == nil)
  }
}
