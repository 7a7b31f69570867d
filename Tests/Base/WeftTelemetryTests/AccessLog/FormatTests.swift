import Testing
import WeftBase
import WeftTelemetry

/// A source of lines made of literals. Views point into an arena that the suite keeps.
struct FakeSource: AccessLogSource {
  var record = AccessLogRecord()
  var request: [(String, ByteView)] = []
  var response: [(String, ByteView)] = []
  var trailers: [(String, ByteView)] = []

  func requestHeader(_ name: ByteView) -> ByteView? { request.first { $0.0 == name.string }?.1 }
  func responseHeader(_ name: ByteView) -> ByteView? { response.first { $0.0 == name.string }?.1 }
  func responseTrailer(_ name: ByteView) -> ByteView? { trailers.first { $0.0 == name.string }?.1 }

  private func sum(_ fields: [(String, ByteView)]) -> UInt64 {
    fields.reduce(0) { $0 + UInt64($1.0.utf8.count + $1.1.count) }
  }
  var requestHeadersBytes: UInt64 { sum(request) }
  var responseHeadersBytes: UInt64 { sum(response) }
  var responseTrailersBytes: UInt64 { sum(trailers) }
}

@Suite("access-log formats")
struct FormatTests {
  let arena = ConstantArena()

  func source() -> FakeSource {
    var source = FakeSource()
    source.record.startUnixNanoseconds = 1_481_763_723_456_789_012
    source.record.protocolName = .http11
    source.record.status = 200
    source.record.bytesReceived = 5
    source.record.bytesSent = 1234
    source.record.end = 12_345_678
    source.record.lastDownstreamRx = 1_000_000
    source.record.firstUpstreamRx = 9_999_999
    source.record.lastDownstreamTx = 11_000_000
    source.record.upstreamRemote = LogAddress(ipv4: 0x0a00_0001, port: 8080)
    source.record.downstreamRemote = LogAddress(ipv6High: 0x2001_0db8_0000_0000, low: 1, port: 443)
    source.record.responseCodeDetails = arena.text("two words")
    source.record.upstreamCluster = arena.text("reviews")
    source.request = [
      (":method", arena.text("GET")), (":path", arena.text("/a/b?x=1&y=&x=2")), (":authority", arena.text("shop")),
      ("user-agent", arena.text("curl")), ("x-evil", arena.text("a\r\nb\u{7f}")),
    ]
    source.response = [("x-envoy-upstream-service-time", arena.text("9"))]
    source.trailers = [("grpc-message", arena.text("late"))]
    return source
  }

  func format(_ text: String, _ source: FakeSource, omitEmpty: Bool = false) throws -> String {
    let program = try FormatProgram.compile(text, arena: arena)
    var out = ByteBuffer()
    program.append(from: source, omitEmpty: omitEmpty, to: &out)
    return out.view.string
  }

