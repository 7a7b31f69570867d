package import WeftBase

/// One piece of a compiled format.
package enum FormatOperator: BitwiseCopyable, @unchecked Sendable {  // views of constant memory
  case literal(ByteView)
  case field(LogField)
  case requestHeader(HeaderOperand)
  case responseHeader(HeaderOperand)
  case responseTrailer(HeaderOperand)
  /// `%PATH(WQ|NQ[:ORIG|PATH|ORIG_OR_PATH])%`.
  case path(withQuery: Bool, original: OriginalPath, maxLength: Int32)
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

extension FormatOperator {
  /// Whether it tells where connections to endpoints come from.
  var tellsUpstreamLocal: Bool {
    guard case .field(let field) = self else { return false }
    return switch field {
    case .upstreamLocalAddress, .upstreamLocalAddressWithoutPort, .upstreamLocalPort: true
    default: false
    }
  }

  /// Where connections to endpoints come from is found out only for logs that tell it.
  func hasValue(in place: FormatProgram.Place) -> Bool {
    if case .unavailable = self { return false }
    return place == .log || !tellsUpstreamLocal
  }
}

/// The moments a duration may run between.
package enum LogMoment: UInt8, BitwiseCopyable, Sendable {
  case start  // DS_RX_BEG
  case downstreamRxEnd  // DS_RX_END
  case upstreamTxBegin  // US_TX_BEG
  case upstreamRxBegin  // US_RX_BEG
  case upstreamRxEnd  // US_RX_END
  case downstreamTxBegin  // DS_TX_BEG
  case downstreamTxEnd  // DS_TX_END
  case end

  package static let named: [String: LogMoment] = [
    "DS_RX_BEG": .start, "DS_RX_END": .downstreamRxEnd, "US_TX_BEG": .upstreamTxBegin, "US_RX_BEG": .upstreamRxBegin,
    "US_RX_END": .upstreamRxEnd, "DS_TX_BEG": .downstreamTxBegin, "DS_TX_END": .downstreamTxEnd,
  ]

  /// Those that nobody here takes down.
  static let untold: Set<String> = ["US_CX_BEG", "US_CX_END", "US_TX_END"]

  package func nanoseconds(in record: AccessLogRecord) -> Int64 {
    switch self {
    case .start: 0
    case .downstreamRxEnd: record.lastDownstreamRx
    case .upstreamTxBegin: record.firstUpstreamTx
    case .upstreamRxBegin: record.firstUpstreamRx
    case .upstreamRxEnd: record.lastUpstreamRx
    case .downstreamTxBegin: record.firstDownstreamTx
    case .downstreamTxEnd: record.lastDownstreamTx
    case .end: record.end
    }
  }
}

/// Operators without an argument, by name in `LogField.named`.
package enum LogField: UInt8, BitwiseCopyable, CaseIterable, Sendable {
  case protocolName, upstreamProtocol, responseCode, responseCodeDetails, responseCodeDetailsAsTheyAre
  case bytesReceived, bytesSent, requestHeadersBytes, responseHeadersBytes, responseTrailersBytes, duration
  case requestDuration, responseDuration, responseTxDuration, roundtripDuration, responseFlags, responseFlagsLong
  case routeName, virtualHostName, upstreamHost, upstreamHostName, upstreamHostNameWithoutPort, upstreamCluster
  case upstreamRemoteAddress, upstreamRemoteAddressWithoutPort, upstreamRemotePort, upstreamRequestAttemptCount
  case upstreamLocalAddress, upstreamLocalAddressWithoutPort, upstreamLocalPort
  case downstreamRemoteAddress, downstreamRemoteAddressWithoutPort, downstreamRemotePort
  case downstreamDirectRemoteAddress, downstreamDirectRemoteAddressWithoutPort, downstreamDirectRemotePort
  case downstreamLocalAddress, downstreamLocalAddressWithoutPort, downstreamLocalPort, downstreamDirectLocalAddress
  case downstreamDirectLocalAddressWithoutPort, downstreamDirectLocalPort, connectionID, streamID, hostname
  case filterChainName, accessLogType

  package static let named: [String: LogField] = [
    "PROTOCOL": .protocolName, "UPSTREAM_PROTOCOL": .upstreamProtocol, "RESPONSE_CODE": .responseCode,
    "RESPONSE_CODE_DETAILS": .responseCodeDetails, "BYTES_RECEIVED": .bytesReceived, "BYTES_SENT": .bytesSent,
    "REQUEST_HEADERS_BYTES": .requestHeadersBytes, "RESPONSE_HEADERS_BYTES": .responseHeadersBytes,
    "RESPONSE_TRAILERS_BYTES": .responseTrailersBytes, "UPSTREAM_LOCAL_ADDRESS": .upstreamLocalAddress,
    "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT": .upstreamLocalAddressWithoutPort, "UPSTREAM_LOCAL_PORT": .upstreamLocalPort,
    "DURATION": .duration, "REQUEST_DURATION": .requestDuration, "RESPONSE_DURATION": .responseDuration,
    "RESPONSE_TX_DURATION": .responseTxDuration, "ROUNDTRIP_DURATION": .roundtripDuration,
    "RESPONSE_FLAGS": .responseFlags, "RESPONSE_FLAGS_LONG": .responseFlagsLong, "ROUTE_NAME": .routeName,
    "VIRTUAL_HOST_NAME": .virtualHostName, "UPSTREAM_HOST": .upstreamHost, "UPSTREAM_HOST_NAME": .upstreamHostName,
    "UPSTREAM_HOST_NAME_WITHOUT_PORT": .upstreamHostNameWithoutPort, "UPSTREAM_CLUSTER": .upstreamCluster,
    "UPSTREAM_CLUSTER_RAW": .upstreamCluster, "UPSTREAM_REMOTE_ADDRESS": .upstreamRemoteAddress,
    "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT": .upstreamRemoteAddressWithoutPort,
    "UPSTREAM_REMOTE_PORT": .upstreamRemotePort, "UPSTREAM_REQUEST_ATTEMPT_COUNT": .upstreamRequestAttemptCount,
    "DOWNSTREAM_REMOTE_ADDRESS": .downstreamRemoteAddress,
    "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT": .downstreamRemoteAddressWithoutPort,
    "DOWNSTREAM_REMOTE_PORT": .downstreamRemotePort,
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS": .downstreamDirectRemoteAddress,
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT": .downstreamDirectRemoteAddressWithoutPort,
    "DOWNSTREAM_DIRECT_REMOTE_PORT": .downstreamDirectRemotePort, "DOWNSTREAM_LOCAL_ADDRESS": .downstreamLocalAddress,
    "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT": .downstreamLocalAddressWithoutPort,
    "DOWNSTREAM_LOCAL_PORT": .downstreamLocalPort, "DOWNSTREAM_DIRECT_LOCAL_ADDRESS": .downstreamDirectLocalAddress,
    "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT": .downstreamDirectLocalAddressWithoutPort,
    "DOWNSTREAM_DIRECT_LOCAL_PORT": .downstreamDirectLocalPort, "CONNECTION_ID": .connectionID,
    "STREAM_ID": .streamID, "HOSTNAME": .hostname, "FILTER_CHAIN_NAME": .filterChainName,
    "ACCESS_LOG_TYPE": .accessLogType,
  ]
}
