// Runs an HTTP/1 decoder over bytes and writes down what it tells.

import WeftBase

@testable import WeftHTTP

/// Answers what the decoder's owner would decide.
struct H1Script {
  var role = H1Decoder.Role.request
  var limits = HTTPLimits()
  /// Response role: the request that each response answers.
  var answers: [HTTPMethod] = [.get]
  var upgradeRequested = false
  /// Request role: what becomes of a tunnel.
  var acceptsTunnel = false
  var endsInput = false

  func run(_ bytes: [UInt8], _ split: Split) -> [String] {
    let scratch = HeadScratch()
    var decoder = H1Decoder(role: role, limits: limits)
    var log: [String] = []
    var left = answers[...]
    var stopped = false
    var body: [UInt8] = []
    func flush() {
      if !body.isEmpty { log.append("data " + String(decoding: body, as: UTF8.self)) }
      body = []
    }
    func expectNext() {
      if role == .response, let method = left.popFirst() {
        decoder.expectResponse(to: method, upgradeRequested: upgradeRequested)
      }
    }
    /// False: stop feeding.
    func note(_ event: H1Event) -> Bool {
      if case .data(let view) = event {
        body += view.array
        return true
      }
      if case .needMore = event { return false }
      flush()
      switch event {
      case .head: log.append(describe(scratch.head))
      case .trailers: log.append("trailers" + describeFields(scratch.head))
      case .end:
        log.append("end")
        if decoder.awaitsTunnelDecision {
          if acceptsTunnel { decoder.startTunnel() } else { decoder.refuseTunnel() }
        }
        expectNext()
      case .invalid(let error):
        log.append("invalid \(error)")
        stopped = true
        return false
      case .data, .needMore: break
      }
      return true
    }
    expectNext()
    var stash = Stash()
    var start = 0
    for end in split.ends(bytes.count) where !stopped {
      stash.deliver(bytes[start..<end]) { input in
        while note(decoder.next(&input, head: scratch.head)) {}
      }
      start = end
    }
    if endsInput, !stopped { _ = note(decoder.endOfInput()) }
    flush()
    return log
  }
}

func describe(_ head: MessageHead) -> String {
  let version = head.version == .http10 ? "1.0" : head.version == .http11 ? "1.1" : "2"
  var text =
    head.isResponse
    ? "\(head.status) \(version)" : "\(head.methodText) \(head.authority) \(head.path) \(version)"
  switch head.framing {
  case .none: break
  case .length(let n): text += " length=\(n)"
  case .chunked: text += " chunked"
  case .untilClose: text += " untilClose"
  case .tunnel: text += " tunnel"
  }
  if head.flags.contains(.closesConnection) { text += " close" }
  if head.flags.contains(.expectsContinue) { text += " expect" }
  if head.flags.contains(.upgrade) { text += " upgrade" }
  return text + describeFields(head)
}

func describeFields(_ head: MessageHead) -> String {
  let fields = head.fields.map { "\($0.name)=\($0.value)" }
  return fields.isEmpty ? "" : " [" + fields.joined(separator: "|") + "]"
}
