// ResetWords: how the failure of an attempt is told, to the client and in the log. The words are Envoy's.

import WeftBase
import WeftTelemetry
import WeftUpstream

struct ResetWords {
  var flag: ResponseFlag
  /// What the client reads; and after several attempts.
  var body: StaticString
  var bodyAfterRetries: StaticString
  /// Response code details, before the response began and in the middle of it.
  var details: StaticString
  var detailsMidway: StaticString = "upstream_reset_after_response_started{local_reset}"

  func body(after attempts: UInt16) -> ByteView { ByteView(attempts > 1 ? bodyAfterRetries : body) }
}

extension UpstreamResetReason {
  /// What the client gets when nothing had been sent yet.
  var status: UInt16 {
    switch self {
    case .perTryTimeout, .perTryIdleTimeout: 504
    case .protocolError: 502
    default: 503
    }
  }

  private static func localFailure(_ details: StaticString) -> ResetWords {
    ResetWords(
      flag: .upstreamConnectionFailure,
      body: "upstream connect error or disconnect/reset before headers. reset reason: local connection failure",
      bodyAfterRetries: """
        upstream connect error or disconnect/reset before headers. \
        retried and the latest reset reason: local connection failure
        """,
      details: details)
  }

  var words: ResetWords {
    switch self {
    case .connectFailure:
      ResetWords(
        flag: .upstreamConnectionFailure,
        body: "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure",
        bodyAfterRetries: """
          upstream connect error or disconnect/reset before headers. \
          retried and the latest reset reason: remote connection failure
          """,
        details: "upstream_reset_before_response_started{remote_connection_failure}")
    case .bindFailure:
      Self.localFailure("upstream_reset_before_response_started{local_connection_failure|failed_to_bind}")
    case .bindNotAllowed:
      Self.localFailure(
        "upstream_reset_before_response_started{local_connection_failure|failed_to_bind:_Operation_not_permitted}")
    case .connectTimeout:
      ResetWords(
        flag: .upstreamConnectionFailure,
        body: "upstream connect error or disconnect/reset before headers. reset reason: connection timeout",
        bodyAfterRetries: """
          upstream connect error or disconnect/reset before headers. \
          retried and the latest reset reason: connection timeout
          """,
        details: "upstream_reset_before_response_started{connection_timeout}")
    case .connectionTermination:
      ResetWords(
        flag: .upstreamConnectionTermination,
        body: "upstream connect error or disconnect/reset before headers. reset reason: connection termination",
        bodyAfterRetries: """
          upstream connect error or disconnect/reset before headers. \
          retried and the latest reset reason: connection termination
          """,
        details: "upstream_reset_before_response_started{connection_termination}",
        detailsMidway: "upstream_reset_after_response_started{connection_termination}")
    case .remoteReset:
      ResetWords(
        flag: .upstreamRemoteReset,
        body: "upstream connect error or disconnect/reset before headers. reset reason: remote reset",
        bodyAfterRetries: """
          upstream connect error or disconnect/reset before headers. \
          retried and the latest reset reason: remote reset
          """,
        details: "upstream_reset_before_response_started{remote_reset}",
        detailsMidway: "upstream_reset_after_response_started{remote_reset}")
    case .remoteRefusedStream:
      ResetWords(
        flag: .upstreamRemoteReset,
        body: "upstream connect error or disconnect/reset before headers. reset reason: remote refused stream reset",
        bodyAfterRetries: """
          upstream connect error or disconnect/reset before headers. \
          retried and the latest reset reason: remote refused stream reset
          """,
        details: "upstream_reset_before_response_started{remote_refused_stream_reset}",
        detailsMidway: "upstream_reset_after_response_started{remote_refused_stream_reset}")
    case .localReset:
      ResetWords(
        flag: .localReset,
        body: "upstream connect error or disconnect/reset before headers. reset reason: local reset",
        bodyAfterRetries: """
          upstream connect error or disconnect/reset before headers. \
          retried and the latest reset reason: local reset
          """,
        details: "upstream_reset_before_response_started{local_reset}")
    case .overflow:
      ResetWords(
        flag: .upstreamOverflow,
        body: "upstream connect error or disconnect/reset before headers. reset reason: overflow",
        bodyAfterRetries: """
          upstream connect error or disconnect/reset before headers. \
          retried and the latest reset reason: overflow
          """,
        details: "upstream_reset_before_response_started{overflow}")
    case .perTryTimeout:
      ResetWords(
        flag: .upstreamRequestTimeout, body: "upstream request timeout", bodyAfterRetries: "upstream request timeout",
        details: "upstream_per_try_timeout")
    case .perTryIdleTimeout:
      ResetWords(
        flag: .upstreamRequestTimeout, body: "upstream request timeout", bodyAfterRetries: "upstream request timeout",
        details: "upstream_per_try_idle_timeout", detailsMidway: "upstream_per_try_idle_timeout")
    case .protocolError:
      ResetWords(
        flag: .upstreamProtocolError,
        body: "upstream connect error or disconnect/reset before headers. reset reason: protocol error",
        bodyAfterRetries: """
          upstream connect error or disconnect/reset before headers. \
          retried and the latest reset reason: protocol error
          """,
        details: "upstream_reset_before_response_started{protocol_error}",
        detailsMidway: "upstream_reset_after_response_started{protocol_error}")
    }
  }
}
