// Host: one endpoint of a cluster as one worker sees it.

package import WeftProxyAPI
package import WeftRuntime

/// An endpoint's state on one worker: where it is, how it fares, and its pools.
///
/// *Shape*: a slot, named by its slab index for as long as the endpoint is a member of its cluster or a connection or stream still uses it.
package struct Host: Linked {
  package var address: SocketAddress
  /// The cluster it belongs to.
  package var cluster: ClusterIndex
  /// Position in the cluster's list of endpoints; -1 once removed from the cluster.
  package var position: Int32
  package var weight: UInt32
  package var activeRequests: UInt32 = 0
  /// Connections open or being opened, and those of them being opened.
  package var connections: UInt32 = 0
  package var connecting: UInt32 = 0
  /// Those of `connections` that speak HTTP/2, or were opened to.
  package var http2Connections: UInt32 = 0
  /// Streams that connections being opened will be able to carry.
  package var expectedCapacity: UInt32 = 0
  /// HTTP/1 connections without a request; the most recently used first.
  package var idle = SlotList<UpstreamSlot>()
  /// HTTP/2 connections that take streams.
  package var multiplexed = SlotList<UpstreamSlot>()
  /// Connections that speak the protocol of a codec and take requests.
  package var speaking = SlotList<UpstreamSlot>()
  /// Streams that wait for a connection, oldest first.
  package var waiting = SlotList<StreamSlot>()
  /// Where not every connection serves everybody (TLS names, PROXY headers, sources), each kind has pools of its own: a slot like this one, in
  /// the list of the host whose part it is, for as long as it has connections or requests. Such a part knows its host and its key.
  package var parts = SlotList<HostSlot>()
  package var whole = HostIndex.none
  package var key = PoolKey.none
  package var links = SlotLinks<HostSlot>()
  /// It has left the cluster: its connections close as they become free.
  package var isRemoved = false
  /// Made for an address that a client meant (ORIGINAL_DST): no balancer knows it, and it goes when nothing has used it for a while.
  package var isOnDemand = false
  /// On demand: chosen since it was last looked at.
  package var isRecentlyUsed = false
  /// What the control plane says of its health.
  package var availability = HostAvailability.healthy
  /// What it came to so far; the levels are filled in when somebody asks (`reading`).
  package var numbers = HostNumbers()

  package init(address: SocketAddress, cluster: ClusterIndex, position: Int32, weight: UInt32) {
    self.address = address
    self.cluster = cluster
    self.position = position
    self.weight = weight
  }

  /// Its numbers now.
  package var reading: HostNumbers {
    var reading = numbers
    reading.connectionsActive = UInt64(connections)
    reading.requestsActive = UInt64(activeRequests)
    return reading
  }
}
