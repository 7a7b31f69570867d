// HostileDubbo: Dubbo 2 in a hostile world: attackers on both sides, and innocents between whom every call must be answered.

import WeftBase
import WeftRuntime
import WeftTestKit

extension HostileBytes {
  static let services = ["demo.Greeter", "bad.Greeter", "bad.Greeter", "retry.Greeter", "dead.Greeter", "no.Greeter"]

  /// A request that is whole and in order.
  func call(_ id: UInt64, service: String? = nil, oneWay: Bool? = nil) -> [UInt8] {
    let size = world.pick([0, 10, 10, 1_000, 20_000])
    return DubboFrames.request(
      id: id, service: service ?? world.pick(Self.services), types: "[B",
      arguments: [.bytes(Array(repeating: UInt8(world.pick(0...255)), count: size))],
      attachments: [("dubbo", "2.0.2"), ("x-hm", "1")], isOneWay: oneWay ?? chance(15))
  }

  /// A frame that is wrong in itself or in its place, or a rare one.
  func dubbo(_ id: UInt64, fromServer: Bool) -> [UInt8] {
    let whole = fromServer ? DubboFrames.answer(id: id) : call(id)
    switch world.pick(0...14) {
    case 0: return DubboFrames.heartbeat(id: id)
    case 1: return DubboFrames.heartbeatAnswer(id: id)
    case 2: return DubboFrames.lastCall(id: id)
    case 3: return Array(whole[..<world.pick(0...whole.count)])
    case 4: return noise(400)
    case 5:
      return DubboFrames.frame(flags: UInt8(world.pick(0...255)), status: UInt8(world.pick(0...255)), id: id, noise(60))
    case 6: return DubboFrames.frame(flags: fromServer ? 0x02 : 0xc2, status: 20, id: id, noise(60))
    case 7:
      let length = world.pick([UInt32.max, 1 << 31, 1 << 27, 9 << 20, 100_000])
      return DubboFrames.frame(flags: fromServer ? 0x02 : 0xc2, status: 20, id: id, noise(3_000), length: length)
    case 8: return (0..<world.pick([10, 400])).flatMap { DubboFrames.heartbeat(id: UInt64($0)) }
    case 9: return fromServer ? call(id) : DubboFrames.answer(id: id)
    case 10: return Array("GET / HTTP/1.1\r\nhost: a\r\n\r\n".utf8)
    case 11:
      var bent = whole
      bent[world.pick(0...min(bent.count - 1, 40))] ^= UInt8(world.pick(1...255))
      return bent
    case 12: return whole + whole
    case 13:
      return DubboFrames.answer(
        id: id &+ UInt64(world.pick(0...50)), status: world.pick([20, 30, 31, 40, 50, 80, 100, 0]))
    default: return DubboFrames.answer(id: id, .bytes(Array(repeating: 7, count: world.pick([100, 60_000]))))
    }
  }
}

/// Takes whole frames out of what comes.
struct DubboReader {
  private var bytes: [UInt8] = []
  private(set) var isBroken = false
  var isBetween: Bool { bytes.isEmpty }

  mutating func feed(_ more: ByteView) { bytes += more.array }

  mutating func next() -> [UInt8]? {
    guard bytes.count >= 16, !isBroken else { return nil }
    guard bytes[0] == 0xda, bytes[1] == 0xbb else {
      isBroken = true
      return nil
    }
    let length = 16 + bytes[12..<16].reduce(0) { $0 << 8 | Int($1) }
    guard bytes.count >= length else { return nil }
    defer { bytes.removeFirst(length) }
    return Array(bytes[..<length])
  }
}

/// An attacker's connection to a listener that speaks Dubbo.
final class HostileDubboClient: HostilePeer {
  override func opened() {
    let hostility = world.pick([0, 10, 60])
    if bytes.chance(20) { loop.pauseReading(c) }
    world.tell("\(name): Dubbo, hostile by \(hostility)")
    for n in 0..<world.pick([1, 5, 30, 120]) {
      send { [unowned self] in
        bytes.chance(hostility) ? bytes.dubbo(UInt64(n), fromServer: false) : bytes.call(UInt64(n))
      }
      if bytes.chance(3) { add { [unowned self] in loop.resumeReading(c) } }
    }
    if bytes.chance(20) {
      // Half a message, and the rest of it later, or never.
      let whole = bytes.call(1_000)
      let cut = world.pick(1...whole.count - 1)
      send { Array(whole[..<cut]) }
      wait(world.pick([100, 30_000]))
      send { Array(whole[cut...]) }
      probes.reached("half a Dubbo message")
    }
    goOn()
  }
}

/// An endpoint that answers with anything.
final class HostileDubboServer: HostilePeer {
  private var reader = DubboReader()
  private var left: Int
  private let hostility: Int

  override init(_ host: SimEnds, _ probes: SimProbes) {
    left = host.world.pick([1, 5, 100])
    hostility = host.world.pick([5, 30, 70])
    super.init(host, probes)
  }

  override func opened() { if bytes.chance(5) { leave() } }

