// StateLaws: what holds of every life cycle, checked over all its states and events.

import Testing

/// An event, and the state it leads to from each state in the order of `allCases`.
struct Transition<State: Equatable> {
  let name: String
  let apply: (inout State) -> Void
  let results: [State]

  init(_ name: String, _ apply: @escaping (inout State) -> Void, _ results: [State]) {
    self.name = name
    self.apply = apply
    self.results = results
  }
}

/// Expects each event to lead where the table says, from every state; and that none changes anything when it is said twice.
func expectTransitions<State: Equatable>(
  of states: [State], _ table: [Transition<State>], sourceLocation: SourceLocation = #_sourceLocation
) {
  for event in table {
    guard event.results.count == states.count else {
      Issue.record(
        "\(event.name) names \(event.results.count) of \(states.count) states", sourceLocation: sourceLocation)
      continue
    }
    for (state, expected) in zip(states, event.results) {
      var result = state
      event.apply(&result)
      #expect(result == expected, "\(event.name) from \(state)", sourceLocation: sourceLocation)
      event.apply(&result)
      #expect(result == expected, "\(event.name) from \(state), said twice", sourceLocation: sourceLocation)
    }
  }
}

/// The states that can be reached from `start`.
func reachable<State: Hashable>(from start: State, _ table: [Transition<State>]) -> Set<State> {
  var found: Set<State> = [start]
  var open = [start]
  while let state = open.popLast() {
    for event in table {
      var next = state
      event.apply(&next)
      if found.insert(next).inserted { open.append(next) }
    }
  }
  return found
}
