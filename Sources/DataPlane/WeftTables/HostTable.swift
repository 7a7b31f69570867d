package import WeftBase
import WeftModel
package import WeftTelemetry

/// Which virtual host a `Host`/`:authority` belongs to: exact names, then `*suffix` with the longest first, then
/// `prefix*` with the longest
/// first, then `*`. Case of ASCII letters does not matter; no text is made.
package struct HostTable: BitwiseCopyable {
  enum Kind: UInt64, BitwiseCopyable {
    case exact = 0x51
    case suffix = 0x52
    case prefix = 0x53
  }

  struct Entry: BitwiseCopyable {
    /// −1: free.
    var virtualHost: Int32 = -1
    var kind = Kind.exact
    var name = ByteView.empty
  }

  private let entries: ConstantTable<Entry>
  private let mask: Int
  /// Distinct lengths of wildcards, longest first.
  private let suffixLengths: ConstantTable<Int32>
  private let prefixLengths: ConstantTable<Int32>
  private let fallback: Int32
  /// No exact name: a table with wildcards or `*` only needs no hash of the whole host.
  private let hasExact: Bool

  /// *Errors*: a domain that is listed twice, or a wildcard in the middle of a name. `domains[i]` are those of virtual
  /// host `i`.
  package init(_ domains: [[String]], arena: ConstantArena) throws(ConfigError) {
    var claims = DomainClaims()
    var found: [Entry] = []
    var suffixes: Set<Int32> = []
    var prefixes: Set<Int32> = []
    var fallback: Int32 = -1
    for (host, names) in domains.enumerated() {
      let spelled: [String]
      do throws(ConfigError) { spelled = try claims.claim(names) } catch {
        throw error.inside(FieldPath().field("virtual_hosts").index(host))
      }
      for name in spelled {
        if name == "*" {
          fallback = Int32(host)
          continue
        }
        var entry = Entry(virtualHost: Int32(host))
        if name.hasPrefix("*") {
          entry.kind = .suffix
          entry.name = arena.text(String(name.dropFirst()))
          suffixes.insert(Int32(entry.name.count))
        } else if name.hasSuffix("*") {
          entry.kind = .prefix
          entry.name = arena.text(String(name.dropLast()))
          prefixes.insert(Int32(entry.name.count))
        } else {
          entry.name = arena.text(name)
        }
        found.append(entry)
      }
    }
    var size = 8
    while size < found.count * 2 { size *= 2 }
    mask = size - 1
    var table = Array(repeating: Entry(), count: size)
    for entry in found {
      var slot = Int(truncatingIfNeeded: Self.hash(entry.name, entry.kind)) & mask
      while table[slot].virtualHost >= 0 { slot = (slot + 1) & mask }
      table[slot] = entry
    }
    entries = arena.table(table)
    suffixLengths = arena.table(suffixes.sorted(by: >))
    prefixLengths = arena.table(prefixes.sorted(by: >))
    self.fallback = fallback
    hasExact = found.contains { $0.kind == .exact }
  }

  /// The virtual host of `host`; −1 when there is none. *Cost*: one hash for an exact name, one more per distinct
  /// wildcard length.
  package func find(_ host: ByteView) -> Int32 {
    if !host.isEmpty {
      if hasExact {
        let exact = probe(host, .exact)
        if exact >= 0 { return exact }
      }
      for i in suffixLengths.indices where Int(suffixLengths[i]) < host.count {
        let hit = probe(host.suffix(Int(suffixLengths[i])), .suffix)
        if hit >= 0 { return hit }
      }
      for i in prefixLengths.indices where Int(prefixLengths[i]) < host.count {
        let hit = probe(host.prefix(Int(prefixLengths[i])), .prefix)
        if hit >= 0 { return hit }
      }
    }
    return fallback
  }

  private func probe(_ name: ByteView, _ kind: Kind) -> Int32 {
    var slot = Int(truncatingIfNeeded: Self.hash(name, kind)) & mask
    while true {
      let host = entries[slot].virtualHost
      if host < 0 { return -1 }
      if entries[slot].kind == kind, entries[slot].name.equalsIgnoringCase(name) { return host }
      slot = (slot + 1) & mask
    }
  }

  /// A hash that is the same for every case of the letters. Names of the table come from configuration, so a chosen
  /// host can at worst
  /// probe a chain that the table already has.
  private static func hash(_ name: ByteView, _ kind: Kind) -> UInt64 {
    var state = kind.rawValue &* 0x9e37_79b9_7f4a_7c15
    var i = 0
    while i + 8 <= name.count {
      state = RandomSource.mix(state ^ ASCII.lowercased(word: name.loadUInt64(at: i)), 0xe703_7ed1_a0b4_28db)
      i += 8
    }
    var tail: UInt64 = 0
    while i < name.count {
      tail = tail << 8 | UInt64(ASCII.lowercased(name[i]))
      i += 1
    }
    return RandomSource.mix(state ^ tail, 0x8ebc_6af0_9c88_c6e3 ^ UInt64(name.count))
  }
}
