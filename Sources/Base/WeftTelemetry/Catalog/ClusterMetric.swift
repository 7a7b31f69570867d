/// `cluster.<name>.…`
package enum ClusterMetric: Int, Metric {
  case upstreamCxTotal, upstreamCxHTTP1Total, upstreamCxHTTP2Total, upstreamCxConnectFail, upstreamCxConnectTimeout
  case upstreamCxOverflow, upstreamCxDestroy, upstreamCxDestroyLocal,
    upstreamCxDestroyRemote
  case upstreamCxDestroyWithActiveRq, upstreamCxDestroyLocalWithActiveRq, upstreamCxDestroyRemoteWithActiveRq
  case upstreamCxCloseNotify, upstreamCxRxBytesTotal, upstreamCxTxBytesTotal
  case upstreamCxProtocolError, upstreamCxMaxRequests, upstreamCxNoneHealthy, upstreamCxIdleTimeout
  case upstreamCxMaxDurationReached
  case upstreamRqTotal, upstreamRqCompleted, upstreamRqPendingOverflow, upstreamRqPendingFailureEject,
    upstreamRqPendingTotal
  case upstreamRqCancelled, upstreamRqTimeout, upstreamRqMaxDurationReached
  case upstreamRqPerTryTimeout, upstreamRqPerTryIdleTimeout, upstreamRqRxReset, upstreamRqTxReset, upstreamRqRetry
  case upstreamRqRetryBackoffExponential, upstreamRqRetryBackoffRatelimited, upstreamRqRetrySuccess
  case upstreamRqRetryOverflow, upstreamRqRetryLimitExceeded, upstreamRqMaintenanceMode
  case upstreamRq1xx, upstreamRq2xx, upstreamRq3xx, upstreamRq4xx, upstreamRq5xx
  case upstreamFlowControlPausedReading, upstreamFlowControlResumedReading
  case upstreamFlowControlBackedUp, upstreamFlowControlDrained
  case retryOrShadowAbandoned, originalDestinationHostInvalid, upstreamRqInsideAnswerTooLarge
  case upstreamCxHalfMessageOverflow, bindErrors, proxyProtocolTLVsExceedMaxLength
  case membershipChange, updateAttempt, updateSuccess, updateFailure, updateRejected, updateEmpty, updateNoRebuild
  case initFetchTimeout
  case lbHealthyPanic
  case outlierEjectionsTotal, outlierEjectionsEnforcedTotal, outlierEjectionsOverflow
  case outlierDetectedConsecutive5xx, outlierEnforcedConsecutive5xx
  case outlierDetectedConsecutiveGatewayFailure, outlierEnforcedConsecutiveGatewayFailure
  case outlierDetectedConsecutiveLocalOriginFailure, outlierEnforcedConsecutiveLocalOriginFailure
  case outlierDetectedSuccessRate, outlierEnforcedSuccessRate
  case outlierDetectedLocalOriginSuccessRate, outlierEnforcedLocalOriginSuccessRate
  case outlierDetectedFailurePercentage, outlierEnforcedFailurePercentage
  case sslHandshake, sslConnectionError, sslSessionReused, sslFailVerifySAN, sslFailVerifyError, sslFailVerifyNoCert
  case sslNoCertificate, sslFailVerifyCertHash, sslSecretsNotReady, sslUpdateBySDS
  // Gauges.
  case upstreamCxActive
  case upstreamRqActive, upstreamRqPendingActive
  case membershipTotal, membershipHealthy, membershipDegraded, maxHostWeight, version
  case updateTime
  case lbTableBytes
  case outlierEjectionsActive
  case breakerDefaultCxOpen, breakerDefaultRqPendingOpen, breakerDefaultRqOpen, breakerDefaultRqRetryOpen
  case breakerHighCxOpen, breakerHighRqPendingOpen, breakerHighRqOpen, breakerHighRqRetryOpen
  case breakerDefaultRemainingCx, breakerDefaultRemainingPending, breakerDefaultRemainingRq,
    breakerDefaultRemainingRetries
  // Histograms.
  case upstreamCxConnectMs, upstreamCxLengthMs, upstreamRqTime

  package static var scopeKind: ScopeKind { .cluster }
  @inlinable package static var firstHistogram: Int { ClusterMetric.upstreamCxConnectMs.rawValue }
  package static var statusPrefix: StaticString? { "upstream_rq_" }

  package var definition: MetricDefinition {
    switch self {
    case .upstreamCxTotal: .counter("upstream_cx_total", "Connections opened")
    case .upstreamCxHTTP1Total: .counter("upstream_cx_http1_total", "HTTP/1.1 connections opened")
    case .upstreamCxHTTP2Total: .counter("upstream_cx_http2_total", "HTTP/2 connections opened")
    case .upstreamCxConnectFail: .counter("upstream_cx_connect_fail", "Attempts to connect that failed")
    case .upstreamCxConnectTimeout: .counter("upstream_cx_connect_timeout", "Attempts to connect that took too long")
    case .upstreamCxOverflow: .counter("upstream_cx_overflow", "Times the connection circuit breaker was at its limit")
    case .upstreamCxDestroy: .counter("upstream_cx_destroy", "Connections closed")
    case .upstreamCxDestroyLocal: .counter("upstream_cx_destroy_local", "Connections closed by the proxy")
    case .upstreamCxDestroyRemote: .counter("upstream_cx_destroy_remote", "Connections closed by the upstream")
    case .upstreamCxDestroyWithActiveRq:
      .counter("upstream_cx_destroy_with_active_rq", "Connections closed with a request on them")
    case .upstreamCxDestroyLocalWithActiveRq:
      .counter("upstream_cx_destroy_local_with_active_rq", "Connections closed by the proxy with a request on them")
    case .upstreamCxDestroyRemoteWithActiveRq:
      .counter("upstream_cx_destroy_remote_with_active_rq", "Connections closed by the upstream with a request on them")
    case .upstreamCxCloseNotify:
      .counter("upstream_cx_close_notify", "Connections closed by Connection: close or GOAWAY")
    case .upstreamCxRxBytesTotal: .counter("upstream_cx_rx_bytes_total", "Bytes received")
    case .upstreamCxTxBytesTotal: .counter("upstream_cx_tx_bytes_total", "Bytes sent")
    case .upstreamCxProtocolError: .counter("upstream_cx_protocol_error", "Connections closed for a protocol error")
    case .upstreamCxMaxRequests: .counter("upstream_cx_max_requests", "Connections closed after their last request")
    case .upstreamCxNoneHealthy: .counter("upstream_cx_none_healthy", "Requests that found no healthy host")
    case .upstreamCxIdleTimeout: .counter("upstream_cx_idle_timeout", "Connections closed because they were idle")
    case .upstreamCxMaxDurationReached:
      .counter("upstream_cx_max_duration_reached", "Connections closed because of their age")
    case .upstreamRqTotal: .counter("upstream_rq_total", "Requests sent")
    case .upstreamRqCompleted: .counter("upstream_rq_completed", "Requests answered")
    case .upstreamRqPendingOverflow:
      .counter("upstream_rq_pending_overflow", "Requests refused by the pending or request circuit breaker")
    case .upstreamRqPendingFailureEject:
      .counter("upstream_rq_pending_failure_eject", "Waiting requests failed with their connection")
    case .upstreamRqPendingTotal: .counter("upstream_rq_pending_total", "Requests that waited for a connection")
    case .upstreamRqCancelled: .counter("upstream_rq_cancelled", "Requests withdrawn before they had a connection")
    case .upstreamRqTimeout: .counter("upstream_rq_timeout", "Requests that timed out")
    case .upstreamRqMaxDurationReached:
      .counter("upstream_rq_max_duration_reached", "Streams that lasted as long as they may")
    case .upstreamRqPerTryTimeout: .counter("upstream_rq_per_try_timeout", "Attempts that timed out")
    case .upstreamRqPerTryIdleTimeout: .counter("upstream_rq_per_try_idle_timeout", "Attempts that were idle too long")
    case .upstreamRqRxReset: .counter("upstream_rq_rx_reset", "Requests reset by the upstream")
    case .upstreamRqTxReset: .counter("upstream_rq_tx_reset", "Requests reset by the proxy")
    case .upstreamRqRetry: .counter("upstream_rq_retry", "Retries")
    case .upstreamRqRetryBackoffExponential:
      .counter("upstream_rq_retry_backoff_exponential", "Retries after exponential back-off")
    case .upstreamRqRetryBackoffRatelimited:
      .counter("upstream_rq_retry_backoff_ratelimited", "Retries after a back-off which the upstream asked for")
    case .upstreamRqRetrySuccess: .counter("upstream_rq_retry_success", "Retries that succeeded")
    case .upstreamRqMaintenanceMode:
      .counter("upstream_rq_maintenance_mode", "Requests refused because the cluster is under maintenance")
    case .upstreamRqRetryOverflow:
      .counter("upstream_rq_retry_overflow", "Retries refused by circuit breaker or budget")
    case .upstreamRqRetryLimitExceeded:
      .counter("upstream_rq_retry_limit_exceeded", "Requests not retried because their retries were used up")
    case .upstreamRq1xx: .codeClass("upstream_rq_1xx", "upstream_rq_xx", "1", "Responses by class")
    case .upstreamRq2xx: .codeClass("upstream_rq_2xx", "upstream_rq_xx", "2", "Responses by class")
    case .upstreamRq3xx: .codeClass("upstream_rq_3xx", "upstream_rq_xx", "3", "Responses by class")
    case .upstreamRq4xx: .codeClass("upstream_rq_4xx", "upstream_rq_xx", "4", "Responses by class")
    case .upstreamRq5xx: .codeClass("upstream_rq_5xx", "upstream_rq_xx", "5", "Responses by class")
    case .upstreamFlowControlPausedReading:
      .counter("upstream_flow_control_paused_reading_total", "Times reading from the upstream was paused")
    case .upstreamFlowControlResumedReading:
      .counter("upstream_flow_control_resumed_reading_total", "Times reading from the upstream was resumed")
    case .upstreamFlowControlBackedUp:
      .counter("upstream_flow_control_backed_up_total", "Times the upstream's write buffer was full")
    case .upstreamFlowControlDrained:
      .counter("upstream_flow_control_drained_total", "Times the upstream's write buffer drained")
    case .bindErrors:
      .counter("bind_errors", "Connections whose local address, or an option of whose socket, could not be had")
    case .proxyProtocolTLVsExceedMaxLength:
      .counter(
        "upstream.proxyprotocol.v2_tlvs_exceed_max_length", "PROXY headers that left out TLVs for want of room")
    case .upstreamCxHalfMessageOverflow:
      .counter("upstream_cx_half_message_overflow", "Connections closed because too much was kept of half messages")
    case .upstreamRqInsideAnswerTooLarge:
      .counter("upstream_rq_inside_answer_too_large", "Answers to the proxy's own requests that were too large to keep")
    case .retryOrShadowAbandoned:
      .counter("retry_or_shadow_abandoned", "Retries or copies given up because the body outgrew its buffer")
    case .originalDestinationHostInvalid:
      .counter("original_dst_host_invalid", "Original destinations that were invalid")
    case .membershipChange: .counter("membership_change", "Changes of the cluster's hosts")
    case .initFetchTimeout: .counter("init_fetch_timeout", "First assignments that did not come in time")
    case .lbTableBytes: .gauge("lb_table_bytes", "Memory of the tables that hosts are chosen by, on all workers")
    case .updateTime: .gauge("update_time", "Milliseconds since 1970 of the last accepted assignment")
    case .updateAttempt: .counter("update_attempt", "Attempts to learn the cluster's hosts")
    case .updateSuccess: .counter("update_success", "Successful updates of the hosts")
    case .updateFailure: .counter("update_failure", "Failed updates of the hosts")
    case .updateRejected: .counter("update_rejected", "Updates of the hosts that were refused")
    case .updateEmpty: .counter("update_empty", "Updates that named no host")
    case .updateNoRebuild: .counter("update_no_rebuild", "Updates that changed nothing")
    case .lbHealthyPanic: .counter("lb_healthy_panic", "Requests balanced in panic, over unhealthy hosts too")
    case .outlierEjectionsTotal:
      .counter("outlier_detection.ejections_total", "Ejections, enforced or not")
    case .outlierEjectionsEnforcedTotal: .counter("outlier_detection.ejections_enforced_total", "Ejections")
    case .outlierEjectionsOverflow:
      .counter("outlier_detection.ejections_overflow", "Ejections not made because too many hosts were ejected")
    case .outlierDetectedConsecutive5xx:
      .counter("outlier_detection.ejections_detected_consecutive_5xx", "Runs of 5xx seen")
    case .outlierEnforcedConsecutive5xx:
      .counter("outlier_detection.ejections_enforced_consecutive_5xx", "Ejections for runs of 5xx")
    case .outlierDetectedConsecutiveGatewayFailure:
      .counter("outlier_detection.ejections_detected_consecutive_gateway_failure", "Runs of gateway errors seen")
    case .outlierEnforcedConsecutiveGatewayFailure:
      .counter(
        "outlier_detection.ejections_enforced_consecutive_gateway_failure", "Ejections for runs of gateway errors")
    case .outlierDetectedConsecutiveLocalOriginFailure:
      .counter("outlier_detection.ejections_detected_consecutive_local_origin_failure", "Runs of local failures seen")
    case .outlierEnforcedConsecutiveLocalOriginFailure:
      .counter(
        "outlier_detection.ejections_enforced_consecutive_local_origin_failure", "Ejections for runs of local failures")
    case .outlierDetectedSuccessRate:
      .counter("outlier_detection.ejections_detected_success_rate", "Success-rate outliers seen")
    case .outlierEnforcedSuccessRate:
      .counter("outlier_detection.ejections_enforced_success_rate", "Ejections of success-rate outliers")
    case .outlierDetectedLocalOriginSuccessRate:
      .counter("outlier_detection.ejections_detected_local_origin_success_rate", "Local success-rate outliers seen")
    case .outlierEnforcedLocalOriginSuccessRate:
      .counter(
        "outlier_detection.ejections_enforced_local_origin_success_rate", "Ejections of local success-rate outliers")
    case .outlierDetectedFailurePercentage:
      .counter("outlier_detection.ejections_detected_failure_percentage", "Failure-percentage outliers seen")
    case .outlierEnforcedFailurePercentage:
      .counter("outlier_detection.ejections_enforced_failure_percentage", "Ejections of failure-percentage outliers")
    case .sslHandshake: .counter("ssl.handshake", "TLS handshakes completed")
    case .sslConnectionError: .counter("ssl.connection_error", "TLS connections failed, certificates apart")
    case .sslSessionReused: .counter("ssl.session_reused", "TLS sessions resumed")
    case .sslFailVerifySAN: .counter("ssl.fail_verify_san", "Certificates refused for their names")
    case .sslFailVerifyError: .counter("ssl.fail_verify_error", "Certificates refused by the CA check")
    case .sslFailVerifyNoCert: .counter("ssl.fail_verify_no_cert", "Connections failed for want of a certificate")
    case .sslNoCertificate: .counter("ssl.no_certificate", "TLS connections without a server certificate")
    case .sslFailVerifyCertHash: .counter("ssl.fail_verify_cert_hash", "Certificates refused as not pinned")
    case .sslSecretsNotReady:
      .counter(
        "client_ssl_socket_factory.upstream_context_secrets_not_ready", "Connections failed for want of a secret")
    case .sslUpdateBySDS:
      .counter("client_ssl_socket_factory.ssl_context_update_by_sds", "Contexts renewed by a delivered secret")
    case .upstreamCxActive: .gauge("upstream_cx_active", "Open connections")
    case .upstreamRqActive: .gauge("upstream_rq_active", "Requests in flight")
    case .upstreamRqPendingActive: .gauge("upstream_rq_pending_active", "Requests waiting for a connection")
    case .membershipTotal: .gauge("membership_total", "Hosts")
    case .membershipHealthy: .gauge("membership_healthy", "Healthy hosts")
    case .membershipDegraded: .gauge("membership_degraded", "Degraded hosts")
    case .maxHostWeight: .gauge("max_host_weight", "Largest weight of a host")
    case .version: .gauge("version", "Hash of the version of the last accepted assignment")
    case .outlierEjectionsActive: .gauge("outlier_detection.ejections_active", "Hosts ejected now")
    case .breakerDefaultCxOpen:
      .gauge("circuit_breakers.default.cx_open", "1 while the connection breaker is at its limit")
    case .breakerDefaultRqPendingOpen:
      .gauge("circuit_breakers.default.rq_pending_open", "1 while the pending breaker is at its limit")
    case .breakerDefaultRqOpen:
      .gauge("circuit_breakers.default.rq_open", "1 while the request breaker is at its limit")
    case .breakerDefaultRqRetryOpen:
      .gauge("circuit_breakers.default.rq_retry_open", "1 while the retry breaker is at its limit")
    case .breakerHighCxOpen: .gauge("circuit_breakers.high.cx_open", "1 while the connection breaker is at its limit")
    case .breakerHighRqPendingOpen:
      .gauge("circuit_breakers.high.rq_pending_open", "1 while the pending breaker is at its limit")
    case .breakerHighRqOpen: .gauge("circuit_breakers.high.rq_open", "1 while the request breaker is at its limit")
    case .breakerHighRqRetryOpen:
      .gauge("circuit_breakers.high.rq_retry_open", "1 while the retry breaker is at its limit")
    case .breakerDefaultRemainingCx:
      .gauge("circuit_breakers.default.remaining_cx", "Connections left until the breaker opens")
    case .breakerDefaultRemainingPending:
      .gauge("circuit_breakers.default.remaining_pending", "Waiting requests left until the breaker opens")
    case .breakerDefaultRemainingRq:
      .gauge("circuit_breakers.default.remaining_rq", "Requests left until the breaker opens")
    case .breakerDefaultRemainingRetries:
      .gauge("circuit_breakers.default.remaining_retries", "Retries left until the breaker opens")
    case .upstreamCxConnectMs: .histogram("upstream_cx_connect_ms", "Time to connect, in milliseconds")
    case .upstreamCxLengthMs: .histogram("upstream_cx_length_ms", "Life of a connection, in milliseconds")
    case .upstreamRqTime: .histogram("upstream_rq_time", "Time to answer, in milliseconds")
    }
  }

  /// The counter of a status's class.
  @inlinable package static func codeClass(_ status: UInt16) -> ClusterMetric {
    switch status {
    case ..<200: .upstreamRq1xx
    case ..<300: .upstreamRq2xx
    case ..<400: .upstreamRq3xx
    case ..<500: .upstreamRq4xx
    default: .upstreamRq5xx
    }
  }
}
