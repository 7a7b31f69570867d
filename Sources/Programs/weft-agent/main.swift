// weft-agent: `weft run` as a program of its own, for units and containers that run nothing else. Parse, compose, run.
import Glibc
import WeftCLI

signal(SIGPIPE, SIG_IGN)
CommandLineTool.start(["run"] + CommandLine.arguments.dropFirst(), .process())
