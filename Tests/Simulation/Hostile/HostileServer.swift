// HostileServer: an application that answers with anything.

import WeftBase
import WeftRuntime
import WeftTestKit

final class HostileServer: HostilePeer {
  /// `secure`: HTTP/1 behind the toy handshake.
  enum Kind { case http1, http2, raw, secure }

  private let kind: Kind
  private var input: [UInt8] = []
  private var isGreeted = false
  private var streams: [UInt32] = []
  private let hostility: Int
  private var left: Int
  private var asleep = false

  init(_ host: SimEnds, _ probes: SimProbes, _ kind: Kind) {
    let world = host.world
    self.kind = world.chance(1, in: 50) ? world.pick([.http1, .http2, .raw]) : kind
    hostility = world.pick([0, 5, 20, 60])
    left = world.pick(1...40)
    super.init(host, probes)
  }

  override func opened() {
    if bytes.chance(3) { return leave() }
    if bytes.chance(5) { loop.pauseReading(c) }
    switch kind {
    case .http1: if bytes.chance(4) { write(bytes.response().bytes) }
    case .secure: if bytes.chance(90) { write("!") }
    case .http2:
      let choices: [[(UInt16, UInt32)]] = [
        [], [], [(3, 1)], [(3, 0)], [(4, 0)], [(4, 10)], [(5, 16_384), (4, 1 << 31 - 1)], [(1, 0)],
      ]
      if bytes.chance(90) { write(bytes.settings(world.pick(choices))) }
    case .raw:
      for _ in 0..<world.pick(0...10) { send { [unowned self] in bytes.noise(3_000) } }
      goOn()
    }
  }

  override func received(_ view: ByteView) {
    super.received(view)
    input += view.array
    if input.count > 200_000 { input = Array(input.suffix(64)) }
    switch kind {
    case .http1, .secure: http1()
    case .http2: http2()
    case .raw: break
    }
  }

  // MARK: HTTP/1

  private func http1() {
    if asleep || isOver { return }
    guard let end = headEnd() else { return }
    let head = input[..<end]
    input = Array(input[end...])
    asleep = true
    let delay: Duration = bytes.chance(20) ? world.milliseconds(0...world.pick([10, 300, 6_000])) : .zero
    let isTunnel = String(decoding: head, as: UTF8.self).contains("pgrade")
    later(delay) { [self] in answer(isTunnel) }
  }

  private func answer(_ isTunnel: Bool) {
    left -= 1
    if left <= 0 || bytes.chance(6) { return leave() }
    if isTunnel, bytes.chance(60) {
      write(
        world.pick([
          "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
          "HTTP/1.1 200 OK\r\n\r\n",
        ]))
      probes.reached("upgrade granted by a hostile server")
      for _ in 0..<world.pick(0...10) { send { [unowned self] in bytes.noise(2_000) } }
      return goOn()
    }
    let (answer, goesOn) = bytes.response()
    write(answer)
    if !goesOn, bytes.chance(80) { return leave() }
    asleep = false
    later(.zero) { [self] in http1() }
  }

  private func headEnd() -> Int? {
    guard input.count >= 4 else { return nil }
    for i in 0...input.count - 4 where input[i] == 13 && input[i + 1] == 10 && input[i + 2] == 13 && input[i + 3] == 10
    {
      return i + 4
    }
    return nil
  }

  // MARK: HTTP/2

  private func http2() {
    if !isGreeted, input.count >= 24 {
      input.removeFirst(24)
      isGreeted = true
    }
    var at = 0
    while isGreeted, input.count >= at + 9 {
      let size = Int(input[at]) << 16 | Int(input[at + 1]) << 8 | Int(input[at + 2])
      guard input.count >= at + 9 + size else { break }
      let i = input[at + 5..<at + 9].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
      take(input[at + 3], input[at + 4], i, Array(input[at + 9..<at + 9 + size]))
      at += 9 + size
    }
    input.removeFirst(at)
    act()
  }

  private func take(_ type: UInt8, _ flags: UInt8, _ i: UInt32, _ payload: [UInt8]) {
    switch type {
    case 1: streams.append(i)
    case 4 where flags & 1 == 0 && bytes.chance(95): write(bytes.frame(4, 1, 0))
    case 6 where flags & 1 == 0 && bytes.chance(95): write(bytes.frame(6, 1, 0, payload))
    case 0 where !payload.isEmpty && bytes.chance(70):
      let credit = bytes.word(UInt32(payload.count))
      write(bytes.frame(8, 0, 0, credit) + bytes.frame(8, 0, i, credit))
    default: break
    }
  }

