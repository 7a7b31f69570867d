import Glibc
package import WeftBase

/// A format string compiled into operators: access-log lines, JSON values, and the values of header mutations.
///
/// *Shape*: trivially copyable; the operators live in the arena it was compiled into.
package struct FormatProgram: BitwiseCopyable, Sendable {
  package let operators: ConstantTable<FormatOperator>

  package init(operators: ConstantTable<FormatOperator> = ConstantTable()) { self.operators = operators }

  /// The text when it is one literal.
  package var literal: ByteView? {
    if operators.isEmpty { return .empty }
    guard operators.count == 1, case .literal(let text) = operators[0] else { return nil }
    return text
  }

  /// Whether it tells where connections to endpoints come from, which nobody asks for its own sake.
  package var tellsUpstreamLocal: Bool {
    for i in operators.indices where operators[i].tellsUpstreamLocal { return true }
    return false
  }

  /// Envoy's default line.
  package static let standardText = """
    [%START_TIME%] "%REQUEST_HEADER(:METHOD)% %REQUEST_HEADER(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" \
    %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% \
    %RESPONSE_HEADER(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQUEST_HEADER(X-FORWARDED-FOR)%" \
    "%REQUEST_HEADER(USER-AGENT)%" "%REQUEST_HEADER(X-REQUEST-ID)%" "%REQUEST_HEADER(:AUTHORITY)%" "%UPSTREAM_HOST%"

    """

  /// Compiles `text`. *Errors*: an operator that does not exist, or an argument it does not take.
  package static func compile(_ text: String, arena: ConstantArena) throws(ConfigError) -> FormatProgram {
    var operators: [FormatOperator] = []
    var literal: [UInt8] = []
    func flush() {
      if !literal.isEmpty { operators.append(.literal(literal.withByteView { arena.copy($0) })) }
      literal = []
    }
    let bytes = Array(text.utf8)
    var i = 0
    while i < bytes.count {
      guard bytes[i] == UInt8(ascii: "%") else {
        literal.append(bytes[i])
        i += 1
        continue
      }
      if i + 1 < bytes.count, bytes[i + 1] == UInt8(ascii: "%") {
        literal.append(UInt8(ascii: "%"))
        i += 2
        continue
      }
      let parsed = try FormatSyntax.parse(bytes, at: i, text)
      flush()
      operators.append(try FormatSyntax.compile(parsed, arena: arena))
      i = parsed.end
    }
    flush()
    return FormatProgram(operators: arena.table(operators))
  }
}

/// The grammar: `%NAME%`, `%NAME(argument)%`, `%NAME(argument):length%`.
enum FormatSyntax {
  struct Parsed {
    var name: String
    var argument: String?
    var maxLength: Int32
    var end: Int
  }

  static func parse(_ bytes: [UInt8], at start: Int, _ text: String) throws(ConfigError) -> Parsed {
    func isNameByte(_ b: UInt8) -> Bool { b == 0x5f || ASCII.isDigit(b) || (b >= 0x41 && b <= 0x5a) }
    var i = start + 1
    while i < bytes.count, isNameByte(bytes[i]) { i += 1 }
    let name = String(decoding: bytes[start + 1..<i], as: UTF8.self)
    guard !name.isEmpty else {
      throw ConfigError("format has a % at byte \(start) that starts no operator; write %% for a percent sign")
    }
    var argument: String?
    if i < bytes.count, bytes[i] == UInt8(ascii: "(") {
      guard let close = bytes[i...].firstIndex(of: UInt8(ascii: ")")) else {
        throw ConfigError("operator %\(name)( has no closing parenthesis")
      }
      argument = String(decoding: bytes[i + 1..<close], as: UTF8.self)
      guard !bytes[i..<close].contains(UInt8(ascii: "\n")) else {
        throw ConfigError("operator %\(name)(…)%: an argument has no line break in it")
      }
      i = close + 1
    }
    var maxLength: Int32 = -1
    if i < bytes.count, bytes[i] == UInt8(ascii: ":") {
      var j = i + 1
      while j < bytes.count, ASCII.isDigit(bytes[j]) { j += 1 }
      guard j > i + 1 else { throw ConfigError("operator %\(name): the length after the colon must be a number") }
      // No value is longer than the longest one that can be told.
      maxLength = Int32(String(decoding: bytes[i + 1..<j], as: UTF8.self)) ?? .max
      i = j
    }
    guard i < bytes.count, bytes[i] == UInt8(ascii: "%") else {
      throw ConfigError("operator %\(name) is not closed by a percent sign")
    }
    return Parsed(name: name, argument: argument, maxLength: maxLength, end: i + 1)
  }

