import WeftHTTP

/// Sets of names, made once per worker.
struct RouterFields {
  let timeouts = HeaderNameSet(
    .envoyUpstreamTimeout, .envoyPerTryTimeout, .envoyExpectedTimeout, .envoyTimeoutAltResponse,
    .envoyUpstreamAltStatName, .envoyHedgeOnTimeout)
  let retries = HeaderNameSet(
    .envoyRetryOn, .envoyRetryGRPCOn, .envoyMaxRetries, .envoyRetriableStatusCodes, .envoyRetriableHeaderNames)
  /// What nobody but a trusted client may say, and what not even those in front of the mesh's edge may.
  let untrusted = HeaderNameSet(
    .envoyInternal, .envoyRetriableStatusCodes, .envoyRetriableHeaderNames, .envoyRetryOn, .envoyRetryGRPCOn,
    .envoyMaxRetries, .envoyUpstreamAltStatName, .envoyUpstreamTimeout, .envoyPerTryTimeout, .envoyExpectedTimeout,
    .envoyForceTrace, .envoyIPTags, .envoyHedgeOnTimeout, .envoyTimeoutAltResponse)
  let untrustedAtEdge = HeaderNameSet(
    .envoyDecoratorOperation, .envoyDownstreamServiceCluster, .envoyDownstreamServiceNode, .envoyOriginalPath,
    .envoyOriginalHost)
}
