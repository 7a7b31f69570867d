// What the HTTP/1 decoder tells its owner.

package import WeftBase

/// One step of an HTTP/1 message.
package enum H1Event {
  /// The scratch holds a complete, valid head. Its views point into the input.
  case head
  /// Content, chunk framing removed; a view of the input.
  case data(ByteView)
  /// The scratch holds the trailer fields (flag `.trailers`); `end` follows.
  case trailers
  /// The message is complete. The next call starts the next message. Not told after an informational response: the final head follows.
  case end
  /// Everything usable is consumed; call again with the rest of the input followed by more.
  case needMore
  /// The peer sent something that must not be repaired: answer with `error.status` (a server), close the connection.
  /// The decoder stays in this state.
  case invalid(H1Error)
}

/// Why an HTTP/1 message was refused.
package enum H1Error: UInt8, Error, BitwiseCopyable, Sendable, CaseIterable {
  case requestLine, method, target, fragmentInTarget, http09, version, http10NotAllowed, requestLineTooLong
  case statusLine, informationalFlood, unsolicitedUpgrade, unsolicitedResponse
  case fieldName, emptyFieldName, spaceBeforeColon, obsoleteFold, fieldValue, bareCRorLF, leadingBlankLines
  case headerTooLarge, tooManyHeaders
  case missingHost, repeatedHost, hostValue, hostMismatch
  case contentLength, repeatedContentLength, contentLengthWithTransferEncoding, contentWithConnect
  case transferEncoding, unknownTransferCoding, transferEncodingInHTTP10
  case expectation
  case chunkSize, chunkExtension, chunkExtensionTooLarge, chunkEnd
  case trailerTooLarge, forbiddenTrailer
  /// The peer closed in the middle of a message.
  case truncated

  /// Status a server answers with; a proxy answers 502 when the *response* was invalid.
  package var status: UInt16 {
    switch self {
    case .requestLineTooLong: 414
    case .headerTooLarge, .tooManyHeaders, .trailerTooLarge: 431
    case .version: 505
    case .unknownTransferCoding: 501
    case .http10NotAllowed: 426
    case .expectation: 417
    case .chunkExtensionTooLarge: 413
    default: 400
    }
  }

  /// Detail for logs and counters, in the vocabulary Envoy's users know.
  package var detail: StaticString {
    switch self {
    case .requestLine: "http1.request_line"
    case .method: "http1.invalid_method"
    case .target: "http1.invalid_url"
    case .fragmentInTarget: "http1.fragment_in_url"
    case .http09: "http1.http09"
    case .version: "http1.unsupported_version"
    case .http10NotAllowed: "low_version"
    case .requestLineTooLong: "http1.request_line_too_long"
    case .statusLine: "http1.status_line"
    case .informationalFlood: "http1.too_many_informational"
    case .unsolicitedUpgrade: "http1.unsolicited_upgrade"
    case .unsolicitedResponse: "http1.unsolicited_response"
    case .fieldName: "http1.invalid_header_name"
    case .emptyFieldName: "http1.empty_header_name"
    case .spaceBeforeColon: "http1.space_before_colon"
    case .obsoleteFold: "http1.obs_fold"
    case .fieldValue: "http1.invalid_characters"
    case .bareCRorLF: "http1.bare_cr_or_lf"
    case .leadingBlankLines: "http1.leading_blank_lines"
    case .headerTooLarge: "http1.headers_too_large"
    case .tooManyHeaders: "http1.too_many_headers"
    case .missingHost: "missing_host_header"
    case .repeatedHost: "http1.repeated_host"
    case .hostValue: "http1.invalid_host"
    case .hostMismatch: "http1.host_mismatch"
    case .contentLength: "http1.invalid_content_length"
    case .repeatedContentLength: "http1.repeated_content_length"
    case .contentLengthWithTransferEncoding: "http1.content_length_and_chunked_not_allowed"
    case .contentWithConnect: "http1.connect_with_content"
    case .transferEncoding: "http1.invalid_transfer_encoding"
    case .unknownTransferCoding: "http1.unknown_transfer_encoding"
    case .transferEncodingInHTTP10: "http1.transfer_encoding_in_http10"
    case .expectation: "http1.expectation_failed"
    case .chunkSize: "http1.invalid_chunk_size"
    case .chunkExtension: "http1.invalid_chunk_extension"
    case .chunkExtensionTooLarge: "http1.chunk_extension_too_large"
    case .chunkEnd: "http1.invalid_chunk_end"
    case .trailerTooLarge: "http1.trailers_too_large"
    case .forbiddenTrailer: "http1.forbidden_trailer"
    case .truncated: "http1.truncated"
    }
  }
}
