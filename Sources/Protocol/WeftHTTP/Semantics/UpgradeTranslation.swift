// HTTP/1's Upgrade and HTTP/2's extended CONNECT (RFC 8441) are the same request in two spellings.

package import WeftBase

extension MessageHead {
  /// An extended CONNECT in HTTP/1's spelling, which routes, filters and logs see: `GET` with `Upgrade`.
  package func becomeUpgrade() {
    setMethod(.get)
    set(.upgrade, protocolText)
    flags.remove(.extendedConnect)
    flags.insert(.upgrade)
    protocolText = .empty
  }

  /// An upgrade request in HTTP/2's spelling. Its method is lost: extended CONNECT has no place for it.
  package func becomeExtendedConnect() {
    protocolText = first(.upgrade) ?? .empty
    setMethod(.connect)
    remove(.upgrade)
    remove(.connection)
    remove(.contentLength)
    flags.remove(.upgrade)
    flags.insert(.extendedConnect)
    framing = .tunnel
  }

  /// A granted extended CONNECT (2xx) in HTTP/1's spelling: `101` with `Upgrade`.
  package func becomeSwitchingProtocols(to name: ByteView) {
    status = 101
    reason = .empty
    set(.upgrade, name)
    flags.insert(.upgrade)
  }

  /// `101` in HTTP/2's spelling.
  package func becomeExtendedConnectAnswer() {
    status = 200
    reason = .empty
    remove(.upgrade)
    remove(.connection)
    flags.remove(.upgrade)
  }
}