  override func received(_ view: ByteView) {
    super.received(view)
    reader.feed(view)
    while !isOver, let frame = reader.next() {
      let id = DubboFrames.id(frame)
      if frame[2] & 0x20 != 0 {
        if frame[2] & 0x40 != 0, bytes.chance(80) { write(DubboFrames.heartbeatAnswer(id: id)) }
        continue
      }
      left -= 1
      if left <= 0 { return leave() }
      if frame[2] & 0x40 == 0, bytes.chance(90) { continue }
      let delay: Duration = bytes.chance(40) ? world.milliseconds(0...world.pick([5, 300, 5_000])) : .zero
      later(delay) { [self] in
        if bytes.chance(hostility) {
          write(bytes.dubbo(id, fromServer: true))
        } else if bytes.chance(95) {
          write(DubboFrames.answer(id: id, status: bytes.chance(20) ? 80 : 20))
        }
      }
    }
  }
}

/// A server whose answer to a call tells what the call was. Strangers' calls are answered alike.
final class HonestDubboServer: SimEnd {
  private var reader = DubboReader()

  static func answer(to request: [UInt8]) -> [UInt8] {
    var sum: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in request[16...] { sum = (sum ^ UInt64(byte)) &* 0x100_0000_01b3 }
    return DubboFrames.answer(id: DubboFrames.id(request), .text("\(request.count) \(sum)"))
  }

  override func received(_ view: ByteView) {
    reader.feed(view)
    while let frame = reader.next() {
      if frame[2] & 0x20 != 0 {
        if frame[2] & 0x40 != 0 { write(DubboFrames.heartbeatAnswer(id: DubboFrames.id(frame))) }
        continue
      }
      world.expect(frame[2] & 0x9f == 0x82, "an honest Dubbo server got a frame of flags \(frame[2])")
      if frame[2] & 0x40 == 0 { continue }
      let delay: Duration = world.chance(1, in: 3) ? world.milliseconds(0...500) : .zero
      later(delay) { [self] in write(Self.answer(to: frame)) }
    }
    world.expect(!reader.isBroken, "an honest Dubbo server was sent what is no message")
  }
}

/// Calls one after another, several at once, on one connection; every one of them is to be answered as the server answers it.
final class DubboUser: SimEnd {
  private var calls: [[UInt8]]
  private var open: [UInt64: [UInt8]] = [:]
  private let most: Int
  private var reader = DubboReader()
  let number: Int
  var isDone: Bool { calls.isEmpty && open.isEmpty }

  init(_ host: SimEnds, _ number: Int) {
    self.number = number
    let world = host.world
    most = world.pick([1, 3, 10])
    calls = (0..<world.pick(3...15)).map { n in
      DubboFrames.request(
        id: UInt64(number * 1_000 + n), types: "[B",
        arguments: [.bytes((0..<world.pick([0, 20, 3_000])).map { UInt8(($0 * 7 + n) & 255) })])
    }
    super.init(host)
  }

  override func opened() { pump() }

  private func pump() {
    while !isOver, open.count < most, let call = calls.popLast() {
      open[DubboFrames.id(call)] = HonestDubboServer.answer(to: call)
      write(call)
    }
    if isDone { later(world.milliseconds(0...500)) { [self] in loop.close(c) } }
  }

  override func received(_ view: ByteView) {
    reader.feed(view)
    while let frame = reader.next() {
      let id = DubboFrames.id(frame)
      // The proxy may ask whether we are there, or bid farewell.
      if frame[2] & 0x20 != 0 { continue }
      guard let expected = open.removeValue(forKey: id) else {
        world.fail("an innocent's Dubbo connection got an answer to \(id), which is not open")
        continue
      }
      world.expect(
        frame == expected,
        "an innocent's call \(id) was answered with status \(frame[3]): \(String(decoding: frame[16...].prefix(80), as: UTF8.self))"
      )
    }
    world.expect(!reader.isBroken, "an innocent was sent what is no Dubbo")
    pump()
  }

  override func closed(_ reason: CloseReason) {
    world.expect(isDone, "an innocent's Dubbo connection ended with \(open.count) calls open")
  }
}

/// An authorization service that admits everybody, over HTTP/1.
final class AuthzServer: SimEnd {
  private var input: [UInt8] = []
  private var isBusy = false

  override func received(_ view: ByteView) {
    input += view.array
    serve()
  }

  private func serve() {
    guard !isBusy, let size = messageSize else { return }
    world.tell("\(name) is asked: \(String(decoding: input[..<size].prefix(300), as: UTF8.self))")
    // Content behind an answer to HEAD would be the next answer's beginning.
    let isHead = input.starts(with: Array("HEAD ".utf8))
    input.removeFirst(size)
    isBusy = true
    later(world.milliseconds(0...world.pick([0, 60]))) { [self] in
      isBusy = false
      let content = isHead ? "" : "ok"
      write(
        world.pick([
          "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
          "HTTP/1.1 200 OK\r\nx-said: yes\r\ncontent-length: 2\r\n\r\n\(content)",
        ]))
      serve()
    }
  }

  private var messageSize: Int? {
    guard let end = input.firstRange(of: Array("\r\n\r\n".utf8)) else { return nil }
    let head = String(decoding: input[..<end.lowerBound], as: UTF8.self).lowercased()
    let length =
      head.split(separator: "\r\n").first { $0.hasPrefix("content-length:") }.flatMap {
        Int($0.dropFirst(15).drop(while: { $0 == " " }))
      } ?? 0
    return input.count >= end.upperBound + length ? end.upperBound + length : nil
  }
}
