// weft-agent: `weft run` as a program of its own, for units and containers that run nothing else. Parse, compose, run.
import Glibc
import WeftCLI

signal(SIGPIPE, SIG_IGN)
exit(await CommandLineTool.main(["run"] + CommandLine.arguments.dropFirst(), .process()))
