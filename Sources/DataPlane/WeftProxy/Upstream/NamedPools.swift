// NamedPools: where connections are made for one authority (TLS names), one client (PROXY headers) or one source, others do not use them.

import WeftBase
import WeftHTTP
import WeftProxyAPI
import WeftRuntime
import WeftTelemetry
import WeftUpstream

extension WorkerEngine {
  /// The longest name that is sent or looked for.
  static var maximumServerName: Int { 255 }

  /// The pools of host `h` that stream `s` may use: the host's own where connections serve everybody, else those of a part of it, made when it is
  /// first asked for. `head` is nil for what is no request. Nil when a name is too long or there is no slot left.
  /// *Cost*: where connections are kept apart, the key's bytes are made and looked up; an allocation for a new one.
  func pool(_ h: HostIndex, for s: StreamIndex, _ head: MessageHead?) -> HostIndex? {
    let config = clusters[hosts[h].cluster].config
    if !config[].keepsApart, connectionOrigins[].isEmpty { return h }
    let client = client(of: s)
    let origin = client.isNone ? nil : connectionOrigins[][client.index]
    var name: ByteView?
    if let head, config[].sendsAuthority || config[].checksAuthority {
      var authority = head.authority
      if !config[].authorityHeader.isEmpty, let value = head.value(named: config[].authorityHeader), !value.isEmpty {
        authority = value
      }
      let host = ServerName.host(of: authority)
      guard host.count <= Self.maximumServerName else { return nil }
      name = host
    }
    prefaceBytes[].removeAll()
    if let header = config[].proxyHeader, !client.isNone {
      let slot = downstreams.ref(client)
      let isWhole = (origin?.extensions ?? []).withByteView {
        header.write(from: slot[].peer, to: slot[].local, $0, into: &prefaceBytes[])
      }
      if !isWhole { clusters[hosts[h].cluster].stats.add(.proxyProtocolTLVsExceedMaxLength) }
    }
    let source = hosts[h].address.isUnix ? nil : origin?.source
    if name == nil, prefaceBytes[].isEmpty, source == nil { return h }
    return part(of: h, name, prefaceBytes[].view, source)
  }

  /// The connection of whose addresses endpoints are told: the client's, or for a copy of its request a slot that knows them; none for what the
  /// proxy asks itself.
  private func client(of s: StreamIndex) -> DownstreamIndex {
    let d = streams[owner(of: s)].downstream
    let slot = downstreams.ref(d)
    // A port of 0 is no client's.
    if slot[].kind == .inside, slot[].purpose == .ask || slot[].peer.port == 0 { return .none }
    return d
  }

  /// The newest used lies first.
  private func part(of h: HostIndex, _ name: ByteView?, _ preface: ByteView, _ source: SourceBinding?) -> HostIndex? {
    let whole = hosts.ref(h)
    let hash = Self.hash(h, name, preface, source)
    if let found = turn[].parts[hash], hosts[found].whole == h,
      hosts[found].key.matches(name: name, preface: preface, source: source)
    {
      if whole[].parts.first != found {
        hosts.unlink(found, &whole[].parts)
        hosts.pushFirst(found, &whole[].parts)
      }
      return found
    }
    var slot = Host(address: whole[].address, cluster: whole[].cluster, position: whole[].position, weight: 0)
    slot.whole = h
    slot.key = PoolKey.make(name: name, preface: preface, source: source, hash: hash)
    guard let made = hosts.insert(slot) else {
      slot.key.free()
      return nil
    }
    clusters[whole[].cluster].hostSlots += 1
    hosts.pushFirst(made, &whole[].parts)
    // Of two with one hash the newer is found; the older goes when its connections do.
    turn[].parts[hash] = made
    return made
  }