  static func compile(_ p: Parsed, arena: ConstantArena) throws(ConfigError) -> FormatOperator {
    guard p.maxLength < 0 || takingLength.contains(p.name) else {
      throw ConfigError("operator %\(p.name)% takes no length, has :\(p.maxLength)")
    }
    if let field = LogField.named[p.name] {
      if p.argument == "ALLOW_WHITESPACES", field == .responseCodeDetails {
        return .field(.responseCodeDetailsAsTheyAre)
      }
      return try withoutArgument(p, .field(field))
    }
    switch p.name {
    case "REQ", "REQUEST_HEADER": return .requestHeader(try header(p, arena: arena))
    case "RESP", "RESPONSE_HEADER": return .responseHeader(try header(p, arena: arena))
    case "TRAILER", "RESPONSE_TRAILER": return .responseTrailer(try header(p, arena: arena))
    case "REQ_WITHOUT_QUERY": return .requestHeader(try header(p, arena: arena, dropQuery: true))
    case "START_TIME", "START_TIME_LOCAL":
      return .time(.start, try TimePattern.compile(nonEmpty(p.argument) ?? TimePattern.standard, arena: arena))
    case "EMIT_TIME", "EMIT_TIME_LOCAL":
      return .time(.end, try TimePattern.compile(nonEmpty(p.argument) ?? TimePattern.standard, arena: arena))
    case "COMMON_DURATION": return try commonDuration(p)
    case "GRPC_STATUS": return try grpcStatus(p)
    case "GRPC_STATUS_NUMBER": return try withoutArgument(p, .grpcStatus(style: .number))
    // Flags of this name are set by extensions alone, and none here sets any: as with Envoy that is a text without a letter.
    case "CUSTOM_FLAGS": return try withoutArgument(p, .literal(.empty))
    case "PATH": return try path(p)
    case "QUERY_PARAM", "QUERY_PARAMETER":
      guard let name = nonEmpty(p.argument) else { throw ConfigError("operator %\(p.name)(NAME)% needs a name") }
      return .queryParameter(arena.text(name), maxLength: p.maxLength)
    case "ENVIRONMENT":
      guard let name = nonEmpty(p.argument) else { throw ConfigError("operator %ENVIRONMENT(NAME)% needs a name") }
      guard let value = unsafe getenv(name) else { return .literal(ByteView("-" as StaticString)) }
      let text = unsafe String(cString: value)
      return .literal(arena.text(p.maxLength >= 0 ? String(text.prefix(Int(p.maxLength))) : text))
    case "METADATA", "CLUSTER_METADATA", "DYNAMIC_METADATA": return try metadata(p, arena: arena)
    case "FILTER_STATE", "UPSTREAM_FILTER_STATE", "UPSTREAM_METADATA":
      guard nonEmpty(p.argument) != nil else { throw ConfigError("operator %\(p.name)(KEY)% needs a key") }
      return .unavailable
    case "REQUESTED_SERVER_NAME":
      for (option, allowed) in zip(nonEmpty(p.argument)?.split(separator: ":") ?? [], serverNameOptions) {
        guard allowed.contains(String(option)) else {
          throw ConfigError("operator %\(p.name)(…)% takes one of \(allowed.joined(separator: ", ")), has \(option)")
        }
      }
      return .unavailable
    case let name where name.contains("_PEER_CERT_V_") && withoutValue.contains(name): return .unavailable
    case let name where withoutValue.contains(name): return try withoutArgument(p, .unavailable)
    default: throw ConfigError("operator %\(p.name)% does not exist")
    }
  }

