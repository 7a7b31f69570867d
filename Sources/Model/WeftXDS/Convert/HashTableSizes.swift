// HashTableSizes: the bounds of what consistent hashing builds, checked alike where a cluster names a policy and where the policy reads its own message.

package import WeftBase
package import WeftProtobuf

/// *Source*: Envoy's bounds for ring hash and Maglev.
package enum HashTableSizes {
  package static let largestRing: UInt64 = 8 << 20
  package static let largestTable: UInt64 = 5_000_011

  /// Fewest and most points of a ring. *Errors*: at `minimum_ring_size` or `maximum_ring_size` below `at`.
  package static func ring(
    minimum: Google_Protobuf_UInt64Value?, maximum: Google_Protobuf_UInt64Value?, _ at: FieldPath
  ) throws(ConfigError) -> (minimum: UInt64, maximum: UInt64) {
    let low = minimum?.value ?? 1024
    let high = maximum?.value ?? largestRing
    for (value, field) in [(low, "minimum_ring_size"), (high, "maximum_ring_size")]
    where !(1...largestRing).contains(value) {
      throw ConfigError(path: at.field(field), "must be 1 to \(largestRing), is \(value)")
    }
    guard low <= high else {
      throw ConfigError(
        path: at.field("minimum_ring_size"), "must be at most maximum_ring_size (\(high)), is \(low)")
    }
    return (low, high)
  }

  /// Entries of a Maglev table. *Errors*: at `table_size` below `at`.
  package static func table(_ size: Google_Protobuf_UInt64Value?, _ at: FieldPath) throws(ConfigError) -> UInt64 {
    let size = size?.value ?? 65_537
    guard size <= largestTable, isPrime(size) else {
      throw ConfigError(path: at.field("table_size"), "must be a prime number of at most \(largestTable), is \(size)")
    }
    return size
  }

  private static func isPrime(_ number: UInt64) -> Bool {
    if number < 2 { return false }
    var divisor: UInt64 = 2
    while divisor * divisor <= number {
      if number % divisor == 0 { return false }
      divisor += 1
    }
    return true
  }
}
