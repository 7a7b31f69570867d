/// Lines of Swift with indentation.
struct CodePrinter {
  private(set) var text = ""
  private var indent = ""

  mutating func line(_ line: String) {
    text += line.isEmpty ? "\n" : "\(indent)\(line)\n"
  }

  mutating func block(_ head: String, _ body: (inout CodePrinter) throws -> Void) rethrows {
    line(head + " {")
    try indented(body)
    line("}")
  }

  mutating func indented(_ body: (inout CodePrinter) throws -> Void) rethrows {
    indent += "  "
    try body(&self)
    indent.removeLast(2)
  }

  mutating func comment(_ text: String) {
    var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
      var line = line
      while line.last?.isWhitespace == true { line.removeLast() }
      return line
    }
    while lines.last?.isEmpty == true { lines.removeLast() }
    for text in lines { line("///" + (text.isEmpty || text.hasPrefix(" ") ? text : " " + text)) }
  }
}
