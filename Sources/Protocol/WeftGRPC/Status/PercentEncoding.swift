import WeftBase

/// The encoding of `grpc-message`: printable ASCII but `%` stands for itself, every other byte is `%XX`.
package enum GRPCPercentEncoding {
  package static func encode(_ message: String) -> String {
    PercentEncoding.encode(message) { (0x20...0x7E).contains($0) && $0 != UInt8(ascii: "%") }
  }

  /// Decodes leniently, as the protocol demands: what is not a valid escape stays as it is.
  package static func decode(_ value: String) -> String {
    String(decoding: PercentEncoding.decode(value, brokenEscape: .kept) ?? [], as: UTF8.self)
  }
}
