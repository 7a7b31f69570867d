// Dubbo 2 frames for tests, written apart from the code under test.

/// Hessian2 values, as far as tests send them.
package indirect enum HessianValue {
  case null, bool(Bool), int(Int32), long(Int64), double(Double), text(String), bytes([UInt8])
  /// In chunks of so many units.
  case chunked(String, by: Int)
  case list([HessianValue]), typedList(String, [HessianValue]), openList([HessianValue])
  case map([(HessianValue, HessianValue)]), typedMap(String, [(HessianValue, HessianValue)])
  /// A class, and its first instance.
  case define(String, [String], [HessianValue])
  /// One more instance of the class of that number.
  case object(Int32, [HessianValue])
  case reference(Int32)
  case raw([UInt8])

  package var encoded: [UInt8] {
    switch self {
    case .null: return [0x4e]
    case .bool(let value): return [value ? 0x54 : 0x46]
    case .int(let value): return Self.int(value)
    case .long(let value): return Self.join([0x4c], Self.bigEndian(value))
    case .double(let value): return Self.join([0x44], Self.bigEndian(value.bitPattern))
    case .text(let text): return Self.text(text)
    case .bytes(let bytes): return Self.join([0x42], Self.bigEndian(UInt16(bytes.count)), bytes)
    case .chunked(let text, let size): return Self.chunks(Array(text.utf16), size)
    case .list(let values): return Self.join([0x58], Self.int(Int32(values.count)), Self.all(values))
    case .typedList(let type, let values):
      return Self.join([0x56], Self.text(type), Self.int(Int32(values.count)), Self.all(values))
    case .openList(let values): return Self.join([0x57], Self.all(values), [0x5a])
    case .map(let pairs): return Self.join([0x48], Self.all(pairs), [0x5a])
    case .typedMap(let type, let pairs): return Self.join([0x4d], Self.text(type), Self.all(pairs), [0x5a])
    case .define(let name, let fields, let values):
      let names = Self.all(fields.map { HessianValue.text($0) })
      return Self.join([0x43], Self.text(name), Self.int(Int32(fields.count)), names, [0x60], Self.all(values))
    case .object(let number, let values): return Self.join([0x4f], Self.int(number), Self.all(values))
    case .reference(let number): return Self.join([0x51], Self.int(number))
    case .raw(let bytes): return bytes
    }
  }

  private static func join(_ parts: [UInt8]...) -> [UInt8] { parts.flatMap { $0 } }
  private static func all(_ values: [HessianValue]) -> [UInt8] { values.flatMap(\.encoded) }
  private static func all(_ pairs: [(HessianValue, HessianValue)]) -> [UInt8] {
    pairs.flatMap { join($0.0.encoded, $0.1.encoded) }
  }

  private static func int(_ value: Int32) -> [UInt8] {
    (-16...47).contains(value) ? [UInt8(0x90 + value)] : [0x49] + bigEndian(value)
  }

  private static func bigEndian<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
    (0..<T.bitWidth / 8).map { UInt8(truncatingIfNeeded: value >> (T.bitWidth - 8 - 8 * $0)) }
  }

  /// Each UTF-16 unit by itself, as Java writes it.
  private static func units(_ units: some Sequence<UInt16>) -> [UInt8] {
    units.flatMap { unit -> [UInt8] in
      if unit < 0x80, unit > 0 { return [UInt8(unit)] }
      if unit < 0x800 { return [UInt8(0xc0 | unit >> 6), UInt8(0x80 | unit & 0x3f)] }
      return [UInt8(0xe0 | unit >> 12), UInt8(0x80 | unit >> 6 & 0x3f), UInt8(0x80 | unit & 0x3f)]
    }
  }

  private static func text(_ text: String) -> [UInt8] {
    let all = Array(text.utf16)
    if all.count < 32 { return [UInt8(all.count)] + units(all) }
    if all.count < 1024 { return [UInt8(0x30 + all.count >> 8), UInt8(all.count & 0xff)] + units(all) }
    return [0x53] + bigEndian(UInt16(all.count)) + units(all)
  }

  private static func chunks(_ all: [UInt16], _ size: Int) -> [UInt8] {
    var rest = all[...]
    var out: [UInt8] = []
    while rest.count > size {
      out += [0x52] + bigEndian(UInt16(size)) + units(rest.prefix(size))
      rest = rest.dropFirst(size)
    }
    return out + [0x53] + bigEndian(UInt16(rest.count)) + units(rest)
  }
}

/// Frames of Dubbo 2.
package enum DubboFrames {
  package static func frame(
    flags: UInt8, status: UInt8 = 0, id: UInt64, _ body: [UInt8], length: UInt32? = nil
  ) -> [UInt8] {
    let length = length ?? UInt32(body.count)
    var out: [UInt8] = [0xda, 0xbb, flags, status]
    for i in 0..<8 { out.append(UInt8(truncatingIfNeeded: id >> UInt64(56 - 8 * i))) }
    for i in 0..<4 { out.append(UInt8(truncatingIfNeeded: length >> UInt32(24 - 8 * i))) }
    return out + body
  }

  /// A request. `types` describe `arguments`.
  package static func request(
    id: UInt64, service: String = "demo.Greeter", method: String = "hello", version: String? = "1.0.0",
    types: String = "Ljava/lang/String;", arguments: [HessianValue] = [.text("you")],
    attachments: [(String, String)]? = [("dubbo", "2.0.2")], isOneWay: Bool = false
  ) -> [UInt8] {
    var body = HessianValue.text("2.0.2").encoded + HessianValue.text(service).encoded
    body += (version.map { .text($0) } ?? HessianValue.null).encoded
    body += HessianValue.text(method).encoded + HessianValue.text(types).encoded
    body += arguments.flatMap(\.encoded)
    if let attachments { body += HessianValue.map(attachments.map { (.text($0.0), .text($0.1)) }).encoded }
    return frame(flags: isOneWay ? 0x82 : 0xc2, id: id, body)
  }

  /// An answer with a value.
  package static func answer(id: UInt64, _ value: HessianValue = .text("hi"), status: UInt8 = 20, kind: UInt8 = 0x91)
    -> [UInt8]
  {
    frame(flags: 0x02, status: status, id: id, (status == 20 ? [kind] : []) + value.encoded)
  }

  package static func heartbeat(id: UInt64) -> [UInt8] { frame(flags: 0xe2, id: id, [0x4e]) }
  package static func heartbeatAnswer(id: UInt64) -> [UInt8] { frame(flags: 0x22, status: 20, id: id, [0x4e]) }
  package static func lastCall(id: UInt64) -> [UInt8] { frame(flags: 0xa2, id: id, [0x01, 0x52]) }

  /// The frames that `bytes` consist of, each whole; what is left over comes last.
  package static func split(_ bytes: [UInt8]) -> [[UInt8]] {
    var rest = bytes[...]
    var out: [[UInt8]] = []
    while rest.count >= 16 {
      let length = rest.dropFirst(12).prefix(4).reduce(0) { $0 << 8 | Int($1) }
      guard rest.count >= 16 + length else { break }
      out.append(Array(rest.prefix(16 + length)))
      rest = rest.dropFirst(16 + length)
    }
    if !rest.isEmpty { out.append(Array(rest)) }
    return out
  }

  package static func id(_ frame: [UInt8]) -> UInt64 { frame.dropFirst(4).prefix(8).reduce(0) { $0 << 8 | UInt64($1) } }
}
