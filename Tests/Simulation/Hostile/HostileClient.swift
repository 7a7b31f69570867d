// HostileClient: one connection of an attacker.

import WeftBase
import WeftRuntime
import WeftTestKit

final class HostileClient: HostilePeer {
  enum Attack: CaseIterable {
    case http1, pipeline, upload, tunnel, http2, more, rapidReset, flood, blocked, slow, junk
  }

  static let paths = [
    "/bad-h1", "/bad-h1", "/bad-h2", "/bad-h2", "/bad-like", "/retry-h1", "/retry-h2", "/stranger", "/stranger/x",
    "/tls", "/direct", "/direct-204", "/direct-grpc", "/redirect", "/dead", "/nobody", "/socket", "/raw", "/", "*",
  ]
  private static let methods =
    Array(repeating: "GET", count: 8) + ["POST", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "CONNECT", "BREW"]

  private let attack: Attack
  private let isSecure: Bool

  init(_ host: SimEnds, _ probes: SimProbes, isSecure: Bool) {
    attack = host.world.pick(Attack.allCases)
    self.isSecure = isSecure
    super.init(host, probes)
  }

  override func opened() {
    world.tell("\(name): \(attack)")
    if isSecure, bytes.chance(90) {
      probes.reached("handshake")
      write("!")
    }
    preamble()
    switch attack {
    case .http1: http1()
    case .pipeline: pipeline()
    case .upload: upload()
    case .tunnel: tunnel()
    case .http2, .more: http2()
    case .rapidReset: rapidReset()
    case .flood: flood()
    case .blocked: blocked()
    case .slow: slow()
    case .junk: send { [unowned self] in bytes.noise(3_000) }
    }
    goOn()
  }

  /// What listener filters look for, right or wrong, in one piece or two.
  private func preamble() {
    if bytes.chance(60) { return }
    let version2 = Array("\r\n\r\n\0\r\nQUIT\n".utf8)
    let choices: [[UInt8]] = [
      Array("PROXY TCP4 10.0.0.1 10.0.0.2 1000 80\r\n".utf8), Array("PROXY UNKNOWN\r\n".utf8),
      Array("PROXY TCP4 10.0.0.1 10.0.0.2 99999 80\r\n".utf8), Array("PROXY TCP6 ::1 ::2 1 2\r\n".utf8),
      Array("PROXY ".utf8) + Array(repeating: 65, count: 120),
      version2 + [0x21, 0x11, 0, 12, 10, 0, 0, 1, 10, 0, 0, 2, 3, 232, 0, 80],
      version2 + [0x21, 0x11, 0, 17, 10, 0, 0, 1, 10, 0, 0, 2, 3, 232, 0, 80, 2, 0, 2, 97, 98],
      version2 + [0x21, 0x11, 0, 15, 10, 0, 0, 1, 10, 0, 0, 2, 3, 232, 0, 80, 2, 255, 255], version2 + [0x20, 0, 0, 0],
      version2 + [0x31, 0x11, 0, 12], version2 + [0x21, 0x11, 255, 255] + bytes.noise(400),
      [22, 3, 1, 0, UInt8(world.pick(4...200)), 1, 0, 0, 4, 3, 3, 0, 0] + bytes.noise(200), hello, hello,
    ]
    let whole = world.pick(choices)
    if bytes.chance(70) { return send { whole } }
    let cut = world.pick(1...whole.count - 1)
    send { Array(whole[..<cut]) }
    send { Array(whole[cut...]) }
  }

  /// A ClientHello without extensions.
  private var hello: [UInt8] {
    [22, 3, 1, 0, 47, 1, 0, 0, 43, 3, 3] + Array(repeating: 7, count: 32) + [0, 0, 2, 0x13, 1, 1, 0, 0, 0]
  }

  private var path: String { world.pick(Self.paths) }

  // MARK: HTTP/1

