package import WeftBase

/// One piece of a compiled format.
package enum FormatOperator: BitwiseCopyable, @unchecked Sendable {  // views of constant memory
  case literal(ByteView)
  case field(LogField, maxLength: Int32)
  case requestHeader(HeaderOperand)
  case responseHeader(HeaderOperand)
  case responseTrailer(HeaderOperand)
  /// `%PATH(WQ|NQ[:ORIG|PATH|ORIG_OR_PATH])%`.
  case path(withQuery: Bool, original: OriginalPath)
  case queryParameter(ByteView, maxLength: Int32)
  case time(LogMoment, ConstantTable<TimePiece>)
  case commonDuration(from: LogMoment, to: LogMoment, divisor: Int64)
  /// `nil` numbers print as text, `true` as a number.
  case grpcStatus(style: GRPCStatusStyle)
  /// `%METADATA(ROUTE|CLUSTER|DYNAMIC:…)%`, `%CLUSTER_METADATA(…)%`, `%DYNAMIC_METADATA(…)%`.
  case metadata(MetadataOwner, path: ByteView, maxLength: Int32)
  /// Understood, and never known to this proxy: filter state and the like.
  case unavailable

  package enum OriginalPath: UInt8, BitwiseCopyable, Sendable { case current, original, originalOrCurrent }
  package enum MetadataOwner: UInt8, BitwiseCopyable, Sendable { case route, cluster, dynamic }
  package enum GRPCStatusStyle: UInt8, BitwiseCopyable, Sendable { case camel, snake, number }

  package struct HeaderOperand: BitwiseCopyable {
    package let name: ByteView
    /// Used when `name` is absent; empty for none.
    package let alternative: ByteView
    /// −1 for all of it.
    package let maxLength: Int32
    /// `%REQ_WITHOUT_QUERY(…)%`: cut at `?`.
    package let dropQuery: Bool
  }
}

/// The moments a duration may run between.
package enum LogMoment: UInt8, BitwiseCopyable, Sendable {
  case start  // DS_RX_BEG
  case downstreamRxEnd  // DS_RX_END
  case upstreamConnectStart  // US_CX_BEG
  case upstreamConnectEnd  // US_CX_END
  case upstreamTxBegin  // US_TX_BEG
  case upstreamTxEnd  // US_TX_END
  case upstreamRxBegin  // US_RX_BEG
  case upstreamRxEnd  // US_RX_END
  case downstreamTxBegin  // DS_TX_BEG
  case downstreamTxEnd  // DS_TX_END
  case upstreamPoolReady  // US_POOL_READY
  case end

  package static let named: [String: LogMoment] = [
    "DS_RX_BEG": .start, "DS_RX_END": .downstreamRxEnd, "US_CX_BEG": .upstreamConnectStart,
    "US_CX_END": .upstreamConnectEnd, "US_TX_BEG": .upstreamTxBegin, "US_TX_END": .upstreamTxEnd,
    "US_RX_BEG": .upstreamRxBegin, "US_RX_END": .upstreamRxEnd, "DS_TX_BEG": .downstreamTxBegin,
    "DS_TX_END": .downstreamTxEnd,
  ]

  package func nanoseconds(in record: AccessLogRecord) -> Int64 {
    switch self {
    case .start: 0
    case .downstreamRxEnd: record.lastDownstreamRx
    case .upstreamConnectStart: record.upstreamConnectStart
    case .upstreamConnectEnd: record.upstreamConnectEnd
    case .upstreamTxBegin: record.firstUpstreamTx
    case .upstreamTxEnd: record.lastUpstreamTx
    case .upstreamRxBegin: record.firstUpstreamRx
    case .upstreamRxEnd: record.lastUpstreamRx
    case .downstreamTxBegin: record.firstDownstreamTx
    case .downstreamTxEnd: record.lastDownstreamTx
    case .upstreamPoolReady: record.upstreamPoolReady
    case .end: record.end
    }
  }
}

