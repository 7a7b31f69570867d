import WeftControlAPI
import WeftKinds

/// Hosts of mesh rules that no visible service has, by the ports on which they are served: the HTTP ports of the services that the
/// same rule is about, or 80 when it is about none. *Source*: istiod's behaviour.
struct RuleHosts {
  private let byPort: [UInt16: [String]]
  /// Every such host once, oldest rule first.
  let all: [String]

  init(_ scope: ProxyScope, services: [VisibleService]) {
    var served: [String: VisibleService] = [:]
    for service in services { served[service.host] = service }
    let rules = scope.meshRules().filter { !$0.rule.spec.http.isEmpty }
    var covered: [String: [VisibleService]] = [:]
    if rules.contains(where: { $0.hosts.contains(where: Hostname.isWildcard) }) {
      for service in services {
        for wildcard in Hostname.wildcards(covering: service.host) { covered[wildcard, default: []].append(service) }
      }
    }
    var byPort: [UInt16: [String]] = [:]
    var all: [String] = []
    var seen: Set<String> = []
    for (_, hosts) in rules {
      let strangers = hosts.filter { $0 != "*" && served[$0] == nil && seen.insert($0).inserted }
      if strangers.isEmpty { continue }
      all += strangers
      let known = hosts.flatMap { host -> [VisibleService] in
        served[host].map { [$0] } ?? covered[host] ?? []
      }
      let ports = Set(known.flatMap(\.ports).filter(\.protocol.isHTTP).map(\.number))
      for port in ports.isEmpty ? [80] : ports { byPort[port, default: []] += strangers }
    }
    self.byPort = byPort
    self.all = all
  }

  var ports: Set<UInt16> { Set(byPort.keys) }
  func hosts(on port: UInt16) -> [String] { byPort[port] ?? [] }
}