  /// Different in every process: clients choose what goes into it.
  private static func hash(_ h: HostIndex, _ name: ByteView?, _ preface: ByteView, _ source: SourceBinding?) -> Int {
    var hasher = Hasher()
    hasher.combine(h)
    hasher.combine(source)
    if let name { for i in 0..<name.count { hasher.combine(ASCII.lowercased(name[i])) } }
    unsafe hasher.combine(bytes: UnsafeRawBufferPointer(start: preface.base, count: preface.count))
    return hasher.finalize()
  }

  /// Calls `body` for each part of a host; `body` may let go of the part it is given.
  func forEachPart(_ h: HostIndex, _ body: (HostIndex) -> Void) {
    var next = hosts[h].parts.first
    while !next.isNone {
      let part = next
      next = hosts[part].links.next
      body(part)
    }
  }

  /// The part is not used any more: its host keeps its numbers.
  func dissolve(part h: HostIndex) {
    let part = hosts.ref(h)
    let whole = hosts.ref(part[].whole)
    hosts.unlink(h, &whole[].parts)
    whole[].numbers += part[].numbers
    if turn[].parts[part[].key.hash] == h { turn[].parts[part[].key.hash] = nil }
    part[].key.free()
  }

  /// Whether a part's host has no connection at all: its first is always allowed, that of every further part is not, or clients could
  /// open any number by naming ever new hosts or coming from ever new ports.
  func isFirstConnection(_ h: HostIndex) -> Bool {
    let host = hosts.ref(h)
    if host[].connections > 0 { return false }
    if host[].whole.isNone { return true }
    if hosts[host[].whole].connections > 0 { return false }
    // The newest used lies first, so this ends soon where there are many.
    var part = hosts[host[].whole].parts.first
    while !part.isNone {
      if hosts[part].connections > 0 { return false }
      part = hosts[part].links.next
    }
    return true
  }

  /// Closes an idle connection of another part of the same host, the least recently used part first. *Returns*: whether there was one.
  func makeRoom(for h: HostIndex) -> Bool {
    let whole = hosts[h].whole
    if whole.isNone { return false }
    var part = hosts[whole].parts.last
    while !part.isNone {
      if part != h {
        if !hosts[part].idle.isEmpty {
          retire(upstream: hosts[part].idle.last)
          return true
        }
        let u = hosts[part].multiplexed.first
        if !u.isNone, upstreams[u].active == 0 {
          retire(upstream: u)
          return true
        }
      }
      part = hosts[part].links.previous
    }
    return false
  }

  /// The name that a connection to `h` sends, empty for none, and the one that the server's certificate must carry.
  func connectionNames(_ h: HostIndex) -> (sent: String, expected: String?) {
    let host = hosts.ref(h)
    let config = clusters[host[].cluster].config
    var sent = config[].serverName
    let position = Int(host[].position)
    if config[].sendsHostname, position >= 0, position < config[].endpoints.count,
      !config[].endpoints[position].hostname.isEmpty
    {
      sent = config[].endpoints[position].hostname.string
    }
    guard let name = host[].key.name?.string else { return (sent, nil) }
    // An address is no server name (RFC 6066), but a certificate may carry one.
    if config[].sendsAuthority, !name.isEmpty, IPAddress(name) == nil { sent = name }
    return (sent, config[].checksAuthority ? name : nil)
  }
}

/// The host in an authority.
enum ServerName {
  /// `example.com:443` without the port, `[::1]:443` without brackets and port.
  static func host(of authority: ByteView) -> ByteView {
    if authority.first == UInt8(ascii: "[") {
      guard let end = authority.firstIndex(of: UInt8(ascii: "]")) else { return authority }
      return authority[1..<end]
    }
    guard let colon = authority.firstIndex(of: UInt8(ascii: ":")) else { return authority }
    // More than one colon: an IPv6 address without brackets.
    let rest = authority.dropFirst(colon + 1)
    return rest.firstIndex(of: UInt8(ascii: ":")) == nil ? authority.prefix(colon) : authority
  }
}
