// WeftCLI: the command line `weft`.
//
// Owns: the flags of every command (defined once; parsing, help and completions are made from the definitions), the commands, and how
// results look (table, JSON, YAML; colours only on a terminal).
// Never: talks to proxies or stores itself except through the control plane's API and a proxy's admin page; never imports Foundation.
// Neighbours: WeftAgent does the work of `weft run`; WeftService carries HTTP. The program `weft` only calls `CommandLineTool.main`.
// Threads: Swift concurrency; sockets live on WeftService's loop thread.
//
// To add a command: one file in Commands/, one line in Commands/Registry.swift (sorted), one golden in the tests.