/// Operators without an argument, by name in `LogField.named`.
package enum LogField: UInt8, BitwiseCopyable, CaseIterable, Sendable {
  case protocolName, upstreamProtocol, responseCode, responseCodeDetails, connectionTerminationDetails
  case bytesReceived, bytesSent
  case upstreamWireBytesReceived, upstreamWireBytesSent, upstreamHeaderBytesReceived, upstreamHeaderBytesSent
  case downstreamWireBytesReceived, downstreamWireBytesSent, downstreamHeaderBytesReceived, downstreamHeaderBytesSent
  case duration, requestDuration, requestTxDuration, responseDuration, responseTxDuration, roundtripDuration
  case downstreamHandshakeDuration, upstreamConnectionPoolReadyDuration
  case responseFlags, responseFlagsLong, routeName, virtualHostName
  case upstreamHost, upstreamHostName, upstreamHostNameWithoutPort, upstreamCluster
  case upstreamRemoteAddress, upstreamRemoteAddressWithoutPort, upstreamRemotePort
  case upstreamLocalAddress, upstreamLocalAddressWithoutPort, upstreamLocalPort
  case upstreamRequestAttemptCount, upstreamTransportFailureReason, downstreamTransportFailureReason
  case downstreamRemoteAddress, downstreamRemoteAddressWithoutPort, downstreamRemotePort
  case downstreamDirectRemoteAddress, downstreamDirectRemoteAddressWithoutPort, downstreamDirectRemotePort
  case downstreamLocalAddress, downstreamLocalAddressWithoutPort, downstreamLocalPort
  case downstreamDirectLocalAddress, downstreamDirectLocalAddressWithoutPort, downstreamDirectLocalPort
  case connectionID, upstreamConnectionID, streamID, requestedServerName, hostname, localReplyBody, filterChainName
  case accessLogType, tlsVersion, tlsCipher, tlsSessionID
  case peerURISAN, peerDNSSAN, peerSubject, peerIssuer, peerSerial, peerFingerprint256, localURISAN, localSubject
  case traceID

  package static let named: [String: LogField] = [
    "PROTOCOL": .protocolName, "UPSTREAM_PROTOCOL": .upstreamProtocol, "RESPONSE_CODE": .responseCode,
    "RESPONSE_CODE_DETAILS": .responseCodeDetails, "CONNECTION_TERMINATION_DETAILS": .connectionTerminationDetails,
    "BYTES_RECEIVED": .bytesReceived, "BYTES_SENT": .bytesSent,
    "UPSTREAM_WIRE_BYTES_RECEIVED": .upstreamWireBytesReceived, "UPSTREAM_WIRE_BYTES_SENT": .upstreamWireBytesSent,
    "UPSTREAM_HEADER_BYTES_RECEIVED": .upstreamHeaderBytesReceived,
    "UPSTREAM_HEADER_BYTES_SENT": .upstreamHeaderBytesSent,
    "DOWNSTREAM_WIRE_BYTES_RECEIVED": .downstreamWireBytesReceived,
    "DOWNSTREAM_WIRE_BYTES_SENT": .downstreamWireBytesSent,
    "DOWNSTREAM_HEADER_BYTES_RECEIVED": .downstreamHeaderBytesReceived,
    "DOWNSTREAM_HEADER_BYTES_SENT": .downstreamHeaderBytesSent,
    "DURATION": .duration, "REQUEST_DURATION": .requestDuration, "REQUEST_TX_DURATION": .requestTxDuration,
    "RESPONSE_DURATION": .responseDuration, "RESPONSE_TX_DURATION": .responseTxDuration,
    "ROUNDTRIP_DURATION": .roundtripDuration, "DOWNSTREAM_HANDSHAKE_DURATION": .downstreamHandshakeDuration,
    "UPSTREAM_CONNECTION_POOL_READY_DURATION": .upstreamConnectionPoolReadyDuration,
    "RESPONSE_FLAGS": .responseFlags, "RESPONSE_FLAGS_LONG": .responseFlagsLong, "ROUTE_NAME": .routeName,
    "VIRTUAL_HOST_NAME": .virtualHostName,
    "UPSTREAM_HOST": .upstreamHost, "UPSTREAM_HOST_NAME": .upstreamHostName,
    "UPSTREAM_HOST_NAME_WITHOUT_PORT": .upstreamHostNameWithoutPort,
    "UPSTREAM_CLUSTER": .upstreamCluster, "UPSTREAM_CLUSTER_RAW": .upstreamCluster,
    "UPSTREAM_REMOTE_ADDRESS": .upstreamRemoteAddress,
    "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT": .upstreamRemoteAddressWithoutPort,
    "UPSTREAM_REMOTE_PORT": .upstreamRemotePort, "UPSTREAM_LOCAL_ADDRESS": .upstreamLocalAddress,
    "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT": .upstreamLocalAddressWithoutPort, "UPSTREAM_LOCAL_PORT": .upstreamLocalPort,
    "UPSTREAM_REQUEST_ATTEMPT_COUNT": .upstreamRequestAttemptCount,
    "UPSTREAM_TRANSPORT_FAILURE_REASON": .upstreamTransportFailureReason,
    "DOWNSTREAM_TRANSPORT_FAILURE_REASON": .downstreamTransportFailureReason,
    "DOWNSTREAM_REMOTE_ADDRESS": .downstreamRemoteAddress,
    "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT": .downstreamRemoteAddressWithoutPort,
    "DOWNSTREAM_REMOTE_PORT": .downstreamRemotePort,
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS": .downstreamDirectRemoteAddress,
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT": .downstreamDirectRemoteAddressWithoutPort,
    "DOWNSTREAM_DIRECT_REMOTE_PORT": .downstreamDirectRemotePort,
    "DOWNSTREAM_LOCAL_ADDRESS": .downstreamLocalAddress,
    "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT": .downstreamLocalAddressWithoutPort,
    "DOWNSTREAM_LOCAL_PORT": .downstreamLocalPort,
    "DOWNSTREAM_DIRECT_LOCAL_ADDRESS": .downstreamDirectLocalAddress,
    "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT": .downstreamDirectLocalAddressWithoutPort,
    "DOWNSTREAM_DIRECT_LOCAL_PORT": .downstreamDirectLocalPort,
    "CONNECTION_ID": .connectionID, "UPSTREAM_CONNECTION_ID": .upstreamConnectionID, "STREAM_ID": .streamID,
    "REQUESTED_SERVER_NAME": .requestedServerName, "HOSTNAME": .hostname, "LOCAL_REPLY_BODY": .localReplyBody,
    "FILTER_CHAIN_NAME": .filterChainName, "ACCESS_LOG_TYPE": .accessLogType,
    "DOWNSTREAM_TLS_VERSION": .tlsVersion, "DOWNSTREAM_TLS_CIPHER": .tlsCipher,
    "DOWNSTREAM_TLS_SESSION_ID": .tlsSessionID, "DOWNSTREAM_PEER_URI_SAN": .peerURISAN,
    "DOWNSTREAM_PEER_DNS_SAN": .peerDNSSAN, "DOWNSTREAM_PEER_SUBJECT": .peerSubject,
    "DOWNSTREAM_PEER_ISSUER": .peerIssuer, "DOWNSTREAM_PEER_SERIAL": .peerSerial,
    "DOWNSTREAM_PEER_FINGERPRINT_256": .peerFingerprint256, "DOWNSTREAM_LOCAL_URI_SAN": .localURISAN,
    "DOWNSTREAM_LOCAL_SUBJECT": .localSubject, "TRACE_ID": .traceID,
  ]
}
