/// Why the proxy answered, ended or changed a request by itself. The raw value is the bit in `ResponseFlags` and the
/// order of printing.
@frozen @usableFromInline
package enum ResponseFlag: UInt8, CaseIterable, Sendable {
  case failedLocalHealthCheck
  case noHealthyUpstream
  case upstreamRequestTimeout
  case localReset
  case upstreamRemoteReset
  case upstreamConnectionFailure
  case upstreamConnectionTermination
  case upstreamOverflow
  case noRouteFound
  case delayInjected
  case faultInjected
  case rateLimited
  case unauthorizedExternalService
  case rateLimitServiceError
  case downstreamConnectionTermination
  case upstreamRetryLimitExceeded
  case streamIdleTimeout
  case invalidEnvoyRequestHeaders
  case downstreamProtocolError
  case upstreamMaxStreamDurationReached
  case responseFromCacheFilter
  case noFilterConfigFound
  case durationTimeout
  case upstreamProtocolError
  case noClusterFound
  case overloadManagerTerminated
  case dnsResolutionFailed
  case dropOverload
  case downstreamRemoteReset
  case unconditionalDropOverload

  /// `UF`, as `%RESPONSE_FLAGS%` prints it.
  package var shortName: StaticString {
    switch self {
    case .failedLocalHealthCheck: "LH"
    case .noHealthyUpstream: "UH"
    case .upstreamRequestTimeout: "UT"
    case .localReset: "LR"
    case .upstreamRemoteReset: "UR"
    case .upstreamConnectionFailure: "UF"
    case .upstreamConnectionTermination: "UC"
    case .upstreamOverflow: "UO"
    case .noRouteFound: "NR"
    case .delayInjected: "DI"
    case .faultInjected: "FI"
    case .rateLimited: "RL"
    case .unauthorizedExternalService: "UAEX"
    case .rateLimitServiceError: "RLSE"
    case .downstreamConnectionTermination: "DC"
    case .upstreamRetryLimitExceeded: "URX"
    case .streamIdleTimeout: "SI"
    case .invalidEnvoyRequestHeaders: "IH"
    case .downstreamProtocolError: "DPE"
    case .upstreamMaxStreamDurationReached: "UMSDR"
    case .responseFromCacheFilter: "RFCF"
    case .noFilterConfigFound: "NFCF"
    case .durationTimeout: "DT"
    case .upstreamProtocolError: "UPE"
    case .noClusterFound: "NC"
    case .overloadManagerTerminated: "OM"
    case .dnsResolutionFailed: "DF"
    case .dropOverload: "DO"
    case .downstreamRemoteReset: "DR"
    case .unconditionalDropOverload: "UDO"
    }
  }

  /// `UpstreamConnectionFailure`, as `%RESPONSE_FLAGS_LONG%` prints it.
  package var longName: StaticString {
    switch self {
    case .failedLocalHealthCheck: "FailedLocalHealthCheck"
    case .noHealthyUpstream: "NoHealthyUpstream"
    case .upstreamRequestTimeout: "UpstreamRequestTimeout"
    case .localReset: "LocalReset"
    case .upstreamRemoteReset: "UpstreamRemoteReset"
    case .upstreamConnectionFailure: "UpstreamConnectionFailure"
    case .upstreamConnectionTermination: "UpstreamConnectionTermination"
    case .upstreamOverflow: "UpstreamOverflow"
    case .noRouteFound: "NoRouteFound"
    case .delayInjected: "DelayInjected"
    case .faultInjected: "FaultInjected"
    case .rateLimited: "RateLimited"
    case .unauthorizedExternalService: "UnauthorizedExternalService"
    case .rateLimitServiceError: "RateLimitServiceError"
    case .downstreamConnectionTermination: "DownstreamConnectionTermination"
    case .upstreamRetryLimitExceeded: "UpstreamRetryLimitExceeded"
    case .streamIdleTimeout: "StreamIdleTimeout"
    case .invalidEnvoyRequestHeaders: "InvalidEnvoyRequestHeaders"
    case .downstreamProtocolError: "DownstreamProtocolError"
    case .upstreamMaxStreamDurationReached: "UpstreamMaxStreamDurationReached"
    case .responseFromCacheFilter: "ResponseFromCacheFilter"
    case .noFilterConfigFound: "NoFilterConfigFound"
    case .durationTimeout: "DurationTimeout"
    case .upstreamProtocolError: "UpstreamProtocolError"
    case .noClusterFound: "NoClusterFound"
    case .overloadManagerTerminated: "OverloadManagerTerminated"
    case .dnsResolutionFailed: "DnsResolutionFailed"
    case .dropOverload: "DropOverload"
    case .downstreamRemoteReset: "DownstreamRemoteReset"
    case .unconditionalDropOverload: "UnconditionalDropOverload"
    }
  }

  /// What happened, and where to look, in one sentence.
  package var sentence: StaticString {
    switch self {
    case .failedLocalHealthCheck: "This instance has been told to fail its health checks."
    case .noHealthyUpstream: "The cluster has no host that may take the request: look at /clusters."
    case .upstreamRequestTimeout: "The upstream did not finish within the route's time-out, retries included."
    case .localReset: "The proxy itself reset the upstream stream."
    case .upstreamRemoteReset: "The upstream reset the stream before its response was complete."
    case .upstreamConnectionFailure:
      "No connection to the chosen host could be made: refused, timed out, or its TLS failed."
    case .upstreamConnectionTermination: "The upstream closed the connection while the request was on it."
    case .upstreamOverflow: "A circuit breaker of the cluster was at its limit."
    case .noRouteFound: "No route (or no filter chain) matched the request."
    case .delayInjected: "A fault rule delayed the request on purpose."
    case .faultInjected: "A fault rule answered with an error on purpose."
    case .rateLimited: "A rate limit refused the request."
    case .unauthorizedExternalService: "The external authorization service refused the request."
    case .rateLimitServiceError: "The rate-limit service could not be asked, and the rule says to refuse then."
    case .downstreamConnectionTermination: "The client went away before its response was complete."
    case .upstreamRetryLimitExceeded:
      "The request failed and its retries were used up, or another limit forbade one more."
    case .streamIdleTimeout: "Nothing moved on the stream for the idle time-out."
    case .invalidEnvoyRequestHeaders: "An x-envoy-* request header had a value that is not allowed."
    case .downstreamProtocolError: "The client broke the HTTP protocol."
    case .upstreamMaxStreamDurationReached: "The stream lasted as long as it may."
    case .responseFromCacheFilter: "The response came from a cache."
    case .noFilterConfigFound: "A filter's configuration had not arrived in time."
    case .durationTimeout: "The connection lasted as long as it may."
    case .upstreamProtocolError: "The upstream broke the HTTP protocol."
    case .noClusterFound: "The route names a cluster which does not exist."
    case .overloadManagerTerminated: "The proxy is overloaded and shed the request."
    case .dnsResolutionFailed: "The upstream's name could not be resolved."
    case .dropOverload: "The control plane asked for a share of requests to be dropped."
    case .downstreamRemoteReset: "The client reset the stream."
    case .unconditionalDropOverload: "The control plane asked for all requests to be dropped."
    }
  }

  /// The flag with this short name.
  package static func named(_ short: String) -> ResponseFlag? {
    allCases.first { $0.shortName.description == short }
  }
}

/// Flags raised for one request.
@frozen @usableFromInline
package struct ResponseFlags: BitwiseCopyable, Hashable, Sendable {
  @usableFromInline package var bits: UInt32

  @inlinable package init(bits: UInt32 = 0) { self.bits = bits }
  @inlinable package init(_ flag: ResponseFlag) { bits = 1 << UInt32(flag.rawValue) }

  @inlinable package var isEmpty: Bool { bits == 0 }
  @inlinable package mutating func insert(_ flag: ResponseFlag) { bits |= 1 << UInt32(flag.rawValue) }
  @inlinable package func contains(_ flag: ResponseFlag) -> Bool { bits & 1 << UInt32(flag.rawValue) != 0 }
  @inlinable package mutating func formUnion(_ other: ResponseFlags) { bits |= other.bits }
  @inlinable package func intersects(_ other: ResponseFlags) -> Bool { bits & other.bits != 0 }
}
