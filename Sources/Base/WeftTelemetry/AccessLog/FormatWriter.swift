import Glibc
package import WeftBase

/// What writing one operator came to.
package enum FormatOutcome: BitwiseCopyable, Sendable {
  case missing, text, number
}

extension FormatProgram {
  /// Appends the formatted text. Unset values print `-`, or nothing when `omitEmpty`. Control characters that came from
  /// a peer are
  /// written as `\xNN`, so that nobody can forge a line.
  /// *Cost*: no allocation beyond the growth of `out`.
  package func append<S: AccessLogSource>(from source: S, omitEmpty: Bool = false, to out: inout ByteBuffer) {
    let record = source.record
    for i in operators.indices {
      let operation = operators[i]
      if FormatWriter.append(operation, record, source, escaping: .text, to: &out) == .missing, !omitEmpty {
        out.append(UInt8(ascii: "-"))
      }
    }
  }

  /// Appends the value for a header: as `append`, but unset values are left out, as Envoy does in headers.
  package func appendHeaderValue<S: AccessLogSource>(from source: S, to out: inout ByteBuffer) {
    append(from: source, omitEmpty: true, to: &out)
  }
}

/// How bytes from outside are made harmless.
enum FormatEscaping: BitwiseCopyable { case text, json }

enum FormatWriter {
  static func append<S: AccessLogSource>(
    _ operation: FormatOperator, _ record: AccessLogRecord, _ source: S, escaping: FormatEscaping,
    to out: inout ByteBuffer
  ) -> FormatOutcome {
    switch operation {
    case .literal(let text):
      if escaping == .json { JSONEscape.append(text, to: &out) } else { out.append(text) }
      return .text
    case .field(let field): return append(field, record, source, escaping, &out)
    case .requestHeader(let operand):
      let value =
        source.requestHeader(operand.name)
        ?? (operand.alternative.isEmpty ? nil : source.requestHeader(operand.alternative))
      return append(value, operand, escaping, &out)
    case .responseHeader(let operand):
      let value =
        source.responseHeader(operand.name)
        ?? (operand.alternative.isEmpty ? nil : source.responseHeader(operand.alternative))
      return append(value, operand, escaping, &out)
    case .responseTrailer(let operand):
      let value =
        source.responseTrailer(operand.name)
        ?? (operand.alternative.isEmpty ? nil : source.responseTrailer(operand.alternative))
      return append(value, operand, escaping, &out)
    case .path(let withQuery, let original, let maxLength):
      let name: StaticString = ":path"
      let originalName: StaticString = "x-envoy-original-path"
      var value: ByteView?
      if original != .current { value = source.requestHeader(ByteView(originalName)) }
      if value == nil, original != .original { value = source.requestHeader(ByteView(name)) }
      guard var value else { return .missing }
      if !withQuery, let mark = value.firstIndex(of: UInt8(ascii: "?")) { value = value.prefix(mark) }
      return append(value, maxLength, escaping, &out)
    case .queryParameter(let name, let maxLength):
      guard let path = source.requestHeader(ByteView(":path" as StaticString)),
        let value = QueryString.first(name, in: path)
      else { return .missing }
      return append(value, maxLength, escaping, &out)
    case .time(let moment, let pieces):
      let offset = moment.nanoseconds(in: record)
      guard offset >= 0 else { return .missing }
      TimePattern.append(record.startUnixNanoseconds &+ offset, pieces, to: &out)
      return .text
    case .commonDuration(let from, let to, let divisor):
      return appendDuration(from.nanoseconds(in: record), to.nanoseconds(in: record), divisor, &out)
    case .grpcStatus(let style):
      if record.grpcStatus == AccessLogRecord.noGRPCStatus { return .missing }
      if style != .number, let name = GRPCStatusName.name(record.grpcStatus, snake: style == .snake) {
        out.append(name)
        return .text
      }
      // What is no number is none of gRPC's statuses.
      out.append(decimal: Int(max(-1, record.grpcStatus)))
      return .number
    case .metadata(let owner, let path, let maxLength):
      let values =
        switch owner {
        case .route: record.routeMetadata
        case .cluster: record.clusterMetadata
        case .dynamic: record.dynamicMetadata
        }
      guard let value = values.text(at: path) else { return .missing }
      return append(value, maxLength, escaping, &out)
    case .unavailable: return .missing
    }
  }

