/// `http.<stat_prefix>.…`
package enum HTTPMetric: Int, Metric {
  case downstreamCxTotal, downstreamCxSSLTotal, downstreamCxHTTP1Total, downstreamCxHTTP2Total
  case downstreamCxUpgradesTotal, downstreamCxDestroy, downstreamCxDestroyLocal, downstreamCxDestroyRemote
  case downstreamCxDestroyActiveRq, downstreamCxDestroyLocalActiveRq, downstreamCxDestroyRemoteActiveRq
  case downstreamCxDrainClose, downstreamCxIdleTimeout, downstreamCxMaxDurationReached, downstreamCxMaxRequestsReached
  case downstreamCxProtocolError, downstreamCxDelayedCloseTimeout, downstreamCxHTTP2KeepaliveTimeout
  case downstreamCxRxBytesTotal, downstreamCxTxBytesTotal
  case downstreamFlowControlPausedReading, downstreamFlowControlResumedReading
  case downstreamRqTotal, downstreamRqHTTP1Total, downstreamRqHTTP2Total, downstreamRqCompleted
  case downstreamRqRxReset, downstreamRqTxReset, downstreamRqNonRelativePath
  case downstreamRqTimeout, downstreamRqHeaderTimeout, downstreamRqIdleTimeout, downstreamRqMaxDurationReached
  case downstreamRqOverloadClose, downstreamRqTooLarge, downstreamRqFilterStateOverflow
  case downstreamCxHalfMessageOverflow
  case downstreamRqResponseBeforeRqComplete, downstreamRqWSOnNonWSRoute, downstreamRqTooManyPrematureResets
  case downstreamRq1xx, downstreamRq2xx, downstreamRq3xx, downstreamRq4xx, downstreamRq5xx
  case noRoute, noCluster, rqTotal, rqDirectResponse, rqRedirect, rqResetAfterDownstreamResponseStarted
  case downstreamCxActive, downstreamCxSSLActive, downstreamCxHTTP1Active, downstreamCxHTTP2Active
  case downstreamCxUpgradesActive, downstreamRqActive
  case downstreamCxLengthMs, downstreamRqTime

  package static var scopeKind: ScopeKind { .http }
  @inlinable package static var firstHistogram: Int { HTTPMetric.downstreamCxLengthMs.rawValue }

  package var definition: MetricDefinition {
    switch self {
    case .downstreamCxTotal: .counter("downstream_cx_total", "Connections accepted")
    case .downstreamCxSSLTotal: .counter("downstream_cx_ssl_total", "TLS connections accepted")
    case .downstreamCxHTTP1Total: .counter("downstream_cx_http1_total", "HTTP/1 connections accepted")
    case .downstreamCxHTTP2Total: .counter("downstream_cx_http2_total", "HTTP/2 connections accepted")
    case .downstreamCxUpgradesTotal: .counter("downstream_cx_upgrades_total", "Connections that switched protocol")
    case .downstreamCxDestroy: .counter("downstream_cx_destroy", "Connections closed")
    case .downstreamCxDestroyLocal: .counter("downstream_cx_destroy_local", "Connections closed by the proxy")
    case .downstreamCxDestroyRemote: .counter("downstream_cx_destroy_remote", "Connections closed by the client")
    case .downstreamCxDestroyActiveRq:
      .counter("downstream_cx_destroy_active_rq", "Connections closed with a request on them")
    case .downstreamCxDestroyLocalActiveRq:
      .counter("downstream_cx_destroy_local_active_rq", "Connections closed by the proxy with a request on them")
    case .downstreamCxDestroyRemoteActiveRq:
      .counter("downstream_cx_destroy_remote_active_rq", "Connections closed by the client with a request on them")
    case .downstreamCxHTTP2KeepaliveTimeout:
      .counter("downstream_cx_http2_keepalive_timeout", "HTTP/2 connections closed because a PING went unanswered")
    case .downstreamCxDrainClose: .counter("downstream_cx_drain_close", "Connections closed by draining")
    case .downstreamCxIdleTimeout: .counter("downstream_cx_idle_timeout", "Connections closed because they were idle")
    case .downstreamCxMaxDurationReached:
      .counter("downstream_cx_max_duration_reached", "Connections closed because of their age")
    case .downstreamCxMaxRequestsReached:
      .counter("downstream_cx_max_requests_reached", "Connections closed after their last request")
    case .downstreamCxProtocolError: .counter("downstream_cx_protocol_error", "Connections closed for a protocol error")
    case .downstreamCxDelayedCloseTimeout:
      .counter("downstream_cx_delayed_close_timeout", "Connections whose delayed close ran out")
    case .downstreamCxRxBytesTotal: .counter("downstream_cx_rx_bytes_total", "Bytes received")
    case .downstreamCxTxBytesTotal: .counter("downstream_cx_tx_bytes_total", "Bytes sent")
    case .downstreamFlowControlPausedReading:
      .counter("downstream_flow_control_paused_reading_total", "Times reading from the client was paused")
    case .downstreamFlowControlResumedReading:
      .counter("downstream_flow_control_resumed_reading_total", "Times reading from the client was resumed")
    case .downstreamRqTotal: .counter("downstream_rq_total", "Requests")
    case .downstreamRqHTTP1Total: .counter("downstream_rq_http1_total", "HTTP/1 requests")
    case .downstreamRqHTTP2Total: .counter("downstream_rq_http2_total", "HTTP/2 requests")
    case .downstreamRqCompleted: .counter("downstream_rq_completed", "Requests answered")
    case .downstreamRqRxReset: .counter("downstream_rq_rx_reset", "Requests reset by the client")
    case .downstreamRqTxReset: .counter("downstream_rq_tx_reset", "Requests reset by the proxy")
    case .downstreamRqNonRelativePath: .counter("downstream_rq_non_relative_path", "Requests with a bad path")
    case .downstreamRqTimeout: .counter("downstream_rq_timeout", "Requests not received in time")
    case .downstreamRqHeaderTimeout: .counter("downstream_rq_header_timeout", "Request heads not received in time")
    case .downstreamRqIdleTimeout: .counter("downstream_rq_idle_timeout", "Requests closed because they were idle")
    case .downstreamRqMaxDurationReached:
      .counter("downstream_rq_max_duration_reached", "Streams that lasted as long as they may")
    case .downstreamRqTooLarge: .counter("downstream_rq_too_large", "Requests whose content was too large to be kept")
    case .downstreamRqFilterStateOverflow:
      .counter("downstream_rq_filter_state_overflow", "Requests refused because filters had no room for their state")
    case .downstreamRqOverloadClose: .counter("downstream_rq_overload_close", "Requests shed because of overload")
    case .downstreamCxHalfMessageOverflow:
      .counter("downstream_cx_half_message_overflow", "Connections closed because too much was kept of half messages")
    case .downstreamRqResponseBeforeRqComplete:
      .counter("downstream_rq_response_before_rq_complete", "Responses sent before the request was complete")
    case .downstreamRqWSOnNonWSRoute:
      .counter("downstream_rq_ws_on_non_ws_route", "Upgrades refused because the route has none")
    case .downstreamRqTooManyPrematureResets:
      .counter("downstream_rq_too_many_premature_resets", "Connections closed for resetting streams too early")
    case .downstreamRq1xx: .codeClass("downstream_rq_1xx", "downstream_rq_xx", "1", "Responses by class")
    case .downstreamRq2xx: .codeClass("downstream_rq_2xx", "downstream_rq_xx", "2", "Responses by class")
    case .downstreamRq3xx: .codeClass("downstream_rq_3xx", "downstream_rq_xx", "3", "Responses by class")
    case .downstreamRq4xx: .codeClass("downstream_rq_4xx", "downstream_rq_xx", "4", "Responses by class")
    case .downstreamRq5xx: .codeClass("downstream_rq_5xx", "downstream_rq_xx", "5", "Responses by class")
    case .noRoute: .counter("no_route", "Requests that matched no route")
    case .noCluster: .counter("no_cluster", "Requests whose cluster did not exist")
    case .rqTotal: .counter("rq_total", "Requests routed")
    case .rqDirectResponse: .counter("rq_direct_response", "Requests answered by the route itself")
    case .rqRedirect: .counter("rq_redirect", "Requests redirected by the route")
    case .rqResetAfterDownstreamResponseStarted:
      .counter("rq_reset_after_downstream_response_started", "Responses cut after they had begun")
    case .downstreamCxActive: .gauge("downstream_cx_active", "Open connections")
    case .downstreamCxSSLActive: .gauge("downstream_cx_ssl_active", "Open TLS connections")
    case .downstreamCxHTTP1Active: .gauge("downstream_cx_http1_active", "Open HTTP/1 connections")
    case .downstreamCxHTTP2Active: .gauge("downstream_cx_http2_active", "Open HTTP/2 connections")
    case .downstreamCxUpgradesActive: .gauge("downstream_cx_upgrades_active", "Open connections of another protocol")
    case .downstreamRqActive: .gauge("downstream_rq_active", "Requests in flight")
    case .downstreamCxLengthMs: .histogram("downstream_cx_length_ms", "Life of a connection, in milliseconds")
    case .downstreamRqTime: .histogram("downstream_rq_time", "Time to answer, in milliseconds")
    }
  }

  /// The counter of a status's class.
  @inlinable package static func codeClass(_ status: UInt16) -> HTTPMetric {
    switch status {
    case ..<200: .downstreamRq1xx
    case ..<300: .downstreamRq2xx
    case ..<400: .downstreamRq3xx
    case ..<500: .downstreamRq4xx
    default: .downstreamRq5xx
    }
  }
}
