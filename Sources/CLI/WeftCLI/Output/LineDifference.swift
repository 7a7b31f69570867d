// The lines two texts share and do not share.

/// One line of a difference.
enum LineDifference: Equatable {
  case kept(String)
  case removed(String)
  case added(String)

  /// The shortest edit from one list of lines to the other. *Cost*: O(n·m); meant for objects of some hundred lines.
  static func between(_ old: [String], _ new: [String]) -> [LineDifference] {
    var common = [[Int]](repeating: [Int](repeating: 0, count: new.count + 1), count: old.count + 1)
    for i in stride(from: old.count - 1, through: 0, by: -1) {
      for j in stride(from: new.count - 1, through: 0, by: -1) {
        common[i][j] = old[i] == new[j] ? common[i + 1][j + 1] + 1 : max(common[i + 1][j], common[i][j + 1])
      }
    }
    var result: [LineDifference] = []
    var i = 0
    var j = 0
    while i < old.count || j < new.count {
      if i < old.count, j < new.count, old[i] == new[j] {
        result.append(.kept(old[i]))
        i += 1
        j += 1
      } else if j == new.count || (i < old.count && common[i + 1][j] >= common[i][j + 1]) {
        result.append(.removed(old[i]))
        i += 1
      } else {
        result.append(.added(new[j]))
        j += 1
      }
    }
    return result
  }
}
