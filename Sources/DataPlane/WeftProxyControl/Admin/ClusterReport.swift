// ClusterReport: the clusters' part of the status, added up over workers.

import WeftBase
import WeftModel
package import WeftProxy
package import WeftProxyAPI
import WeftRuntime
import WeftTables
import WeftTelemetry
import WeftUpstream

/// Adds up what the workers know of clusters and their hosts.
///
/// Workers may be a snapshot apart for a moment: clusters are told apart by name, hosts by address and, where an address is listed more than
/// once, by order.
package struct ClusterReport {
  private struct Key: Hashable {
    var cluster: String
    var address: SocketAddress
    var repetition: Int
  }

  /// *Returns*: the clusters of the newest snapshot in its order, each with its endpoints in theirs.
  package static func clusters(_ workers: [WorkerHosts], fixed: Set<String>, runtime: RuntimeTable? = nil)
    -> [AdminStatus.ClusterStatus]
  {
    guard let newest = workers.max(by: { $0.snapshot.version < $1.snapshot.version })?.snapshot else { return [] }
    var numbers: [Key: HostNumbers] = [:]
    var strangers: [String: [Key]] = [:]
    for worker in workers {
      var seen: [Key: Int] = [:]
      for reading in worker.hosts {
        guard let name = worker.snapshot.clusters[Int(reading.cluster)]?[].config.name else { continue }
        var key = Key(cluster: name, address: reading.address, repetition: 0)
        key.repetition = seen[key, default: 0]
        seen[Key(cluster: name, address: reading.address, repetition: 0), default: 0] += 1
        if reading.endpoint < 0, numbers[key] == nil { strangers[name, default: []].append(key) }
        numbers[key, default: HostNumbers()] += reading.numbers
      }
    }
    return newest.clusters.compactMap { $0 }.map { cluster in
      var entry = AdminStatus.ClusterStatus(name: cluster[].config.name)
      entry.isFromAPI = !fixed.contains(entry.name)
      entry.observabilityName = cluster[].config.statName
      entry.breakers = runtime?.breakers(of: cluster[].config) ?? cluster[].config.circuitBreakers
      if case .eds(let service, _) = cluster[].config.discovery { entry.endpointsName = service }
      let rates = cluster[].outlier?.successRates
      entry.successRates = rates.map { AdminStatus.SuccessRates($0.all, localOrigin: $0.localOrigin) }
      let localities = cluster[].config.loadAssignment.localities
      var seen: [SocketAddress: Int] = [:]
      entry.hosts = cluster[].endpoints.map { endpoint in
        let repetition = seen[endpoint.address, default: 0]
        seen[endpoint.address, default: 0] += 1
        var host = AdminStatus.Host(address: endpoint.address)
        host.hostname = endpoint.hostname.string
        host.weight = endpoint.weight
        host.priority = endpoint.priority
        host.health = endpoint.health
        host.isCanary = endpoint.isCanary
        if Int(endpoint.locality) < localities.count { host.locality = localities[Int(endpoint.locality)].locality }
        if let cells = endpoint.outlier {
          host.isEjected = cells.isEjected
          host.successRate = rates?.all.hosts[cells.number]
          host.localOriginSuccessRate = rates?.localOrigin.hosts[cells.number]
        }
        let key = Key(cluster: entry.name, address: endpoint.address, repetition: repetition)
        host.numbers = numbers[key] ?? HostNumbers()
        return host
      }
      for key in strangers[entry.name] ?? [] {
        var host = AdminStatus.Host(address: key.address)
        host.numbers = numbers[key] ?? HostNumbers()
        entry.hosts.append(host)
      }
      return entry
    }
  }
}

extension AdminStatus.SuccessRates {
  fileprivate init(_ all: WeftUpstream.SuccessRates, localOrigin: WeftUpstream.SuccessRates) {
    average = all.average
    threshold = all.threshold
    localOriginAverage = localOrigin.average
    localOriginThreshold = localOrigin.threshold
  }
}
