// RequestHash: by what a request gets the same host as others of its kind, and the cookies that see to it that the next one does.

import WeftBase
import WeftHTTP
import WeftProxyAPI
import WeftRuntime
import WeftTables
import WeftTelemetry
import WeftUpstream

extension WorkerEngine {
  /// Hashes what the route's policies name. The hash stays the same for all attempts.
  @inline(never)
  func takeHash(_ s: StreamIndex, _ head: MessageHead, _ route: ConfigRef<CompiledRoute>) {
    let stream = streams.ref(s)
    for i in route[].hashPolicies.indices {
      let policy = route[].hashPolicies[i]
      let hash: UInt64? =
        switch policy.kind {
        case .header: policy.hash(header: head)
        case .queryParameter: policy.hash(queryOf: head)
        case .sourceIP: sourceHash(s)
        case .cookie:
          if let value = policy.cookie(in: head) {
            XXHash64.hash(value)
          } else if policy.isGenerated {
            hashOfNewCookie(s, i)
          } else {
            nil
          }
        }
      if let hash { stream[].hash.add(hash) }
      if policy.isTerminal, stream[].hash.value != nil { return }
    }
  }

  /// The hash of an address as text.
  func hash(of address: IPAddress) -> UInt64 {
    scratch[].removeAll()
    address.unmapped.write(to: &scratch[])
    return XXHash64.hash(scratch[].view)
  }

  /// Of the client, as far as it can be believed.
  private func sourceHash(_ s: StreamIndex) -> UInt64? {
    let stream = streams.ref(s)
    if let remote = stream[].remote { return hash(of: remote) }
    let slot = downstreams.ref(stream[].downstream)
    return slot[].peer.isUnix ? nil : hash(of: slot[].peer.ip)
  }

  private func hashOfNewCookie(_ s: StreamIndex, _ policy: Int) -> UInt64 {
    streams[s].newCookies |= 1 << UInt32(policy)
    scratch[].removeAll()
    writeCookieValue(s)
    return XXHash64.hash(scratch[].view)
  }

  /// The value of a new cookie, which is the same for all requests of a connection: those that are on their way together get the same host.
  private func writeCookieValue(_ s: StreamIndex) {
    let slot = downstreams.ref(streams[s].downstream)
    let start = scratch[].count
    slot[].peer.write(to: &scratch[])
    slot[].local.write(to: &scratch[])
    let hash = XXHash64.hash(scratch[].view.dropFirst(start))
    scratch[].truncate(to: start)
    for shift in stride(from: 60, through: 0, by: -4) {
      scratch[].append(ASCII.hexadecimalDigit(UInt8(truncatingIfNeeded: hash >> UInt64(shift)) & 15))
    }
  }

  /// Sets the cookies of which the request's hash was made, and which it did not bring itself.
  @inline(never)
  func giveCookies(_ s: StreamIndex, _ head: MessageHead) {
    let stream = streams.ref(s)
    guard let route = stream[].route else { return }
    for i in route[].hashPolicies.indices where stream[].newCookies & 1 << UInt32(i) != 0 {
      let policy = route[].hashPolicies[i]
      guard policy.isGenerated else { continue }
      scratch[].removeAll()
      scratch[].append(policy.name)
      scratch[].append(ByteView("=\""))
      writeCookieValue(s)
      scratch[].append(UInt8(ascii: "\""))
      scratch[].append(policy.attributes)
      head.append(named: ByteView("set-cookie"), head.copy(scratch[].view))
    }
  }
}
