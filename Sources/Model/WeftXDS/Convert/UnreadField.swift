// UnreadField: what is told of fields that nobody here reads.

package import WeftBase

/// Fields that a message does not have here.
package enum UnreadField {
  /// Those of Envoy's that change what a limit holds, and what takes their place.
  private static let known: [String: String] = [
    "rate_limits": "has no effect: a route's and a virtual host's descriptors come with the service for rate limits; "
      + "until then those of the filter hold, rate_limits of envoy.filters.http.local_ratelimit",
    "include_vh_rate_limits": "has no effect: descriptors of virtual hosts come with the service for rate limits",
    "hits_addend": "has no effect: each request takes one token",
    "apply_on_stream_done": "has no effect: a request takes its token when it comes, not when it is over",
    "limit": "has no effect: the limits are the descriptors' own",
  ]

  /// Why the field at `path` has no effect.
  package static func sentence(of path: FieldPath) -> String {
    guard case .field(let name)? = path.elements.last, let known = known[name] else {
      return "is an unknown field and has no effect"
    }
    return known
  }
}
