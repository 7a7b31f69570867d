// The wire format, read. One decoder per call: the bytes, a position, the end of the innermost length-delimited record.

package final class BinaryDecoder: FieldDecoder {
  private let bytes: [UInt8]
  private var at = 0
  private var end: Int
  private var depthLeft: Int
  private var number: Int32 = 0
  private var wireType = WireType.varint
  /// Set by `unknown()` and by fields whose wire type is not theirs: the field goes to the unknown fields.
  private var isUnknown = false
  /// Single values of closed enums that have no name, as records for the unknown fields.
  private var strays: [UInt8] = []

  init(_ bytes: [UInt8], limits: DecodingLimits) {
    self.bytes = bytes
    end = bytes.count
    depthLeft = limits.depth
  }

  private func error(_ message: String) -> ProtobufError { ProtobufError("\(message) at byte \(at)") }

  // MARK: Messages

  /// Reads fields up to the end of the record, or of the group of that number.
  func merge<M: Message>(into message: inout M, group: Int32?) throws(ProtobufError) {
    guard depthLeft > 0 else { throw error("messages nested too deeply") }
    depthLeft -= 1
    defer { depthLeft += 1 }
    while at < end {
      let start = at
      try readTag()
      if wireType == .endGroup {
        guard number == group else { throw error("end of group \(number) without its start") }
        return
      }
      try message.decodeField(number, from: self)
      if isUnknown {
        // Nothing was read: number and wire type are still this field's. The outer message must not see the flag.
        isUnknown = false
        try skip(number, wireType)
        message.unknownFields.bytes += bytes[start..<at]
      } else if !strays.isEmpty {
        message.unknownFields.bytes += strays
        strays = []
      }
    }
    if group != nil { throw error("group without its end") }
  }

  private func readTag() throws(ProtobufError) {
    let start = at
    let tag = try varint()
    // The largest field number is 2^29 - 1: a tag fits 32 bits and five bytes.
    guard at - start <= 5, tag <= UInt64(UInt32.max), tag >> 3 != 0, let type = WireType(rawValue: UInt8(tag & 7))
    else {
      throw error("invalid tag")
    }
    number = Int32(tag >> 3)
    wireType = type
  }

  /// Moves past the value of a field whose tag has been read.
  private func skip(_ number: Int32, _ type: WireType) throws(ProtobufError) {
    switch type {
    case .varint: _ = try varint()
    case .fixed64: try advance(8)
    case .fixed32: try advance(4)
    case .bytes: try advance(try length())
    case .endGroup: throw error("end of group \(number) without its start")
    case .startGroup:
      guard depthLeft > 0 else { throw error("groups nested too deeply") }
      depthLeft -= 1
      defer { depthLeft += 1 }
      while true {
        try readTag()
        if wireType == .endGroup {
          guard self.number == number else { throw error("end of group \(self.number) inside group \(number)") }
          return
        }
        try skip(self.number, wireType)
      }
    }
  }

  /// The numbers of the fields in `bytes`, each once.
  func fieldNumbers() -> [Int32] {
    var numbers: [Int32] = []
    while at < end {
      // Records that were kept as unknown have been read before.
      do throws(ProtobufError) {
        try readTag()
        if !numbers.contains(number) { numbers.append(number) }
        try skip(number, wireType)
      } catch { break }
    }
    return numbers
  }

  private func advance(_ count: Int) throws(ProtobufError) {
    guard count <= end - at else { throw error("truncated") }
    at += count
  }

  // MARK: Values

  func varint() throws(ProtobufError) -> UInt64 {
    guard at < end else { throw error("truncated") }
    let first = bytes[at]
    if first < 0x80 {
      at += 1
      return UInt64(first)
    }
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while true {
      guard at < end else { throw error("truncated") }
      let byte = bytes[at]
      at += 1
      value |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return value }
      shift += 7
      guard shift < 70 else { throw error("varint longer than ten bytes") }
    }
  }

  func fixed32() throws(ProtobufError) -> UInt32 {
    let start = at
    try advance(4)
    var value: UInt32 = 0
    for i in 0..<4 { value |= UInt32(bytes[start + i]) << UInt32(8 * i) }
    return value
  }

  func fixed64() throws(ProtobufError) -> UInt64 {
    let low = try fixed32()
    return UInt64(low) | UInt64(try fixed32()) << 32
  }

  private func length() throws(ProtobufError) -> Int {
    let count = try varint()
    guard count <= UInt64(end - at) else { throw error("length \(count) runs past the end") }
    return Int(count)
  }

  func byteString() throws(ProtobufError) -> [UInt8] {
    let count = try length()
    defer { at += count }
    return Array(bytes[at..<at + count])
  }

  func string() throws(ProtobufError) -> String {
    let count = try length()
    let text = unsafe bytes.withUnsafeBufferPointer { all in
      unsafe String(validating: UnsafeBufferPointer(rebasing: all[at..<at + count]), as: UTF8.self)
    }
    guard let text else { throw error("a string that is not valid UTF-8") }
    at += count
    return text
  }

  func message<M: Message>(into value: inout M) throws(ProtobufError) {
    let outer = end
    let count = try length()
    end = at + count
    defer { end = outer }
    try merge(into: &value, group: nil)
  }

  func group<M: Message>(into value: inout M) throws(ProtobufError) {
    try merge(into: &value, group: number)
  }

  // MARK: FieldDecoder

  package override func unknown() { isUnknown = true }

  package override func singular<K: FieldKind>(_ kind: K.Type, _ value: inout K.Value) throws(ProtobufError) {
    guard wireType == K.wireType else { return isUnknown = true }
    let start = at
    if try !K.read(self, into: &value) {
      at = start
      isUnknown = true
    }
  }

  package override func optional<K: FieldKind>(_ kind: K.Type, _ value: inout K.Value?) throws(ProtobufError) {
    guard wireType == K.wireType else { return isUnknown = true }
    let start = at
    guard var new = value else {
      var first = K.zero
      if try K.read(self, into: &first) {
        value = first
      } else {
        at = start
        isUnknown = true
      }
      return
    }
    // The only reference must be `new`, or lists inside a merged message would be copied.
    value = nil
    if try !K.read(self, into: &new) {
      at = start
      isUnknown = true
    }
    value = new
  }

  package override func repeated<K: FieldKind>(_ kind: K.Type, _ values: inout [K.Value]) throws(ProtobufError) {
    if wireType == K.wireType {
      let start = at
      var value = K.zero
      if try K.read(self, into: &value) {
        values.append(value)
      } else {
        at = start
        isUnknown = true
      }
    } else if wireType == .bytes, K.isPackable {
      let outer = end
      let count = try length()
      end = at + count
      defer { end = outer }
      let field = number
      while at < end {
        let start = at
        var value = K.zero
        if try K.read(self, into: &value) {
          values.append(value)
        } else {
          let encoder = BinaryEncoder()
          encoder.tag(field, K.wireType)
          strays += encoder.out
          strays += bytes[start..<at]
        }
      }
    } else {
      isUnknown = true
    }
  }

  package override func map<K: MapKeyKind, V: FieldKind>(
    _ key: K.Type, _ value: V.Type, _ map: inout [K.Value: V.Value]
  ) throws(ProtobufError) {
    guard wireType == .bytes else { return isUnknown = true }
    let start = at
    let field = number
    let outer = end
    let count = try length()
    end = at + count
    defer { end = outer }
    var k = K.zero
    var v = V.zero
    var isKnown = true
    while at < end {
      try readTag()
      if number == 1, wireType == K.wireType {
        _ = try K.read(self, into: &k)
      } else if number == 2, wireType == V.wireType {
        isKnown = try V.read(self, into: &v)
      } else {
        try skip(number, wireType)
      }
    }
    if isKnown {
      map[k] = v
    } else {
      // The whole entry is unknown: it is read again by the caller's `skip`.
      at = start
      number = field
      wireType = .bytes
      isUnknown = true
    }
  }
}