  @Test(
    "operators that never have a value are known by name and print as nothing",
    arguments: [
      ("%PROTOCOL% %UPSTREAM_TLS_CIPHER% %%TRACE_ID%% %TRACE_ID%", ["%UPSTREAM_TLS_CIPHER%", "%TRACE_ID%"]),
      (
        "%FILTER_STATE(a:PLAIN):2% %DOWNSTREAM_PEER_CERT_V_START(%Y)%",
        ["%FILTER_STATE(a:PLAIN):2%", "%DOWNSTREAM_PEER_CERT_V_START(%Y)%"]
      ),
      ("%REQUESTED_SERVER_NAME(SNI_FIRST:ORIG)%", ["%REQUESTED_SERVER_NAME(SNI_FIRST:ORIG)%"]),
      ("%COMMON_DURATION(US_CX_BEG:DS_TX_END:us)%", ["%COMMON_DURATION(US_CX_BEG:DS_TX_END:us)%"]),
      ("%METADATA(LISTENER:a:b)% %METADATA(ROUTE:a:b)%", ["%METADATA(LISTENER:a:b)%"]),
      ("%START_TIME(%Y)% %REQ(:PATH)%", []), ("%TRACE_ID% %", ["%TRACE_ID%"]), ("", []),
    ])
  func withoutValue(text: String, names: [String]) throws {
    #expect(FormatProgram.operatorsWithoutValue(in: text, of: .log) == names)
    for name in names { #expect(try format(name, source()) == "-") }
  }

  @Test("where a connection to an endpoint comes from is told to logs, not to headers")
  func upstreamLocal() throws {
    let format = "%UPSTREAM_LOCAL_ADDRESS% %UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT% %UPSTREAM_LOCAL_PORT%"
    #expect(FormatProgram.operatorsWithoutValue(in: format, of: .log) == [])
    #expect(FormatProgram.operatorsWithoutValue(in: format, of: .header).count == 3)
    var source = source()
    #expect(try self.format(format, source) == "- - -")
    source.record.upstreamLocal = LogAddress(ipv4: 0x7f00_0003, port: 41_000)
    #expect(try self.format(format, source) == "127.0.0.3:41000 127.0.0.3 41000")
    #expect(try FormatProgram.compile("%PROTOCOL% %UPSTREAM_LOCAL_PORT%", arena: arena).tellsUpstreamLocal)
    #expect(try !FormatProgram.compile(FormatProgram.standardText, arena: arena).tellsUpstreamLocal)
  }

  @Test(
    "metadata of route and cluster, text as it stands, all else as JSON",
    arguments: [
      ("%METADATA(ROUTE:app:color)%", "red"), ("%METADATA(CLUSTER:app:color)%", "blue"),
      ("%CLUSTER_METADATA(app:color)%", "blue"), ("%CLUSTER_METADATA(app:color):2%", "bl"),
      ("%CLUSTER_METADATA(app)%", "{\"color\":\"blue\"}"), ("%METADATA(ROUTE:app:none)%", "-"),
      ("%METADATA(DYNAMIC:app:color)%", "-"),
    ])
  func metadata(text: String, expected: String) throws {
    var source = source()
    source.record.routeMetadata = arena.metadata(["app:color": "red"])
    source.record.clusterMetadata = arena.metadata(["app:color": "blue", "app": "{\"color\":\"blue\"}"])
    #expect(try format(text, source) == expected)
  }

  @Test("no response flag is a value, too")
  func noFlags() throws {
    #expect(try format("%RESPONSE_FLAGS%", source(), omitEmpty: true) == "-")
  }

  @Test("Envoy's default line")
  func standard() throws {
    #expect(
      try format(FormatProgram.standardText, source())
        == "[2016-12-15T01:02:03.456Z] \"GET /a/b?x=1&y=&x=2 HTTP/1.1\" 200 - 5 1234 12 9 \"-\" \"curl\" \"-\" \"shop\" \"10.0.0.1:8080\"\n"
    )
  }