  private static func withoutArgument(_ p: Parsed, _ operation: FormatOperator) throws(ConfigError) -> FormatOperator {
    guard let argument = nonEmpty(p.argument) else { return operation }
    throw ConfigError("operator %\(p.name)% takes no argument, has (\(argument))")
  }

  /// Operators whose value may be cut off: `%NAME(argument):length%`.
  static let takingLength: Set<String> = [
    "REQ", "REQUEST_HEADER", "REQ_WITHOUT_QUERY", "RESP", "RESPONSE_HEADER", "TRAILER", "RESPONSE_TRAILER", "PATH",
    "QUERY_PARAM", "QUERY_PARAMETER", "ENVIRONMENT", "METADATA", "CLUSTER_METADATA", "DYNAMIC_METADATA",
    "UPSTREAM_METADATA", "FILTER_STATE", "UPSTREAM_FILTER_STATE",
  ]

  /// What `%REQUESTED_SERVER_NAME(FIRST:SECOND)%` takes.
  static let serverNameOptions = [["SNI_ONLY", "SNI_FIRST", "HOST_FIRST"], ["ORIG_OR_HOST", "HOST", "ORIG"]]

  /// Envoy's operators that are known, and have no value here: what they tell is kept by nobody yet.
  static let withoutValue: Set<String> = [
    "CONNECTION_TERMINATION_DETAILS", "DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED",
    "DOWNSTREAM_DETECTED_CLOSE_TYPE", "DOWNSTREAM_HANDSHAKE_DURATION", "DOWNSTREAM_HEADER_BYTES_RECEIVED",
    "DOWNSTREAM_HEADER_BYTES_SENT", "DOWNSTREAM_LOCAL_CLOSE_REASON", "DOWNSTREAM_LOCAL_DNS_SAN",
    "DOWNSTREAM_LOCAL_EMAIL_SAN", "DOWNSTREAM_LOCAL_IP_SAN", "DOWNSTREAM_LOCAL_OTHERNAME_SAN",
    "DOWNSTREAM_LOCAL_SUBJECT", "DOWNSTREAM_LOCAL_URI_SAN", "DOWNSTREAM_PEER_CERT", "DOWNSTREAM_PEER_CERT_V_END",
    "DOWNSTREAM_PEER_CERT_V_START", "DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1", "DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256",
    "DOWNSTREAM_PEER_CHAIN_SERIALS", "DOWNSTREAM_PEER_DNS_SAN", "DOWNSTREAM_PEER_EMAIL_SAN",
    "DOWNSTREAM_PEER_FINGERPRINT_1", "DOWNSTREAM_PEER_FINGERPRINT_256", "DOWNSTREAM_PEER_IP_SAN",
    "DOWNSTREAM_PEER_ISSUER", "DOWNSTREAM_PEER_OTHERNAME_SAN", "DOWNSTREAM_PEER_SERIAL", "DOWNSTREAM_PEER_SUBJECT",
    "DOWNSTREAM_PEER_URI_SAN", "DOWNSTREAM_TLS_CIPHER", "DOWNSTREAM_TLS_SESSION_ID", "DOWNSTREAM_TLS_VERSION",
    "DOWNSTREAM_TRANSPORT_FAILURE_REASON", "DOWNSTREAM_WIRE_BYTES_RECEIVED", "DOWNSTREAM_WIRE_BYTES_SENT",
    "LOCAL_REPLY_BODY", "REQUEST_TX_DURATION", "SPAN_ID", "TLS_JA3_FINGERPRINT", "TLS_JA4_FINGERPRINT", "TRACE_ID",
    "UNIQUE_ID", "UPSTREAM_CONNECTION_ID", "UPSTREAM_CONNECTION_IDS_ATTEMPTED",
    "UPSTREAM_CONNECTION_POOL_READY_DURATION", "UPSTREAM_DECOMPRESSED_HEADER_BYTES_SENT",
    "UPSTREAM_DETECTED_CLOSE_TYPE", "UPSTREAM_HEADER_BYTES_RECEIVED", "UPSTREAM_HEADER_BYTES_SENT",
    "UPSTREAM_HOSTS_ATTEMPTED", "UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT", "UPSTREAM_HOST_NAMES_ATTEMPTED",
    "UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT", "UPSTREAM_LOCAL_CLOSE_REASON", "UPSTREAM_LOCAL_DNS_SAN",
    "UPSTREAM_LOCAL_IP_SAN", "UPSTREAM_LOCAL_SUBJECT", "UPSTREAM_LOCAL_URI_SAN", "UPSTREAM_PEER_CERT",
    "UPSTREAM_PEER_CERT_V_END", "UPSTREAM_PEER_CERT_V_START", "UPSTREAM_PEER_DNS_SAN", "UPSTREAM_PEER_IP_SAN",
    "UPSTREAM_PEER_ISSUER", "UPSTREAM_PEER_SUBJECT", "UPSTREAM_PEER_URI_SAN", "UPSTREAM_TLS_CIPHER",
    "UPSTREAM_TLS_SESSION_ID", "UPSTREAM_TLS_VERSION", "UPSTREAM_TRANSPORT_FAILURE_REASON",
    "UPSTREAM_WIRE_BYTES_RECEIVED", "UPSTREAM_WIRE_BYTES_SENT", "VIRTUAL_CLUSTER_NAME",
  ]

