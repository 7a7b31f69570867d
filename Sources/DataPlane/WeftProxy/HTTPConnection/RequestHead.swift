// RequestHead: what is done once to every request head before it is matched: the canonical form that is matched, authorised and forwarded.

import WeftBase
import WeftHTTP
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTables
import WeftTelemetry
import WeftUpstream

/// Why a head is refused before routing.
struct RequestRefusal {
  var status: UInt16
  var details: StaticString
  /// Who asks for what may not be asked for gets no second question on an HTTP/1 connection.
  var closes = true
}

extension WorkerEngine {
  /// Brings `head` into its canonical form. Returns why the request must be refused, if it must.
  func normalise(_ head: MessageHead, _ s: StreamIndex, _ d: DownstreamIndex) -> RequestRefusal? {
    let slot = downstreams.ref(d)
    guard let manager = slot[].manager else { return RequestRefusal(status: 500, details: "no_manager") }
    let secure = slot[].transport.isSecure

    if head.authority.isEmpty {
      if head.version == .http10, !manager[].defaultHost.isEmpty {
        head.authority = manager[].defaultHost
      } else {
        return RequestRefusal(status: 400, details: "missing_host_header")
      }
    }
    if head.method != .connect || head.flags.contains(.extendedConnect) {
      if head.flags.contains(.absoluteForm), manager[].refusesAbsoluteForm {
        slot[].stats?.add(.downstreamRqNonRelativePath)
        return RequestRefusal(status: 404, details: "absolute_path_rejected", closes: false)
      }
      guard !head.path.isEmpty else { return RequestRefusal(status: 400, details: "missing_path_rejected") }
      guard let path = manager[].paths.apply(to: head.path, scratch: head) else {
        slot[].stats?.add(.downstreamRqNonRelativePath)
        return RequestRefusal(status: 400, details: "path_normalization_failed")
      }
      head.path = path
    }
    if manager[].underscores != .allow, let refusal = handleUnderscores(head, manager) { return refusal }
    if manager[].portStripping != .none || manager[].stripsTrailingDot { canonicaliseHost(head, manager, slot) }

    // The scheme is what the connection is, whatever the client says, unless a hop that is trusted with it says how the client came (`addForwarding`).
    head.scheme = secure ? ByteView("https") : ByteView("http")
    head.removeHopByHop(keepUpgrade: streams[s].tunnel.isAsked)
    addForwarding(s, head, slot)
    forwardClientCertificate(head, slot)
    if !manager[].via.isEmpty { head.appendJoined(.via, separator: ByteView(", "), manager[].via) }
    return nil
  }

  private func handleUnderscores(_ head: MessageHead, _ manager: ConfigRef<CompiledHTTPManager>) -> RequestRefusal? {
    for i in 0..<head.slotCount where head.field(at: i).name.contains(UInt8(ascii: "_")) {
      if manager[].underscores == .reject {
        return RequestRefusal(status: 400, details: "http1.unexpected_underscore")
      }
      head.remove(at: i)
    }
    return nil
  }

  /// The host as it is matched and passed on: without the port, without a trailing dot, as the listener asks for.
  private func canonicaliseHost(
    _ head: MessageHead, _ manager: ConfigRef<CompiledHTTPManager>, _ slot: SlotRef<DownstreamConnection>
  ) {
    // To CONNECT the port is what it is about.
    if head.method == .connect, !head.flags.contains(.extendedConnect) { return }
    let text = head.authority
    guard let parsed = Authority.parse(text) else { return }
    var hostEnd = text.count
    if parsed.port != nil, let colon = text.lastIndex(of: UInt8(ascii: ":")) { hostEnd = colon }
    var port = text.dropFirst(hostEnd)
    switch manager[].portStripping {
    case .none: break
    case .matching: if parsed.port == slot[].local.port { port = .empty }
    case .any: port = .empty
    }
    var host = text.prefix(hostEnd)
    if manager[].stripsTrailingDot, host.count > 1, host.last == UInt8(ascii: ".") { host = host.dropLast() }
    if host.count + port.count == text.count { return }
    head.authority = port.isEmpty ? host : head.concatenate(host, port)
  }

  /// A random UUID (version 4) in the arena.
  func newRequestID(_ head: MessageHead) -> ByteView {
    var high = random()
    var low = random()
    high = high & ~0xf000 | 0x4000
    low = low & ~(3 << 62) | 1 << 63
    return unsafe head.build(36) { room in
      guard let base = room.baseAddress else { return 0 }
      var at = 0
      for i in 0..<32 {
        if i == 8 || i == 12 || i == 16 || i == 20 {
          unsafe base.storeBytes(of: UInt8(ascii: "-"), toByteOffset: at, as: UInt8.self)
          at += 1
        }
        let word = i < 16 ? high : low
        let digit = UInt8(truncatingIfNeeded: word >> UInt64(60 - 4 * (i & 15))) & 15
        unsafe base.storeBytes(of: ASCII.hexadecimalDigit(digit), toByteOffset: at, as: UInt8.self)
        at += 1
      }
      return at
    }
  }
}
