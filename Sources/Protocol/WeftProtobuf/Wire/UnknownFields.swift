/// Fields that a schema does not know, as they came: complete tag-and-value records.
package struct UnknownFields: Sendable, Hashable {
  package var bytes: [UInt8]
  package init(_ bytes: [UInt8] = []) { self.bytes = bytes }
  @inlinable
  package var isEmpty: Bool { bytes.isEmpty }
}

/// How a value is delimited on the wire.
package enum WireType: UInt8, Sendable {
  case varint = 0
  case fixed64 = 1
  case bytes = 2
  case startGroup = 3
  case endGroup = 4
  case fixed32 = 5
}