  @Test(
    "operators",
    arguments: [
      ("%REQ(X-NONE?USER-AGENT)%", "curl"), ("%REQ(USER-AGENT):2%", "cu"), ("%REQ(none)%", "-"),
      ("%REQ_WITHOUT_QUERY(:PATH)%", "/a/b"), ("%PATH(NQ)%", "/a/b"), ("%PATH(WQ:PATH)%", "/a/b?x=1&y=&x=2"),
      ("%QUERY_PARAM(x)%", "1"), ("%QUERY_PARAM(y)%", ""), ("%QUERY_PARAM(z)%", "-"),
      ("%TRAILER(grpc-message)%", "late"),
      ("%DURATION%|%REQUEST_DURATION%|%RESPONSE_DURATION%|%RESPONSE_TX_DURATION%", "12|1|9|1"),
      ("%COMMON_DURATION(DS_RX_END:US_RX_BEG:us)%", "8999"), ("%COMMON_DURATION(US_TX_BEG:US_RX_BEG:ms)%", "-"),
      ("%UPSTREAM_CLUSTER%", "reviews"), ("%DOWNSTREAM_REMOTE_ADDRESS%", "[2001:db8::1]:443"),
      ("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "2001:db8::1"), ("%DOWNSTREAM_REMOTE_PORT%", "443"),
      ("%DOWNSTREAM_LOCAL_ADDRESS%", "-"), ("100%%", "100%"), ("%DYNAMIC_METADATA(a:b)%", "-"),
      ("%START_TIME(%s)%", "1481763723"), ("%START_TIME(%3s)%", "1481763723456"),
      ("%START_TIME(%d/%b/%Y:%H:%M:%S %z)%", "15/Dec/2016:01:02:03 +0000"),
      ("%START_TIME(%A %j %6f)%", "Thursday 350 456789"),
      ("%ACCESS_LOG_TYPE%", "DownstreamEnd"), ("%GRPC_STATUS%", "-"), ("%BYTES_SENT()%", "1234"),
      ("%PATH(WQ):3%", "/a/"), ("%REQ(none?USER-AGENT):99999999999%", "curl"), ("<%CUSTOM_FLAGS%>", "<>"),
      ("%REQUEST_HEADERS_BYTES%|%RESPONSE_HEADERS_BYTES%|%RESPONSE_TRAILERS_BYTES%", "69|30|16"),
      ("%RESPONSE_CODE_DETAILS%|%RESPONSE_CODE_DETAILS(ALLOW_WHITESPACES)%", "two_words|two words"),
    ])
  func operators(text: String, expected: String) throws {
    #expect(try format(text, source()) == expected)
  }

  @Test("response flags, short and long, in Envoy's order")
  func flags() throws {
    var source = source()
    source.record.flags.insert(.upstreamRetryLimitExceeded)
    source.record.flags.insert(.upstreamConnectionFailure)
    #expect(try format("%RESPONSE_FLAGS%", source) == "UF,URX")
    #expect(
      try format("%RESPONSE_FLAGS_LONG%", source) == "UpstreamConnectionFailure,UpstreamRetryLimitExceeded")
    for flag in ResponseFlag.allCases {
      #expect(ResponseFlag.named(flag.shortName.description) == flag && flag.sentence.description.hasSuffix("."))
    }
    #expect(Set(ResponseFlag.allCases.map(\.longName.description)).count == 30)
  }

