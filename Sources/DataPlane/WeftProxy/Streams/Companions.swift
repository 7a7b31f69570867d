// Companions: streams of our own that accompany a client's stream, which owns them as long as it feeds them.
//
// *Who ends one*: itself, or the end of its owner. A copy of a request leaves its owner when the request is whole, and lives on by itself.

import WeftBase
import WeftProxyAPI
import WeftRuntime
import WeftUpstream

extension WorkerEngine {
  /// Puts `c` first among the companions of `owner`.
  func join(_ c: StreamIndex, _ owner: StreamIndex) {
    let first = streams[owner].companions
    streams[c].siblings.next = first
    if !first.isNone { streams[first].siblings.previous = c }
    streams[owner].companions = c
  }

  /// Takes `c` from the stream it accompanies, if it still does.
  func part(_ c: StreamIndex) {
    let slot = downstreams.ref(streams[c].downstream)
    guard slot[].purpose != .ask, !slot[].token.stream.isNone else { return }
    let links = streams[c].siblings
    if links.previous.isNone {
      streams[slot[].token.stream].companions = links.next
    } else {
      streams[links.previous].siblings.next = links.next
    }
    if !links.next.isNone { streams[links.next].siblings.previous = links.previous }
    streams[c].siblings = SlotLinks<StreamSlot>()
    slot[].token = .none
  }

  /// Ends whatever accompanies `s`.
  @inline(never)
  func endCompanions(_ s: StreamIndex) {
    while true {
      let c = streams[s].companions
      if c.isNone { return }
      finish(c)
    }
  }
}
