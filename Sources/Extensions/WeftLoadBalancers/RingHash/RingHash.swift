import WeftBase
package import WeftProxyAPI
import WeftTelemetry

/// Gives each key the host whose point on a ring comes next after the key's hash, so that a host that comes or goes moves its own keys only.
///
/// Every host has points in proportion to its weight, at the hashes of its name and a number. All workers have one ring
/// between them. *Shape*: 16 bytes a point. *Cost*: O(log points) a pick; O(points · log points) to make.
/// *Source*: ketama; Envoy's documentation of `minimum_ring_size`, to whose rings ours are the same.
package struct RingHash: LoadBalancerPolicy {
  private struct Point: BitwiseCopyable {
    var hash: UInt64
    var host: UInt32
  }

  private let config: Config
  private let hosts: HashedHosts
  private let ring: FlatTable<Point>
  private var bound: LoadBound

  package init(_ config: Config, _ list: borrowing BalancerList) {
    self.config = config
    hosts = HashedHosts(list)
    ring = list.table(as: FlatTable<Point>.self)
    bound = LoadBound(config.hashing.balanceFactor, hosts: list.count, list.memory)
  }

  package mutating func pick(_ x: borrowing BalancerPick) -> Int32 {
    var low = 0
    var high = ring.count
    while low < high {
      let middle = (low + high) / 2
      if ring[middle].hash < x.hash { low = middle + 1 } else { high = middle }
    }
    // Past the last point comes the first again. Further attempts go to the points that follow.
    let point = ring[(low + Int(x.attempt)) % ring.count]
    return hosts[bound.host(Int(point.host), hosts, x)].position
  }

  /// So many points that the lightest host has a whole number of them; the others' fractions are carried from host to host.
  package static func table(_ config: Config, _ list: borrowing BalancerList) -> BalancerTable {
    let hosts = HashedHosts(list)
    return BalancerTable { ring(config, hosts, $0) }
  }

  private static func ring(_ config: Config, _ hosts: HashedHosts, _ memory: BalancerMemory) -> FlatTable<Point> {
    let least = hosts.smallestShare
    let scale = min((least * Double(config.minimumSize)).rounded(.up) / least, Double(config.maximumSize))
    let size = Int(scale.rounded(.up))
    // The sum of the shares may be a rounding above 1.
    let points = memory.table(Point(hash: 0, host: 0), count: size + 1)
    var count = 0
    var wanted = 0.0
    var (fewest, most) = (size, 0)
    var name = ByteBuffer()
    for i in hosts.indices {
      name.removeAll()
      name.append(hosts[i].key)
      name.append(UInt8(ascii: "_"))
      let length = name.count
      wanted += scale * hosts[i].share
      let first = count
      while Double(count) < wanted, count < points.count {
        name.append(decimal: count - first)
        let hash = config.usesMurmur ? MurmurHash2.hash(name.view) : XXHash64.hash(name.view)
        points[count] = Point(hash: hash, host: UInt32(i))
        name.truncate(to: length)
        count += 1
      }
      (fewest, most) = (min(fewest, count - first), max(most, count - first))
    }
    let ring = points.prefix(count)
    ring.sort { $0.hash != $1.hash ? $0.hash < $1.hash : $0.host < $1.host }
    config.gauges.set(.size, UInt64(size))
    config.gauges.set(.minHashesPerHost, UInt64(fewest))
    config.gauges.set(.maxHashesPerHost, UInt64(most))
    return ring
  }
}
