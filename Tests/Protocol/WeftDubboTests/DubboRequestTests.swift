import Testing
import WeftBase
import WeftHTTP
import WeftTestKit

@testable import WeftDubbo

@Suite("Dubbo request heads")
struct DubboRequestTests {
  /// What a request says, or why it is refused.
  private func read(_ bytes: [UInt8], _ limits: DubboLimits = DubboLimits()) -> Result<[String: String], DubboRefusal> {
    let scratch = HeadScratch()
    return bytes.withByteView { view in
      guard case .frame(let frame) = DubboFrame.read(view, limits) else { return .failure(.malformed) }
      do throws(DubboRefusal) {
        try DubboRequest.read(frame, view.dropFirst(16), into: scratch.head, limits)
      } catch { return .failure(error) }
      var all = [":path": scratch.head.path.string, ":authority": scratch.head.authority.string]
      for field in scratch.head.fields {
        #expect(all[field.name.string] == nil, "\(field.name) twice")
        all[field.name.string] = field.value.string
      }
      return .success(all)
    }
  }

  private func says(_ bytes: [UInt8]) -> [String: String]? { try? read(bytes).get() }

  @Test("service, method, group, version and attachments are laid out as a head")
  func head() {
    let request = DubboFrames.request(
      id: 1,
      attachments: [
        ("path", "demo.Greeter"), ("interface", "demo.api.Greeter"), ("group", "blue"), ("version", "1.0.0"),
        ("timeout", "300"), ("Tenant.ID", "a b"), ("remote.application", "shop"),
      ])
    #expect(
      says(request) == [
        ":path": "/demo.Greeter/hello", ":authority": "demo.Greeter", "group": "blue", "version": "1.0.0",
        "dubbo-attachment-interface": "demo.api.Greeter", "dubbo-attachment-timeout": "300",
        "dubbo-attachment-tenant.id": "a b",
        "dubbo-attachment-remote.application": "shop",
      ])
  }

  /// A body with these words in front, one text as argument, and `attachments` as they are.
  private func request(version: String? = "1.0.0", _ attachments: [UInt8]) -> [UInt8] {
    let whole = DubboFrames.request(id: 1, version: version, attachments: nil)
    return DubboFrames.frame(flags: 0xc2, id: 1, whole.dropFirst(16) + attachments)
  }

  private func map(_ pairs: [(HessianValue, HessianValue)]) -> [UInt8] { HessianValue.map(pairs).encoded }

  @Test(
    "a request whose attachments name another service than stands in front is refused",
    arguments: [
      ("path", .text("demo.Admin")), ("path", .text("")), ("path", .null), ("path", .int(1)), ("path", Self.user),
      ("version", .text("2.0.0")), ("version", .text("")), ("version", .null), ("version", .text("0.0.0")),
      ("version", .int(1)), ("group", .int(1)), ("group", .bytes([1])), ("group", .text("a\r\nb")),
      ("group", .text("a\0")),
      ("interface", .text("demo.Admin")), ("interface", .list([])),
      // A definition in front changes nothing for a reader of any value.
      ("path", .raw(Self.definition + HessianValue.text("demo.Admin").encoded)),
    ] as [(String, HessianValue)])
  func anotherService(name: String, value: HessianValue) {
    #expect(read(request(map([(.text(name), value)]))) == .failure(.malformed))
  }

  @Test(
    "a service without version is called in any of the ways in which none is said", arguments: [nil, "", "0.0.0"],
    [.null, .text(""), .text("0.0.0")] as [HessianValue])
  func noVersion(front: String?, value: HessianValue) {
    let says = says(request(version: front, map([(.text("version"), value), (.text("group"), .null)])))
    #expect(says == [":path": "/demo.Greeter/hello", ":authority": "demo.Greeter"])
  }

  @Test(
    "group and path have one head where a provider makes one key of them",
    arguments: [
      ("ctx/demo.Greeter", nil, "ctx"), ("demo.Greeter", "ctx", "ctx"), ("ctx/demo.Greeter", "blue", "blue/ctx"),
      ("demo.Greeter", "blue/ctx", "blue/ctx"), ("a/b/demo.Greeter", "", "a/b"),
    ] as [(String, String?, String)])
  func oneKey(path: String, group: String?, says: String) {
    let attachments = [("path", path)] + (group.map { [("group", $0)] } ?? [])
    let said = self.says(DubboFrames.request(id: 1, service: path, attachments: attachments))
    #expect(said?["group"] == says && said?[":authority"] == "demo.Greeter" && said?[":path"] == "/demo.Greeter/hello")
  }

  @Test(
    "a path or version in which a provider's key would end early is refused",
    arguments: [
      ("demo.Greeter:1.0.0", nil), ("demo.Greeter", "1.0.0:2"), ("demo.\r\nx", nil), ("demo.Greeter", "1\n"),
    ] as [(String, String?)])
  func keyParts(path: String, version: String?) {
    #expect(read(DubboFrames.request(id: 1, service: path, version: version)) == .failure(.malformed))
  }

  @Test("another interface than the path is one more attachment where the path is told, too")
  func otherInterface() {
    let request = DubboFrames.request(id: 1, attachments: [("interface", "demo.api.Any"), ("path", "demo.Greeter")])
    #expect(says(request)?[":authority"] == "demo.Greeter")
    #expect(says(request)?["dubbo-attachment-interface"] == "demo.api.Any")
  }

  @Test(
    "a generic call tells the method that is meant", arguments: ["$invoke", "$invokeAsync"],
    [
      .text("delete"), .text(" delete\t"), .chunked("delete", by: 2),
      .raw(definition + HessianValue.text("delete").encoded),
    ]
      as [HessianValue])
  func generic(method: String, name: HessianValue) {
    let request = DubboFrames.request(
      id: 1, method: method, types: Self.genericTypes, arguments: [name, .list([]), .list([])],
      attachments: [("generic", "true")])
    #expect(says(request)?["dubbo-generic-method"] == "delete" && says(request)?[":path"] == "/demo.Greeter/\(method)")
  }

  @Test(
    "a generic call whose method cannot be told is refused",
    arguments: [.null, .int(1), .text(""), .text(" "), .text("a\nb"), .bytes([97])] as [HessianValue])
  func genericUntold(name: HessianValue) {
    let request = DubboFrames.request(
      id: 1, method: "$invoke", types: Self.genericTypes, arguments: [name, .list([]), .list([])])
    #expect(read(request) == .failure(.malformed))
    let other = DubboFrames.request(id: 1, method: "invoke", types: Self.genericTypes, arguments: [name, .null, .null])
    #expect(says(other)?["dubbo-generic-method"] == nil && says(other) != nil)
  }

  private static let genericTypes = "Ljava/lang/String;[Ljava/lang/String;[Ljava/lang/Object;"
  private static let definition: [UInt8] = [0x43, 0x01, 0x61, 0x90]

  @Test(
    "attachments in a form that readers take for a map, and nothing of it is seen here, are refused",
    arguments: [
      // An object of a map's class, a reference to a map among the arguments, a definition in front, a list, a text.
      HessianValue.define("java.util.HashMap", ["group"], [.text("g")]).encoded, HessianValue.reference(0).encoded,
      definition + HessianValue.map([(.text("group"), .text("g"))]).encoded, HessianValue.list([]).encoded,
      HessianValue.text("group").encoded,
      // Keys that are no texts, or have a definition in front.
      HessianValue.map([(.int(1), .text("x"))]).encoded, HessianValue.map([(.null, .text("x"))]).encoded,
      HessianValue.map([(.raw(definition + HessianValue.text("group").encoded), .text("g"))]).encoded,
      // A name for the second time, whatever stands under it.
      HessianValue.map([(.text("group"), .text("a")), (.text("group"), .text("b"))]).encoded,
      HessianValue.map([(.text("k"), .text("a")), (.text("k"), .null)]).encoded,
      HessianValue.map([(.text("k"), .int(1)), (.text("K"), .text("b"))]).encoded,
    ] as [[UInt8]])
  func hidden(attachments: [UInt8]) {
    #expect(read(request(attachments)) == .failure(.malformed))
  }

  @Test(
    "types that a provider's expression would pass over are refused: it would take an argument for the attachments",
    arguments: ["La-b;", "L1;", "L;", "La//b;", "La/;", "L/a;", "Lé;", "[", "Ia", "Ljava.lang.String;"])
  func typesPassedOver(types: String) {
    #expect(read(DubboFrames.request(id: 1, types: types)) == .failure(.malformed))
  }

  @Test("a request without version and attachments has its path")
  func bare() {
    let request = DubboFrames.request(id: 1, version: nil, types: "", arguments: [], attachments: nil)
    #expect(says(request) == [":path": "/demo.Greeter/hello", ":authority": "demo.Greeter"])
  }

  private static let user = HessianValue.define("demo.User", ["name", "age"], [.text("中文😀"), .int(41)])

  @Test(
    "arguments of every form are stepped over",
    arguments: [
      [.null], [.bool(true)], [.bool(false)], [.int(-16)], [.int(47)], [.int(48)], [.int(.min)], [.long(.max)],
      [.double(1.5)], [.text(String(repeating: "x", count: 31))], [.text(String(repeating: "é", count: 1023))],
      [.text(String(repeating: "中", count: 5000))], [.text("😀")], [.chunked("a😀b中c", by: 2)], [.chunked("", by: 4)],
      [.bytes([1, 2, 3])], [.list([.int(1), .text("a")])], [.typedList("[int", [.int(1)])],
      [.openList([.null, .null])],
      [.map([(.text("a"), .list([]))])], [.typedMap("java.util.TreeMap", [(.int(1), .null)])], [user],
      [.list([user, .object(0, [.text("b"), .int(1)]), .reference(1)])],
      // Compact forms: binary, ints of two and three bytes, longs, doubles of one, two and four, dates, lists with their length in the tag.
      [.raw([0x23, 1, 2, 3])], [.raw([0x34, 2, 1, 2])], [.raw([0x41, 0, 1, 9, 0x22, 1, 2])],
      [.raw([0x41, 0, 1, 9, 0x42, 0, 0])],
      [.raw([0xc8, 1])], [.raw([0xd4, 1, 2])], [.raw([0xe0])], [.raw([0xf8, 1])], [.raw([0x3c, 1, 2])],
      [.raw([0x59, 1, 2, 3, 4])], [.raw([0x5b])], [.raw([0x5c])], [.raw([0x5d, 1])], [.raw([0x5e, 1, 2])],
      [.raw([0x5f, 1, 2, 3, 4])], [.raw([0x4a] + [UInt8](repeating: 1, count: 8))], [.raw([0x4b, 1, 2, 3, 4])],
      [.raw([0x72, 0x04] + Array("[int".utf8) + [0x91, 0x92])], [.raw([0x72, 0x90, 0x91, 0x92])], [.raw([0x79, 0x91])],
      [.raw([0x55, 0x01, 0x78, 0x91, 0x5a])],
      // Four bytes for one character, as some encoders write it.
      [.raw([0x01, 0xf0, 0x9f, 0x98, 0x80])],
    ] as [[HessianValue]])
  func arguments(arguments: [HessianValue]) {
    let request = DubboFrames.request(
      id: 1, types: "Ljava/lang/Object;", arguments: arguments, attachments: [("group", "g")])
    #expect(says(request)?["group"] == "g")
  }

  @Test(
    "types tell how many arguments there are",
    arguments: [("", 0), ("I", 1), ("[[JLjava/util/List;Z", 3), ("[Ljava/lang/String;D", 2)])
  func types(types: String, count: Int) {
    let request = DubboFrames.request(
      id: 1, types: types, arguments: Array(repeating: .int(1), count: count), attachments: [("group", "g")])
    #expect(says(request)?["group"] == "g")
  }

  @Test("attachments that no field can hold stay in the frame alone")
  func unfit() {
    let request = DubboFrames.request(
      id: 1, attachments: [("a b", "1"), ("line", "a\r\nb"), ("nul", "a\0b"), ("", "x"), ("fine", "中😀")])
    #expect(
      says(request) == [
        ":path": "/demo.Greeter/hello", ":authority": "demo.Greeter", "version": "1.0.0",
        "dubbo-attachment-fine": "中😀",
      ])
  }

  @Test("attachments that are no texts are stepped over")
  func otherValues() {
    var body = HessianValue.text("2.0.2").encoded + HessianValue.text("s").encoded + HessianValue.null.encoded
    body += HessianValue.text("m").encoded + HessianValue.text("").encoded
    body +=
      HessianValue.typedMap(
        "java.util.HashMap",
        [
          (.text("list"), .list([.int(1)])), (.text("user"), Self.user),
          (.text("group"), .text("g")),
          (.text("chunks"), .chunked("abcde", by: 2)), (.text("none"), .null),
        ]
      ).encoded
    #expect(
      says(DubboFrames.frame(flags: 0xc2, id: 1, body)) == [
        ":path": "/s/m", ":authority": "s", "group": "g", "dubbo-attachment-chunks": "abcde",
      ])
  }

  @Test("names that mean something else in a path are escaped, so that each service has a path of its own")
  func escapes() {
    let request = DubboFrames.request(id: 1, service: "b?c%2f@ö", method: "größe/a:$1", attachments: [])
    #expect(says(request)?[":path"] == "/b%3Fc%252f%40%C3%B6/gr%C3%B6%C3%9Fe%2Fa%3A$1")
    #expect(says(request)?[":authority"] == "b%3Fc%252f%40%C3%B6")
  }

  @Test("a request in another serialization is refused: nobody could say whose it is")
  func otherSerialization() {
    #expect(read(DubboFrames.frame(flags: 0xd7, id: 1, [1, 2, 3])) == .failure(.unknownSerialization))
  }

  private static func deep(_ n: Int) -> HessianValue { n == 0 ? .null : .list([deep(n - 1)]) }

  @Test(
    "what is no request is refused alone",
    arguments: [
      (DubboFrames.frame(flags: 0xc2, id: 1, []), .malformed),
      (DubboFrames.request(id: 1, service: ""), .nameless),
      (DubboFrames.request(id: 1, method: ""), .nameless),
      (DubboFrames.request(id: 1, types: "Ljava/lang/String"), .malformed),
      (DubboFrames.request(id: 1, types: "Q"), .malformed),
      // Types that promise more arguments than there are.
      (DubboFrames.request(id: 1, types: "III", attachments: nil), .malformed),
      (DubboFrames.request(id: 1, types: "I", arguments: [.raw([0x40])]), .malformed),
      (DubboFrames.request(id: 1, types: "I", arguments: [.raw([0x45])]), .malformed),
      (DubboFrames.request(id: 1, types: "I", arguments: [.object(3, [])]), .malformed),
      (DubboFrames.request(id: 1, types: "I", arguments: [.raw([0x58, 0x49, 0x7f, 0xff, 0xff, 0xff])]), .malformed),
      (DubboFrames.request(id: 1, types: "I", arguments: [.raw([0x58, 0x8f])]), .malformed),
      (DubboFrames.request(id: 1, types: "I", arguments: [.raw([0x53, 0xff, 0xff])]), .malformed),
      (DubboFrames.request(id: 1, types: "I", arguments: [.raw([0x02, 0xc3, 0x28, 0x61])]), .malformed),
      (DubboFrames.request(id: 1, types: "I", arguments: [.raw([0x01, 0xff])]), .malformed),
      (
        DubboFrames.request(id: 1, types: "I", arguments: [.raw([0x43, 0x01, 0x61, 0x49, 0x7f, 0xff, 0xff, 0xff])]),
        .malformed
      ),
      (DubboFrames.request(id: 1, types: "I", arguments: [.reference(0)], attachments: nil) + [], nil),
      (DubboFrames.request(id: 1, service: String(repeating: "s", count: 5000)), .tooMuch),
      (DubboFrames.request(id: 1, types: "I", arguments: [deep(64)]), nil),
      (DubboFrames.request(id: 1, types: "I", arguments: [deep(70)]), .tooMuch),
      (DubboFrames.request(id: 1, attachments: (0..<129).map { ("k\($0)", "v") }), .tooMuch),
      (
        DubboFrames.request(id: 1, attachments: (0..<10).map { ("k\($0)", String(repeating: "v", count: 4000)) }),
        .tooMuch
      ),
    ] as [([UInt8], DubboRefusal?)])
  func refuses(bytes: [UInt8], refusal: DubboRefusal?) {
    switch read(bytes) {
    case .success: #expect(refusal == nil)
    case .failure(let found): #expect(found == refusal)
    }
  }

  @Test("values beyond the limit, classes beyond the limit, are not stepped over")
  func bounded() {
    var limits = DubboLimits()
    limits.values = 100
    let many = DubboFrames.request(id: 1, types: "I", arguments: [.list(Array(repeating: .null, count: 200))])
    #expect(read(many, limits) == .failure(.tooMuch))
    #expect((try? read(many).get()) != nil)
    let classes = (0..<257).map { _ in HessianValue.raw([0x43, 0x01, 0x61, 0x90]) } + [.null]
    let request = DubboFrames.request(id: 1, types: "I", arguments: [.raw(classes.flatMap(\.encoded))])
    #expect(read(request) == .failure(.tooMuch))
  }

  @Test("a body that breaks off anywhere is refused or is a request of its own, never a trap")
  func cutAnywhere() {
    let whole = DubboFrames.request(
      id: 1, types: "Ljava/lang/Object;[I", arguments: [Self.user, .list([.int(1), .chunked("a😀", by: 1)])],
      attachments: [("group", "g"), ("k", "中😀")])
    let body = whole.dropFirst(16)
    for count in 0..<body.count {
      let cut = DubboFrames.frame(flags: 0xc2, id: 1, Array(body.prefix(count)))
      // Where the arguments end, a request without attachments does.
      if case .success(let says) = read(cut) { #expect(says["group"] == nil && says[":path"] == "/demo.Greeter/hello") }
    }
  }

  @Test("what fuzzing found interesting keeps its promises")
  func replay() throws {
    for input in try FuzzReplay.inputs("dubbo") { checkDubbo(input) }
  }
}

