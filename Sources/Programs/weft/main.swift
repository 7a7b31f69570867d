// weft: the command line. Parse, compose, run.
import Glibc
import WeftCLI

signal(SIGPIPE, SIG_IGN)
CommandLineTool.start(Array(CommandLine.arguments.dropFirst()), .process())
