// FilterData: content of requests and responses as filters see it.
//
// Filters see content after heads: what comes while a filter holds the stream is shown when all have seen the head. A chain none of whose filters takes
// data costs a look per piece.

import WeftBase
import WeftHTTP
import WeftProxyAPI
import WeftTelemetry

extension WorkerEngine {
  /// Shows the filters content of the request. False when the stream has ended.
  @inline(__always)
  func filterContent(_ s: StreamIndex, request data: ByteView, end: Bool) -> Bool {
    guard let chain = streams[s].filters, !chain[].requestData.isEmpty else { return true }
    return showContent(s, request: data, end: end, chain)
  }

  @inline(never)
  private func showContent(
    _ s: StreamIndex, request data: ByteView, end: Bool, _ chain: ConfigRef<HTTPFilterChain>
  ) -> Bool {
    let stream = streams.ref(s)
    if stream[].frame.requestDataEnded || stream[].tunnel.isOpen { return true }
    if end { stream[].frame.requestDataEnded = true }
    if data.isEmpty, !end { return true }
    layDesk(s, stream)
    let (verdict, _) = walk(chain[].requestData, 0, stream) { code, at in code._requestData(at, data, end) }
    takeNotes(stream)
    switch verdict {
    case .go, .hold, .reroute:
      desk[].wish = .none
      return true
    case .reply where !stream[].flags.contains(.localReply) && !stream[].response.hasStarted:
      replyOfFilter(s)
      return false
    case .reply: return true
    case .reset:
      resetByFilter(s)
      return false
    }
  }

  /// Content that came while a filter held the request's head. False when the stream has ended.
  func filterWaitingContent(_ s: StreamIndex, _ chain: ConfigRef<HTTPFilterChain>) -> Bool {
    let stream = streams.ref(s)
    let end = stream[].request.hasArrived && stream[].requestTrailers == nil
    if stream[].requestBody.unsent == 0 && stream[].bytesReceived == 0 { return true }
    return showContent(s, request: stream[].requestBody.unsentView, end: end, chain)
  }

  /// Shows the filters content of the response. False when the stream has ended.
  @inline(__always)
  func filterContent(_ s: StreamIndex, response data: ByteView, end: Bool) -> Bool {
    guard let chain = streams[s].filters, !chain[].responseData.isEmpty else { return true }
    return filterContent(s, response: data, end: end, chain)
  }

  @inline(never)
  func filterContent(
    _ s: StreamIndex, response data: ByteView, end: Bool, _ chain: ConfigRef<HTTPFilterChain>
  ) -> Bool {
    let stream = streams.ref(s)
    if chain[].responseData.isEmpty || stream[].frame.responseDataEnded || stream[].tunnel.isOpen {
      return true
    }
    if end { stream[].frame.responseDataEnded = true }
    if data.isEmpty, !end { return true }
    layDesk(s, stream)
    let (verdict, _) = walk(chain[].responseData, 0, stream) { code, at in code._responseData(at, data, end) }
    takeNotes(stream)
    desk[].wish = .none
    guard verdict == .reset else { return true }
    resetByFilter(s)
    return false
  }
}
