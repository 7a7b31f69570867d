// NameLookup: what a DNS cluster wants to know, and how often.

package import WeftModel
package import WeftRuntime

/// One question and the pace at which it is asked. Clusters that want the same at the same pace share the answers.
package struct NameLookup: Hashable, Sendable {
  package let question: DNSQuestion
  /// Time between answers, where records do not say it themselves.
  package let refreshRate: Duration
  /// The records' own time to live counts, if they have one.
  package let respectsTimeToLive: Bool
  /// First and longest wait after a failure; without, failures are followed up at `refreshRate`.
  package let failureBase: Duration?
  package let failureMaximum: Duration?

  package init(_ name: String, for cluster: Cluster) {
    question = DNSQuestion(name, cluster.dnsFamily.question, by: cluster.dnsResolver.map(ResolverConfiguration.init))
    refreshRate = cluster.dnsRefreshRate
    respectsTimeToLive = cluster.respectDNSTTL
    failureBase = cluster.dnsFailureRefreshBase
    failureMaximum = cluster.dnsFailureRefreshMax
  }
}

extension Cluster {
  /// The lookups that its endpoints need: one for each name; none for a cluster that is not of a DNS type.
  package var nameLookups: Set<NameLookup> {
    guard discovery == .strictDNS || discovery == .logicalDNS else { return [] }
    var lookups: Set<NameLookup> = []
    for locality in loadAssignment.localities {
      for endpoint in locality.endpoints {
        if case .socket(let host, _) = endpoint.address, IPAddress(host) == nil {
          lookups.insert(NameLookup(host, for: self))
        }
      }
    }
    return lookups
  }

  /// The addresses that this cluster takes from an answer: of the wanted family; all of them in an order that does not depend on the
  /// answer's, or, for one logical host, the first.
  package func addresses(from answer: [IPAddress]) -> [IPAddress] {
    let wanted = dnsFamily.choose(from: answer)
    switch discovery {
    case .strictDNS: return wanted.sorted { ($0.high, $0.low) < ($1.high, $1.low) }
    case .logicalDNS: return Array(wanted.prefix(1))
    case .fixed, .eds, .originalDestination: return []
    }
  }
}

extension Cluster.DNSFamily {
  /// What is asked for. A preference between families can only be told from the answers of both.
  package var question: DNSQuestion.Kind {
    switch self {
    case .v4Only: .ipv4
    case .v6Only: .ipv6
    case .auto, .v4Preferred, .all: .ipv4AndIPv6
    }
  }

  /// Of both families only the preferred one counts, if it has any address: IPv6 for `auto`.
  func choose(from answer: [IPAddress]) -> [IPAddress] {
    let preferred: IPAddress.Family
    switch self {
    case .all, .v4Only, .v6Only: return answer
    case .auto: preferred = .v6
    case .v4Preferred: preferred = .v4
    }
    let chosen = answer.filter { $0.family == preferred }
    return chosen.isEmpty ? answer : chosen
  }
}

extension ResolverConfiguration {
  init(_ resolver: DNSResolver) {
    self.init()
    servers = resolver.servers.compactMap { address in
      guard case .socket(let host, let port) = address, let ip = IPAddress(host) else { return nil }
      return SocketAddress(ip, port: port == 0 ? 53 : port)
    }
    usesTCP = resolver.usesTCP
    searches = resolver.searches
    if let timeout = resolver.timeout { self.timeout = timeout }
    if let tries = resolver.tries { self.tries = Int(tries) }
  }
}
