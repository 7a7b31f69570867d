import Testing
import WeftBase
import WeftProxyAPI
import WeftTestKit
import WeftUpstream

@testable import WeftProxy

/// Every (state, event) pair of what becomes of a connection, a client's or one of ours.
@Suite("states of a connection")
struct ConnectionStateTests {
  static var upstreamEvents: [Transition<UpstreamLife>] {
    [
      Transition("connected", { $0.connected() }, [.open, .open, .draining, .abandoned, .timedOut, .closed, .lost]),
      Transition(
        "retired", { $0.retired() }, [.connecting, .draining, .draining, .abandoned, .timedOut, .closed, .lost]),
      Transition("closed", { $0.closed() }, [.abandoned, .closed, .closed, .abandoned, .timedOut, .closed, .lost]),
      Transition(
        "connectTimedOut", { $0.connectTimedOut() },
        [.timedOut, .open, .draining, .timedOut, .timedOut, .closed, .lost]),
      Transition("ended", { $0.ended() }, [.lost, .lost, .lost, .closed, .closed, .closed, .lost]),
    ]
  }

  @Test("a connection of ours opens once, closes once, and remembers who ended it")
  func upstream() {
    expectTransitions(of: UpstreamLife.allCases, Self.upstreamEvents)
    #expect(reachable(from: .connecting, Self.upstreamEvents) == Set(UpstreamLife.allCases))
    for state in UpstreamLife.allCases where state.isClosed {
      #expect(reachable(from: state, Self.upstreamEvents).allSatisfy { $0.isClosed }, "\(state) is the end")
    }
    for state in UpstreamLife.allCases {
      // One that is up is neither being opened nor over; what we closed is over.
      #expect(!state.isUp || (!state.isOpening && !state.isClosed))
      #expect(!state.isClosedByUs || state.isClosed)
      #expect(state.isUp || state.isOpening || state.isClosed)
      var over = state
      over.ended()
      #expect(over.isClosed && !over.isOpening, "no host counts it as being opened any more")
      #expect(over.isClosedByUs == state.isClosedByUs)
    }
  }

  static var downstreamEvents: [Transition<DownstreamLife>] {
    [
      Transition("noMoreRequests", { $0.noMoreRequests() }, [.closing, .closing, .closed, .closedIdle, .lost]),
      Transition("closed", { $0.closed() }, [.closed, .closed, .closed, .closedIdle, .lost]),
      Transition("closedIdle", { $0.closedIdle() }, [.closedIdle, .closedIdle, .closed, .closedIdle, .lost]),
      Transition("ended", { $0.ended() }, [.lost, .lost, .closed, .closedIdle, .lost]),
    ]
  }

  @Test("a client's connection closes once, and remembers who ended it")
  func downstream() {
    expectTransitions(of: DownstreamLife.allCases, Self.downstreamEvents)
    #expect(reachable(from: .open, Self.downstreamEvents) == Set(DownstreamLife.allCases))
    for state in DownstreamLife.allCases where state.isClosed {
      #expect(reachable(from: state, Self.downstreamEvents) == [state])
    }
    #expect(DownstreamLife.allCases.map(\.isClosed) == [false, false, true, true, true])
    #expect(DownstreamLife.allCases.map(\.isClosedByUs) == [false, false, true, true, false])
  }

  static var listenerEvents: [Transition<ListenerLife>] {
    [
      Transition("farewell", { $0.farewell() }, [.leaving, .leaving, .draining, .free]),
      Transition("drained", { $0.drained() }, [.draining, .draining, .draining, .free]),
      Transition("retired", { $0.retired() }, [.open, .leaving, .free, .free]),
    ]
  }

  @Test("a listener accepts until it is drained, and its place is free only after that")
  func listener() {
    expectTransitions(of: ListenerLife.allCases, Self.listenerEvents)
    #expect(reachable(from: .open, Self.listenerEvents) == Set(ListenerLife.allCases))
    #expect(ListenerLife.allCases.map(\.accepts) == [true, true, false, false])
    for state in ListenerLife.allCases {
      var (drained, retired) = (state, state)
      #expect(drained.drained() == state.accepts)
      #expect(retired.retired() == (state == .draining))
    }
  }

  static var downstreamKinds: [Transition<DownstreamKind>] {
    [
      Transition("http", { $0.http() }, [.http, .http, .http1, .http2, .codec, .tcp, .inside]),
      Transition("bytes", { $0.bytes() }, [.tcp, .http, .http1, .http2, .codec, .tcp, .inside]),
      Transition("http1", { $0.http1() }, [.unmatched, .http1, .http1, .http2, .codec, .tcp, .inside]),
      Transition("http2", { $0.http2() }, [.unmatched, .http2, .http1, .http2, .codec, .tcp, .inside]),
      Transition("codec", { $0.codec() }, [.unmatched, .codec, .http1, .http2, .codec, .tcp, .inside]),
      Transition("inside", { $0.inside() }, [.inside, .http, .http1, .http2, .codec, .tcp, .inside]),
    ]
  }

  static var upstreamKinds: [Transition<UpstreamKind>] {
    [
      Transition("http1", { $0.http1() }, [.http1, .http1, .http2, .codec, .tcp]),
      Transition("http2", { $0.http2() }, [.http2, .http1, .http2, .codec, .tcp]),
      Transition("codec", { $0.codec() }, [.codec, .http1, .http2, .codec, .tcp]),
      Transition("bytes", { $0.bytes() }, [.tcp, .http1, .http2, .codec, .tcp]),
    ]
  }

