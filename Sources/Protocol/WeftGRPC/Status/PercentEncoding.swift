/// The encoding of `grpc-message`: printable ASCII but `%` stands for itself, every other byte is `%XX`.
package enum GRPCPercentEncoding {
  private static let digits = Array("0123456789ABCDEF".utf8)

  package static func encode(_ message: String) -> String {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(message.utf8.count)
    for byte in message.utf8 {
      if (0x20...0x7E).contains(byte), byte != UInt8(ascii: "%") {
        bytes.append(byte)
      } else {
        bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Decodes leniently, as the protocol demands: what is not a valid escape stays as it is.
  package static func decode(_ value: String) -> String {
    let input = Array(value.utf8)
    guard input.contains(UInt8(ascii: "%")) else { return value }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(input.count)
    var index = 0
    while index < input.count {
      if input[index] == UInt8(ascii: "%"), index + 2 < input.count, let high = nibble(input[index + 1]),
        let low = nibble(input[index + 2])
      {
        bytes.append(high << 4 | low)
        index += 3
      } else {
        bytes.append(input[index])
        index += 1
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  private static func nibble(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 0x30...0x39: byte - 0x30
    case 0x41...0x46: byte - 0x41 + 10
    case 0x61...0x66: byte - 0x61 + 10
    default: nil
    }
  }
}
