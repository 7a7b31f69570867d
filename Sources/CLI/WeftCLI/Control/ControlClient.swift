// The control plane's API as commands use it. *Source*: docs/design/0003-api.md.
package import WeftBase
package import WeftService

/// Talks to one control plane; every failure to reach it becomes `Unavailable` with what to do next.
package struct ControlClient: Sendable {
  private let client: HTTPClient
  private let base: String

  /// *Parameter* `url`: with or without `http://`.
  package init(_ url: String, client: HTTPClient) {
    let full = url.contains("://") ? url : "http://\(url)"
    base = full.hasSuffix("/") ? String(full.dropLast()) : full
    self.client = client
  }

  /// Runs `body` with a client for the control plane that flags and environment name.
  static func with<Result>(
    _ arguments: Arguments, _ context: CommandContext, _ body: (ControlClient) async throws -> Result
  ) async throws -> Result {
    let url = context.environment["WEFT_CONTROL"].flatMap { arguments.isGiven(.control) ? nil : $0 }
    return try await ServiceRuntime.with(name: "weft") { runtime in
      let client = HTTPClient(on: runtime)
      return try await body(ControlClient(try url ?? arguments.required(.control), client: client))
    }
  }

  /// The answer's status and body. *Errors*: `Unavailable`.
  package func call(
    _ method: String, _ path: String, body: [UInt8] = [], contentType: String = "application/json",
    within timeout: Duration = .seconds(30)
  ) async throws -> (status: Int, body: JSONValue) {
    let answer: HTTPClientResponse
    do {
      let headers: HTTPHeaders = body.isEmpty ? [:] : ["content-type": contentType]
      answer = try await client.send(method, base + path, headers: headers, body: body, timeout: timeout)
    } catch {
      throw Unavailable("cannot reach the control plane at \(base): \(error). Is it running? Start one with 'weft up'.")
    }
    guard let value = try? JSONValue(parsing: answer.text) else {
      throw Unavailable("\(base)\(path) answered \(answer.status) with something that is not JSON; is this Weft's API?")
    }
    return (answer.status, value)
  }

  /// As `call`, but a status of 400 and above becomes a `CallRefused`.
  package func get(_ path: String, within timeout: Duration = .seconds(30)) async throws -> JSONValue {
    let (status, body) = try await call("GET", path, within: timeout)
    guard status < 400 else { throw CallRefused(status: status, body: body) }
    return body
  }
}

/// The control plane refused a call.
package struct CallRefused: Error, CustomStringConvertible {
  package var status: Int
  package var body: JSONValue

  package var description: String {
    let errors = (body["errors"]?.arrayValue ?? []).map(errorLine)
    return errors.isEmpty ? "the control plane answered \(status)" : errors.joined(separator: "\n")
  }
}

/// `line 12: spec.http[0].route[1].weight: …` of an error object.
func errorLine(_ error: JSONValue) -> String {
  var parts: [String] = []
  if let line = error["line"]?.intValue, line > 0 { parts.append("line \(line)") }
  if let path = error["path"]?.stringValue, !path.isEmpty { parts.append(path) }
  parts.append(error["message"]?.stringValue ?? "refused")
  return parts.joined(separator: ": ")
}

/// Percent-encodes a path segment or query value.
func encoded(_ text: String) -> String {
  PercentEncoding.encode(text) { byte in
    switch byte {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E: true
    default: false
    }
  }
}
