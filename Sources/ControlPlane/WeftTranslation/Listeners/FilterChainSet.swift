import WeftControlAPI
import WeftKinds
import WeftXDSMessages

/// The filter chains of one listener. Their matches must differ: what one chain has claimed, later ones lose, name by name
/// and network by network, so that a proxy never refuses the listener for a conflict between rules.
struct FilterChainSet {
  private struct Claim: Hashable {
    var serverName: String
    var network: String
  }

  private(set) var chains: [FilterChain] = []
  /// For connections that no other chain claims; the first stays.
  private(set) var fallback: FilterChain?
  private var taken: Set<Claim> = []

  var isEmpty: Bool { chains.isEmpty && fallback == nil }
  var looksAtServerNames: Bool { chains.contains { !($0.filterChainMatch?.serverNames ?? []).isEmpty } }

  /// Adds `chain` for TLS connections with one of `serverNames` (none, or `*`: any connection) to one of `networks` (none:
  /// to anywhere).
  mutating func add(_ chain: FilterChain, serverNames: [String], networks: [String]) {
    // Names and networks in their one spelling: two rules that mean the same must not seem to differ.
    let serverNames = serverNames.map(Hostname.canonical)
    let networks = networks.map(AddressRules.canonical).filter { CapturedListeners.range($0) != nil }
    var chain = chain
    var match = FilterChainMatch()
    if serverNames.isEmpty || serverNames.contains("*") {
      guard !networks.isEmpty else {
        if fallback == nil { fallback = chain }
        return
      }
      let free = networks.filter { taken.insert(Claim(serverName: "", network: $0)).inserted }
      guard !free.isEmpty else { return }
      match.prefixRanges = free.compactMap(CapturedListeners.range)
    } else {
      let places = networks.isEmpty ? [""] : networks
      let free = serverNames.filter { name in
        let claims = places.map { Claim(serverName: name, network: $0) }
        guard taken.isDisjoint(with: claims) else { return false }
        taken.formUnion(claims)
        return true
      }
      guard !free.isEmpty else { return }
      match.serverNames = free
      match.transportProtocol = "tls"
      match.prefixRanges = networks.compactMap(CapturedListeners.range)
    }
    chain.filterChainMatch = match
    chains.append(chain)
  }
}
