// LocalReply: answers made here.

import WeftBase
import WeftHTTP
import WeftModel
import WeftRuntime
import WeftTelemetry
import WeftUpstream

extension WorkerEngine {
  /// Answers the request with `status` and `body` in place of an upstream. Ends the stream.
  ///
  /// `body` must be static or configuration; `location` may lie in the request's arena.
  func localReply(
    _ s: SlabIndex, _ status: UInt16, _ body: ByteView, details: StaticString, location: ByteView? = nil,
    overloaded: Bool = false
  ) {
    let stream = streams.ref(s)
    stream[].details = ByteView(details)
    stream[].flags.insert(.localReply)
    leaveWaiting(s)
    detach(s, reusable: false)
    if stream[].flags.contains(.clientGone) { return finish(s) }
    if stream[].flags.contains(.responseStarted) { return abort(s, byClient: false) }
    let head = responseHead
    if stream[].flags.contains(.isGRPC) {
      // gRPC has its errors in trailers of a response that is otherwise fine.
      head.startResponse(200, framing: .length(0))
      head.append(.contentType, ByteView("application/grpc"))
      let grpcStatus = GRPCStatusMapping.grpcStatus(of: status)
      head.append(.grpcStatus, head.decimal(UInt64(grpcStatus)))
      if !body.isEmpty { head.append(.grpcMessage, body) }
      stream[].grpcStatus = Int32(grpcStatus)
    } else {
      head.startResponse(status, framing: .length(UInt64(body.count)))
      if !body.isEmpty { head.append(.contentType, ByteView("text/plain")) }
    }
    if let location { head.append(.location, head.copy(location)) }
    if overloaded { head.append(.envoyOverloaded, ByteView("true")) }
    let hasBody = !body.isEmpty && !stream[].flags.contains(.isGRPC) && !stream[].flags.contains(.isHEAD)
    stream[].flags.insert(.responseEnded)
    decorate(s, head)
    if !hasBody { return passResponseHead(s, head, end: true) }
    passResponseHead(s, head, end: false)
    if !streams.contains(s) { return }
    stream[].bytesSent &+= UInt64(body.count)
    let slot = downstreams.ref(stream[].downstream)
    if slot[].kind == .http2 {
      let accepted =
        slot[].flags.contains(.writeBlocked) ? 0 : slot[].h2[].sendData(stream[].downstreamID, body, endStream: true)
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

  /// `100 Continue`, sent by us: the client may go on before any upstream has said so.
  func sendContinue(_ s: SlabIndex) {
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
