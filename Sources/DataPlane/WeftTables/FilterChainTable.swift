package import WeftBase
package import WeftModel
package import WeftProxyAPI
import WeftRuntime
import WeftTelemetry

/// Which filter chain a connection takes.
///
/// Chains are pruned in nine steps, the most specific surviving each: destination port, destination IP, server name,
/// transport protocol,
/// application protocols, directly connected source IP, source type, source IP, source port. A chain that names a wrong
/// value at a step is out for good,
/// and one that wins a step ends all that are less specific there, even if it fails later.
/// That is the greatest of all chains' score vectors compared step by step, with failure below "any": one pass finds
/// it.
package struct FilterChainTable {
  /// Marks in the 64-bit score. A step's field holds 0 for failure, 1 for "any", more for more specific.
  private enum Width {
    static let port = 2
    static let prefix = 8
    static let name = 10
    static let flag = 2
  }

  fileprivate struct Chain {
    let position: Int32
    let match: FilterChainMatch
    let exactNames: Set<String>
    /// Suffixes with their leading dot.
    let wildcards: [String]
  }

  private let chains: [Chain]
  /// The default chain; −1 for none.
  private let fallback: Int32

  /// *Errors*: two chains whose matches overlap would be ambiguous. `matches[i]` is the match of chain `i`.
  package init(_ matches: [FilterChainMatch], defaultChain: Int32 = -1) throws(ConfigError) {
    var claims = FilterChainClaims()
    var built: [Chain] = []
    for (i, match) in matches.enumerated() {
      do throws(ConfigError) { try claims.claim(match) } catch {
        throw error.inside(FieldPath().field("filter_chains").index(i))
      }
      let names = match.serverNames.map { $0.lowercased() }
      built.append(
        Chain(
          position: Int32(i), match: match, exactNames: Set(names.filter { !$0.hasPrefix("*.") }),
          wildcards: names.filter { $0.hasPrefix("*.") }.map { String($0.dropFirst()) }))
    }
    chains = built
    fallback = defaultChain
  }

  /// Position of the chain in `CompiledListener.chains`; −1 when none matches. *Cost*: one pass over the chains, per
  /// connection.
  package func match(_ input: ConnectionFacts) -> Int32 {
    let name = input.serverName.lowercased()
    let destination = input.destination.ipBytes
    let source = input.source.ipBytes
    let direct = input.directSource.ipBytes
    let isLocal = input.source.isLoopback || (destination != nil && source == destination)
    var best: UInt64 = 0
    var winner: Int32 = -1
    for chain in chains {
      let m = chain.match
      var score = Score()
      score.add(
        m.destinationPort.map { $0 == input.destination.port ? 2 : 0 } ?? 1, Width.port)
      score.add(Self.specificity(m.destinationPrefixes, destination), Width.prefix)
      score.add(chain.specificity(of: name), Width.name)
      score.add(m.transportProtocol.isEmpty ? 1 : m.transportProtocol == input.transportProtocol ? 2 : 0, Width.flag)
      score.add(
        m.applicationProtocols.isEmpty
          ? 1 : m.applicationProtocols.contains(where: input.applicationProtocols.contains) ? 2 : 0, Width.flag)
      score.add(Self.specificity(m.directSourcePrefixes, direct), Width.prefix)
      switch m.sourceType {
      case .any: score.add(1, Width.flag)
      case .sameIPOrLoopback: score.add(isLocal ? 2 : 0, Width.flag)
      case .external: score.add(isLocal ? 0 : 2, Width.flag)
      }
      score.add(Self.specificity(m.sourcePrefixes, source), Width.prefix)
      score.add(m.sourcePorts.isEmpty ? 1 : m.sourcePorts.contains(input.source.port) ? 2 : 0, Width.port)
      if score.bits > best {
        best = score.bits
        winner = score.failed ? -1 : chain.position
      }
    }
    return winner >= 0 ? winner : fallback
  }

  private struct Score {
    var bits: UInt64 = 0
    var failed = false
    mutating func add(_ value: Int, _ width: Int) {
      bits = bits << UInt64(width) | UInt64(value)
      if value == 0 { failed = true }
    }
  }

  /// 1 without blocks, 2 + length of the longest block that holds the address, 0 when none does.
  private static func specificity(_ blocks: [CIDRRange], _ address: [UInt8]?) -> Int {
    if blocks.isEmpty { return 1 }
    guard let address else { return 0 }
    return blocks.filter { $0.contains(address) }.map { Int($0.prefixLength) + 2 }.max() ?? 0
  }
}

extension FilterChainTable.Chain {
  /// 1 without names, 1023 for an exact name, 2 + length of the longest wildcard, 0 when no name fits.
  fileprivate func specificity(of name: String) -> Int {
    if exactNames.isEmpty, wildcards.isEmpty { return 1 }
    if exactNames.contains(name) { return 1023 }
    let longest = wildcards.filter { name.count > $0.count && name.hasSuffix($0) }.map(\.utf8.count).max()
    return longest.map { min(1022, $0 + 2) } ?? 0
  }
}

extension ConnectionFacts {
  fileprivate var transportProtocol: String { isTLS ? "tls" : "raw_buffer" }
}

extension SocketAddress {
  /// 4 or 16 bytes in network order; `nil` for Unix-domain addresses.
  var ipBytes: [UInt8]? {
    if isUnix { return nil }
    return ip.networkBytes
  }

  package var isLoopback: Bool { isUnix || ip.isLoopback }
}
