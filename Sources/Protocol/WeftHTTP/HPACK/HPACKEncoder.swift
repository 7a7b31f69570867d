// Fields to HPACK bytes.

import WeftBase

/// Encoder with a dynamic table of its own.
///
/// Fields whose values repeat go into the table; values that change with every message, or are secret, do not.
///
/// Why sound: `index` has `indexSize` bytes and is indexed by masked hashes.
@safe
struct HPACKEncoder: ~Copyable {
  private var table: HPACKDynamicTable
  /// The largest table we use, whatever the peer offers.
  private let limit: Int
  /// A size change to announce at the start of the next block: the smallest since the last block, and the last.
  private var smallestUpdate: Int?
  private var lastUpdate: Int?
  /// The end of the insertion number of the latest entry with a hash, by the hash's low bits; full fields and names share it. What is found
  /// by it is compared: a number that is gone, or ends like another's, costs a literal.
  private var index: UnsafeMutablePointer<UInt8>?
  private static var indexSize: Int { 256 }
  private let statics = HPACKStaticTable.shared
  private let huffman = Huffman.shared

  init(tableSize: Int) {
    limit = tableSize
    // Until the peer says otherwise its decoder has 4096 bytes.
    table = HPACKDynamicTable(maxSize: min(tableSize, 4096))
    if tableSize < 4096 {
      smallestUpdate = tableSize
      lastUpdate = tableSize
    }
    unsafe index = nil
  }

  deinit { unsafe index?.deallocate() }

  /// The peer's SETTINGS_HEADER_TABLE_SIZE.
  mutating func peerTableSize(_ peerSize: Int) {
    let size = min(peerSize, limit)
    if size == table.maxSize, lastUpdate == nil { return }
    table.resize(to: size)
    smallestUpdate = min(smallestUpdate ?? size, size)
    lastUpdate = size
  }

  /// Writes pending table-size updates. Call it first in every block.
  mutating func begin(_ output: inout ByteBuffer) {
    guard let last = lastUpdate else { return }
    if let smallest = smallestUpdate, smallest < last { Self.integer(smallest, prefix: 5, flags: 0x20, &output) }
    Self.integer(last, prefix: 5, flags: 0x20, &output)
    smallestUpdate = nil
    lastUpdate = nil
  }

  /// Writes a static entry.
  func indexed(_ staticIndex: Int, _ output: inout ByteBuffer) {
    output.append(0x80 | UInt8(truncatingIfNeeded: staticIndex))
  }

  /// Writes a pseudo-field whose name has static index `nameIndex` (0: `:protocol`).
  mutating func pseudo(_ nameIndex: Int, _ value: ByteView, indexes: Bool, _ output: inout ByteBuffer) {
    let name = nameIndex == 0 ? ByteView(":protocol" as StaticString) : statics[nameIndex].name
    let fits = name.count + value.count + 32 <= table.maxSize / 2
    encode(
      name: name, value: value, id: .other, pseudo: PseudoField.find(name), nameIndex: nameIndex,
      indexes: indexes && fits, neverIndexed: false, &output)
  }

  /// Writes a field. `name` is lower case.
  mutating func field(
    name: ByteView, value: ByteView, id: HeaderName, neverIndexed: Bool, _ output: inout ByteBuffer
  ) {
    let secret = neverIndexed || Self.isSecret(id, value)
    let indexes = !secret && Self.repeats(id) && name.count + value.count + 32 <= table.maxSize / 2
    encode(
      name: name, value: value, id: id, pseudo: .none, nameIndex: statics.index(of: id), indexes: indexes,
      neverIndexed: secret, &output)
  }

  /// Secrets, and those short enough to guess, are kept out of tables everywhere on the way (RFC 7541 §7.1.3).
  private static func isSecret(_ id: HeaderName, _ value: ByteView) -> Bool {
    switch id {
    case .authorization, .proxyAuthorization: true
    case .cookie, .setCookie: value.count < 20
    default: false
    }
  }

  /// False for names whose value is new with nearly every message: they would only push others out.
  private static func repeats(_ id: HeaderName) -> Bool {
    switch id {
    case .contentLength, .requestID, .traceparent, .tracestate, .b3, .b3SpanID, .b3TraceID, .b3ParentSpanID, .etag,
      .ifNoneMatch, .ifModifiedSince, .lastModified, .age, .location, .setCookie, .forwardedClientCert, .grpcTimeout,
      .grpcMessage, .grpcStatusDetails, .envoyUpstreamServiceTime, .contentRange, .range, .referer,
      .envoyExpectedTimeout, .envoyOriginalPath:
      false
    default: true
    }
  }

