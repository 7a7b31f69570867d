// UpstreamFilters: filters between the router and an endpoint, for each attempt.
//
// A cluster's own (`http_filters` of its protocol options), else those of the request's router (`upstream_http_filters`). They see the head that an attempt
// sends when its host is chosen and its connection is there, and the answer before the router does: it decides about retries by what they leave of it. What
// they change of a request is gone with the attempt. They have no state (`FilterChainBuilder.fitsUpstreams`), so a change of configuration in the middle of
// an attempt shows in the filters of its answer and harms nothing.

import WeftBase
import WeftHTTP
import WeftProxyAPI
import WeftTables
import WeftTelemetry
import WeftUpstream

extension WorkerEngine {
  private func upstreamChain(_ s: StreamIndex, _ stream: SlotRef<Stream>) -> ConfigRef<HTTPFilterChain>? {
    if let own = clusters[stream[].cluster].config[].filters { return own }
    return downstreams[streams[owner(of: s)].downstream].manager?[].upstreamFilters
  }

  /// Calls the filters of one event, until one answers or resets. A verdict to hold counts as *go*: nothing would resume it.
  @inline(__always)
  private func walk<Code>(
    _ list: EventList<Code>, _ chain: ConfigRef<HTTPFilterChain>, _ s: StreamIndex, _ stream: SlotRef<Stream>,
    _ call: (Code, FilterSite) -> FilterVerdict
  ) -> FilterVerdict {
    layDesk(s, stream)
    // The head that is being sent may be the desk's own (`ask`, copies): it is not emptied for a filter.
    desk[].marks = .callHead
    defer {
      desk[].wish = .none
      if desk[].marks.contains(.noted) { stream[].responseFlags.formUnion(desk[].flags) }
    }
    let configs = chain[].configs
    for i in 0..<list.count {
      let entry = list[i]
      guard let config = unsafe configs[Int(entry.position)].config else { continue }
      // The place of a state without size is never touched.
      let site = unsafe FilterSite(UnsafeMutableRawPointer(desk.address), config, desk.address)
      let verdict = call(entry.code, site)
      if verdict == .reply || verdict == .reset { return verdict }
    }
    return .go
  }

  /// The head that an attempt is about to send. What is not *go* is told by `stopAttempt`.
  @inline(never)
  func filterAttempt(_ s: StreamIndex, _ head: MessageHead) -> FilterVerdict {
    let stream = streams.ref(s)
    guard let chain = upstreamChain(s, stream) else { return .go }
    let end = !head.hasContent && head.framing != .tunnel
    return walk(chain[].requestHead, chain, s, stream) { code, at in code._requestHead(at, head, end) }
  }

  /// The final head of an attempt's answer.
  @inline(never)
  func filterAnswer(_ s: StreamIndex, _ head: MessageHead, end: Bool) -> FilterVerdict {
    let stream = streams.ref(s)
    guard let chain = upstreamChain(s, stream) else { return .go }
    return walk(chain[].responseHead, chain, s, stream) { code, at in code._responseHead(at, head, end) }
  }

  @inline(never)
  func filterAttempt(_ s: StreamIndex, trailers: MessageHead) {
    let stream = streams.ref(s)
    guard let chain = upstreamChain(s, stream) else { return }
    _ = walk(chain[].requestTrailers, chain, s, stream) { code, at in
      code._requestTrailers(at, trailers)
      return .go
    }
  }

  @inline(never)
  func filterAnswer(_ s: StreamIndex, trailers: MessageHead) {
    let stream = streams.ref(s)
    guard let chain = upstreamChain(s, stream) else { return }
    _ = walk(chain[].responseTrailers, chain, s, stream) { code, at in
      code._responseTrailers(at, trailers)
      return .go
    }
  }

  /// A filter answers in the endpoint's place, or resets. It is the last word: no other attempt is made. Ends the stream.
  func stopAttempt(_ a: StreamIndex, _ verdict: FilterVerdict) {
    let s = owner(of: a)
    if verdict == .reset { resetByFilter(s) } else { replyOfFilter(s) }
  }
}
