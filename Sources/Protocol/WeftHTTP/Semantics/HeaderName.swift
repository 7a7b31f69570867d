// Identifiers of the field names this program itself reads, writes or removes.

package import WeftBase

/// A well-known field name, or `.other`.
///
/// *Shape*: one byte; the spelling lives in static memory. Names are compared without case (RFC 9110 §5.1).
@frozen @usableFromInline
package enum HeaderName: UInt8, BitwiseCopyable, CaseIterable, Sendable {
  case other = 0
  // Framing and hop-by-hop.
  case host, connection, contentLength, transferEncoding, te, trailer, upgrade, keepAlive, proxyConnection, expect
  case http2Settings
  // Routing, identity and forwarding.
  case forwardedFor, forwardedProto, forwardedHost, forwardedClientCert, forwarded, via, requestID
  case envoyExpectedTimeout, envoyUpstreamTimeout, envoyPerTryTimeout, envoyMaxRetries, envoyRetryOn, envoyRetryGRPCOn
  case envoyAttemptCount, envoyDecoratorOperation, envoyOriginalPath, envoyOriginalHost, envoyInternal,
    envoyExternalAddress
  case envoyDownstreamServiceCluster, envoyDownstreamServiceNode, envoyForceTrace, envoyIPTags, envoyHedgeOnTimeout
  case envoyUpstreamServiceTime, envoyUpstreamCanary, envoyOverloaded, envoyRateLimited, envoyImmediateHealthCheckFail
  case envoyTimeoutAltResponse, envoyUpstreamAltStatName, envoyRetriableStatusCodes, envoyRetriableHeaderNames,
    envoyPeerMetadata
  case envoyPeerMetadataID, envoyDegraded
  // Tracing.
  case traceparent, tracestate, b3, b3TraceID, b3SpanID, b3ParentSpanID, b3Sampled, b3Flags
  // gRPC.
  case grpcStatus, grpcMessage, grpcTimeout, grpcEncoding, grpcAcceptEncoding, grpcStatusDetails
  case grpcPreviousAttempts, grpcRetryPushback
  // Content and general.
  case date, server, contentType, contentEncoding, acceptEncoding, accept, acceptLanguage, userAgent, authorization
  case cookie, setCookie, location, cacheControl, vary, etag, lastModified, ifModifiedSince, ifNoneMatch, retryAfter
  case range, contentRange, acceptRanges, age, allow, origin, referer, wwwAuthenticate, proxyAuthenticate
  case proxyAuthorization, link, expires, pragma, accessControlAllowOrigin, strictTransportSecurity
  case contentLanguage, contentLocation, contentDisposition, secWebSocketKey, secWebSocketAccept, secWebSocketVersion
  case upgradeInsecureRequests, xRealIP, originalURL

  /// The canonical, lower-case spelling; empty for `.other`.
  package var text: StaticString {
    switch self {
    case .other: ""
    case .host: "host"
    case .connection: "connection"
    case .contentLength: "content-length"
    case .transferEncoding: "transfer-encoding"
    case .te: "te"
    case .trailer: "trailer"
    case .upgrade: "upgrade"
    case .keepAlive: "keep-alive"
    case .proxyConnection: "proxy-connection"
    case .expect: "expect"
    case .http2Settings: "http2-settings"
    case .forwardedFor: "x-forwarded-for"
    case .forwardedProto: "x-forwarded-proto"
    case .forwardedHost: "x-forwarded-host"
    case .forwardedClientCert: "x-forwarded-client-cert"
    case .forwarded: "forwarded"
    case .via: "via"
    case .requestID: "x-request-id"
    case .envoyExpectedTimeout: "x-envoy-expected-rq-timeout-ms"
    case .envoyUpstreamTimeout: "x-envoy-upstream-rq-timeout-ms"
    case .envoyPerTryTimeout: "x-envoy-upstream-rq-per-try-timeout-ms"
    case .envoyMaxRetries: "x-envoy-max-retries"
    case .envoyRetryOn: "x-envoy-retry-on"
    case .envoyRetryGRPCOn: "x-envoy-retry-grpc-on"
    case .envoyAttemptCount: "x-envoy-attempt-count"
    case .envoyDecoratorOperation: "x-envoy-decorator-operation"
    case .envoyOriginalPath: "x-envoy-original-path"
    case .envoyOriginalHost: "x-envoy-original-host"
    case .envoyInternal: "x-envoy-internal"
    case .envoyExternalAddress: "x-envoy-external-address"
    case .envoyDownstreamServiceCluster: "x-envoy-downstream-service-cluster"
    case .envoyDownstreamServiceNode: "x-envoy-downstream-service-node"
    case .envoyForceTrace: "x-envoy-force-trace"
    case .envoyIPTags: "x-envoy-ip-tags"
    case .envoyHedgeOnTimeout: "x-envoy-hedge-on-per-try-timeout"
    case .envoyUpstreamServiceTime: "x-envoy-upstream-service-time"
    case .envoyUpstreamCanary: "x-envoy-upstream-canary"
    case .envoyOverloaded: "x-envoy-overloaded"
    case .envoyRateLimited: "x-envoy-ratelimited"
    case .envoyImmediateHealthCheckFail: "x-envoy-immediate-health-check-fail"
    case .envoyTimeoutAltResponse: "x-envoy-upstream-rq-timeout-alt-response"
    case .envoyUpstreamAltStatName: "x-envoy-upstream-alt-stat-name"
    case .envoyRetriableStatusCodes: "x-envoy-retriable-status-codes"
    case .envoyRetriableHeaderNames: "x-envoy-retriable-header-names"
    case .envoyPeerMetadata: "x-envoy-peer-metadata"
    case .envoyPeerMetadataID: "x-envoy-peer-metadata-id"
    case .envoyDegraded: "x-envoy-degraded"
    case .traceparent: "traceparent"
    case .tracestate: "tracestate"
    case .b3: "b3"
    case .b3TraceID: "x-b3-traceid"
    case .b3SpanID: "x-b3-spanid"
    case .b3ParentSpanID: "x-b3-parentspanid"
    case .b3Sampled: "x-b3-sampled"
    case .b3Flags: "x-b3-flags"
    case .grpcStatus: "grpc-status"
    case .grpcMessage: "grpc-message"
    case .grpcTimeout: "grpc-timeout"
    case .grpcEncoding: "grpc-encoding"
    case .grpcAcceptEncoding: "grpc-accept-encoding"
    case .grpcStatusDetails: "grpc-status-details-bin"
    case .grpcPreviousAttempts: "grpc-previous-rpc-attempts"
    case .grpcRetryPushback: "grpc-retry-pushback-ms"
    case .date: "date"
    case .server: "server"
    case .contentType: "content-type"
    case .contentEncoding: "content-encoding"
    case .acceptEncoding: "accept-encoding"
    case .accept: "accept"
    case .acceptLanguage: "accept-language"
    case .userAgent: "user-agent"
    case .authorization: "authorization"
    case .cookie: "cookie"
    case .setCookie: "set-cookie"
    case .location: "location"
    case .cacheControl: "cache-control"
    case .vary: "vary"
    case .etag: "etag"
    case .lastModified: "last-modified"
    case .ifModifiedSince: "if-modified-since"
    case .ifNoneMatch: "if-none-match"
    case .retryAfter: "retry-after"
    case .range: "range"
    case .contentRange: "content-range"
    case .acceptRanges: "accept-ranges"
    case .age: "age"
    case .allow: "allow"
    case .origin: "origin"
    case .referer: "referer"
    case .wwwAuthenticate: "www-authenticate"
    case .proxyAuthenticate: "proxy-authenticate"
    case .proxyAuthorization: "proxy-authorization"
    case .link: "link"
    case .expires: "expires"
    case .pragma: "pragma"
    case .accessControlAllowOrigin: "access-control-allow-origin"
    case .strictTransportSecurity: "strict-transport-security"
    case .contentLanguage: "content-language"
    case .contentLocation: "content-location"
    case .contentDisposition: "content-disposition"
    case .secWebSocketKey: "sec-websocket-key"
    case .secWebSocketAccept: "sec-websocket-accept"
    case .secWebSocketVersion: "sec-websocket-version"
    case .upgradeInsecureRequests: "upgrade-insecure-requests"
    case .xRealIP: "x-real-ip"
    case .originalURL: "x-original-url"
    }
  }

  /// The identifier of `name`, compared without case; `.other` for a name that is not well known.
  ///
  /// *Cost*: one hash, one probe, one comparison; allocates a 4 KiB table once per process.
  package static func find(_ name: ByteView) -> HeaderName {
    HeaderNameTable.shared.find(name)
  }

  /// True for a name that concerns one connection only (RFC 9110 §7.6.1, RFC 9113 §8.2.2) and is never forwarded as is.
  package var isConnectionSpecific: Bool {
    switch self {
    case .connection, .keepAlive, .proxyConnection, .transferEncoding, .upgrade, .http2Settings: true
    default: false
    }
  }

  /// True for a name that a `Connection` token must never remove: what identifies, routes or authorises the request.
  package var isProtectedFromConnectionTokens: Bool {
    switch self {
    case .host, .contentLength, .forwardedFor, .forwardedProto, .forwardedHost, .forwardedClientCert, .forwarded,
      .requestID, .authorization, .via, .xRealIP, .originalURL, .cookie, .setCookie, .proxyAuthorization, .traceparent,
      .tracestate, .contentType, .date, .grpcStatus, .grpcTimeout, .grpcMessage, .te:
      true
    default: rawValue >= HeaderName.envoyExpectedTimeout.rawValue && rawValue <= HeaderName.envoyDegraded.rawValue
    }
  }

  /// True for a name that may not appear in a trailer section: framing, routing, authentication (RFC 9110 §6.5.1).
  package var isForbiddenInTrailers: Bool {
    switch self {
    case .host, .contentLength, .transferEncoding, .connection, .keepAlive, .proxyConnection, .upgrade, .te, .trailer,
      .expect, .authorization, .proxyAuthorization, .cookie, .setCookie, .contentEncoding, .contentType, .contentRange,
      .range, .cacheControl, .forwardedFor, .forwardedProto, .forwardedHost, .forwardedClientCert, .forwarded,
      .http2Settings, .originalURL, .xRealIP:
      true
    default: rawValue >= HeaderName.envoyExpectedTimeout.rawValue && rawValue <= HeaderName.envoyDegraded.rawValue
    }
  }
}
