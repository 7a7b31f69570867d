// LocalReply: answers made here.

import WeftBase
import WeftHTTP
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTables
import WeftTelemetry
import WeftUpstream

extension WorkerEngine {
  /// Answers the request with `status` and `body` in place of an upstream. Ends the stream.
  ///
  /// `body` is read before this returns; `location` may lie in the request's arena, `fields` are added to the head. `grpcStatus` is what gRPC
  /// clients are told where `status` does not say it.
  func localReply(
    _ s: StreamIndex, _ status: UInt16, _ body: ByteView, details: StaticString, location: ByteView? = nil,
    overloaded: Bool = false, fields: MessageHead? = nil, grpcStatus: UInt16? = nil
  ) {
    let stream = streams.ref(s)
    letGo(s)
    stream[].details = ByteView(details)
    stream[].flags.insert(.localReply)
    if stream[].race == .owner { endRace(s) }
    leaveWaiting(s)
    // Who is given the connection may be answered by a filter, too, and before this one.
    let kept = stream[].upstream.isNone ? nil : fields.map { StoredHead($0, pool: pool) }
    defer { kept?.release(to: pool) }
    detach(s, reusable: false)
    if !streams.contains(s) { return }
    if let kept, let fields { kept.view(in: fields) }
    if stream[].client == .gone { return finish(s) }
    if downstreams[stream[].downstream].kind == .inside {
      if stream[].race == .backup { return backupRefused(s, status, body, details: details, overloaded: overloaded) }
      return insideFailed(s)
    }
    if !stream[].companions.isNone { endCompanions(s) }
    if stream[].response.hasStarted { return abort(s, byClient: false) }
    // A tunnel that was granted, and whose client is told otherwise, is none.
    stream[].tunnel.refused()
    let head = responseHead
    // HTTP/2 says with the head that nothing follows.
    let isHTTP2 = isHTTP2(downstream: stream[].downstream)
    if stream[].flags.contains(.isGRPC) {
      startGRPCFailure(s, head, grpcStatus ?? GRPCStatusMapping.grpcStatus(of: status))
      if !body.isEmpty { head.append(.grpcMessage, GRPCMessage.encoded(body, scratch: head)) }
    } else if Self.forbidsContent(status) {
      head.startResponse(status, framing: .none)
    } else {
      head.startResponse(status, framing: isHTTP2 && body.isEmpty ? .none : .length(UInt64(body.count)))
      if !body.isEmpty { head.append(.contentType, ByteView("text/plain")) }
    }
    if let location { head.append(.location, head.copy(location)) }
    if let fields {
      for field in fields.fields { head.remove(named: field.name) }
      for field in fields.fields { head.append(named: head.copy(field.name), head.copy(field.value)) }
    }
    let manager = downstreams[stream[].downstream].manager
    if overloaded, !(manager?[].suppressesEnvoyHeaders ?? false) { head.append(.envoyOverloaded, ByteView("true")) }
    let hasBody =
      !body.isEmpty && stream[].flags.isDisjoint(with: [.isGRPC, .isHEAD]) && !Self.forbidsContent(status)
    answerComplete(s)
    guard decorate(s, head, end: !hasBody) else { return }
    if stream[].codec != nil {
      turn[].passed = PassedMessage(text: body, isOverload: overloaded)
      return passResponseHead(s, head, end: true)
    }
    if !hasBody { return passResponseHead(s, head, end: true) }
    passResponseHead(s, head, end: false)
    if !streams.contains(s) || !filterContent(s, response: body, end: true) { return }
    stream[].bytesSent &+= UInt64(body.count)
    let slot = downstreams.ref(stream[].downstream)
    if slot[].kind == .http2 {
      let accepted =
        slot[].write == .blocked ? 0 : slot[].h2[].sendData(stream[].downstreamID, body, endStream: true)
      flushLater(downstream: stream[].downstream)
      if accepted < body.count {
        stream[].responseBody.append(body.dropFirst(accepted), pool: pool)
        return
      }
    } else {
      send(body, to: slot[].connection)
    }
    responseSent(s)
  }

  /// Statuses whose answers end with their head (RFC 9110 §15.3.5, §15.3.6, §15.4.5): what followed would be read as the next answer.
  static func forbidsContent(_ status: UInt16) -> Bool {
    status == 204 || status == 205 || status == 304 || status < 200
  }

  /// gRPC has its errors in trailers of a response that is otherwise fine.
  private func startGRPCFailure(_ s: StreamIndex, _ head: MessageHead, _ status: UInt16) {
    head.startResponse(200, framing: isHTTP2(downstream: streams[s].downstream) ? .none : .length(0))
    head.append(.contentType, ByteView("application/grpc"))
    head.append(.grpcStatus, head.decimal(UInt64(status)))
    streams[s].grpcStatus = Int64(status)
  }

  /// The answer of last resort: no content, no field of configuration, nothing that could not be written. Ends the stream.
  func plainReply(_ s: StreamIndex, _ status: UInt16, details: StaticString) {
    let stream = streams.ref(s)
    letGo(s)
    stream[].details = ByteView(details)
    stream[].flags.insert(.localReply)
    dropHeldResponse(s)
    answerComplete(s)
    // A tunnel that was granted but cannot be told of is none.
    stream[].tunnel.refused()
    detach(s, reusable: false)
    if !streams.contains(s) { return }
    let head = responseHead
    if stream[].flags.contains(.isGRPC) {
      startGRPCFailure(s, head, GRPCStatusMapping.grpcStatus(of: status))
    } else {
      head.startResponse(status, framing: .length(0))
    }
    head.append(.date, dateText(), flags: .sound)
    turn[].passed = PassedMessage()
    passResponseHead(s, head, end: true, isPlain: true)
  }

  /// `100 Continue`, sent by us: the client may go on before any upstream has said so.
  func sendContinue(_ s: StreamIndex) {
    let stream = streams.ref(s)
    let slot = downstreams.ref(stream[].downstream)
    if stream[].flags.contains(.clientHTTP10) { return }
    if slot[].kind == .http2 {
      responseHead.startResponse(100, framing: .none)
      slot[].h2[].sendResponse(stream[].downstreamID, responseHead, endStream: false)
      flushLater(downstream: stream[].downstream)
    } else {
      stage(for: slot[].connection)
      H1Encoder.writeContinue(to: &stage[].buffer)
    }
  }
}

/// The text of `grpc-message`.
enum GRPCMessage {
  private static var digits: StaticString { "0123456789ABCDEF" }

  /// `text` with every byte but printable ASCII, and the percent sign, as `%XX`; itself when it has none of these.
  /// *Source*: gRPC over HTTP/2, "Percent-Encoded".
  static func encoded(_ text: ByteView, scratch head: MessageHead) -> ByteView {
    var escapes = 0
    for i in 0..<text.count where !isPlain(text[i]) { escapes += 1 }
    if escapes == 0 { return text }
    let digits = ByteView(Self.digits)
    return unsafe head.build(text.count + 2 * escapes) { room in
      var n = 0
      for i in 0..<text.count {
        let byte = text[i]
        if isPlain(byte) {
          unsafe room[n] = byte
          n += 1
        } else {
          unsafe room[n] = UInt8(ascii: "%")
          unsafe room[n + 1] = digits[Int(byte >> 4)]
          unsafe room[n + 2] = digits[Int(byte & 15)]
          n += 3
        }
      }
      return n
    }
  }

  private static func isPlain(_ byte: UInt8) -> Bool { byte >= 0x20 && byte <= 0x7e && byte != UInt8(ascii: "%") }
}
