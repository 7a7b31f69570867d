// StreamLists: which streams a connection carries.
//
// An HTTP/2 codec forgets a stream as soon as both sides have ended it on the wire. The stream may live on: its other side has not taken all
// of it yet. So a connection keeps its streams in a list of its own: from here, not from the codec, those are told that hear of its end.

import WeftBase
import WeftProxyAPI
import WeftUpstream

extension SlotTable where Kind == StreamSlot, Element == Stream {
  /// Puts `i` at the end of a client's streams.
  func pushLastSibling(_ i: StreamIndex, _ list: inout SlotList<StreamSlot>) {
    self[i].siblings.next = .none
    self[i].siblings.previous = list.last
    if list.last.isNone { list.first = i } else { self[list.last].siblings.next = i }
    list.last = i
    list.count &+= 1
  }

  /// Takes `i` out of its client's streams.
  func unlinkSibling(_ i: StreamIndex, _ list: inout SlotList<StreamSlot>) {
    let own = self[i].siblings
    if own.previous.isNone { list.first = own.next } else { self[own.previous].siblings.next = own.next }
    if own.next.isNone { list.last = own.previous } else { self[own.next].siblings.previous = own.previous }
    self[i].siblings = SlotLinks()
    list.count &-= 1
  }
}

extension WorkerEngine {
  /// Calls `body` for each stream of an HTTP/2 client; `body` may end any of them.
  func forEachStream(ofDownstream d: DownstreamIndex, _ body: (StreamIndex) -> Void) {
    var list = takeStreamList()
    var s = downstreams[d].streams.first
    while !s.isNone {
      list.append(s)
      s = streams[s].siblings.next
    }
    for s in list where streams.contains(s) { body(s) }
    giveStreamList(list)
  }

  /// Calls `body` for each stream of an HTTP/2 connection to an endpoint; `body` may end any of them, or take them off the connection.
  func forEachStream(ofUpstream u: UpstreamIndex, _ body: (StreamIndex) -> Void) {
    var list = takeStreamList()
    var s = upstreams[u].streams.first
    while !s.isNone {
      list.append(s)
      s = streams[s].links.next
    }
    for s in list where streams.contains(s) && streams[s].upstream == u { body(s) }
    giveStreamList(list)
  }

  /// A list that keeps its memory from one use to the next.
  private func takeStreamList() -> [StreamIndex] {
    let list = turn[].spareStreams
    turn[].spareStreams = []
    return list
  }

  private func giveStreamList(_ list: consuming [StreamIndex]) {
    list.removeAll(keepingCapacity: true)
    turn[].spareStreams = list
  }
}
