# SPDX-License-Identifier: Apache-2.0
"""What a container runtime in trouble does to the plugin, at random, and what must be true of it.

A slot is an interface that a container may have. One worker serves its own slots only, so it knows
what each of them holds; where it killed the plugin half way it does not, until DEL or GC of its own
network has settled it."""
import dataclasses
import json
import os
import random
import subprocess
import time

from cni import addresses, config
from labs import PLUGIN, run

CONTAINERS, INTERFACES = 4, 4  # of each worker
UNKNOWN_CONTAINER, TRY_AGAIN, ATTACHED_ALREADY = 3, 11, 100
REASONS = "in use", "rest after use", "does not answer"
FREE, HELD, UNKNOWN = "free", "held", "unknown"
# How often which operation is drawn. One round mixes all, one fills the range to the last address,
# one empties it.
ROUNDS = (
    {"add": 40, "delete": 22, "check": 14, "collect": 3, "kill": 18, "vanish": 1, "again": 2},
    {"add": 80, "check": 20},
    {"add": 20, "delete": 50, "check": 8, "collect": 3, "kill": 16, "vanish": 1, "again": 2},
)
PATIENCE_SECONDS = 0.1  # at most, before a runtime goes on after it was told to try again


@dataclasses.dataclass
class Slot:
    container: str
    ifname: str
    state: str = FREE
    result: dict = None
    since: float = 0.0  # when ADD had answered


@dataclasses.dataclass
class Holding:
    """One address for as long as somebody had it: from the answer of ADD to the call of DEL."""
    address: str
    slot: str
    begin: float
    end: float


