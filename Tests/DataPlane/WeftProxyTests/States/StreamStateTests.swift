import Testing
import WeftProxyAPI
import WeftTestKit

@testable import WeftProxy

/// Every (state, event) pair of what becomes of a stream. A tidy test sees that no transition is left out.
@Suite("states of a stream")
struct StreamStateTests {
  typealias Message = MessageState

  static let messages = Message.Arrival.allCases.flatMap { arrival in
    Message.Passage.allCases.map { Message(arrival, $0) }
  }

  /// A table of messages from one of each way: the other way is not touched.
  static func arrival(_ name: String, _ apply: @escaping (inout Message) -> Void, _ results: [Message.Arrival])
    -> Transition<Message>
  {
    Transition(name, apply, results.flatMap { arrival in Message.Passage.allCases.map { Message(arrival, $0) } })
  }

  static func passage(_ name: String, _ apply: @escaping (inout Message) -> Void, _ results: [Message.Passage])
    -> Transition<Message>
  {
    Transition(name, apply, Message.Arrival.allCases.flatMap { arrival in results.map { Message(arrival, $0) } })
  }

  static var messageEvents: [Transition<Message>] {
    [
      arrival("headArrived", { $0.headArrived() }, [.begun, .begun, .whole]),
      arrival("endArrived", { $0.endArrived() }, [.whole, .whole, .whole]),
      arrival("awaitedAnew", { $0.awaitedAnew() }, [.awaited, .awaited, .awaited]),
      passage("headPassed", { $0.headPassed() }, [.begun, .begun, .sent]),
      passage("endPassed", { $0.endPassed() }, [.sent, .sent, .sent]),
      passage("takenBack", { $0.takenBack() }, [.waiting, .waiting, .waiting]),
      Transition(
        "reopened", { $0.reopened() },
        [
          Message(.awaited, .waiting), Message(.awaited, .begun), Message(.awaited, .begun),
          Message(.begun, .waiting), Message(.begun, .begun), Message(.begun, .begun),
          Message(.begun, .waiting), Message(.begun, .begun), Message(.begun, .begun),
        ]),
    ]
  }

  @Test("a message arrives and is passed on in its order, each way for itself")
  func message() { expectTransitions(of: Self.messages, Self.messageEvents) }

  @Test("what a message answers follows from its state")
  func questions() {
    for state in Self.messages {
      #expect(state.isAwaited == (state.arrival == .awaited))
      #expect(state.hasArrived == (state.arrival == .whole))
      #expect(state.hasStarted == (state.passage != .waiting))
      #expect(!state.isSent || state.hasStarted, "what was sent was begun")
    }
    var fresh = Message(.awaited)
    let first = fresh.headArrived()
    let second = fresh.headArrived()
    #expect(first && !second)
  }

  @Test("several attempts are a race until there is an answer, and an attempt of another stream is never its own race")
  func race() {
    expectTransitions(
      of: Race.allCases,
      [
        Transition("began", { $0.began() }, [.owner, .owner, .backup]),
        Transition("joined", { $0.joined() }, [.backup, .owner, .backup]),
        Transition("ended", { $0.ended() }, [.none, .none, .backup]),
      ])
    expectTransitions(
      of: AttemptTime.allCases,
      [
        Transition("began", { $0.began() }, [.running, .running, .running]),
        Transition("ranOut", { $0.ranOut() }, [.over, .over, .replaced]),
        Transition("succeeded", { $0.succeeded() }, [.replaced, .replaced, .replaced]),
      ])
  }

