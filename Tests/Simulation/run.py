#!/usr/bin/env python3
"""Many seeds of the simulated worlds, in processes of their own, so that a world that traps ends only its part and is told by its seed.

  run.py [--count N] [--first SEED] [--world NAME] [--jobs 2] [--build .build/debug]

Seeds go in order, all worlds side by side: what is written as "next" is where a run that was interrupted goes on. Ends with 1 when a world broke a
promise, trapped or hung, or when no seed came by one of the places that the worlds name."""
import argparse, collections, os, pathlib, re, subprocess, sys, threading, time

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORLDS = sorted(p.stem.removesuffix("SimulationTests") for p in pathlib.Path(__file__).parent.glob("*/*SimulationTests.swift"))
PART = 25  # seeds of one process
SILENCE = 300  # seconds: no seed takes as long
ENOUGH = 150  # seeds of a world, after which its probes are judged
FAILURES = 10  # after as many no new part begins


class Run:
    def __init__(self, args):
        self.args = args
        self.parts = [(first, world) for first in range(args.first, args.first + args.count, PART) for world in args.worlds]
        self.at, self.open = 0, set()
        self.done = collections.Counter()
        self.reached = {world: collections.Counter() for world in args.worlds}
        self.failures = []
        self.lock = threading.Lock()
        self.processes = set()
        self.stopping = False

    def work(self):
        while True:
            with self.lock:
                if self.stopping or self.at == len(self.parts) or len(self.failures) >= FAILURES:
                    return
                part = self.parts[self.at]
                self.at += 1
                self.open.add(part)
            self.play(*part)
            with self.lock:
                if not self.stopping:
                    self.open.discard(part)

    def play(self, first, world):
        """One process; after a trap another one, behind the seed that trapped."""
        end = min(first + PART, self.args.first + self.args.count)
        while first < end and not self.stopping and len(self.failures) < FAILURES:
            environment = dict(os.environ, WEFT_SEED=str(first), WEFT_SIM_COUNT=str(end - first), WEFT_SIM_PART="1", NO_COLOR="1", SWIFT_BACKTRACE="enable=no")
            process = subprocess.Popen(
                [self.args.build / "weftPackageTests.xctest", "--testing-library", "swift-testing", "--filter", f"{world}SimulationTests/seeds"], env=environment,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
            with self.lock:
                self.processes.add(process)
            heard = [time.monotonic(), False]
            threading.Thread(target=self.watch, args=(process, heard), daemon=True).start()
            seed, story, trap, passed, told = None, collections.deque(maxlen=12), None, False, {}
            for line in process.stdout:
                heard[0] = time.monotonic()
                line = line.rstrip()
                if said := re.fullmatch(r"[a-z ]+: seed (\d+) \(\d+ of \d+\)", line):
                    with self.lock:
                        self.done[world] += seed is not None
                    seed = int(said[1])
                    story.clear()
                elif said := re.fullmatch(r"reached (.*): (\d+)", line):
                    with self.lock:
                        self.reached[world][said[1]] += int(said[2])
                elif said := re.fullmatch(r"[a-z ]+: seed (\d+) fails: (.*)", line):
                    told.setdefault(int(said[1]), []).append(said[2])
                elif re.search(r"(Fatal error|Precondition failed|Assertion failed):", line):
                    trap = line
                else:
                    story.append(line)
                    passed = passed or bool(re.search(r"Test run with [1-9]\d* tests?.* passed", line))
            code = process.wait()
            heard[1] = True
            with self.lock:
                self.processes.discard(process)
            if self.stopping:
                return
            for failed, words in told.items():
                self.note(world, failed, "\n".join(words))
            if passed and code == 0 or told and code >= 0:
                # The last seed is over; after three failures the rest was not tried.
                with self.lock:
                    self.done[world] += 1
                first = end if len(told) < 3 else seed + 1
            elif seed is None:
                return self.note(world, first, "the tests do not start:\n" + "\n".join(story))
            else:
                self.note(world, seed, (f"silent for {SILENCE} s" if code == -9 else f"ended by {-code}" if code < 0 else f"ended with {code}") + "\n" + (trap or "\n".join(story)))
                with self.lock:
                    self.done[world] += 1
                first = seed + 1

    def watch(self, process, heard):
        while not heard[1]:
            if time.monotonic() - heard[0] > SILENCE:
                process.kill()
                return
            time.sleep(1)

    def note(self, world, seed, what):
        with self.lock:
            self.failures.append((world, seed))
            print(f"FAILS {world}, seed {seed}: {what}\n  again: make sim W={world} SEED={seed}", flush=True)

    def progress(self, began):
        with self.lock:
            nexts = min([first for first, _ in self.open] + ([self.parts[self.at][0]] if self.at < len(self.parts) else []), default=None)
            done, all = sum(self.done.values()), self.args.count * len(self.args.worlds)
            spent = time.monotonic() - began
            left = f", some {spent / done * (all - done) / 60:.0f} min left" if done else ""
            each = ", ".join(f"{world} {self.done[world]}" for world in self.args.worlds)
            return f"{each} of {self.args.count}; {len(self.failures)} failed; {spent / 60:.1f} min{left}" + (f"; next {nexts}" if nexts is not None else "")

    def play_all(self):
        began = time.monotonic()
        threads = [threading.Thread(target=self.work) for _ in range(self.args.jobs)]
        for thread in threads:
            thread.start()
        told = time.monotonic()
        try:
            while any(thread.is_alive() for thread in threads):
                time.sleep(0.5)
                if time.monotonic() - told > 30:
                    told = time.monotonic()
                    print(self.progress(began), flush=True)
        except KeyboardInterrupt:
            self.stopping = True
            for process in list(self.processes):
                process.kill()
        missing = [
            f"{world}: {name}" for world in self.args.worlds if self.done[world] >= ENOUGH for name, times in self.reached[world].items() if times == 0]
        print("\n".join(f"{times:9} {world}: {name}" for world in self.args.worlds for name, times in sorted(self.reached[world].items(), key=lambda p: p[1])))
        print(self.progress(began))
        for world, seed in self.failures:
            print(f"failed: make sim W={world} SEED={seed}")
        for name in missing:
            print(f"never reached: {name}")
        whole = self.at == len(self.parts) and not self.stopping
        if not whole:
            print("not all seeds were run")
        return 0 if whole and not self.failures and not missing else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200, help="seeds of each world")
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--world", choices=WORLDS)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--build", type=lambda p: pathlib.Path(p).resolve(), default=ROOT / ".build" / "debug", help="where the test bundle is")
    args = parser.parse_args()
    args.worlds = [args.world] if args.world else WORLDS
    sys.exit(Run(args).play_all())


main()