  private static func append(
    _ value: ByteView?, _ operand: FormatOperator.HeaderOperand, _ escaping: FormatEscaping, _ out: inout ByteBuffer
  ) -> FormatOutcome {
    guard var value else { return .missing }
    if operand.dropQuery, let mark = value.firstIndex(of: UInt8(ascii: "?")) { value = value.prefix(mark) }
    return append(value, operand.maxLength, escaping, &out)
  }

  static func append(
    _ value: ByteView, _ maxLength: Int32, _ escaping: FormatEscaping, _ out: inout ByteBuffer
  ) -> FormatOutcome {
    let cut = maxLength >= 0 ? value.prefix(Int(maxLength)) : value
    switch escaping {
    case .json: JSONEscape.append(cut, to: &out)
    case .text: appendPrintable(cut, to: &out)
    }
    return .text
  }

  /// Appends bytes with control characters as `\xNN`.
  static func appendPrintable(_ value: ByteView, to out: inout ByteBuffer) {
    var start = 0
    for i in 0..<value.count {
      let byte = value[i]
      if byte >= 0x20 && byte != 0x7f { continue }
      out.append(value[start..<i])
      out.append("\\x" as StaticString)
      out.append(ASCII.hexadecimalDigit(byte >> 4))
      out.append(ASCII.hexadecimalDigit(byte & 15))
      start = i + 1
    }
    out.append(value[start..<value.count])
  }

  private static func appendDuration(_ from: Int64, _ to: Int64, _ divisor: Int64, _ out: inout ByteBuffer)
    -> FormatOutcome
  {
    guard from >= 0, to >= 0 else { return .missing }
    out.append(decimal: Int((to - from) / divisor))
    return .number
  }

  private static func number(_ value: UInt64, _ out: inout ByteBuffer) -> FormatOutcome {
    out.append(decimal: value)
    return .number
  }

  private static func milliseconds(_ from: Int64, _ to: Int64, _ out: inout ByteBuffer) -> FormatOutcome {
    appendDuration(from, to, 1_000_000, &out)
  }

