// DubboCodec: Dubbo 2 behind the codec seam. Frames and heads are WeftDubbo's; here stands what of them is whose business.

package import WeftBase
package import WeftDubbo
package import WeftHTTP
package import WeftProxyAPI

/// Dubbo 2.
///
/// Requests are multiplexed by their 64-bit id, of which a proxy's own use the lower half. Heartbeats are answered here, answers to our own are read
/// and dropped. An endpoint or client that says READONLY takes no further requests on that connection.
package struct DubboCodec: ProtocolCodec {
  package static var name: StaticString { "Dubbo" }
  package static var messages: [String] {
    ["envoy.extensions.filters.network.generic_proxy.codecs.dubbo.v3.DubboCodecConfig"]
  }
  package static var exchange: CodecExchange { .multiplexed }
  /// Dubbo's own default. *Units*: nanoseconds.
  package static var heartbeatInterval: UInt64 { 60_000_000_000 }

  private let limits: DubboLimits
  private let peer: CodecPeer

  /// The message has no fields.
  package static func compile(_ source: CodecSource) throws(ConfigError) -> DubboLimits { DubboLimits() }

  package init(_ limits: DubboLimits, _ peer: CodecPeer) {
    self.limits = limits
    self.peer = peer
  }

  package mutating func next(_ input: ByteView, _ head: MessageHead) -> CodecEvent {
    let frame: DubboFrame
    switch DubboFrame.read(input, limits) {
    case .needMore(let total): return .needMore(total)
    case .malformed(.badMagic): return .malformed("dubbo.bad_magic")
    case .malformed(.tooLarge): return .malformed("dubbo.frame_too_large")
    case .oversize(let frame):
      let isExpected = !frame.isEvent && frame.isRequest == (peer == .client)
      if !isExpected, peer == .client { return .malformed("dubbo.frame_too_large") }
      return .oversize(
        bytes: frame.bytes, id: isExpected ? frame.id : 0, expectsAnswer: isExpected && frame.isTwoWay,
        details: "dubbo.frame_too_large")
    case .frame(let read): frame = read
    }
    let body = input.prefix(frame.bytes).dropFirst(DubboFrame.headBytes)
    if frame.isEvent {
      if DubboResponse.isLastCall(body), frame.isRequest { return .lastCall(bytes: frame.bytes) }
      return .control(bytes: frame.bytes, wantsAnswer: frame.isRequest && frame.isTwoWay)
    }
    switch peer {
    case .client:
      // A client has been asked nothing it could answer.
      guard frame.isRequest else { return .malformed("dubbo.unasked_response") }
      do throws(DubboRefusal) {
        try DubboRequest.read(frame, body, into: head, limits)
      } catch {
        return .refused(
          bytes: frame.bytes, id: frame.id, expectsAnswer: frame.isTwoWay, details: error.words)
      }
      return .message(bytes: frame.bytes, id: frame.id, expectsAnswer: frame.isTwoWay)
    case .endpoint:
      // What endpoints ask their clients (callbacks) has no one here to answer it.
      guard !frame.isRequest else { return .control(bytes: frame.bytes, wantsAnswer: frame.isTwoWay) }
      DubboResponse.read(frame, body, into: head)
      return .message(bytes: frame.bytes, id: frame.id)
    }
  }

  package func readdress(_ message: ByteView, to id: UInt64, _ output: inout ByteBuffer) -> Int {
    output.append(message.prefix(4))
    output.appendBigEndian(id)
    return 12
  }

  package func write(_ reply: CodecReply, _ output: inout ByteBuffer) {
    let status = DubboStatus.status(ofHTTP: reply.status, isOverload: reply.isOverload)
    DubboResponse.write(status, reply.text, id: reply.id, to: &output)
  }

  package func answer(_ control: ByteView, _ output: inout ByteBuffer) {
    guard case .frame(let frame) = DubboFrame.read(control, limits) else { return }
    if frame.isEvent {
      DubboResponse.writeEvent(isRequest: false, isTwoWay: false, id: frame.id, to: &output)
    } else {
      DubboResponse.write(DubboStatus.badRequest, ByteView("callbacks are not passed on"), id: frame.id, to: &output)
    }
  }

  /// Number 0 is no request's: those begin at 1.
  package func heartbeat(_ output: inout ByteBuffer) {
    DubboResponse.writeEvent(isRequest: true, isTwoWay: true, id: 0, to: &output)
  }

  package func lastCall(_ output: inout ByteBuffer) -> Bool {
    DubboResponse.writeEvent(isRequest: true, isTwoWay: false, id: 0, isLastCall: true, to: &output)
    return true
  }
}
