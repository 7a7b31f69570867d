// The static table (RFC 7541 appendix A).

import WeftBase

/// Which pseudo-field a name is, if any.
enum PseudoField: UInt8, BitwiseCopyable {
  case none, method, scheme, authority, path, status, protocolName, unknown

  static func find(_ name: ByteView) -> PseudoField {
    if name.first != UInt8(ascii: ":") { return .none }
    if name.equals(":method") { return .method }
    if name.equals(":scheme") { return .scheme }
    if name.equals(":authority") { return .authority }
    if name.equals(":path") { return .path }
    if name.equals(":status") { return .status }
    if name.equals(":protocol") { return .protocolName }
    return .unknown
  }
}

/// Static entries with their names classified, and the way back from a well-known name to its index.
///
/// Why sound: filled once, read only; indices are checked against `count`.
@safe
struct HPACKStaticTable: @unchecked Sendable {
  @safe
  struct Entry: BitwiseCopyable {
    let name: ByteView
    let value: ByteView
    let id: HeaderName
    let pseudo: PseudoField
  }

  static var count: Int { 61 }
  static let shared = HPACKStaticTable()

  private let entries: UnsafeMutablePointer<Entry>
  /// First static index of each well-known name; 0 when there is none.
  private let nameIndex: UnsafeMutablePointer<UInt8>

  private init() {
    unsafe entries = .allocate(capacity: Self.count + 1)
    unsafe nameIndex = .allocate(capacity: 256)
    unsafe nameIndex.initialize(repeating: 0, count: 256)
    unsafe entries.initialize(to: Entry(name: .empty, value: .empty, id: .other, pseudo: .unknown))
    for (i, (name, value)) in Self.list.enumerated() {
      let view = ByteView(name)
      let id = HeaderName.find(view)
      unsafe (entries + i + 1).initialize(
        to: Entry(name: view, value: ByteView(value), id: id, pseudo: PseudoField.find(view)))
      if id != .other, unsafe nameIndex[Int(id.rawValue)] == 0 { unsafe nameIndex[Int(id.rawValue)] = UInt8(i + 1) }
    }
  }

  /// Entry `index`, 1…61.
  @inline(__always)
  subscript(index: Int) -> Entry {
    precondition(index > 0 && index <= Self.count)
    return unsafe entries[index]
  }

  /// Index of an entry with this name; 0 when there is none.
  @inline(__always)
  func index(of id: HeaderName) -> Int { unsafe Int(nameIndex[Int(id.rawValue)]) }

  private static let list: [(StaticString, StaticString)] = [
    (":authority", ""), (":method", "GET"), (":method", "POST"), (":path", "/"), (":path", "/index.html"),
    (":scheme", "http"), (":scheme", "https"), (":status", "200"), (":status", "204"), (":status", "206"),
    (":status", "304"), (":status", "400"), (":status", "404"), (":status", "500"), ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"), ("accept-language", ""), ("accept-ranges", ""), ("accept", ""),
    ("access-control-allow-origin", ""), ("age", ""), ("allow", ""), ("authorization", ""), ("cache-control", ""),
    ("content-disposition", ""), ("content-encoding", ""), ("content-language", ""), ("content-length", ""),
    ("content-location", ""), ("content-range", ""), ("content-type", ""), ("cookie", ""), ("date", ""), ("etag", ""),
    ("expect", ""), ("expires", ""), ("from", ""), ("host", ""), ("if-match", ""), ("if-modified-since", ""),
    ("if-none-match", ""), ("if-range", ""), ("if-unmodified-since", ""), ("last-modified", ""), ("link", ""),
    ("location", ""), ("max-forwards", ""), ("proxy-authenticate", ""), ("proxy-authorization", ""), ("range", ""),
    ("referer", ""), ("refresh", ""), ("retry-after", ""), ("server", ""), ("set-cookie", ""),
    ("strict-transport-security", ""), ("transfer-encoding", ""), ("user-agent", ""), ("vary", ""), ("via", ""),
    ("www-authenticate", ""),
  ]
}