  private mutating func encode(
    name: ByteView, value: ByteView, id: HeaderName, pseudo: PseudoField, nameIndex: Int, indexes: Bool,
    neverIndexed: Bool, _ output: inout ByteBuffer
  ) {
    if nameIndex > 0, !neverIndexed, !value.isEmpty, statics[nameIndex].value.equals(value) {
      return indexed(nameIndex, &output)
    }
    guard indexes else {
      return literal(
        name: name, value: value, nameIndex: nameIndex, prefix: 4, flags: neverIndexed ? 0x10 : 0, &output)
    }
    let nameHash = Self.hash(name)
    let hash = UInt32(truncatingIfNeeded: value.hash(seed: nameHash))
    let slot = Self.slot(hash)
    let nameSlot = Self.slot(ofName: nameHash)
    if unsafe index == nil { makeIndex() }
    var nameIndex = nameIndex
    if let (age, entry) = find(slot), entry.hash == hash, table.name(entry).equals(name),
      table.value(entry).equals(value)
    {
      return Self.integer(Self.dynamicIndex(age), prefix: 7, flags: 0x80, &output)
    }
    if nameIndex == 0, let (age, entry) = find(nameSlot), table.name(entry).equals(name) {
      nameIndex = Self.dynamicIndex(age)
    }
    // Write first: the name may refer to an entry that the insertion evicts.
    literal(name: name, value: value, nameIndex: nameIndex, prefix: 6, flags: 0x40, &output)
    table.insert(name: name, value: value, id: id, pseudo: pseudo, hash: hash)
    if let index = unsafe index {
      let number = UInt8(truncatingIfNeeded: table.inserted &- 1)
      unsafe index[nameSlot] = number
      unsafe index[slot] = number
    }
  }

  private static func hash(_ name: ByteView) -> UInt64 { name.hash(seed: 0x6877_6566) }
  private static func slot(_ hash: UInt32) -> Int { Int(hash) & (indexSize - 1) }
  private static func slot(ofName hash: UInt64) -> Int { Int(truncatingIfNeeded: hash >> 7) & (indexSize - 1) }

  /// Gives back what is not needed until the next block.
  mutating func shrink() {
    table.shrink()
    unsafe index?.deallocate()
    unsafe index = nil
  }

  /// The index, over the entries there are.
  private mutating func makeIndex() {
    let fresh = UnsafeMutablePointer<UInt8>.allocate(capacity: Self.indexSize)
    unsafe fresh.initialize(repeating: 0, count: Self.indexSize)
    for age in (0..<table.count).reversed() {
      let entry = table.entry(age)
      let number = UInt8(truncatingIfNeeded: table.inserted &- 1 &- UInt32(age))
      unsafe fresh[Self.slot(ofName: Self.hash(table.name(entry)))] = number
      unsafe fresh[Self.slot(entry.hash)] = number
    }
    unsafe index = fresh
  }

  /// The live entry last noted under `slot`, and its age.
  private func find(_ slot: Int) -> (age: Int, entry: HPACKDynamicTable.Entry)? {
    guard let index = unsafe index, let age = table.age(numbered: unsafe index[slot]) else { return nil }
    return (age, table.entry(age))
  }

  private static func dynamicIndex(_ age: Int) -> Int { HPACKStaticTable.count + 1 + age }

  private func literal(
    name: ByteView, value: ByteView, nameIndex: Int, prefix: UInt8, flags: UInt8, _ output: inout ByteBuffer
  ) {
    Self.integer(nameIndex, prefix: prefix, flags: flags, &output)
    if nameIndex == 0 { string(name, &output) }
    string(value, &output)
  }

  static func integer(_ value: Int, prefix: UInt8, flags: UInt8, _ output: inout ByteBuffer) {
    let mask = (1 << Int(prefix)) - 1
    if value < mask {
      output.append(flags | UInt8(truncatingIfNeeded: value))
      return
    }
    output.append(flags | UInt8(truncatingIfNeeded: mask))
    var rest = value - mask
    while rest >= 128 {
      output.append(UInt8(truncatingIfNeeded: rest & 127) | 128)
      rest >>= 7
    }
    output.append(UInt8(truncatingIfNeeded: rest))
  }

  /// A string literal, Huffman-coded when that is shorter.
  private func string(_ text: ByteView, _ output: inout ByteBuffer) {
    let coded = huffman.encodedCount(text)
    guard coded < text.count else {
      Self.integer(text.count, prefix: 7, flags: 0, &output)
      output.append(text)
      return
    }
    Self.integer(coded, prefix: 7, flags: 0x80, &output)
    unsafe output.appendUninitialized(coded) { room in
      guard let base = room.baseAddress else { return 0 }
      return unsafe huffman.encode(text, to: base)
    }
  }
}