  private func head(_ method: String? = nil, _ fields: [(String, String)] = []) -> String {
    let method = method ?? world.pick(Self.methods)
    let target = method == "CONNECT" ? world.pick(["a:443", "a", "/bad-h1"]) : path
    let version = world.pick(Array(repeating: " HTTP/1.1", count: 20) + [" HTTP/1.0", " HTTP/1.9", " HTTP/2.0", ""])
    var list = bytes.chance(97) ? [("host", "a")] : []
    list += (0..<world.pick([0, 0, 0, 1, 3])).map { _ in bytes.requestField() }
    if target == "/direct-grpc" { list.append(("content-type", "application/grpc")) }
    if bytes.chance(1) { list += (0..<world.pick([99, 300])).map { ("x-\($0)", "v") } }
    return "\(method) \(target)\(version)\r\n" + bytes.lines(list + fields) + "\r\n"
  }

  private func http1() {
    for _ in 0..<world.pick(1...8) {
      send { [unowned self] in
        var whole = Array(head().utf8)
        if bytes.chance(40) {
          let content = bytes.requestContent()
          whole = Array(head(world.pick(["POST", "PUT", "GET"]), content.fields).utf8) + content.bytes
        }
        return bytes.chance(15) ? Array(whole[..<world.pick(0...whole.count)]) : whole
      }
    }
  }

  private func pipeline() {
    if bytes.chance(50) { loop.pauseReading(c) }
    let count = world.pick([2, 5, 50, 200])
    probes.reached("pipeline of a hostile client")
    send { [unowned self] in (0..<count).flatMap { _ in Array("GET \(path) HTTP/1.1\r\nhost: a\r\n\r\n".utf8) } }
    if bytes.chance(50) { add { [unowned self] in loop.resumeReading(c) } }
  }

  /// A head that comes in two halves, or never: of HTTP/1, or what an HTTP/2 connection begins with.
  private func slow() {
    let whole = bytes.chance(70) ? Array(head("GET").utf8) : HostileBytes.preface + bytes.settings([])
    let cut = world.pick(1...whole.count - 1)
    send { Array(whole[..<cut]) }
    wait(12_000)
    send { Array(whole[cut...]) }
  }

  private func upload() {
    send { [unowned self] in Array(head("POST", [("transfer-encoding", "chunked")]).utf8) }
    for _ in 0..<world.pick(1...40) {
      send { [unowned self] in
        Array("400\r\n".utf8) + Array(repeating: 65, count: 1_024) + (bytes.chance(98) ? [13, 10] : [1])
      }
    }
    if bytes.chance(70) { send("0\r\n\r\n") }
  }

  private func tunnel() {
    let upgrade =
      "GET /socket HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: \(world.pick(["websocket", "h2c", "x"]))\r\n"
      + world.pick(["", "", "content-length: 5\r\n"]) + "\r\n"
    send(world.pick([upgrade, upgrade, "CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n"]))
    for _ in 0..<world.pick(0...12) { send { [unowned self] in bytes.noise(3_000) } }
  }

  // MARK: HTTP/2

  private func greet() {
    let choices: [[(UInt16, UInt32)]] = [
      [], [], [(4, 0)], [(4, 100)], [(4, 1 << 31 - 1)], [(1, 0)], [(3, 0)], [(5, 1 << 24 - 1)], [(6, 100)],
    ]
    send { [unowned self] in HostileBytes.preface + bytes.settings(world.pick(choices)) }
    if bytes.chance(60) { send { [unowned self] in bytes.frame(8, 0, 0, bytes.word(1 << 30)) } }
  }

  private func request(_ i: UInt32) -> [UInt8] {
    let path = path
    var fields = [(":method", world.pick(Self.methods)), (":scheme", "http"), (":authority", "a"), (":path", path)]
    if path == "/direct-grpc" { fields.append(("content-type", "application/grpc")) }
    if bytes.chance(5) { fields.removeFirst(world.pick(0...4)) }
    if bytes.chance(5) { fields.append((":protocol", "websocket")) }
    fields += (0..<world.pick([0, 0, 0, 0, 1, 2])).map { _ in bytes.requestField() }
    let block = bytes.block(fields)
    let ends = bytes.chance(60)
    var out: [UInt8]
    if bytes.chance(10) {
      let cut = world.pick(0...block.count)
      out = bytes.frame(1, ends ? 1 : 0, i, Array(block[..<cut])) + bytes.frame(9, 4, i, Array(block[cut...]))
    } else {
      out = bytes.frame(1, ends ? 5 : 4, i, block)
    }
    if ends { return out }
    for _ in 0..<world.pick([0, 1, 1, 5]) { out += bytes.frame(0, 0, i, bytes.noise(800)) }
    return out + (bytes.chance(70) ? bytes.frame(0, 1, i) : [])
  }

