// OriginalDestination: hosts of ORIGINAL_DST clusters, which are wherever the client meant to go.

import WeftBase
import WeftProxyAPI
import WeftRuntime
import WeftUpstream

extension WorkerEngine {
  /// The host at the address that the client meant: made when first asked for, then found again, so that its connections are pooled and
  /// counted like those of any other host.
  func originalDestinationHost(_ cluster: ClusterIndex, _ address: SocketAddress) -> HostIndex? {
    let state = clusters.ref(cluster)
    if let known = state[].members[].onDemand[address] {
      hosts[known].isRecentlyUsed = true
      return known
    }
    // A connection that was not redirected would come straight back to us.
    if address.isUnix || address.port == 0 { return nil }
    for entry in listenerTable[].entries
    where entry.life != .free && !entry.id.slot.isNone && loop.address(of: entry.id).port == address.port {
      let own = loop.address(of: entry.id)
      if own == address || own.ip.isAny { return nil }
    }
    guard let h = hosts.insert(Host(address: address, cluster: cluster, position: -1, weight: 1)) else { return nil }
    hosts[h].isOnDemand = true
    hosts[h].isRecentlyUsed = true
    state[].hostSlots += 1
    state[].members[].onDemand[address] = h
    scheduleCleanup(cluster)
    return h
  }

  private func scheduleCleanup(_ cluster: ClusterIndex) {
    let state = clusters.ref(cluster)
    if !state[].cleanup.isNone { return }
    // A cluster of another kind may have taken the name: then there is no interval, and the hosts go as soon as nobody uses them.
    let interval = state[].config[].isOriginalDestination ? state[].config[].cleanupInterval : 1_000_000_000
    let at = now.advanced(nanoseconds: Int64(clamping: interval))
    state[].cleanup = loop.schedule(at: at, token: Self.word(cluster))
  }

  /// The cleanup interval of an ORIGINAL_DST cluster is over: hosts go that nothing used during it and nothing uses now.
  func cleanUp(cluster: ClusterIndex) {
    let state = clusters.ref(cluster)
    state[].cleanup = .none
    for (address, h) in state[].members[].onDemand {
      let host = hosts.ref(h)
      if host[].connections > 0 || host[].activeRequests > 0 || !host[].waiting.isEmpty || !host[].parts.isEmpty {
        continue
      }
      if host[].isRecentlyUsed {
        host[].isRecentlyUsed = false
        continue
      }
      state[].members[].onDemand[address] = nil
      remove(host: h)
    }
    if !state[].members[].onDemand.isEmpty { scheduleCleanup(cluster) }
  }
}
