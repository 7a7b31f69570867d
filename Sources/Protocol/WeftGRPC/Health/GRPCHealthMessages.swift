/// The two messages of `grpc.health.v1`, small enough to be written by hand.
package enum GRPCHealthMessages {
  package static let checkPath = "/grpc.health.v1.Health/Check"
  package static let watchPath = "/grpc.health.v1.Health/Watch"

  package static func request(service: String) -> [UInt8] {
    let name = Array(service.utf8)
    return name.isEmpty ? [] : [0x0A] + varint(UInt64(name.count)) + name
  }

  package static func response(status: Int) -> [UInt8] {
    status == 0 ? [] : [0x08] + varint(UInt64(UInt(bitPattern: status)))
  }

  /// The service asked for; nil when malformed. Unknown fields are skipped, the last of a repeated one wins.
  package static func service(ofRequest bytes: [UInt8]) -> String? {
    var reader = Reader(bytes: bytes)
    var service: String? = ""
    while let field = reader.next() {
      if case (1, .bytes(let name)) = field { service = String(validating: name, as: UTF8.self) }
    }
    return reader.failed ? nil : service
  }

  /// The serving status answered; nil when malformed.
  package static func status(ofResponse bytes: [UInt8]) -> Int? {
    var reader = Reader(bytes: bytes)
    var status = 0
    while let field = reader.next() {
      if case (1, .varint(let value)) = field { status = Int(truncatingIfNeeded: value) }
    }
    return reader.failed ? nil : status
  }

  private static func varint(_ value: UInt64) -> [UInt8] {
    var bytes: [UInt8] = []
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
    return bytes
  }

  private enum Value {
    case varint(UInt64)
    case bytes(ArraySlice<UInt8>)
    case fixed
  }

  private struct Reader {
    let bytes: [UInt8]
    var position = 0
    var failed = false

    mutating func next() -> (Int, Value)? {
      guard !failed, position < bytes.count else { return nil }
      guard let tag = varint(), let number = Int(exactly: tag >> 3), number > 0 else { return fail() }
      switch tag & 7 {
      case 0: return varint().map { (number, .varint($0)) } ?? fail()
      case 1: return skip(8) ? (number, .fixed) : fail()
      case 5: return skip(4) ? (number, .fixed) : fail()
      case 2:
        guard let length = varint(), length <= UInt64(bytes.count - position) else { return fail() }
        let slice = bytes[position..<position + Int(length)]
        position += Int(length)
        return (number, .bytes(slice))
      default: return fail()
      }
    }

    private mutating func fail() -> (Int, Value)? {
      failed = true
      return nil
    }

    private mutating func skip(_ count: Int) -> Bool {
      guard bytes.count - position >= count else { return false }
      position += count
      return true
    }

    private mutating func varint() -> UInt64? {
      var value: UInt64 = 0
      for shift in stride(from: UInt64(0), through: 63, by: 7) {
        guard position < bytes.count else { return nil }
        let byte = bytes[position]
        position += 1
        value |= UInt64(byte & 0x7F) << shift
        if byte < 0x80 { return value }
      }
      return nil
    }
  }
}