  private static func nonEmpty(_ text: String?) -> String? { text.flatMap { $0.isEmpty ? nil : $0 } }

  private static func header(
    _ p: Parsed, arena: ConstantArena, dropQuery: Bool = false
  ) throws(ConfigError) -> FormatOperator.HeaderOperand {
    guard let argument = nonEmpty(p.argument) else {
      throw ConfigError("operator %\(p.name)(NAME)% needs the name of a header")
    }
    let names = argument.split(separator: "?", omittingEmptySubsequences: false).map { $0.lowercased() }
    guard names.count <= 2 else {
      throw ConfigError("operator %\(p.name)(\(argument))% names more than one alternative")
    }
    guard names.allSatisfy({ $0.isEmpty || isHeaderName($0) }) else {
      throw ConfigError("operator %\(p.name)(…)%: \"\(argument)\" is not the name of a header")
    }
    return FormatOperator.HeaderOperand(
      name: arena.text(names[0]), alternative: names.count == 2 ? arena.text(names[1]) : .empty, maxLength: p.maxLength,
      dropQuery: dropQuery)
  }

  /// Whether a message may have a field of that name: a token (RFC 9110 §5.6.2), which may begin with a colon.
  private static func isHeaderName(_ name: String) -> Bool {
    let token = name.hasPrefix(":") ? name.dropFirst() : name[...]
    return !token.isEmpty
      && token.utf8.allSatisfy { byte in
        ASCII.isDigit(byte) || ASCII.lowercased(byte) &- 97 < 26 || "!#$%&'*+-.^_`|~".utf8.contains(byte)
      }
  }

  private static func metadata(_ p: Parsed, arena: ConstantArena) throws(ConfigError) -> FormatOperator {
    var parts = (p.argument ?? "").split(separator: ":", omittingEmptySubsequences: false)
    var owner = p.name == "DYNAMIC_METADATA" ? "DYNAMIC" : "CLUSTER"
    if p.name == "METADATA" { owner = parts.isEmpty ? "" : String(parts.removeFirst()) }
    guard let namespace = parts.first, !namespace.isEmpty else {
      throw ConfigError("operator %\(p.name)(\(p.name == "METADATA" ? "TYPE:" : "")NAMESPACE:KEY)% needs a namespace")
    }
    let path = arena.text(parts.joined(separator: ":"))
    switch owner {
    case "ROUTE": return .metadata(.route, path: path, maxLength: p.maxLength)
    case "CLUSTER": return .metadata(.cluster, path: path, maxLength: p.maxLength)
    case "DYNAMIC": return .metadata(.dynamic, path: path, maxLength: p.maxLength)
    case let owner where ownersWithoutValue.contains(owner): return .unavailable
    default: throw ConfigError("operator %METADATA(TYPE:…)%: \(owner) is no type of metadata")
    }
  }

