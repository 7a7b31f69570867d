/// Where bytes of configuration come from.
package enum DataSource: Hashable, Sendable {
  case file(path: String)
  case inline([UInt8])
  case environment(variable: String)
}

/// Where resources of a kind are fetched from.
package struct ConfigSource: Hashable, Sendable {
  package enum Kind: Hashable, Sendable {
    /// The bootstrap's aggregated stream.
    case ads
    /// The stream that delivered the resource which holds this source.
    case selfStream
    case path(String)
  }

  package var kind: Kind
  /// `path`: the directory whose moves say that the file is to be read again; empty: the one that the file lies in.
  package var watchedDirectory = ""
  /// How long whoever asked waits for the first answer before it goes on without; nil: for ever. *Source*: Envoy's default.
  package var initialFetchTimeout: Duration? = .seconds(15)

  package init(_ kind: Kind) { self.kind = kind }

  package static let ads = ConfigSource(.ads)

  /// Whether the aggregated stream brings it.
  package var isStream: Bool { kind == .ads || kind == .selfStream }
}
