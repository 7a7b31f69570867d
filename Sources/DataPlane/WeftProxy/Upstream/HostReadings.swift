// HostReadings: what one worker knows of its hosts, handed to the admin side.

import WeftBase
import WeftProxyAPI
package import WeftRuntime
package import WeftTables
package import WeftUpstream

/// A host's numbers on one worker.
package struct HostReading: BitwiseCopyable, Sendable {
  /// Position of its cluster in the snapshot.
  package var cluster: Int32
  /// Position among the cluster's endpoints; -1 for one that came with a connection (ORIGINAL_DST).
  package var endpoint: Int32
  package var address: SocketAddress
  package var numbers: HostNumbers
}

/// All hosts of the clusters in force on one worker.
package struct WorkerHosts: Sendable {
  package var snapshot: Snapshot
  package var hosts: [HostReading]
}

extension WorkerEngine {
  /// Copies the numbers of all hosts. Call it on the worker's thread, between events. *Cost*: one small copy per host.
  package func readHosts() -> WorkerHosts? {
    let current = configuration[].current
    guard current != .max, let snapshot = configuration[].snapshots[Int(current)] else { return nil }
    var readings: [HostReading] = []
    for position in snapshot.clusters.indices {
      let state = clusterState(current, Int32(position))
      if state.isNone { continue }
      for (endpoint, host) in clusters[state].members[].hosts.enumerated() {
        readings.append(
          HostReading(
            cluster: Int32(position), endpoint: Int32(endpoint), address: hosts[host].address,
            numbers: reading(host)))
      }
      for (address, host) in clusters[state].members[].onDemand {
        readings.append(
          HostReading(cluster: Int32(position), endpoint: -1, address: address, numbers: reading(host)))
      }
    }
    return WorkerHosts(snapshot: snapshot, hosts: readings)
  }

  /// A host's numbers, those of its parts included.
  private func reading(_ h: HostIndex) -> HostNumbers {
    var sum = hosts[h].reading
    forEachPart(h) { sum += hosts[$0].reading }
    return sum
  }
}
