// AnswerHolder: a filter of these worlds alone. No extension of ours holds answers yet, and the seam for it is to be as safe as the others.

import WeftBase
import WeftHTTP
import WeftModel
import WeftProxyAPI

/// Holds every answer of an upstream, once or several times, and lets it go, puts another in its place or ends the stream. Its message is one byte: how.
struct AnswerHolder: ResponseHeadFilter, ResponseHoldingFilter {
  static var name: StaticString { "simulation.answer_holder" }
  static var messages: FilterMessages {
    FilterMessages(chain: "simulation.AnswerHolder", route: "simulation.AnswerHolderPerRoute")
  }
  /// How many ways there are; the first hurts nobody.
  static let ways = 10

  struct Config: BitwiseCopyable {
    var way: UInt8
    /// Whom it asks.
    var honest: Int32
    var bad: Int32
  }

  private var times: UInt8 = 0
  init(_ config: Config) {}

  static func compile(_ source: FilterSource, _ context: FilterContext) throws(ConfigError) -> Config {
    guard let way = (source.overrides.last ?? source.chain).message.first else { throw ConfigError("must be one byte") }
    return Config(
      way: way, honest: context.cluster("authz"), bad: context.cluster(way & 1 == 0 ? "bad-h1" : "bad-h2"))
  }

  static func configured(_ way: Int) -> ExtensionConfig {
    ExtensionConfig(typeName: messages.chain, message: [UInt8(way)])
  }

  mutating func responseHead(_ head: MessageHead, end: Bool, _ x: borrowing FilterCall<Config>) -> FilterVerdict {
    hold(x)
  }

  private func hold(_ x: borrowing FilterCall<Config>) -> FilterVerdict {
    switch x.config.way {
    case 0, 1: return x.wait(nanoseconds: 5_000_000)
    case 2: return x.wait(nanoseconds: 0)
    case 3: return x.wait(nanoseconds: 2_000_000_000)
    // No answer can come.
    case 4: return x.readBody(limit: 100)
    default:
      x.callHead.startRequest(.get, scheme: ByteView("http"), authority: ByteView("a"), path: ByteView("/hold"))
      return x.ask(
        cluster: x.config.way < 7 ? x.config.honest : x.config.bad, timeoutNanoseconds: 200_000_000)
    }
  }

  mutating func responseResumed(
    _ answer: HoldAnswer, _ head: MessageHead, _ x: borrowing FilterCall<Config>
  ) -> FilterVerdict {
    times += 1
    switch x.config.way {
    case 0: return .go
    case 1, 5, 7: return times < 3 ? hold(x) : .go
    case 6: return .reset
    case 8:
      x.replyFields.append(named: ByteView("x-held"), ByteView("1"))
      return x.reply(503, body: ByteView("withheld"), details: "held")
    default:
      head.append(named: ByteView("x-held"), ByteView("2"))
      return .go
    }
  }
}
