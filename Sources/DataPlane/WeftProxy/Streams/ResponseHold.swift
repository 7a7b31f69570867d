// ResponseHold: an upstream's answer that waits for a filter, and goes on.
//
// The head is kept, content and trailers gather behind it, unseen by filters, under the usual limits: the upstream is not read meanwhile. *Who ends it*:
// the filter's answer, whatever answers or ends the stream otherwise (`letGo` drops what was kept), the upstream's failure while the answer is not whole.

import WeftBase
import WeftHTTP
import WeftProxyAPI
import WeftTelemetry

extension WorkerEngine {
  /// Keeps the response until what its filter wished for has come. May end the stream.
  func holdResponse(_ s: StreamIndex, _ head: MessageHead) {
    let stream = streams.ref(s)
    let old = stream[].responseHead
    stream[].responseHead = StoredHead(head, pool: pool)
    // `head` may be a view of it, when it was held before.
    old?.release(to: pool)
    stream[].frame.hold &+= 1
    stream[].frame.phase.responseHeld()
    let token = HoldToken(stream: s, hold: stream[].frame.hold)
    let wish = desk[].wish
    desk[].wish = .none
    switch wish {
    case .wait(let nanoseconds):
      stream[].frame.until = now.advanced(nanoseconds: Int64(clamping: nanoseconds))
      armStream(s)
    case .ask(let cluster, let timeout): ask(token, cluster, timeout)
    case .readBody, .none: resume(token, .failed)
    }
  }

  /// What a held response waited for has come. May end the stream.
  func responseGoesOn(_ s: StreamIndex, _ answer: HoldAnswer) {
    let stream = streams.ref(s)
    stream[].frame.phase.released()
    stream[].frame.until = .distantFuture
    guard let chain = stream[].filters, let kept = stream[].responseHead else { return }
    // What it is a view of is given back when all is done: whoever keeps the head again keeps a copy.
    stream[].responseHead = nil
    defer { kept.release(to: pool) }
    let head = responseHead
    kept.view(in: head)
    let end = stream[].response.hasArrived && stream[].responseBody.unsent == 0
    let entry = Int(stream[].frame.heldAt)
    let position = Int(chain[].responseHead[entry].position)
    if let code = chain[].responseHolding[position], let config = unsafe stream[].filterConfigs[position].config {
      layDesk(s, stream)
      let verdict = unsafe code._responseResumed(site(s, chain, position, config), answer, head)
      takeNotes(stream)
      switch verdict {
      case .go, .reroute: break
      case .hold: return holdResponse(s, head)
      case .reply: return replyOfFilter(s)
      case .reset: return resetByFilter(s)
      }
    }
    guard filterResponse(s, stream, head, chain, end: end, from: entry + 1) else { return }
    guard let manager = downstreams[stream[].downstream].manager else { return }
    finishHead(s, head, manager)
    passResponseHead(s, head, end: end && stream[].responseTrailers == nil)
    guard streams.contains(s), !stream[].response.isSent else { return }
    // What gathered meanwhile is seen by the filters now, and goes.
    guard filterHeldAnswer(s, chain) else { return }
    pumpResponse(s)
  }

  /// Content and trailers that came while the response was held. False when the stream has ended.
  private func filterHeldAnswer(_ s: StreamIndex, _ chain: ConfigRef<HTTPFilterChain>) -> Bool {
    let stream = streams.ref(s)
    let ended = stream[].response.hasArrived && stream[].responseTrailers == nil
    let waiting = stream[].responseBody.unsentView
    if !waiting.isEmpty || ended { guard filterContent(s, response: waiting, end: ended, chain) else { return false } }
    guard let trailers = stream[].responseTrailers, !chain[].responseTrailers.isEmpty else { return true }
    trailers.view(in: trailerHead)
    filterTrailers(s, response: trailerHead, chain)
    stream[].responseTrailers = StoredHead(trailerHead, pool: pool)
    trailers.release(to: pool)
    return true
  }

  /// Another answer is given in the place of one that was held: what was kept of that goes.
  func dropHeldResponse(_ s: StreamIndex) {
    let stream = streams.ref(s)
    stream[].responseHead?.release(to: pool)
    stream[].responseHead = nil
    stream[].responseTrailers?.release(to: pool)
    stream[].responseTrailers = nil
    stream[].responseBody.release(to: pool)
  }
}
