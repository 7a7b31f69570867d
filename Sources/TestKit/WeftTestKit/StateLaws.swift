// StateLaws: what holds of every life cycle, checked over all its states and events.

/// An event, and the state it leads to from each state in the order of `allCases`.
package struct Transition<State: Equatable> {
  package let name: String
  package let apply: (inout State) -> Void
  package let results: [State]

  package init(_ name: String, _ apply: @escaping (inout State) -> Void, _ results: [State]) {
    self.name = name
    self.apply = apply
    self.results = results
  }
}

/// Where an event does not lead where the table says, from every state; or changes something when it is said twice.
package func violations<State: Equatable>(of states: [State], _ table: [Transition<State>]) -> [String] {
  var found: [String] = []
  for event in table {
    guard event.results.count == states.count else {
      found.append("\(event.name) names \(event.results.count) of \(states.count) states")
      continue
    }
    for (state, expected) in zip(states, event.results) {
      var result = state
      event.apply(&result)
      if result != expected { found.append("\(event.name) from \(state) leads to \(result)") }
      event.apply(&result)
      if result != expected { found.append("\(event.name) from \(state), said twice, leads to \(result)") }
    }
  }
  return found
}

/// The states that can be reached from `start`.
package func reachable<State: Hashable>(from start: State, _ table: [Transition<State>]) -> Set<State> {
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
