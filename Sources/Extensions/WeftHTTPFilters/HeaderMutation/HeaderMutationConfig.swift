// What a header mutation is configured with: `envoy.extensions.filters.http.header_mutation.v3`.

package import WeftBase
import WeftHTTP
import WeftModel
import WeftProtobuf
package import WeftProxyAPI
import WeftTelemetry
import WeftXDS
import WeftXDSMessages

extension HeaderMutation {
  package static var messages: FilterMessages {
    FilterMessages(
      chain: Envoy_Extensions_Filters_Http_HeaderMutation_V3_HeaderMutation.schema.name,
      route: Envoy_Extensions_Filters_Http_HeaderMutation_V3_HeaderMutationPerRoute.schema.name)
  }

  package static func compile(_ source: FilterSource, _ context: FilterContext) throws(ConfigError) -> Config {
    let read = ExtensionReader()
    let own = try read.message(source.chain, as: Envoy_Extensions_Filters_Http_HeaderMutation_V3_HeaderMutation.self)
    var levels: [Envoy_Extensions_Filters_Http_HeaderMutation_V3_Mutations] = []
    for override in source.overrides {
      let message = try read.message(
        override, as: Envoy_Extensions_Filters_Http_HeaderMutation_V3_HeaderMutationPerRoute.self)
      if let mutations = message.mutations { levels.append(mutations) }
    }
    if !own.mostSpecificHeaderMutationsWins { levels.reverse() }
    if let mutations = own.mutations { levels.insert(mutations, at: 0) }

    var (request, query, requestTrailers) = ([MutationStep](), [QueryMutation](), [MutationStep]())
    var (response, responseTrailers) = ([MutationStep](), [MutationStep]())
    for level in levels {
      let at = FieldPath().field("mutations")
      request += try steps(level.requestMutations, at.field("request_mutations"), context, read)
      query += try parameters(level.queryParameterMutations, at.field("query_parameter_mutations"), context)
      requestTrailers += try steps(
        level.requestTrailersMutations, at.field("request_trailers_mutations"), context, read)
      response += try steps(level.responseMutations, at.field("response_mutations"), context, read)
      responseTrailers += try steps(
        level.responseTrailersMutations, at.field("response_trailers_mutations"), context, read)
    }
    let arena = context.storage.arena
    return Config(
      request: arena.table(request), query: arena.table(query), requestTrailers: arena.table(requestTrailers),
      response: arena.table(response), responseTrailers: arena.table(responseTrailers))
  }

  private static func steps(
    _ mutations: [Envoy_Config_Common_MutationRules_V3_HeaderMutation], _ at: FieldPath, _ context: FilterContext,
    _ read: ExtensionReader
  ) throws(ConfigError) -> [MutationStep] {
    var out: [MutationStep] = []
    for (i, mutation) in mutations.enumerated() {
      let path = at.index(i)
      var changes = HeaderMutations()
      switch mutation.action {
      case .remove(let name): changes.remove = [try read.removableHeader(name, path.field("remove"))]
      case .append(let option): changes.add = [try read.headerOption(option, path.field("append"))]
      case .removeOnMatch(let match):
        guard let matcher = match.keyMatcher else {
          throw ConfigError(path: path.field("remove_on_match").field("key_matcher"), "is required")
        }
        let model = try read.string(matcher, path.field("remove_on_match").field("key_matcher"))
        do throws(ConfigError) {
          out.append(MutationStep(removes: try CompiledStringMatcher(model, context.storage)))
        } catch { throw error.inside(path.field("remove_on_match").field("key_matcher")) }
        continue
      case nil: throw ConfigError(path: path, "needs one of remove, append, remove_on_match")
      }
      do throws(ConfigError) {
        out.append(MutationStep(changes: context.storage.arena.table(try context.storage.changes(changes))))
      } catch { throw error.inside(path) }
    }
    return out
  }

  private static func parameters(
    _ mutations: [Envoy_Config_Core_V3_KeyValueMutation], _ at: FieldPath, _ context: FilterContext
  ) throws(ConfigError) -> [QueryMutation] {
    var out: [QueryMutation] = []
    for (i, mutation) in mutations.enumerated() {
      let path = at.index(i)
      if !mutation.remove.isEmpty {
        guard mutation.append == nil else { throw ConfigError(path: path, "needs one of append, remove, has both") }
        out.append(
          QueryMutation(
            action: .remove, key: context.storage.text(QueryMutation.escaped(mutation.remove)), value: .empty))
        continue
      }
      guard let append = mutation.append else { throw ConfigError(path: path, "needs one of append, remove") }
      let record = path.field("append").field("record")
      guard let pair = append.record, !pair.key.isEmpty else {
        throw ConfigError(path: record.field("key"), "is required")
      }
      guard case .stringValue(let value)? = pair.value?.kind else {
        throw ConfigError(path: record.field("value"), "must be a string")
      }
      let action: QueryMutation.Action =
        switch append.action {
        case .addIfAbsent: .addIfAbsent
        case .overwriteIfExistsOrAdd: .overwrite
        case .overwriteIfExists: .overwriteIfExists
        default: .append
        }
      if let text = FormatProgram.operatorsWithoutValue(in: value, of: .header).first {
        throw ConfigError(path: record.field("value"), "\(text) has no value here")
      }
      let program: FormatProgram
      do throws(ConfigError) { program = try FormatProgram.compile(value, arena: context.storage.arena) } catch {
        throw error.inside(record.field("value"))
      }
      let key = context.storage.text(QueryMutation.escaped(pair.key))
      if let literal = program.literal {
        let value = context.storage.text(QueryMutation.escaped(literal.string))
        out.append(QueryMutation(action: action, key: key, value: value))
      } else {
        let made = CompiledHeaderChange(.append, id: .other, name: key, format: program)
        out.append(QueryMutation(action: action, key: key, value: .empty, made: made))
      }
    }
    return out
  }
}
