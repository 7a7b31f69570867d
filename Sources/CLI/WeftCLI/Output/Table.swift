// A plain table: columns padded, no borders, so that it reads well and `awk` understands it.

/// Rows under headings.
package struct Table: Sendable, Equatable {
  package var headings: [String]
  package var rows: [[String]]

  package init(_ headings: [String], rows: [[String]] = []) {
    self.headings = headings
    self.rows = rows
  }

  /// The table as text, one line a row, no trailing blanks. *Shape*: an empty table prints its headings.
  package func text() -> String {
    var widths = headings.map(\.count)
    for row in rows {
      for (column, cell) in row.enumerated() where column < widths.count {
        widths[column] = max(widths[column], cell.count)
      }
    }
    var lines: [String] = []
    for row in [headings] + rows {
      var line = ""
      for (column, cell) in row.enumerated() {
        line += cell
        if column < row.count - 1, column < widths.count {
          line += String(repeating: " ", count: widths[column] - cell.count + 3)
        }
      }
      while line.last == " " { line.removeLast() }
      lines.append(line)
    }
    return lines.joined(separator: "\n")
  }
}