  static func append<S: AccessLogSource>(
    _ field: LogField, _ r: AccessLogRecord, _ source: S, _ escaping: FormatEscaping, _ out: inout ByteBuffer
  ) -> FormatOutcome {
    func text(_ value: ByteView) -> FormatOutcome {
      value.isEmpty ? .missing : append(value, -1, escaping, &out)
    }
    switch field {
    case .protocolName: return appendProtocol(r.protocolName, r, &out)
    case .upstreamProtocol: return appendProtocol(r.upstreamProtocol, r, &out)
    case .responseCode: return number(UInt64(r.status), &out)
    case .responseCodeDetails:
      // Blanks would break lines that are split at blanks.
      guard !r.responseCodeDetails.isEmpty else { return .missing }
      for i in 0..<r.responseCodeDetails.count {
        let byte = r.responseCodeDetails[i]
        out.append(byte <= 0x20 || byte == 0x7f || byte == 0x22 || byte == 0x5c ? UInt8(ascii: "_") : byte)
      }
      return .text
    case .responseCodeDetailsAsTheyAre: return text(r.responseCodeDetails)
    case .bytesReceived: return number(r.bytesReceived, &out)
    case .requestHeadersBytes: return number(source.requestHeadersBytes, &out)
    case .responseHeadersBytes: return number(source.responseHeadersBytes, &out)
    case .responseTrailersBytes: return number(source.responseTrailersBytes, &out)
    case .bytesSent: return number(r.bytesSent, &out)
    case .duration: return milliseconds(0, r.end, &out)
    case .requestDuration: return milliseconds(0, r.lastDownstreamRx, &out)
    case .responseDuration: return milliseconds(0, r.firstUpstreamRx, &out)
    case .responseTxDuration: return milliseconds(r.firstUpstreamRx, r.lastDownstreamTx, &out)
    case .roundtripDuration: return milliseconds(0, r.lastDownstreamTx, &out)
    case .responseFlags: return appendFlags(r.flags, long: false, &out)
    case .responseFlagsLong: return appendFlags(r.flags, long: true, &out)
    case .routeName: return text(r.routeName)
    case .virtualHostName: return text(r.virtualHostName)
    case .upstreamHost, .upstreamRemoteAddress: return appendAddress(r.upstreamRemote, port: true, &out)
    case .upstreamRemoteAddressWithoutPort: return appendAddress(r.upstreamRemote, port: false, &out)
    case .upstreamRemotePort: return appendPort(r.upstreamRemote, &out)
    case .upstreamLocalAddress: return appendAddress(r.upstreamLocal, port: true, &out)
    case .upstreamLocalAddressWithoutPort: return appendAddress(r.upstreamLocal, port: false, &out)
    case .upstreamLocalPort: return appendPort(r.upstreamLocal, &out)
    case .upstreamHostName:
      return r.upstreamHostName.isEmpty ? appendAddress(r.upstreamRemote, port: true, &out) : text(r.upstreamHostName)
    case .upstreamHostNameWithoutPort:
      return r.upstreamHostName.isEmpty ? appendAddress(r.upstreamRemote, port: false, &out) : text(r.upstreamHostName)
    case .upstreamCluster: return text(r.upstreamCluster)
    case .upstreamRequestAttemptCount: return number(UInt64(r.attempts), &out)
    case .downstreamRemoteAddress: return appendAddress(r.downstreamRemote, port: true, &out)
    case .downstreamRemoteAddressWithoutPort: return appendAddress(r.downstreamRemote, port: false, &out)
    case .downstreamRemotePort: return appendPort(r.downstreamRemote, &out)
    case .downstreamDirectRemoteAddress: return appendAddress(r.downstreamDirectRemote, port: true, &out)
    case .downstreamDirectRemoteAddressWithoutPort: return appendAddress(r.downstreamDirectRemote, port: false, &out)
    case .downstreamDirectRemotePort: return appendPort(r.downstreamDirectRemote, &out)
    case .downstreamLocalAddress: return appendAddress(r.downstreamLocal, port: true, &out)
    case .downstreamLocalAddressWithoutPort: return appendAddress(r.downstreamLocal, port: false, &out)
    case .downstreamLocalPort: return appendPort(r.downstreamLocal, &out)
    case .downstreamDirectLocalAddress: return appendAddress(r.downstreamDirectLocal, port: true, &out)
    case .downstreamDirectLocalAddressWithoutPort: return appendAddress(r.downstreamDirectLocal, port: false, &out)
    case .downstreamDirectLocalPort: return appendPort(r.downstreamDirectLocal, &out)
    case .connectionID: return number(r.connectionID, &out)
    case .streamID: return number(r.streamID, &out)
    case .hostname:
      HostName.append(to: &out)
      return .text
    case .filterChainName: return text(r.filterChainName)
    case .accessLogType:
      out.append(r.kind.text)
      return .text
    }
  }

  private static func appendProtocol(
    _ name: AccessLogRecord.ProtocolName, _ r: AccessLogRecord, _ out: inout ByteBuffer
  ) -> FormatOutcome {
    switch name {
    case .none: return .missing
    case .http10: out.append("HTTP/1.0" as StaticString)
    case .http11: out.append("HTTP/1.1" as StaticString)
    case .http2: out.append("HTTP/2" as StaticString)
    case .other: out.append(r.otherProtocol)
    }
    return .text
  }

  private static func appendFlags(_ flags: ResponseFlags, long: Bool, _ out: inout ByteBuffer) -> FormatOutcome {
    // No flag is a value, too, and the same one everywhere: `-`.
    if flags.isEmpty { out.append(UInt8(ascii: "-")) }
    var first = true
    for flag in ResponseFlag.allCases where flags.contains(flag) {
      if !first { out.append(UInt8(ascii: ",")) }
      out.append(long ? flag.longName : flag.shortName)
      first = false
    }
    return .text
  }

  private static func appendPort(_ address: LogAddress, _ out: inout ByteBuffer) -> FormatOutcome {
    guard address.family == .ipv4 || address.family == .ipv6 else { return .missing }
    return number(UInt64(address.port), &out)
  }

