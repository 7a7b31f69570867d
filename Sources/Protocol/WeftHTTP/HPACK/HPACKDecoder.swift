// HPACK bytes to fields, one at a time.

import WeftBase

/// Why a header block cannot be decoded: always a connection error (RFC 9113 §4.3).
enum HPACKError: Error {
  case truncated, integer, index, huffman, tableSize
}

/// One decoded field. Views live in the input, the arena or static memory; none in the dynamic table.
@safe
struct HPACKField: BitwiseCopyable {
  var name: ByteView
  var value: ByteView
  var id: HeaderName
  var pseudo: PseudoField
  var neverIndexed = false
  /// Bytes of name and value as decoded, also when `discards` left them out.
  var size: Int
}

/// A pull decoder: `begin` a block, then `next` until nil.
struct HPACKDecoder: ~Copyable {
  private var table: HPACKDynamicTable
  /// The size we announced: updates may not exceed it.
  private var limit: Int
  private var atStart = true
  private let statics = HPACKStaticTable.shared
  private let huffman = Huffman.shared
  /// Keeps the dynamic table in step but hands out no text: for the rest of a block that is over the limit.
  var discards = false

  init(tableSize: Int) {
    limit = tableSize
    table = HPACKDynamicTable(maxSize: tableSize)
  }

  /// The peer knows the size we announced: nothing larger from here on.
  mutating func confirmTableSize(_ size: Int) {
    limit = size
    if table.maxSize > size { table.resize(to: size) }
  }

  /// Gives back what is not needed until the next block.
  mutating func shrink() { table.shrink() }

  mutating func begin() {
    atStart = true
    discards = false
  }

  /// The next field of `block`; nil at its end. Text that must be copied goes to the arena of `scratch`.
  mutating func next(_ block: inout ByteView, scratch: MessageHead) throws(HPACKError) -> HPACKField? {
    while let first = block.first {
      if first & 0x80 != 0 {
        atStart = false
        return try indexed(try integer(&block, prefix: 7), scratch)
      }
      if first & 0xe0 == 0x20 {
        // Size updates stand only at the start of a block (RFC 7541 §4.2).
        guard atStart else { throw .tableSize }
        let size = try integer(&block, prefix: 5)
        guard size <= limit else { throw .tableSize }
        table.resize(to: size)
        continue
      }
      atStart = false
      return try literal(&block, indexes: first & 0x40 != 0, neverIndexed: first & 0xf0 == 0x10, scratch)
    }
    return nil
  }

  private func indexed(_ index: Int, _ scratch: MessageHead) throws(HPACKError) -> HPACKField {
    if index == 0 { throw .index }
    if index <= HPACKStaticTable.count {
      let entry = statics[index]
      return HPACKField(
        name: entry.name, value: entry.value, id: entry.id, pseudo: entry.pseudo,
        size: entry.name.count + entry.value.count)
    }
    let age = index - HPACKStaticTable.count - 1
    guard age < table.count else { throw .index }
    let entry = table.entry(age)
    let size = Int(entry.nameCount) + Int(entry.valueCount)
    if discards {
      return HPACKField(name: .empty, value: .empty, id: entry.id, pseudo: entry.pseudo, size: size)
    }
    let name = entry.id == .other ? scratch.copy(table.name(entry)) : ByteView(entry.id.text)
    return HPACKField(
      name: name, value: scratch.copy(table.value(entry)), id: entry.id, pseudo: entry.pseudo, size: size)
  }

  private mutating func literal(
    _ block: inout ByteView, indexes: Bool, neverIndexed: Bool, _ scratch: MessageHead
  ) throws(HPACKError) -> HPACKField {
    let mark = unsafe scratch.cell.pointee.arenaMark
    let index = try integer(&block, prefix: indexes ? 6 : 4)
    var field = HPACKField(
      name: .empty, value: .empty, id: .other, pseudo: .none, neverIndexed: neverIndexed, size: 0)
    if index == 0 {
      field.name = try string(&block, scratch)
      field.id = HeaderName.find(field.name)
      field.pseudo = PseudoField.find(field.name)
    } else if index <= HPACKStaticTable.count {
      let entry = statics[index]
      field.name = entry.name
      field.id = entry.id
      field.pseudo = entry.pseudo
    } else {
      let age = index - HPACKStaticTable.count - 1
      guard age < table.count else { throw .index }
      let entry = table.entry(age)
      field.id = entry.id
      field.pseudo = entry.pseudo
      // A copy: the insertion below may evict the entry it names.
      field.name = entry.id == .other ? scratch.copy(table.name(entry)) : ByteView(entry.id.text)
    }
    // `HeaderName.find` ignores case, HTTP/2 does not: an upper-case name must stay visible as such.
    field.value = try string(&block, scratch)
    field.size = field.name.count + field.value.count
    // The peer's table has it, ours cannot: from here on its numbers would name other fields.
    if indexes, field.name.count > Int(UInt16.max), field.size + 32 <= table.maxSize { throw .integer }
    if indexes { table.insert(name: field.name, value: field.value, id: field.id, pseudo: field.pseudo) }
    if discards {
      field.name = .empty
      field.value = .empty
      unsafe scratch.cell.pointee.releaseArena(to: mark)
    }
    return field
  }

  /// A prefixed integer (RFC 7541 §5.1), at most about 2²⁸: nothing legal is larger.
  private func integer(_ block: inout ByteView, prefix: UInt8) throws(HPACKError) -> Int {
    guard let first = block.first else { throw .truncated }
    block = block.dropFirst()
    let mask = UInt8(truncatingIfNeeded: (1 << Int(prefix)) - 1)
    var value = Int(first & mask)
    if first & mask != mask { return value }
    var shift = 0
    while true {
      guard let byte = block.first else { throw .truncated }
      block = block.dropFirst()
      if shift > 21 { throw .integer }
      value += Int(byte & 0x7f) << shift
      if byte & 0x80 == 0 { return value }
      shift += 7
    }
  }

  /// A string literal (RFC 7541 §5.2): a view of the input, or decoded in the arena.
  private func string(_ block: inout ByteView, _ scratch: MessageHead) throws(HPACKError) -> ByteView {
    guard let first = block.first else { throw .truncated }
    let count = try integer(&block, prefix: 7)
    guard count <= block.count else { throw .truncated }
    let raw = block.prefix(count)
    block = block.dropFirst(count)
    if first & 0x80 == 0 { return raw }
    let room = unsafe scratch.cell.pointee.allocate(count * 2)
    guard let decoded = unsafe huffman.decode(raw, to: room) else { throw .huffman }
    unsafe scratch.cell.pointee.shrinkLast(by: count * 2 - decoded)
    return unsafe ByteView(UnsafeRawPointer(room), count: decoded)
  }
}
