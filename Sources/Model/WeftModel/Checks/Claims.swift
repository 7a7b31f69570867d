package import WeftBase

/// The domains of one table of routes: each belongs to one virtual host, in whatever case it is written.
package struct DomainClaims: Sendable {
  /// What stands where: the number of the claim, and of the domain in it.
  private var seen: [String: (host: Int, domain: Int)] = [:]
  private var count = 0

  package init() {}

  /// Takes the domains of the next virtual host, all or none. *Returns* their spelling in the table: lower case.
  /// *Errors*: one that is taken, is listed twice, or has a wildcard in its middle.
  @discardableResult
  package mutating func claim(_ domains: [String]) throws(ConfigError) -> [String] {
    var mine: [String: Int] = [:]
    var names: [String] = []
    for (i, domain) in domains.enumerated() {
      let path = FieldPath().field("domains").index(i)
      let name = domain.lowercased()
      let other = seen[name] ?? mine[name].map { (count, $0) }
      if let other {
        throw ConfigError(
          path: path,
          "domain \"\(domain)\" is also in virtual_hosts[\(other.0)].domains[\(other.1)]; each may appear once")
      }
      let stars = name.utf8.count { $0 == UInt8(ascii: "*") }
      guard !name.isEmpty, stars == 0 || (stars == 1 && (name.hasPrefix("*") || name.hasSuffix("*"))) else {
        throw ConfigError(
          path: path, "domain \"\(domain)\" must be a name, *suffix, prefix* or *; the wildcard stands at one end only")
      }
      mine[name] = i
      names.append(name)
    }
    for (name, i) in mine { seen[name] = (count, i) }
    count += 1
    return names
  }
}

/// What the filter chains of one listener match: no connection may be meant by two of them alike.
package struct FilterChainClaims: Sendable {
  /// One value of each field that a chain lists values of: chains overlap when they share one.
  private struct Claim: Hashable, Sendable {
    var port: UInt16?
    var destination: CIDRRange?
    var serverName: String
    var transport: String
    var application: String
    var directSource: CIDRRange?
    var sourceType: FilterChainMatch.SourceType
    var source: CIDRRange?
    var sourcePort: UInt16?
  }

  /// Combinations of one chain; a match with more is not looked into.
  private static let limit = 65_536
  private var seen: [Claim: Int] = [:]
  private var count = 0

  package init() {}

  /// Takes the match of the next chain, all or none. *Errors*: it overlaps with that of an earlier one.
  package mutating func claim(_ match: FilterChainMatch) throws(ConfigError) {
    let claims = Self.claims(match)
    if let other = claims.lazy.compactMap({ [seen] in seen[$0] }).first {
      throw ConfigError(
        path: FieldPath().field("filter_chain_match"),
        "overlaps with that of filter_chains[\(other)]; each chain must match something else")
    }
    for claim in claims { seen[claim] = count }
    count += 1
  }

  private static func claims(_ match: FilterChainMatch) -> [Claim] {
    func values<Value>(_ list: [Value]) -> [Value?] { list.isEmpty ? [nil] : list.map { $0 } }
    let names = match.serverNames.isEmpty ? [""] : match.serverNames.map { $0.lowercased() }
    let applications = match.applicationProtocols.isEmpty ? [""] : match.applicationProtocols
    var total = names.count * applications.count
    for count in [
      match.destinationPrefixes.count, match.directSourcePrefixes.count, match.sourcePrefixes.count,
      match.sourcePorts.count,
    ] { total = min(total, limit) * max(count, 1) }
    guard total <= limit else { return [] }
    var claims: [Claim] = []
    for destination in values(match.destinationPrefixes) {
      for name in names {
        for application in applications {
          for direct in values(match.directSourcePrefixes) {
            for source in values(match.sourcePrefixes) {
              for port in values(match.sourcePorts) {
                claims.append(
                  Claim(
                    port: match.destinationPort, destination: destination, serverName: name,
                    transport: match.transportProtocol, application: application, directSource: direct,
                    sourceType: match.sourceType, source: source, sourcePort: port))
              }
            }
          }
        }
      }
    }
    return claims
  }
}
