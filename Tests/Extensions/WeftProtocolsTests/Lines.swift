// The worked example of docs/adding/protocol.md: a protocol of lines, one at a time.

import WeftBase
import WeftHTTP
import WeftModel
import WeftProxyAPI

/// A request is a line `VERB name …`; an answer is a line that begins with `+` or, where it failed, with `-`. Nobody answers a verb with an
/// exclamation mark.
struct Lines: ProtocolCodec {
  static var name: StaticString { "Lines" }
  static var messages: [String] { ["example.Lines"] }
  static var exchange: CodecExchange { .oneByOne }

  private let longest: Int
  private let peer: CodecPeer

  static func compile(_ source: CodecSource) throws(ConfigError) -> Int {
    guard source.config.message.isEmpty else { throw ConfigError("has no fields") }
    return 256
  }

  init(_ longest: Int, _ peer: CodecPeer) {
    self.longest = longest
    self.peer = peer
  }

  mutating func next(_ input: ByteView, _ head: MessageHead) -> CodecEvent {
    guard let end = input.prefix(longest).firstIndex(of: UInt8(ascii: "\n")) else {
      return input.count < longest ? .needMore(input.count + 1) : .malformed("lines.too_long")
    }
    let bytes = end + 1
    let line = input.prefix(end)
    if peer == .endpoint {
      head.startResponse(line.first == UInt8(ascii: "+") ? 200 : 500, framing: .length(UInt64(bytes)))
      return .message(bytes: bytes)
    }
    if line.equals("PING") { return .control(bytes: bytes, wantsAnswer: true) }
    guard let blank = line.firstIndex(of: UInt8(ascii: " ")), blank > 0 else {
      return .refused(bytes: bytes, details: "lines.no_name")
    }
    let rest = line.dropFirst(blank + 1)
    let name = rest.prefix(rest.firstIndex(of: UInt8(ascii: " ")) ?? rest.count)
    // What is built in the head's arena is built after this, which empties it.
    head.startRequest(.post, authority: ByteView("lines"), path: .empty, framing: .length(UInt64(bytes)))
    head.path = head.concatenate(ByteView("/"), name)
    head.setMethod(line.prefix(blank))
    return .message(bytes: bytes, expectsAnswer: line[blank - 1] != UInt8(ascii: "!"))
  }

  func write(_ reply: CodecReply, _ output: inout ByteBuffer) {
    output.append(reply.status < 300 ? "+" as StaticString : "-")
    output.append(reply.text)
    output.append(UInt8(ascii: "\n"))
  }

  func answer(_ control: ByteView, _ output: inout ByteBuffer) { output.append("+PONG\n" as StaticString) }
}
