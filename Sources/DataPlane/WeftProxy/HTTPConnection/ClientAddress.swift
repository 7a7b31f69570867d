// ClientAddress: who the client is, as far as it can be believed, and what follows from that: internal or not, and which fields it may set.

import WeftBase
import WeftHTTP
import WeftModel
import WeftProxyAPI
import WeftRuntime
import WeftTables
import WeftTelemetry
import WeftUpstream

extension WorkerEngine {
  /// Brings the forwarding fields up to date and removes what the client may not say. As in Envoy:
  ///
  /// - With `use_remote_address` the client is the peer, or, behind `xff_num_trusted_hops` proxies of our own, whom the outermost of them
  ///   saw; the peer is added to `x-forwarded-for`.
  /// - Without it the client is the last address in `x-forwarded-for`, or that many before it, and the field stays as it is.
  /// - Internal is who comes in one hop from an internal address; nobody else may set `x-envoy-*`.
  func addForwarding(_ s: StreamIndex, _ head: MessageHead, _ slot: SlotRef<DownstreamConnection>) {
    guard let manager = slot[].manager else { return }
    let secure = slot[].transport.isSecure
    let edge = manager[].useRemoteAddress
    let forwarded =
      head.contains(.forwardedFor)
      ? head.joinedValue(named: ByteView(HeaderName.forwardedFor.text)).flatMap { $0.isEmpty ? nil : $0 } : nil
    var isInternal = false
    if edge {
      if manager[].trustedHops > 0, let forwarded {
        streams[s].remote = Self.address(in: forwarded, skipping: manager[].trustedHops - 1)
      }
      if !manager[].internalRanges.isEmpty, forwarded == nil {
        isInternal = isInside(slot[].peer.ip.unmapped, manager)
      }
      if !manager[].skipsForwardedFor { appendForwardedFor(head, slot, forwarded) }
      // Only a trusted hop in front of us may have known better.
      if manager[].trustedHops == 0 || !head.contains(.forwardedProto) {
        head.set(.forwardedProto, head.scheme, flags: .sound)
      } else {
        takeScheme(head)
      }
    } else {
      if let forwarded, let address = Self.address(in: forwarded, skipping: manager[].trustedHops) {
        streams[s].remote = address
        if !manager[].internalRanges.isEmpty, manager[].trustedHops == 0, !forwarded.contains(UInt8(ascii: ",")) {
          isInternal = isInside(address.unmapped, manager)
        }
      }
      if head.contains(.forwardedProto) {
        takeScheme(head)
      } else {
        head.append(.forwardedProto, secure ? ByteView("https") : ByteView("http"))
      }
    }
    if isInternal {
      head.set(.envoyInternal, ByteView("true"))
      if head.contains(.envoyForceTrace) { streams[s].flags.insert(.tellsRequestID) }
    } else {
      sanitise(head, edge: edge)
      if edge { head.set(.envoyExternalAddress, externalAddress(s, head, slot), flags: .sound) }
    }
    if manager[].generatesRequestID {
      let external = edge && !isInternal && !manager[].keepsExternalRequestID
      if external || !head.contains(.requestID) { head.set(.requestID, newRequestID(head)) }
    }
  }

  /// A hop that is trusted with it says how the client came.
  private func takeScheme(_ head: MessageHead) {
    guard let scheme = head.first(.forwardedProto) else { return }
    if scheme.equalsIgnoringCase(ByteView("https")) {
      head.scheme = ByteView("https")
    } else if scheme.equalsIgnoringCase(ByteView("http")) {
      head.scheme = ByteView("http")
    }
  }

  /// The address in front of the last `hops` ones of a list; nil when there are not that many or it is none.
  static func address(in list: ByteView, skipping hops: Int) -> IPAddress? {
    var rest = list
    for _ in 0..<hops {
      guard let comma = rest.lastIndex(of: UInt8(ascii: ",")) else { return nil }
      rest = rest.prefix(comma)
    }
    if let comma = rest.lastIndex(of: UInt8(ascii: ",")) { rest = rest.dropFirst(comma + 1) }
    return IPAddress(bytes: ASCII.trimmed(rest))
  }

  private func isInside(_ address: IPAddress, _ manager: ConfigRef<CompiledHTTPManager>) -> Bool {
    for i in manager[].internalRanges.indices where manager[].internalRanges[i].contains(address) { return true }
    return false
  }

  private func appendForwardedFor(_ head: MessageHead, _ slot: SlotRef<DownstreamConnection>, _ old: ByteView?) {
    let text = slot[].peerText
    // The last value is the nearest hop's: repeated fields are joined in order, or a forged first one would hide it.
    let value = unsafe head.build((old.map { $0.count + 1 } ?? 0) + ShortText.capacity) { room in
      guard let base = room.baseAddress else { return 0 }
      var used = 0
      if let old {
        unsafe base.copyMemory(from: old.base, byteCount: old.count)
        unsafe base.storeBytes(of: UInt8(ascii: ","), toByteOffset: old.count, as: UInt8.self)
        used = old.count + 1
      }
      return unsafe used + text.copy(to: base + used)
    }
    head.set(.forwardedFor, value, flags: old == nil ? .sound : [])
  }

  /// The client's address as text, for upstreams that count clients.
  private func externalAddress(_ s: StreamIndex, _ head: MessageHead, _ slot: SlotRef<DownstreamConnection>) -> ByteView
  {
    if let remote = streams[s].remote {
      scratch[].removeAll()
      remote.unmapped.write(to: &scratch[])
      return head.copy(scratch[].view)
    }
    let text = slot[].peerText
    return unsafe head.build(ShortText.capacity) { room in
      guard let base = room.baseAddress else { return 0 }
      return unsafe text.copy(to: base)
    }
  }

  /// Takes out what outsiders may not say.
  private func sanitise(_ head: MessageHead, edge: Bool) {
    head.removeAll(in: fields.untrusted)
    if edge { head.removeAll(in: fields.untrustedAtEdge) }
  }
}
