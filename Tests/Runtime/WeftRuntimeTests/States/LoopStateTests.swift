import Testing
import WeftTestKit

@testable import WeftRuntime

/// Every (state, event) pair of what becomes of a connection of the loop.
@Suite("states of the loop's connections")
struct LoopStateTests {
  static var lives: [Transition<ConnectionLife>] {
    [
      Transition("socketConnected", { $0.socketConnected() }, [.opening, .opening, .open, .closing, .dead, .reported]),
      Transition("told", { $0.told() }, [.connecting, .open, .open, .closing, .dead, .reported]),
      Transition("close", { $0.close() }, [.connecting, .closing, .closing, .closing, .dead, .reported]),
      Transition("end", { $0.end() }, [.dead, .dead, .dead, .dead, .dead, .reported]),
      Transition("report", { $0.report() }, [.connecting, .opening, .open, .closing, .reported, .reported]),
    ]
  }

  @Test("a connection is told of once, ends once, and only what ended is reported")
  func life() {
    #expect(violations(of: ConnectionLife.allCases, Self.lives) == [])
    #expect(reachable(from: .connecting, Self.lives) == Set(ConnectionLife.allCases))
    #expect(reachable(from: .closing, Self.lives) == [.closing, .dead, .reported], "what closes does not open again")
    #expect(ConnectionLife.allCases.map(\.isDead) == [false, false, false, false, true, true])
    #expect(ConnectionLife.allCases.map(\.isOver) == [false, false, false, true, true, true])
  }

  static var transports: [Transition<TransportStage>] {
    [
      Transition("start", { $0.start() }, [.handshaking, .handshaking, .open, .endOwed, .ended]),
      Transition("open", { $0.open() }, [.none, .open, .open, .endOwed, .ended]),
      Transition("oweEnd", { $0.oweEnd() }, [.none, .handshaking, .endOwed, .endOwed, .ended]),
      Transition("end", { $0.end() }, [.none, .handshaking, .ended, .ended, .ended]),
    ]
  }

  @Test("a transport that was not opened does not end in order, and one that ended is still secure")
  func transport() {
    #expect(violations(of: TransportStage.allCases, Self.transports) == [])
    #expect(reachable(from: .none, Self.transports) == Set(TransportStage.allCases))
    #expect(TransportStage.allCases.map(\.isSecure) == [false, true, true, true, true])
    #expect(TransportStage.allCases.map(\.isOpen) == [false, false, true, true, true])
  }

  @Test("an end is read once it was announced or not, and FIN goes only when it was asked for")
  func sides() {
    let inputs: [Transition<InputStage>] = [
      Transition("announceEnd", { $0.announceEnd() }, [.endAnnounced, .endAnnounced, .ended]),
      Transition("end", { $0.end() }, [.ended, .ended, .ended]),
    ]
    let outputs: [Transition<OutputStage>] = [
      Transition("requestEnd", { $0.requestEnd() }, [.endRequested, .endRequested, .ended, .broken]),
      Transition("end", { $0.end() }, [.open, .ended, .ended, .broken]),
      Transition("fail", { $0.fail() }, [.broken, .broken, .broken, .broken]),
    ]
    #expect(violations(of: InputStage.allCases, inputs) == [])
    #expect(violations(of: OutputStage.allCases, outputs) == [])
    #expect(reachable(from: .broken, outputs) == [.broken], "nothing leaves a connection that broke")
  }

  @Test("a slot of the loop is as large as it was with bits")
  func size() { #expect(MemoryLayout<Connection>.stride <= 144) }
}
