// Whether a proxy still has work, as its statistics tell.

/// What a proxy's statistics say of its clients, at one moment.
package struct ProxyActivity: Sendable, Equatable {
  /// Requests in flight, and requests ever.
  package var active: UInt64 = 0
  package var total: UInt64 = 0
  /// Connections of TCP services ever: how many of them are idle nobody can tell.
  package var tcp: UInt64 = 0

  /// What to ask the admin page for.
  package static let target = "/stats?filter=downstream_rq_active$%7Cdownstream_rq_total$%7C^tcp.*downstream_cx_total$"

  /// Reads the page: lines of `name: value`.
  package init(_ page: String) {
    for line in page.split(separator: "\n") {
      guard let colon = line.lastIndex(of: ":"),
        let value = UInt64(line[line.index(after: colon)...].drop { $0 == " " })
      else { continue }
      let name = line[..<colon]
      if name.hasPrefix("tcp.") {
        tcp += value
      } else if name.hasSuffix(".downstream_rq_active") {
        active += value
      } else if name.hasSuffix(".downstream_rq_total") {
        total += value
      }
    }
  }

  /// Nothing is in flight, and nothing has come since `earlier`.
  package func isQuiet(since earlier: ProxyActivity) -> Bool { active == 0 && tcp == 0 && total == earlier.total }
}