  private func http2() {
    greet()
    let hostility = world.pick([2, 10, 40])
    if bytes.chance(25) { loop.pauseReading(c) }
    var i: UInt32 = 1
    for _ in 0..<world.pick([3, 20, 60]) {
      if bytes.chance(hostility) {
        let target = UInt32(max(1, Int(i) - 2 * world.pick(0...10)))
        send { [unowned self] in bytes.anyFrame(target) }
      } else {
        let first = i
        let count = world.pick([1, 1, 10])
        i += UInt32(2 * count)
        send { [unowned self] in (0..<count).flatMap { request(first + UInt32(2 * $0)) } }
      }
      if bytes.chance(10) { add { [unowned self] in nap(world.milliseconds(0...900)) } }
      if bytes.chance(20) { send { [unowned self] in bytes.frame(8, 0, 0, bytes.word(20_000)) } }
    }
  }

  /// Streams that end as soon as they have begun, in one of the ways that make them end.
  private func rapidReset() {
    greet()
    let form = world.pick(0...5)
    let target = path
    let hasLength = bytes.chance(30)
    let ends = bytes.chance(50)
    for start in stride(from: 0, to: 300, by: 50) {
      send { [unowned self] in
        var out: [UInt8] = []
        for n in start..<start + 50 {
          let i = UInt32(2 * n + 1)
          var fields = [(":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", target)]
          if hasLength || form == 3 { fields.append(("content-length", "1")) }
          out += bytes.frame(1, ends && form < 3 ? 5 : 4, i, bytes.block(fields))
          switch form {
          case 0: out += bytes.frame(3, 0, i, bytes.word(8))
          case 1: out += bytes.frame(8, 0, i, bytes.word(0))
          case 2: out += bytes.frame(2, 0, i, bytes.word(i) + [1])
          case 3: out += bytes.frame(0, 1, i, [1, 2, 3])
          default: out += bytes.frame(1, 5, i, bytes.block([(":path", "/")]))
          }
        }
        return out
      }
    }
  }

  private func flood() {
    greet()
    send { [unowned self] in request(1) }
    let kind = world.pick(HostileBytes.floods + [.continuationFlood])
    for _ in 0..<world.pick([1, 8]) {
      let count = world.pick([10, 300])
      send { [unowned self] in (0..<count).flatMap { _ in bytes.make(kind, world.pick([1, 1, 3])) } }
    }
  }

  /// Opens every window of HTTP/2 and reads nothing: what is answered stays with the proxy.
  private func blocked() {
    loop.pauseReading(c)
    send { [unowned self] in
      HostileBytes.preface + bytes.settings([(4, 1 << 31 - 1)]) + bytes.frame(8, 0, 0, bytes.word(1 << 30))
    }
    let count = world.pick([10, 100])
    for n in 0..<count {
      // What fills the connection first, then what is to end behind it.
      send { [unowned self] in
        n < count / 2 && bytes.chance(70)
          ? bytes.frame(
            1, 5, UInt32(2 * n + 1),
            bytes.block([(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/direct-large")]))
          : request(UInt32(2 * n + 1))
      }
    }
    add { [unowned self] in
      if bytes.chance(60) { later(world.milliseconds(0...3_000)) { [self] in loop.resumeReading(c) } }
    }
    for _ in 0..<world.pick(0...4) {
      send { [unowned self] in bytes.make(.reset, UInt32(2 * world.pick(0...count) + 1)) }
    }
    add { [unowned self] in nap(world.milliseconds(0...4_000)) }
  }
}
