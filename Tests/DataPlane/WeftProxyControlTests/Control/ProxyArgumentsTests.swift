import Testing
import WeftTelemetry

@testable import WeftProxyControl

@Suite("command line of the proxy")
struct ProxyArgumentsTests {
  @Test("an option of Envoy's that has no effect is taken, with what happens instead, once however often it stands")
  func ignored() throws {
    let flags = ProxyArguments.flagsWithoutEffect
    for (option, instead) in flags {
      let options = try ProxyArguments([option, "-c", "x", option])
      #expect(options.ignored == [.init(option: option, instead: instead)])
      #expect(options.configPath == "x")
    }
    let values = ProxyArguments.valuesWithoutEffect
    for (option, instead) in values {
      let options = try ProxyArguments([option, "v", "\(option)=v", "-c", "x"])
      #expect(options.ignored == [.init(option: option, instead: instead)])
      #expect(options.configPath == "x")
      #expect(throws: ProxyArguments.Problem.self) { try ProxyArguments([option]) }
    }
    #expect(flags.count == 8 && values.count == 12)
    let both = try ProxyArguments(["--log-path", "a", "--base-id", "3"])
    #expect(both.ignored.map(\.option) == ["--log-path", "--base-id"])
  }

  @Test(
    "an option that asks for what is so is not warned of",
    arguments: [
      "--disable-hot-restart", "--log-format-escaped", "--allow-unknown-static-fields", "--allow-unknown-fields",
    ])
  func asItIs(option: String) throws {
    #expect(try ProxyArguments([option]).ignored.isEmpty)
  }

  @Test("the log is text or JSON; a pattern of Envoy's is warned of, and any other word refused")
  func logFormat() throws {
    #expect(try ProxyArguments([]).logFormat == .text)
    #expect(try ProxyArguments(["--log-format", "json"]).logFormat == .json)
    #expect(try ProxyArguments(["--log-format=json", "--log-format", "text"]).logFormat == .text)
    let pattern = try ProxyArguments(["--log-format", "[%Y-%m-%d %T.%e][%l] %v"])
    #expect(pattern.logFormat == .text)
    #expect(pattern.ignored.map(\.option) == ["--log-format"])
    let error = #expect(throws: ProxyArguments.Problem.self) { try ProxyArguments(["--log-format", "yaml"]) }
    #expect(error?.message == "--log-format: \"yaml\" is neither json nor text")
    #expect(ProxyArguments.help.contains("--log-format json|text"))
  }

  @Test("workers are counted, up to a limit")
  func workers() throws {
    #expect(try ProxyArguments(["--concurrency", "1024"]).concurrency == 1024)
    let error = #expect(throws: ProxyArguments.Problem.self) { try ProxyArguments(["--concurrency", "1025"]) }
    #expect(error?.message == "--concurrency: 1025 is more than 1024")
  }

  @Test("an unknown option is refused, by name")
  func unknown() {
    let error = #expect(throws: ProxyArguments.Problem.self) { try ProxyArguments(["--log-paht", "x"]) }
    #expect(error?.message == "unknown option --log-paht; see --help")
  }
}
