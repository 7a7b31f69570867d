// NamedPools: where TLS takes its names from the request, each authority has connections of its own.

import WeftBase
import WeftHTTP
import WeftProxyAPI
import WeftRuntime
import WeftTelemetry
import WeftUpstream

extension WorkerEngine {
  /// The longest name that is sent or looked for.
  static var maximumServerName: Int { 255 }

  /// The part of host `h` whose connections carry the name that the request in `head` names; made when it is first asked for. Nil when the
  /// name is too long or there is no slot left. *Cost*: a look at the authority's bytes for each part; the newest used lies first.
  func namedPool(_ h: HostIndex, _ head: MessageHead) -> HostIndex? {
    let whole = hosts.ref(h)
    let config = clusters[whole[].cluster].config
    var authority = head.authority
    if !config[].authorityHeader.isEmpty, let value = head.first(named: config[].authorityHeader), !value.isEmpty {
      authority = value
    }
    let name = ServerName.host(of: authority)
    guard name.count <= Self.maximumServerName else { return nil }
    var part = whole[].parts.first
    while !part.isNone {
      if hosts[part].name.view.equalsIgnoringCase(name) {
        if whole[].parts.first != part {
          hosts.unlink(part, &whole[].parts)
          hosts.pushFirst(part, &whole[].parts)
        }
        return part
      }
      part = hosts[part].links.next
    }
    var slot = Host(address: whole[].address, cluster: whole[].cluster, position: whole[].position, weight: 0)
    slot.whole = h
    slot.name = StoredName.make(name)
    guard let made = hosts.insert(slot) else {
      slot.name.free()
      return nil
    }
    clusters[whole[].cluster].hostSlots += 1
    hosts.pushFirst(made, &whole[].parts)
    return made
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
    part[].name.free()
  }

  /// Whether a part's host has no connection at all: its first is always allowed, that of every further name is not, or clients could
  /// open any number by naming ever new hosts.
  func isFirstConnection(_ h: HostIndex) -> Bool {
    let host = hosts.ref(h)
    if host[].connections > 0 { return false }
    if host[].whole.isNone { return true }
    var sum = hosts[host[].whole].connections
    forEachPart(host[].whole) { sum += hosts[$0].connections }
    return sum == 0
  }

  /// Closes an idle connection of another name of the same host, the least recently used name first. *Returns*: whether there was one.
  func makeRoom(for h: HostIndex) -> Bool {
    let whole = hosts[h].whole
    if whole.isNone { return false }
    var part = hosts[whole].parts.last
    while !part.isNone {
      if part != h {
        if !hosts[part].idle.isEmpty {
          close(upstream: hosts[part].idle.last, .gracefully)
          return true
        }
        let u = hosts[part].multiplexed.first
        if !u.isNone, upstreams[u].active == 0 {
          close(upstream: u, .gracefully)
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
    if host[].whole.isNone { return (sent, nil) }
    let name = host[].name.view.string
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
