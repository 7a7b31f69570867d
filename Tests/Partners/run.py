#!/usr/bin/env python3
"""Runs every case in Tests/Partners/cases against the built programs and the real partners.

A case is an executable file. It exits 0 when it passed, 77 when a partner cannot be had (its last line says why), anything else when
it failed. Cases that need the machine for themselves (timing, many ports) carry `exclusive` in their name. Under CI a skip is a failure.

  run.py [--summary FILE] [--jobs N] [NAME …]     NAMEs select cases by substring
"""
import argparse, concurrent.futures, os, pathlib, subprocess, sys, threading, time

ROOT = pathlib.Path(__file__).resolve().parents[2]
CASES = ROOT / "Tests" / "Partners" / "cases"
SKIPPED = 77
TIME_LIMIT_SECONDS = 600


def environment():
    env = dict(os.environ)
    home = env.setdefault("WEFT_PARTNERS", str(pathlib.Path.home() / ".cache" / "weft-partners"))
    env.setdefault("WEFT_BIN", str(ROOT / ".build" / "release"))
    env["PYTHONPATH"] = os.pathsep.join([str(ROOT / "Tests" / "Partners"), str(pathlib.Path(home) / "gen")])
    return env


def command(case, env):
    python = pathlib.Path(env["WEFT_PARTNERS"]) / "venv" / "bin" / "python"
    if case.suffix == ".py":
        return [str(python if python.exists() else sys.executable), str(case)]
    return [str(case)]


def run(case, env, say):
    started = time.monotonic()
    try:
        done = subprocess.run(command(case, env), cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", timeout=TIME_LIMIT_SECONDS)
        code, output = done.returncode, done.stdout
    except subprocess.TimeoutExpired as expired:
        out = expired.stdout or b""
        code, output = -1, (out.decode(errors="replace") if isinstance(out, bytes) else out) + "\ntime limit reached"
    verdict = {0: "pass", SKIPPED: "skip"}.get(code, "FAIL")
    lines = output.strip().splitlines()
    say(f"{verdict}  {case.stem}  {time.monotonic() - started:.1f} s  {lines[-1][:160] if lines else ''}")
    if verdict == "FAIL":
        say("\n".join("      " + line for line in lines[-40:]))
    return verdict


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--summary", help="write 'passed failed skipped' to this file")
    parser.add_argument("--jobs", type=int, default=3)
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    env, lock = environment(), threading.Lock()

    def say(text):
        with lock:
            print(text, flush=True)

    cases = sorted(c for c in CASES.iterdir() if c.suffix in (".py", ".sh") and os.access(c, os.X_OK))
    if arguments.names:
        cases = [c for c in cases if any(n in c.stem for n in arguments.names)]
    alone = [c for c in cases if "exclusive" in c.stem]
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        verdicts = list(pool.map(lambda c: run(c, env, say), [c for c in cases if c not in alone]))
    verdicts += [run(c, env, say) for c in alone]
    passed, failed, skipped = (verdicts.count(v) for v in ("pass", "FAIL", "skip"))
    print(f"partners: {passed} passed, {failed} failed, {skipped} skipped", flush=True)
    if arguments.summary:
        pathlib.Path(arguments.summary).write_text(f"{passed} {failed} {skipped}\n")
    strict = os.environ.get("CI") == "true"
    sys.exit(1 if failed or (strict and skipped) else 0)


if __name__ == "__main__":
    main()
