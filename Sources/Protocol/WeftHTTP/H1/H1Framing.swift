// What a parsed HTTP/1 head means: form of the target, authority, body framing, persistence.

import WeftBase

extension H1HeadParser {
  /// Completes a request head after its field lines.
  mutating func finishRequest(acceptsHTTP10: Bool) throws(H1Error) {
    let version = unsafe cell.pointee.version
    if version == .http10, !acceptsHTTP10 { throw .http10NotAllowed }
    try targetAndAuthority()

    if let coding = transferEncoding {
      if version == .http10 { throw .transferEncodingInHTTP10 }
      if contentLength != nil { throw .contentLengthWithTransferEncoding }
      try onlyChunked(coding)
      unsafe cell.pointee.framing = .chunked
    } else if let length = contentLength {
      unsafe cell.pointee.framing = .length(length)
    }
    // What follows a CONNECT belongs to the tunnel; who reads content there reads it differently from who does not.
    if unsafe cell.pointee.method == .connect, unsafe MessageHead(cell: cell).hasContent { throw .contentWithConnect }
    persistence()
    if let upgrade, version == .http11, connection.contains(.upgrade), !upgrade.isEmpty,
      !upgrade.equalsIgnoringCase("h2c")
    {
      unsafe cell.pointee.flags.insert(.upgrade)
    }
    if expect != nil, version == .http10 {
      // HTTP/1.0 knows no expectation: ignored (RFC 9110 §10.1.1), and not passed on as if HTTP/1.1 had sent it.
      unsafe MessageHead(cell: cell).remove(.expect)
    }
    if let expect, version == .http11 {
      guard expect.equalsIgnoringCase("100-continue") else { throw .expectation }
      if unsafe MessageHead(cell: cell).hasContent { unsafe cell.pointee.flags.insert(.expectsContinue) }
    }
  }

  /// Completes a response head; `request` is the method it answers.
  mutating func finishResponse(to request: HTTPMethod, upgradeRequested: Bool) throws(H1Error) {
    unsafe cell.pointee.flags.insert(.response)
    let status = unsafe cell.pointee.status
    persistence()
    if transferEncoding != nil {
      if unsafe cell.pointee.version == .http10 { throw .transferEncodingInHTTP10 }
      if contentLength != nil { throw .contentLengthWithTransferEncoding }
    }
    if let coding = transferEncoding { try onlyChunked(coding) }

    if status == 101 {
      guard upgradeRequested else { throw .unsolicitedUpgrade }
      unsafe cell.pointee.flags.insert(.upgrade)
      unsafe cell.pointee.framing = .tunnel
    } else if request == .connect, status >= 200, status < 300 {
      unsafe cell.pointee.framing = .tunnel
    } else if status < 200 || status == 204 || status == 304 {
      unsafe cell.pointee.framing = .none
    } else if request == .head {
      unsafe cell.pointee.framing = .none
      unsafe cell.pointee.flags.insert(.answersHEAD)
    } else if transferEncoding != nil {
      unsafe cell.pointee.framing = .chunked
    } else if let length = contentLength {
      unsafe cell.pointee.framing = .length(length)
    } else {
      unsafe cell.pointee.framing = .untilClose
      unsafe cell.pointee.flags.insert(.closesConnection)
    }
  }

  private func persistence() {
    let closes =
      unsafe connection.contains(.close) || (cell.pointee.version == .http10 && !connection.contains(.keepAlive))
    if closes { unsafe cell.pointee.flags.insert(.closesConnection) }
  }

  /// `chunked`, alone and once, is the only coding understood.
  private func onlyChunked(_ value: ByteView) throws(H1Error) {
    if value.equalsIgnoringCase("chunked") { return }
    var chunkedSeen = false
    var last = ByteView.empty
    for coding in ListElements(value) {
      if !characters.isToken(coding) && !coding.contains(UInt8(ascii: ";")) { throw .transferEncoding }
      if chunkedSeen { throw .transferEncoding }  // chunked twice, or not last
      if coding.equalsIgnoringCase("chunked") { chunkedSeen = true }
      last = coding
    }
    // An empty list or element is a malformed field; a foreign coding one we do not have.
    if last.isEmpty || value.first == UInt8(ascii: ",") || value.last == UInt8(ascii: ",") { throw .transferEncoding }
    if last.equalsIgnoringCase("chunked"), !value.contains(UInt8(ascii: ",")) { throw .transferEncoding }
    throw .unknownTransferCoding
  }

  /// Splits the request target (RFC 9112 §3.2) and reconciles it with `Host`.
  private func targetAndAuthority() throws(H1Error) {
    let target = unsafe cell.pointee.path
    let method = unsafe cell.pointee.method
    if host == nil, unsafe cell.pointee.version == .http11 { throw .missingHost }
    if let host {
      guard Authority.isValid(host, characters) else { throw .hostValue }
      unsafe cell.pointee.authority = host
      unsafe cell.pointee.authorityIsSound = true
    }
    if method == .connect {
      guard Authority.isValid(target, characters), Authority.parse(target)?.port != nil else { throw .target }
      if let host, !host.equalsIgnoringCase(target) {
        let withoutPort = target.prefix(host.count)
        let portFollows = target.count > host.count && target[host.count] == UInt8(ascii: ":")
        guard portFollows, withoutPort.equalsIgnoringCase(host) else { throw .hostMismatch }
      }
      unsafe cell.pointee.authority = target
      unsafe cell.pointee.path = .empty
      return
    }
    if target[0] == UInt8(ascii: "/") { return }
    if target.count == 1, target[0] == UInt8(ascii: "*") {
      guard method == .options else { throw .target }
      return
    }
    try absoluteForm(target, method)
  }

  @inline(never)
  private func absoluteForm(_ target: ByteView, _ method: HTTPMethod) throws(H1Error) {
    var scheme: StaticString = "http"
    var rest: ByteView
    if target.count > 7, target.prefix(7).equalsIgnoringCase("http://") {
      rest = target.dropFirst(7)
    } else if target.count > 8, target.prefix(8).equalsIgnoringCase("https://") {
      scheme = "https"
      rest = target.dropFirst(8)
    } else {
      throw .target
    }
    var end = 0
    while end < rest.count, rest[end] != UInt8(ascii: "/"), rest[end] != UInt8(ascii: "?") { end += 1 }
    let authority = rest.prefix(end)
    rest = rest.dropFirst(end)
    guard Authority.isValid(authority, characters) else { throw .target }
    // It takes the place of what `Host` says, whatever that is (RFC 9112 §3.2.2); nobody behind here sees the other one.
    let head = unsafe MessageHead(cell: cell)
    head.scheme = ByteView(scheme)
    head.authority = authority
    head.flags.insert(.absoluteForm)
    if rest.isEmpty {
      head.path = method == .options ? ByteView("*" as StaticString) : ByteView("/" as StaticString)
    } else if rest[0] == UInt8(ascii: "?") {
      head.path = head.concatenate(ByteView("/" as StaticString), rest)
    } else {
      head.path = rest
    }
  }
}
