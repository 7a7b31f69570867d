/// `listener.<address>.…`
package enum ListenerMetric: Int, Metric {
  case downstreamCxTotal, downstreamCxDestroy, downstreamCxOverflow
  case downstreamPreCxTimeout, downstreamGlobalCxOverflow, downstreamListenerFilterRemoteClose
  case downstreamListenerFilterError, downstreamCxTransportSocketConnectTimeout, noFilterChainMatch
  case sslHandshake, sslConnectionError, sslSessionReused, sslNoCertificate, sslFailVerifyNoCert, sslFailVerifyError
  case sslFailVerifySAN, sslFailVerifyCertHash, sslSecretsNotReady, sslUpdateBySDS
  case downstreamCxActive
  case downstreamCxLengthMs

  package static var scopeKind: ScopeKind { .listener }
  @inlinable package static var firstHistogram: Int { ListenerMetric.downstreamCxLengthMs.rawValue }

  package var definition: MetricDefinition {
    switch self {
    case .downstreamCxTotal: .counter("downstream_cx_total", "Connections accepted")
    case .downstreamCxDestroy: .counter("downstream_cx_destroy", "Connections closed")
    case .downstreamCxOverflow: .counter("downstream_cx_overflow", "Connections refused by the listener's limit")
    case .downstreamPreCxTimeout: .counter("downstream_pre_cx_timeout", "Connections whose listener filters timed out")
    case .downstreamGlobalCxOverflow:
      .counter("downstream_global_cx_overflow", "Connections refused by the global limit")
    case .downstreamListenerFilterRemoteClose:
      .counter("downstream_listener_filter_remote_close", "Connections closed while a listener filter waited")
    case .downstreamListenerFilterError:
      .counter("downstream_listener_filter_error", "Connections refused by a listener filter")
    case .downstreamCxTransportSocketConnectTimeout:
      .counter("downstream_cx_transport_socket_connect_timeout", "Connections whose TLS handshake took too long")
    case .noFilterChainMatch: .counter("no_filter_chain_match", "Connections that matched no filter chain")
    case .sslHandshake: .counter("ssl.handshake", "TLS handshakes completed")
    case .sslConnectionError: .counter("ssl.connection_error", "TLS connections failed, certificates apart")
    case .sslSessionReused: .counter("ssl.session_reused", "TLS sessions resumed")
    case .sslNoCertificate: .counter("ssl.no_certificate", "TLS connections without a client certificate")
    case .sslFailVerifyNoCert: .counter("ssl.fail_verify_no_cert", "Connections refused for want of a certificate")
    case .sslFailVerifyError: .counter("ssl.fail_verify_error", "Certificates refused by the CA check")
    case .sslFailVerifySAN: .counter("ssl.fail_verify_san", "Certificates refused for their names")
    case .sslFailVerifyCertHash: .counter("ssl.fail_verify_cert_hash", "Certificates refused as not pinned")
    case .sslSecretsNotReady:
      .counter(
        "server_ssl_socket_factory.downstream_context_secrets_not_ready", "Connections refused for want of a secret")
    case .sslUpdateBySDS:
      .counter("server_ssl_socket_factory.ssl_context_update_by_sds", "Contexts renewed by a delivered secret")
    case .downstreamCxActive: .gauge("downstream_cx_active", "Open connections")
    case .downstreamCxLengthMs: .histogram("downstream_cx_length_ms", "Life of a connection, in milliseconds")
    }
  }
}

/// `listener.<address>.http.<stat_prefix>.…`
package enum ListenerHTTPMetric: Int, Metric {
  case downstreamRqCompleted
  case downstreamRq1xx, downstreamRq2xx, downstreamRq3xx, downstreamRq4xx, downstreamRq5xx

  package static var scopeKind: ScopeKind { .listenerHTTP }
  @inlinable package static var firstHistogram: Int { 6 }

  package var definition: MetricDefinition {
    switch self {
    case .downstreamRqCompleted: .counter("downstream_rq_completed", "Requests answered")
    case .downstreamRq1xx: .codeClass("downstream_rq_1xx", "downstream_rq_xx", "1", "Responses by class")
    case .downstreamRq2xx: .codeClass("downstream_rq_2xx", "downstream_rq_xx", "2", "Responses by class")
    case .downstreamRq3xx: .codeClass("downstream_rq_3xx", "downstream_rq_xx", "3", "Responses by class")
    case .downstreamRq4xx: .codeClass("downstream_rq_4xx", "downstream_rq_xx", "4", "Responses by class")
    case .downstreamRq5xx: .codeClass("downstream_rq_5xx", "downstream_rq_xx", "5", "Responses by class")
    }
  }
}

/// `tcp.<stat_prefix>.…`
package enum TCPMetric: Int, Metric {
  case downstreamCxTotal, downstreamCxNoRoute, downstreamCxRxBytesTotal, downstreamCxTxBytesTotal
  case downstreamFlowControlPausedReading, downstreamFlowControlResumedReading
  case idleTimeout, maxDownstreamConnectionDuration
  package static var scopeKind: ScopeKind { .tcp }
  @inlinable package static var firstHistogram: Int { 8 }

  package var definition: MetricDefinition {
    switch self {
    case .downstreamCxTotal: .counter("downstream_cx_total", "Connections handled")
    case .downstreamCxNoRoute: .counter("downstream_cx_no_route", "Connections whose cluster did not exist")
    case .downstreamCxRxBytesTotal: .counter("downstream_cx_rx_bytes_total", "Bytes received")
    case .downstreamCxTxBytesTotal: .counter("downstream_cx_tx_bytes_total", "Bytes sent")
    case .downstreamFlowControlPausedReading:
      .counter("downstream_flow_control_paused_reading_total", "Times reading from the client was paused")
    case .downstreamFlowControlResumedReading:
      .counter("downstream_flow_control_resumed_reading_total", "Times reading from the client was resumed")
    case .idleTimeout: .counter("idle_timeout", "Connections closed because they were idle")
    case .maxDownstreamConnectionDuration:
      .counter("max_downstream_connection_duration", "Connections closed because of their age")
    }
  }
}
