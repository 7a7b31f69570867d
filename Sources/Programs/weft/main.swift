// weft: the command line. Parse, compose, run.
import Glibc
import WeftCLI

signal(SIGPIPE, SIG_IGN)
exit(await CommandLineTool.main(Array(CommandLine.arguments.dropFirst()), .process()))