  /// Owners of metadata that `%METADATA(…)%` may name, of whose nothing is kept.
  static let ownersWithoutValue: Set<String> = ["UPSTREAM_HOST", "LISTENER", "VIRTUAL_HOST", "LISTENER_FILTER_CHAIN"]

  private static func commonDuration(_ p: Parsed) throws(ConfigError) -> FormatOperator {
    let parts = (p.argument ?? "").split(separator: ":").map(String.init)
    if parts.count >= 2, parts.prefix(2).allSatisfy({ LogMoment.named[$0] != nil || LogMoment.untold.contains($0) }),
      parts.prefix(2).contains(where: LogMoment.untold.contains)
    {
      return .unavailable
    }
    guard parts.count == 2 || parts.count == 3, let from = LogMoment.named[parts[0]], let to = LogMoment.named[parts[1]]
    else {
      throw ConfigError(
        "operator %COMMON_DURATION(START:END:PRECISION)% takes two of \(LogMoment.named.keys.sorted().joined(separator: ", "))"
      )
    }
    switch parts.count == 3 ? parts[2] : "ms" {
    case "ms": return .commonDuration(from: from, to: to, divisor: 1_000_000)
    case "us": return .commonDuration(from: from, to: to, divisor: 1_000)
    case "ns": return .commonDuration(from: from, to: to, divisor: 1)
    default: throw ConfigError("operator %COMMON_DURATION%: the precision must be ms, us or ns, is \(parts[2])")
    }
  }

  private static func grpcStatus(_ p: Parsed) throws(ConfigError) -> FormatOperator {
    switch p.argument ?? "" {
    case "", "CAMEL_STRING": return .grpcStatus(style: .camel)
    case "SNAKE_STRING": return .grpcStatus(style: .snake)
    case "NUMBER": return .grpcStatus(style: .number)
    default:
      throw ConfigError(
        "operator %GRPC_STATUS(FORMAT)% takes CAMEL_STRING, SNAKE_STRING or NUMBER, has \(p.argument ?? "")")
    }
  }

  private static func path(_ p: Parsed) throws(ConfigError) -> FormatOperator {
    let parts = (p.argument ?? "").split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    let withQuery: Bool
    switch parts.first ?? "" {
    case "", "WQ": withQuery = true
    case "NQ": withQuery = false
    default: throw ConfigError("operator %PATH(QUERY:ORIGINAL)% takes WQ or NQ first, has \(parts[0])")
    }
    switch parts.count > 1 ? parts[1] : "ORIG_OR_PATH" {
    case "ORIG": return .path(withQuery: withQuery, original: .original, maxLength: p.maxLength)
    case "PATH": return .path(withQuery: withQuery, original: .current, maxLength: p.maxLength)
    case "ORIG_OR_PATH", "": return .path(withQuery: withQuery, original: .originalOrCurrent, maxLength: p.maxLength)
    default:
      throw ConfigError("operator %PATH(QUERY:ORIGINAL)% takes ORIG, PATH or ORIG_OR_PATH second, has \(parts[1])")
    }
  }
}

extension FormatProgram {
  /// Who asks: a log when a request is over, or a header while it is on its way.
  package enum Place: BitwiseCopyable, Sendable { case log, header }

  /// The operators of a format that have no value here, as they are written: each stands for `-` in every line. Empty when the format is wrong,
  /// which whoever compiles it says.
  package static func operatorsWithoutValue(in format: String, of place: Place) -> [String] {
    let bytes = Array(format.utf8)
    let arena = ConstantArena()
    var found: [String] = []
    var i = 0
    while let start = bytes[i...].firstIndex(of: UInt8(ascii: "%")) {
      if start + 1 < bytes.count, bytes[start + 1] == UInt8(ascii: "%") {
        i = start + 2
        continue
      }
      guard let parsed = try? FormatSyntax.parse(bytes, at: start, format) else { return found }
      if let operation = try? FormatSyntax.compile(parsed, arena: arena), !operation.hasValue(in: place) {
        found.append(String(decoding: bytes[start..<parsed.end], as: UTF8.self))
      }
      i = parsed.end
    }
    return found
  }
}