  @Test("gRPC status as name or number")
  func grpcStatus() throws {
    var source = source()
    source.record.grpcStatus = 14
    #expect(
      try format("%GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS_NUMBER%", source)
        == "Unavailable UNAVAILABLE 14")
    // Outside of what gRPC knows: the number as it is, and −1 for what is none.
    for (status, text) in [
      (Int64(99), "99"), (99_999_999_999, "99999999999"), (.max, "9223372036854775807"), (-2, "-1"),
    ] {
      source.record.grpcStatus = status
      #expect(try format("%GRPC_STATUS%|%GRPC_STATUS_NUMBER%", source) == "\(text)|\(text)")
    }
  }

  @Test("control characters from a peer cannot forge a line")
  func control() throws {
    #expect(try format("%REQ(x-evil)%", source()) == "a\\x0d\\x0ab\\x7f")
  }

  @Test("unset values are left out on request")
  func omitEmpty() throws { #expect(try format("<%REQ(none)%>", source(), omitEmpty: true) == "<>") }

  @Test(
    "what is wrong is named",
    arguments: [
      ("%NOPE%", "%NOPE% does not exist"), ("%REQ%", "needs the name"), ("%REQ(a", "closing parenthesis"),
      ("50%", "percent sign"),
      ("%DURATION(x)%", "takes no argument"), ("%REQ(a):x%", "must be a number"), ("%START_TIME(%Q)%", "strftime"),
      ("%COMMON_DURATION(A:B:ms)%", "DS_RX_BEG"), ("%GRPC_STATUS(X)%", "CAMEL_STRING"), ("%PATH(XX)%", "WQ or NQ"),
      ("%REQ(a?b?c)%", "alternative"), ("%PROTOCOL", "not closed"),
      ("%REQ(a\nb)%", "line break"), ("%START_TIME(%Y\n)%", "line break"), ("%ENVIRONMENT(a\n)%", "line break"),
      ("%FILTER_STATE(a\nb)%", "line break"), ("%METADATA(CLUSTER:a\n)%", "line break"),
      ("%REQ(a b)%", "not the name"), ("%RESP(a\rb)%", "not the name"), ("%TRAILER(b?a,b)%", "not the name"),
      ("%REQ(:)%", "not the name"), ("%REQ(a\0b)%", "not the name"), ("%REQ_WITHOUT_QUERY(a:b)%", "not the name"),
      ("%PROTOCOL:3%", "no length"), ("%START_TIME:3%", "no length"), ("%GRPC_STATUS(NUMBER):2%", "no length"),
      ("%TRACE_ID:3%", "no length"), ("%CUSTOM_FLAGS(a)%", "no argument"), ("%GRPC_STATUS_NUMBER(x)%", "no argument"),
      ("%ACCESS_LOG_TYPE(x)%", "no argument"), ("%UPSTREAM_LOCAL_PORT(x)%", "no argument"),
      ("%TRACE_ID(x)%", "no argument"), ("%FILTER_STATE()%", "needs a key"), ("%UPSTREAM_METADATA%", "needs a key"),
      ("%REQUESTED_SERVER_NAME(X)%", "SNI_ONLY"), ("%REQUESTED_SERVER_NAME(SNI_ONLY:X)%", "ORIG_OR_HOST"),
    ])
  func errors(text: String, part: String) {
    let error = #expect(throws: ConfigError.self) { try FormatProgram.compile(text, arena: arena) }
    #expect(error?.message.contains(part) == true, "\(error?.message ?? "")")
  }

  @Test("JSON keeps types, writes null for unset values and escapes what is not UTF-8")
  func json() throws {
    var builder = JSONProgram.Builder(arena: arena)
    builder.openObject()
    try builder.value("%RESPONSE_CODE%", key: "status")
    try builder.value("%REQ(none)%", key: "none")
    try builder.value("%REQ(:METHOD)% %REQ(none)%", key: "line")
    try builder.value("%REQ(x-evil)%", key: "evil\"key")
    builder.openObject(key: "inner")
    try builder.value("%DURATION%", key: "ms")
    builder.constant("true", key: "flag")
    builder.closeObject()
    builder.openArray(key: "list")
    try builder.value("a")
    builder.constant("1")
    builder.closeArray()
    builder.closeObject()
    let program = builder.finish()
    var source = source()
    source.request.removeAll { $0.0 == "x-evil" }
    source.request.append(("x-evil", [0x61, 0xff, 0x22, 0x0a, 0xc3, 0xa4, 0xe2, 0x82].withByteView { arena.copy($0) }))
    var out = ByteBuffer()
    program.append(from: source, to: &out)
    #expect(
      out.view.string
        == #"{"status":200,"none":null,"line":"GET -","evil\"key":"a\ufffd\"\nä\ufffd\ufffd","inner":{"ms":12,"flag":true},"list":["a",1]}"#
        + "\n")
    #expect((try? JSONValue(parsing: out.view.string)) != nil)
    out.removeAll()
    program.append(from: source, omitEmpty: true, to: &out)
    #expect(!out.view.string.contains("none") && (try? JSONValue(parsing: out.view.string)) != nil)
  }

  @Test(
    "IPv6 addresses are written as RFC 5952 asks",
    arguments: [
      (UInt64(0), UInt64(0), "::"), (0, 1, "::1"),
      (0x2001_0db8_0000_0001, 0x0001_0001_0001_0001, "2001:db8:0:1:1:1:1:1"),
      (0x2001_0000_0000_0001, 0x0000_0000_0000_0001, "2001:0:0:1::1"),
      (0x2001_0db8_0000_0000, 0x0001_0000_0000_0000, "2001:db8:0:0:1::"),
    ])
  func ipv6(high: UInt64, low: UInt64, expected: String) throws {
    var source = source()
    source.record.downstreamRemote = LogAddress(ipv6High: high, low: low, port: 1)
    #expect(try format("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", source) == expected)
  }

  @Test("calendar days count both ways over four centuries")
  func calendar() {
    for days in stride(from: Int64(-150_000), through: 150_000, by: 37) {
      let date = CivilDate(daysSince1970: days)
      #expect(CivilDate.days(year: date.year, month: date.month, day: date.day) == days)
    }
    let leap = CivilDate(daysSince1970: 11_016)
    #expect(leap.year == 2000 && leap.month == 2 && leap.day == 29)
  }
}
