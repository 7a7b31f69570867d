import WeftBase
import WeftProxyAPI

/// The hosts of a list as policies keep them that give each key a host of its own. *Shape*: trivial; 32 bytes a host.
struct HashedHosts: BitwiseCopyable {
  struct Host: BitwiseCopyable {
    var position: Int32
    /// Of all load; all together are 1.
    var share: Double
    var key: ByteView
  }

  let hosts: FlatTable<Host>
  let smallestShare: Double
  let largestShare: Double

  init(_ list: borrowing BalancerList) {
    hosts = list.memory.table(Host(position: 0, share: 1, key: .empty), count: list.count)
    var (smallest, largest) = (1.0, 0.0)
    for i in hosts.indices {
      let candidate = list[i]
      hosts[i] = Host(position: candidate.position, share: candidate.weight, key: candidate.key)
      smallest = min(smallest, candidate.weight)
      largest = max(largest, candidate.weight)
    }
    (smallestShare, largestShare) = (smallest, largest)
  }

  var count: Int { hosts.count }
  var indices: Range<Int> { hosts.indices }
  subscript(i: Int) -> Host { hosts[i] }
}