  static func appendAddress(_ address: LogAddress, port: Bool, _ out: inout ByteBuffer) -> FormatOutcome {
    switch address.family {
    case .none: return .missing
    case .unix: appendPrintable(address.path, to: &out)
    case .ipv4:
      for shift in [56, 48, 40, 32] as [UInt64] {
        if shift != 56 { out.append(UInt8(ascii: ".")) }
        out.append(decimal: address.high >> shift & 0xff)
      }
    case .ipv6:
      if port { out.append(UInt8(ascii: "[")) }
      appendIPv6(address, &out)
      if port { out.append(UInt8(ascii: "]")) }
    }
    if port, address.family != .unix {
      out.append(UInt8(ascii: ":"))
      out.append(decimal: UInt64(address.port))
    }
    return .text
  }

  /// RFC 5952: lower case, the longest run of two or more zero groups becomes `::`.
  private static func appendIPv6(_ address: LogAddress, _ out: inout ByteBuffer) {
    func group(_ i: Int) -> UInt64 {
      (i < 4 ? address.high >> UInt64(48 - i * 16) : address.low >> UInt64(112 - i * 16)) & 0xffff
    }
    var best = -1
    var bestLength = 1
    var i = 0
    while i < 8 {
      var length = 0
      while i + length < 8, group(i + length) == 0 { length += 1 }
      if length > bestLength { (best, bestLength) = (i, length) }
      i += max(1, length)
    }
    i = 0
    while i < 8 {
      if i == best {
        out.append("::" as StaticString)
        i += bestLength
        continue
      }
      if i > 0, i != best + bestLength || best < 0 { out.append(UInt8(ascii: ":")) }
      out.append(hexadecimal: group(i))
      i += 1
    }
  }
}

/// The name of this machine, asked for once.
enum HostName {
  private static let value: [UInt8] = {
    var buffer = [CChar](repeating: 0, count: 256)
    guard unsafe gethostname(&buffer, buffer.count - 1) == 0 else { return Array("-".utf8) }
    return buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
  }()

  static func append(to out: inout ByteBuffer) { out.append(value) }
}

extension AccessLogRecord.Kind {
  package var text: StaticString {
    switch self {
    case .tcpConnectionEnd: "TcpConnectionEnd"
    case .downstreamEnd: "DownstreamEnd"
    }
  }
}

/// Names of the gRPC status codes.
package enum GRPCStatusName {
  package static func name(_ code: Int64, snake: Bool) -> StaticString? {
    switch code {
    case 0: "OK"
    case 1: snake ? "CANCELLED" : "Canceled"
    case 2: snake ? "UNKNOWN" : "Unknown"
    case 3: snake ? "INVALID_ARGUMENT" : "InvalidArgument"
    case 4: snake ? "DEADLINE_EXCEEDED" : "DeadlineExceeded"
    case 5: snake ? "NOT_FOUND" : "NotFound"
    case 6: snake ? "ALREADY_EXISTS" : "AlreadyExists"
    case 7: snake ? "PERMISSION_DENIED" : "PermissionDenied"
    case 8: snake ? "RESOURCE_EXHAUSTED" : "ResourceExhausted"
    case 9: snake ? "FAILED_PRECONDITION" : "FailedPrecondition"
    case 10: snake ? "ABORTED" : "Aborted"
    case 11: snake ? "OUT_OF_RANGE" : "OutOfRange"
    case 12: snake ? "UNIMPLEMENTED" : "Unimplemented"
    case 13: snake ? "INTERNAL" : "Internal"
    case 14: snake ? "UNAVAILABLE" : "Unavailable"
    case 15: snake ? "DATA_LOSS" : "DataLoss"
    case 16: snake ? "UNAUTHENTICATED" : "Unauthenticated"
    default: nil
    }
  }
}

/// The parameters after `?`, compared without being decoded.
package enum QueryString {
  /// The first value of `name`; empty when it is there without one.
  package static func first(_ name: ByteView, in path: ByteView) -> ByteView? {
    guard let mark = path.firstIndex(of: UInt8(ascii: "?")) else { return nil }
    var rest = path.dropFirst(mark + 1)
    if let hash = rest.firstIndex(of: UInt8(ascii: "#")) { rest = rest.prefix(hash) }
    while true {
      let end = rest.firstIndex(of: UInt8(ascii: "&")) ?? rest.count
      let pair = rest.prefix(end)
      let equals = pair.firstIndex(of: UInt8(ascii: "=")) ?? pair.count
      if !pair.isEmpty, pair.prefix(equals).equals(name) { return pair.dropFirst(equals + 1) }
      if end >= rest.count { return nil }
      rest = rest.dropFirst(end + 1)
    }
  }
}