@Suite("Dubbo answers")
struct DubboResponseTests {
  @Test(
    "status and kind of an answer are told by its head",
    arguments: [
      (DubboFrames.answer(id: 1), 200, "20", "value"),
      (DubboFrames.answer(id: 1, kind: 0x94), 200, "20", "value"),
      (DubboFrames.answer(id: 1, kind: 0x90), 200, "20", "exception"),
      (DubboFrames.answer(id: 1, kind: 0x93), 200, "20", "exception"),
      (DubboFrames.answer(id: 1, .raw([]), kind: 0x92), 200, "20", "null"),
      (DubboFrames.answer(id: 1, .raw([]), kind: 0x20), 200, "20", nil),
      (DubboFrames.frame(flags: 0x02, status: 20, id: 1, []), 200, "20", nil),
      (DubboFrames.frame(flags: 0x17, status: 20, id: 1, [0x91]), 200, "20", nil),
      (DubboFrames.answer(id: 1, status: 31), 504, "31", nil),
      (DubboFrames.answer(id: 1, status: 100), 503, "100", nil),
    ] as [([UInt8], UInt16, String, String?)])
  func reads(bytes: [UInt8], status: UInt16, dubbo: String, result: String?) {
    let scratch = HeadScratch()
    bytes.withByteView { view in
      guard case .frame(let frame) = DubboFrame.read(view, DubboLimits()) else { return #expect(Bool(false)) }
      DubboResponse.read(frame, view.dropFirst(16), into: scratch.head)
      #expect(scratch.head.status == status)
      #expect(scratch.head.first(named: DubboResponse.statusField)?.string == dubbo)
      #expect(scratch.head.first(named: DubboResponse.resultField)?.string == result)
    }
  }
}
