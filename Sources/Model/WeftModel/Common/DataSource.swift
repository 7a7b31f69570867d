/// Where bytes of configuration come from.
package enum DataSource: Hashable, Sendable {
  case file(path: String)
  case inline([UInt8])
  case environment(variable: String)
}

/// Where resources of a kind are fetched from.
package enum ConfigSource: Hashable, Sendable {
  /// The bootstrap's aggregated stream.
  case ads
  /// The stream that delivered the resource which holds this source.
  case selfStream
  case path(String)
  /// A stream of its own to this cluster.
  case grpc(cluster: String, delta: Bool)
}