  private func act() {
    if isOver { return }
    if bytes.chance(hostility) {
      let i = streams.isEmpty ? 1 : world.pick(streams)
      if bytes.chance(4) {
        let kind = world.pick(HostileBytes.floods)
        write((0..<world.pick([20, 600])).flatMap { _ in bytes.make(kind, i) })
      } else {
        write(bytes.anyFrame(i))
      }
    }
    let waiting = streams
    streams = []
    for i in waiting {
      left -= 1
      if left <= 0, bytes.chance(20) { return leave() }
      let delay: Duration = bytes.chance(30) ? world.milliseconds(0...world.pick([5, 300, 5_000])) : .zero
      later(delay) { [self] in answer(i) }
    }
  }

  private func answer(_ i: UInt32) {
    func head(_ fields: [(String, String)], _ flags: UInt8 = 0) {
      write(bytes.frame(1, 4 | flags, i, bytes.block(fields)))
    }
    let status = (
      ":status", world.pick(["200", "200", "200", "204", "304", "500", "503", "100", "103", "101", "abc", ""])
    )
    let nasty = bytes.chance(30) ? [bytes.responseField()] : []
    let body = bytes.noise(world.pick([0, 10, 2_000]))
    let ok = [(":status", "200")]
    switch world.pick(0...19) {
    case 17...19: verdict(i)
    case 0...3:
      head([status] + nasty)
      write(bytes.frame(0, 1, i, body))
    case 4: head([status] + nasty, 1)
    case 5, 6:
      // The end comes without bytes, as most servers write it; then the server may go.
      head(ok)
      later(world.milliseconds(0...world.pick([0, 500]))) { [self] in
        write(bytes.frame(0, 1, i))
        probes.reached("answer that ends without bytes")
        if bytes.chance(30) {
          later(world.milliseconds(0...600)) { [self] in loop.close(c, world.chance(1, in: 2) ? .reset : .gracefully) }
        }
      }
    case 7:
      head(ok)
      write(bytes.frame(0, 0, i, body) + (bytes.chance(50) ? bytes.make(.reset, i) : bytes.make(.trailers, i)))
    case 8:
      let heads: [[(String, String)]] = [[], [("x", "y")], ok + ok, [("x", "y")] + ok, ok + [(":path", "/")]]
      head(world.pick(heads), world.pick([0, 1]))
    case 9:
      head(ok + [("content-length", "\(max(0, body.count + world.pick([-1, 1, 100])))")])
      write(bytes.frame(0, 1, i, body))
    case 10:
      for _ in 0..<world.pick([1, 3, 100]) { head([(":status", "103"), ("link", "x")]) }
      head(ok, 1)
    case 11: write(bytes.make(.reset, i))
    case 12: write(bytes.make(.goAway, i))
    case 13:
      write(bytes.frame(0, 0, i, body))
      head(ok, 1)
    case 14:
      head(
        ok + [("content-type", "application/grpc"), ("grpc-status", world.pick(["0", "14", "x"]))], world.pick([0, 1]))
    case 15:
      head(ok)
      write(bytes.frame(0, 1, i, body) + bytes.anyFrame(i))
    default:
      head(ok)
      write(bytes.make(.muchData, i))
    }
  }

  /// What an authorization service answers: it admits, refuses, or asks for changes, some of which no message can hold.
  private func verdict(_ i: UInt32) {
    func option(_ name: String, _ value: String) -> [UInt8] {
      let header = [0x0a, UInt8(name.utf8.count)] + name.utf8 + [0x12, UInt8(value.utf8.count)] + value.utf8
      let option = [0x0a, UInt8(header.count)] + header
      return [0x12, UInt8(option.count)] + option
    }
    let changes = option("x-a", "b") + option("x-nul", "a\0b") + option(":path", "/direct") + option("host", "")
    let answers: [[UInt8]] = [
      [0x0a, 0, 0x1a, 0], [0x0a, 2, 8, 7, 0x12, 0],
      [0x0a, 0, 0x1a, UInt8(option("x-a", "b").count)] + option("x-a", "b"),
      [0x0a, 0, 0x1a, UInt8(changes.count)] + changes, [0x0a, 0], bytes.noise(30),
    ]
    let answer = world.pick(answers)
    write(
      bytes.frame(1, 4, i, bytes.block([(":status", "200"), ("content-type", "application/grpc")]))
        + bytes.frame(0, 0, i, [0, 0, 0, 0, UInt8(answer.count)] + answer)
        + bytes.frame(1, 5, i, bytes.block([("grpc-status", world.pick(["0", "0", "0", "13"]))])))
  }
}
