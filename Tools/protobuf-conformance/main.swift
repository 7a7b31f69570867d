// The testee of Google's protobuf conformance suite: it shows what WeftProtobuf makes of each test message.
//
// Standard input: u32 little-endian length and a ConformanceRequest, over and over; standard output: the same with a
// ConformanceResponse. Binary and JSON, proto2 and proto3. Declined, and counted as skipped by the runner: the text
// format, JSPB, and message types that are not listed in `types` (the editions' copies of the test messages).
// Started by Tests/Partners/conformance.sh.
internal import Glibc
internal import WeftBase
internal import WeftProtobuf

/// Exactly `count` bytes, or nil at the end of the input.
func read(_ count: Int) -> [UInt8]? {
  var bytes = [UInt8](repeating: 0, count: count)
  var at = 0
  while at < count {
    let n = unsafe bytes.withUnsafeMutableBytes { unsafe Glibc.read(0, $0.baseAddress! + at, count - at) }
    if n <= 0 { return nil }
    at += n
  }
  return bytes
}

func write(_ bytes: [UInt8]) {
  var at = 0
  while at < bytes.count {
    let n = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(1, $0.baseAddress! + at, bytes.count - at) }
    if n <= 0 { exit(1) }
    at += n
  }
}

struct Testee {
  let registry = TypeRegistry(ConformanceTypes.all)

  func answer(_ request: Conformance_ConformanceRequest) -> Conformance_ConformanceResponse.ResultOneOf {
    if request.messageType == "conformance.FailureSet" {
      return .protobufPayload(Conformance_FailureSet().serialized())
    }
    guard let type = registry.type(forURL: request.messageType) else {
      return .skipped("no message type \(request.messageType)")
    }
    return answer(request, type)
  }

  private func answer<M: Message>(
    _ request: Conformance_ConformanceRequest, _ type: M.Type
  ) -> Conformance_ConformanceResponse.ResultOneOf {
    let message: M
    do {
      switch request.payload {
      case .protobufPayload(let bytes)?: message = try M(serialized: bytes)
      case .jsonPayload(let text)?:
        let ignoresUnknown = request.testCategory == .jsonIgnoreUnknownParsingTest
        message = try M(
          json: JSONValue(parsing: text),
          options: JSONDecodingOptions(unknownFields: ignoresUnknown ? .ignore : .refuse, registry: registry))
      default: return .skipped("only binary and JSON are supported")
      }
    } catch {
      return .parseError("\(error)")
    }
    switch request.requestedOutputFormat {
    case .protobuf: return .protobufPayload(message.serialized())
    case .json:
      do {
        return .jsonPayload(try message.json(options: JSONEncodingOptions(registry: registry)).text())
      } catch {
        return .serializeError("\(error)")
      }
    default: return .skipped("only binary and JSON are supported")
    }
  }
}

func run() {
  let testee = Testee()
  while let prefix = read(4) {
    let length = (0..<4).reduce(0) { $0 | Int(prefix[$1]) << (8 * $1) }
    guard let bytes = read(length) else { return }
    var response = Conformance_ConformanceResponse()
    do {
      response.result = testee.answer(try Conformance_ConformanceRequest(serialized: bytes))
    } catch {
      response.result = .runtimeError("\(error)")
    }
    let output = response.serialized()
    write((0..<4).map { UInt8(truncatingIfNeeded: output.count >> (8 * $0)) } + output)
  }
}

run()