  @Test("a tunnel is granted only when it was asked for, and keeps its kind")
  func tunnel() {
    expectTransitions(
      of: TunnelState.allCases,
      [
        Transition(
          "connectAsked", { $0.connectAsked() },
          [.connectAsked, .connectAsked, .upgradeAsked, .connectOpen, .upgradeOpen]),
        Transition(
          "upgradeAsked", { $0.upgradeAsked() },
          [.upgradeAsked, .connectAsked, .upgradeAsked, .connectOpen, .upgradeOpen]),
        Transition("granted", { $0.granted() }, [.none, .connectOpen, .upgradeOpen, .connectOpen, .upgradeOpen]),
        Transition("refused", { $0.refused() }, [.none, .connectAsked, .upgradeAsked, .connectAsked, .upgradeAsked]),
      ])
    #expect(TunnelState.allCases.map(\.isAsked) == [false, true, true, true, true])
    #expect(TunnelState.allCases.map(\.isPending) == [false, true, true, false, false])
    #expect(TunnelState.allCases.map(\.isOpen) == [false, false, false, true, true])
    #expect(TunnelState.allCases.map(\.isConnect) == [false, true, false, true, false])
    #expect(TunnelState.allCases.map(\.isUpgrade) == [false, false, true, false, true])
  }

  static var placeEvents: [Transition<StreamPlace>] {
    [
      Transition("counted", { $0.counted() }, [.counted, .counted, .waiting, .running]),
      Transition("queued", { $0.queued() }, [.nowhere, .waiting, .waiting, .running]),
      Transition("leftQueue", { $0.leftQueue() }, [.nowhere, .counted, .counted, .running]),
      Transition("connected", { $0.connected() }, [.nowhere, .running, .waiting, .running]),
      Transition("disconnected", { $0.disconnected() }, [.nowhere, .counted, .waiting, .counted]),
      Transition("uncounted", { $0.uncounted() }, [.nowhere, .nowhere, .nowhere, .nowhere]),
    ]
  }

  @Test("a stream waits and runs only where a host counts it, and never at once")
  func place() {
    expectTransitions(of: StreamPlace.allCases, Self.placeEvents)
    #expect(reachable(from: .nowhere, Self.placeEvents) == Set(StreamPlace.allCases))
    for state in StreamPlace.allCases {
      var (queue, books) = (state, state)
      let left = queue.leftQueue()
      let uncounted = books.uncounted()
      #expect(left == (state == .waiting) && uncounted == (state != .nowhere))
    }
  }

  @Test("a client leaves once, content stops and goes on in turn, a place at a breaker is given once")
  func facts() {
    expectTransitions(of: ClientState.allCases, [Transition("left", { $0.left() }, [.gone, .gone])])
    expectTransitions(
      of: FlowState.allCases,
      [
        Transition("pause", { $0.pause() }, [.paused, .paused]),
        Transition("resume", { $0.resume() }, [.open, .open]),
      ])
    expectTransitions(
      of: Permit.allCases,
      [
        Transition("taken", { $0.taken() }, [.held, .held]),
        Transition("given", { $0.given() }, [.none, .none]),
      ])
    expectTransitions(
      of: AutomaticRetry.allCases, [Transition("spend", { $0.spend() }, [.spent, .spent])])
    var (client, flow, permit) = (ClientState.present, FlowState.open, Permit.none)
    permit.taken()
    let news = [client.left(), flow.pause(), flow.resume(), permit.given()]
    #expect(news == [true, true, true, true])
    let none = [client.left(), flow.resume(), permit.given()]
    #expect(none == [false, false, false])
  }

  @Test("filters hold a stream's request or its response, and one hold at a time")
  func filters() {
    expectTransitions(
      of: FilterPhase.allCases,
      [
        Transition("held", { $0.held() }, [.held, .held, .responseHeld]),
        Transition("responseHeld", { $0.responseHeld() }, [.responseHeld, .held, .responseHeld]),
        Transition("released", { $0.released() }, [.running, .running, .running]),
      ])
  }

  @Test("a body that outgrew its limit is never kept again")
  func bodyCopy() {
    expectTransitions(
      of: BodyCopy.allCases,
      [
        Transition("keep", { $0.keep() }, [.kept, .kept, .abandoned]),
        Transition("outgrown", { $0.outgrown() }, [.none, .abandoned, .abandoned]),
      ])
  }
}
