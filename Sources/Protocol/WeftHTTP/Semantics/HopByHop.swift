// Removal of what concerns one connection only.

import WeftBase

extension HeaderNameSet {
  /// The fields of one connection that need no look at their value; `Upgrade` apart.
  fileprivate static var hopByHop: HeaderNameSet {
    HeaderNameSet().with(.keepAlive).with(.proxyConnection).with(.http2Settings).with(.transferEncoding)
  }

  /// Fields by which one message is told from the next, or that concern one connection: they are the codecs', and nobody else sets them.
  package static var framing: HeaderNameSet {
    hopByHop.with(.contentLength).with(.connection).with(.upgrade).with(.te).with(.trailer)
  }
}

extension MessageHead {
  /// Removes the fields that concern one connection only: the standard ones and those a `Connection` field names, except
  /// protected names (`HeaderName.isProtectedFromConnectionTokens`). `TE` survives as `trailers` if it said so.
  /// `keepUpgrade` leaves `Upgrade` for a connection that will be upgraded.
  package func removeHopByHop(keepUpgrade: Bool = false) {
    if contains(.connection) { removeNominated(keepUpgrade: keepUpgrade) }
    removeAll(in: keepUpgrade ? .hopByHop : .hopByHop.with(.upgrade))
    if let value = first(.te) {
      if !value.equals("trailers") {
        remove(.te)
        if flags.contains(.acceptsTrailers) { append(.te, ByteView("trailers" as StaticString)) }
      }
    }
  }

  private func removeNominated(keepUpgrade: Bool) {
    var index = firstIndex(of: .connection)
    while let i = index {
      let value = field(at: i).value
      // The two options nearly everybody sends name no field.
      if !value.equalsIgnoringCase("keep-alive"), !value.equalsIgnoringCase("close") {
        for option in ListElements(value) {
          let id = HeaderName.find(option)
          if id == .upgrade && keepUpgrade { continue }
          // Pseudo-fields start with a colon and are no fields; a token cannot reach them.
          if id.isProtectedFromConnectionTokens || isProtectedPrefix(option) { continue }
          remove(named: option)
        }
      }
      remove(at: i)
      index = firstIndex(of: .connection, from: i + 1)
    }
  }

  /// Names that carry identity or routing by their prefix alone.
  private func isProtectedPrefix(_ name: ByteView) -> Bool {
    func begins(_ prefix: StaticString) -> Bool {
      name.count >= prefix.utf8CodeUnitCount && name.prefix(prefix.utf8CodeUnitCount).equalsIgnoringCase(prefix)
    }
    return begins("x-forwarded-") || begins("x-envoy-") || begins("x-weft-") || begins("sec-")
  }
}