class Worker:
    def __init__(self, number, name, run_directory, seed):
        self.random = random.Random(f"{seed}.{number}")
        self.run_directory = run_directory
        self.network = f"net{number}"
        self.name = name
        self.slots = [Slot(f"{name}-{number}-{c}", f"eth{i}")
                      for c in range(CONTAINERS) for i in range(INTERFACES)]
        self.history = []
        self.outcomes = {}

    # --- the runtime ---

    def config(self, **more):
        return config("1.1.0", **{**more, "name": self.network})

    def start(self, command, slot, stdin):
        environment = {
            "CNI_COMMAND": command, "CNI_CONTAINERID": slot.container, "CNI_IFNAME": slot.ifname,
            "CNI_NETNS": f"/run/netns/{slot.container}", "CNI_PATH": os.path.dirname(PLUGIN),
            "PODWIRE_RUN_DIR": self.run_directory}
        process = subprocess.Popen([PLUGIN], env=environment, stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE)
        process.stdin.write(json.dumps(stdin).encode())
        process.stdin.close()
        return process

    def call(self, command, slot, **more):
        """(exit code, error code or 0, what it printed)"""
        with self.start(command, slot, self.config(**more)) as process:
            output = process.stdout.read()
            code = process.wait(timeout=70)
        answer = json.loads(output) if output else None
        error = answer["code"] if code else 0
        why = next((w for w in REASONS if error and w in answer["msg"]), "")
        self.count(f"{command} {error} {why}".rstrip())
        return error, answer

    def count(self, outcome):
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1

    def has_gone(self, slot, when):
        if slot.state == HELD:
            self.history += [Holding(a, f"{slot.container}:{slot.ifname}", slot.since, when)
                             for a in addresses(slot.result)]
        slot.state, slot.result = FREE, None

    # --- operations ---

    def add(self, slot):
        if slot.state == UNKNOWN:
            self.delete(slot)
        error, answer = self.call("ADD", slot)
        if slot.state == HELD:
            assert error in (ATTACHED_ALREADY, TRY_AGAIN), answer
        elif error:
            assert error == TRY_AGAIN and answer["msg"], answer
            # The agent may have died between its work and its answer.
            slot.state = UNKNOWN
            time.sleep(self.random.random() * PATIENCE_SECONDS)
        else:
            slot.state, slot.result, slot.since = HELD, answer, time.monotonic()

    def delete(self, slot):
        before = time.monotonic()
        error, answer = self.call("DEL", slot)
        assert (error, answer) == (0, None)
        self.has_gone(slot, before)

    def again(self, slot):
        """DEL of what has gone changes nothing and succeeds."""
        self.delete(slot)
        self.delete(slot)

    def check(self, slot):
        state = slot.state
        error, answer = self.call("CHECK", slot, prevResult=slot.result or {"ips": []})
        if state == HELD:
            assert error in (0, TRY_AGAIN), answer
        elif state == FREE:
            assert error in (UNKNOWN_CONTAINER, TRY_AGAIN), answer

    def collect(self, _):
        """GC of what is not known to be held, as after a restart of the runtime."""
        valid = [{"containerID": s.container, "ifname": s.ifname}
                 for s in self.slots if s.state == HELD]
        error, answer = self.call("GC", self.slots[0], **{"cni.dev/valid-attachments": valid})
        assert error in (0, TRY_AGAIN), answer
        if not error:
            for slot in self.slots:
                if slot.state == UNKNOWN:
                    self.has_gone(slot, time.monotonic())

    def kill(self, slot):
        """The plugin is killed at any moment of any verb."""
        command = self.random.choice(("ADD", "ADD", "DEL", "DEL", "CHECK", "GC"))
        more = {"prevResult": slot.result} if command == "CHECK" else {}
        before = time.monotonic()
        process = self.start(command, slot, self.config(**more))
        time.sleep(self.random.random() * 0.006)
        process.kill()
        with process:
            process.wait()
        self.count(f"{command} killed")
        if command == "DEL":
            self.has_gone(slot, before)
            slot.state = UNKNOWN
        elif command == "ADD" and slot.state == FREE:
            slot.state = UNKNOWN

    def vanish(self, slot):
        """A container's namespace goes, and nobody ever says DEL."""
        before = time.monotonic()
        run("ip", "netns", "del", slot.container)
        run("ip", "netns", "add", slot.container)
        for other in self.slots:
            if other.container == slot.container:
                self.has_gone(other, before)
                other.state = UNKNOWN
        self.count("namespace gone")

    # --- a round ---

    def round(self, count, weights):
        """So many operations; then nothing is unknown any more."""
        names, numbers = list(weights), list(weights.values())
        for _ in range(count):
            operation = self.random.choices(names, numbers)[0]
            getattr(self, operation)(self.random.choice(self.slots))
        for slot in self.slots:
            if slot.state == UNKNOWN:
                self.delete(slot)

    def serve(self, pipe):
        """Rounds as the parent orders them: (held by slot, history, outcomes), or an error."""
        while (order := pipe.recv()) is not None:
            try:
                self.round(*order)
                held = {f"{s.container}:{s.ifname}": addresses(s.result)
                        for s in self.slots if s.state == HELD}
                still = [Holding(a, slot, self.since(slot), float("inf"))
                         for slot, given in held.items() for a in given]
                pipe.send((held, self.history + still, self.outcomes))
                self.history, self.outcomes = [], {}
            except Exception as error:  # pylint: disable=broad-except
                pipe.send(f"{type(error).__name__}: {error}")

    def since(self, name):
        return next(s.since for s in self.slots if f"{s.container}:{s.ifname}" == name)


def overlaps(history, rest, restarts):
    """Sentences about addresses that two had at once, or that were given too soon after use. What
    rests is forgotten by an agent that dies, so across a restart, which is when it went and when it
    was back, only the first counts."""
    wrong = []
    by_address = {}
    for holding in history:
        by_address.setdefault(holding.address, []).append(holding)
    for address, holdings in by_address.items():
        holdings.sort(key=lambda h: h.begin)
        for first, second in zip(holdings, holdings[1:]):
            if second.begin < first.end:
                wrong.append(f"{address}: {second.slot} got it while {first.slot} had it")
            elif second.begin < first.end + rest and \
                    not any(away <= second.begin and first.end <= back for away, back in restarts):
                wrong.append(f"{address}: {second.slot} got it {second.begin - first.end:.3f} s "
                             f"after {first.slot}")
    return wrong