  @Test("what a connection speaks is found out once")
  func kinds() {
    expectTransitions(of: DownstreamKind.allCases, Self.downstreamKinds)
    #expect(reachable(from: .unmatched, Self.downstreamKinds) == Set(DownstreamKind.allCases))
    for kind in DownstreamKind.allCases where kind != .unmatched && kind != .http {
      #expect(reachable(from: kind, Self.downstreamKinds) == [kind])
    }
    #expect(DownstreamKind.allCases.map(\.hasMany) == [false, false, false, true, true, false, false])
    expectTransitions(of: UpstreamKind.allCases, Self.upstreamKinds)
    #expect(reachable(from: .undecided, Self.upstreamKinds) == Set(UpstreamKind.allCases))
    for kind in UpstreamKind.allCases where kind != .undecided {
      #expect(reachable(from: kind, Self.upstreamKinds) == [kind])
    }
  }

  @Test("filters hold a connection before its chain or with its input, and one hold at a time")
  func networkFilters() {
    expectTransitions(
      of: NetworkPhase.allCases,
      [
        Transition("heldBefore", { $0.heldBefore() }, [.heldBefore, .heldBefore, .heldInput]),
        Transition("heldInput", { $0.heldInput() }, [.heldInput, .heldBefore, .heldInput]),
        Transition("released", { $0.released() }, [.running, .running, .running]),
      ])
  }

  @Test("a farewell is said in its order and no part of it twice")
  func farewell() {
    expectTransitions(
      of: Farewell.allCases,
      [
        Transition("becomesDue", { $0.becomesDue() }, [.due, .due, .announced, .final]),
        Transition("announce", { $0.announce() }, [.announced, .announced, .announced, .final]),
        Transition("finish", { $0.finish() }, [.final, .final, .final, .final]),
      ])
    for state in Farewell.allCases {
      var (first, last) = (state, state)
      let announces = first.announce()
      let finishes = last.finish()
      #expect(announces == !state.isAnnounced && finishes == (state != .final))
      #expect(!state.isAnnounced || state.isDue)
    }
  }

  @Test("what ended is not paused, what is blocked says so once, a handshake ends once")
  func sides() {
    expectTransitions(
      of: ReadSide.allCases,
      [
        Transition("pause", { $0.pause() }, [.paused, .paused, .ended]),
        Transition("resume", { $0.resume() }, [.open, .open, .ended]),
        Transition("ended", { $0.ended() }, [.ended, .ended, .ended]),
      ])
    expectTransitions(
      of: WriteSide.allCases,
      [
        Transition("block", { $0.block() }, [.blocked, .blocked]),
        Transition("drained", { $0.drained() }, [.open, .open]),
      ])
    expectTransitions(
      of: FlushState.allCases,
      [
        Transition("queue", { $0.queue() }, [.queued, .queued]),
        Transition("flushed", { $0.flushed() }, [.none, .none]),
      ])
    expectTransitions(
      of: FirstBytes.allCases,
      [
        Transition("came", { $0.came() }, [.come, .come]),
        Transition("awaitedAnew", { $0.awaitedAnew() }, [.awaited, .awaited]),
      ])
    expectTransitions(
      of: PingState.allCases,
      [
        Transition("sent", { $0.sent() }, [.outstanding, .outstanding]),
        Transition("answered", { $0.answered() }, [.none, .none]),
      ])
    expectTransitions(
      of: TransportState.allCases,
      [
        Transition("started", { $0.started() }, [.handshaking, .handshaking, .secured]),
        Transition("secured", { $0.secured() }, [.plain, .secured, .secured]),
      ])
    for state in ReadSide.allCases {
      var (paused, resumed) = (state, state)
      let tells = (paused.pause(), resumed.resume())
      #expect(tells == (state == .open, state == .paused), "the loop hears of changes, not of repetitions")
    }
  }
}

@Suite("indices of slots")
struct SlotIndexTests {
  @Test("an index that knows its kind is as large as one that does not, and says the same")
  func layout() {
    #expect(MemoryLayout<StreamIndex>.size == MemoryLayout<SlabIndex>.size)
    #expect(MemoryLayout<SlotLinks<HostSlot>>.stride == 2 * MemoryLayout<SlabIndex>.stride)
    let plain = SlabIndex(index: 7, generation: 3)
    let i = StreamIndex(plain)
    #expect(StreamIndex(rawValue: i.rawValue) == i && i.slot == plain && i.index == 7)
    #expect(StreamIndex.none.isNone && !i.isNone && i != .none)
  }

  @Test("a table knows its slots by their index and no others")
  func table() throws {
    let table = SlotTable<HostSlot, UInt64>(maximum: 2)
    let inserted = [table.insert(1), table.insert(2), table.insert(3)]
    let first = try #require(inserted[0])
    let second = try #require(inserted[1])
    let (count, maximum) = (table.count, table.maximum)
    #expect(inserted[2] == nil && count == 2 && maximum == 2)
    table[second] += 40
    let (one, other, live) = (table[first], table[second], table.liveIndex(at: second.index))
    #expect(one == 1 && other == 42 && live == second)
    table.remove(first)
    let reused = table.insert(5)
    let again = try #require(reused)
    let (knowsOld, knowsNew) = (table.contains(first), table.contains(again))
    #expect(!knowsOld && knowsNew && again.index == first.index)
    var seen: [UInt64] = []
    table.forEach { seen.append(table[$0]) }
    #expect(seen == [5, 42])
  }
}
