import WeftBase
import WeftHTTP

/// Heads of the codecs to and from the values of the cold path.
enum HeadConversion {
  // MARK: From the codec

  static func request(_ head: MessageHead, isSecure: Bool) -> HTTPRequest {
    HTTPRequest(
      method: head.methodText.string,
      scheme: head.scheme.isEmpty ? (isSecure ? "https" : "http") : head.scheme.string,
      authority: head.authority.string, target: head.path.string, headers: headers(head))
  }

  static func response(_ head: MessageHead) -> HTTPResponse {
    HTTPResponse(status: Int(head.status), headers: headers(head))
  }

  static func headers(_ head: MessageHead) -> HTTPHeaders {
    var headers = HTTPHeaders()
    for field in head.fields { headers.add(field.name.string, field.value.string) }
    return headers
  }

  // MARK: To the codec

  static func fill(_ head: MessageHead, _ request: HTTPRequest, framing: BodyFraming) {
    head.reset()
    head.setMethod(copy(request.method, to: head))
    head.scheme = copy(request.scheme, to: head)
    head.authority = copy(request.authority, to: head)
    head.path = copy(request.target, to: head)
    head.version = .http11
    head.framing = framing
    append(request.headers, to: head)
  }

  static func fill(_ head: MessageHead, _ response: HTTPResponse, framing: BodyFraming) {
    head.startResponse(UInt16(clamping: response.status), framing: framing)
    append(response.headers, to: head)
  }

  static func fill(_ head: MessageHead, trailers: HTTPHeaders) {
    head.startTrailers()
    append(trailers, to: head)
  }

  private static func append(_ headers: HTTPHeaders, to head: MessageHead) {
    for field in headers.fields where !isFraming(field.name) {
      head.append(named: copy(field.name, to: head), copy(field.value, to: head))
    }
  }

  private static func copy(_ text: String, to head: MessageHead) -> ByteView {
    text.withByteView { head.copy($0) }
  }

  /// Fields the encoders write themselves.
  private static func isFraming(_ name: String) -> Bool {
    HTTPHeaders.same(name, "content-length") || HTTPHeaders.same(name, "transfer-encoding")
      || HTTPHeaders.same(name, "connection") || HTTPHeaders.same(name, "host")
  }

  // MARK: Checks of what our own callers hand in

  /// *Errors*: `protocolViolation` naming the first field that cannot travel.
  static func check(_ headers: HTTPHeaders) throws(ServiceError) {
    for field in headers.fields {
      guard !field.name.isEmpty, field.name.utf8.count < 1 << 16, field.name.utf8.allSatisfy(isTokenByte) else {
        throw .protocolViolation("header name \"\(field.name)\"")
      }
      guard field.value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }) else {
        throw .protocolViolation("value of header \(field.name)")
      }
    }
  }

  static func check(_ request: HTTPRequest) throws(ServiceError) {
    guard !request.method.isEmpty, request.method.utf8.allSatisfy(isTokenByte) else {
      throw .protocolViolation("method \"\(request.method)\"")
    }
    guard !request.target.isEmpty, request.target.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
      throw .protocolViolation("request target \"\(request.target)\"")
    }
    guard request.authority.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "/") }) else {
      throw .protocolViolation("authority \"\(request.authority)\"")
    }
    try check(request.headers)
  }

  private static func isTokenByte(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
    default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
    }
  }
}
