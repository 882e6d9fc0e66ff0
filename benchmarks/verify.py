# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""How fast models are fetched and verified, beside other programs, on the same files in one run.

``make bench-verify`` runs it. All contestants fetch from one test hub on the loopback (a stand-in,
see molecule/shared/hub; a process of its own that sends by sendfile), take turns in every round,
and pay for their own start. The page cache is written back before each turn, so that nobody pays
for the bytes of another. Ours alone has its bytes on the disk (fsync) when it ends.

``modelscope download`` is the program, ``modelscope`` and ``huggingface_hub`` are the functions
``snapshot_download`` of the libraries, called by a program of three lines.

Prints a table in Markdown: median and best of the rounds, and whether the targets are met, by the
medians; the processor's seconds are the least of the rounds. A target that is missed is no failure:
the machine may be busy.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OURS = Path(__file__).with_name("ours.py")
CLIENT = ROOT / "tests" / "clients" / "download.py"
HUB = ROOT / "molecule" / "shared" / "hub"
COLLECTIONS = ROOT / ".ansible" / "collections"
REVISION = "v1.0.0"
MIB = 1 << 20
WHOLE, SHARDS, MANY = "owner/whole", "owner/shards", "owner/many"
SHARD_COUNT = 8
SMALL_COUNT = 1000


@dataclass
class Turns:
    """The turns of one contestant: seconds of clock and processor, peak of the memory in MiB."""

    seconds: list[float] = field(default_factory=list)
    work: list[float] = field(default_factory=list)
    memory: float = 0.0

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def best(self) -> float:
        return min(self.seconds)


@dataclass(frozen=True)
class Turn:
    """One turn. The processor's seconds tell more than the clock's where others use the machine."""

    seconds: float
    work: float
    memory: float
    output: str = ""


Take = Callable[[], Turn]


@dataclass(frozen=True)
class Setting:
    """Where the benchmark works, and whom it asks."""

    work: Path
    endpoint: str
    clients: str

    @property
    def store(self) -> Path:
        return self.work / "store"

    def snapshot(self, model: str) -> Path:
        """The folder of a snapshot that ours has made."""
        return self.store / "modelscope" / model / REVISION


# -- files -----------------------------------------------------------------------------------------


def write_model(folder: Path, sizes: dict[str, int]) -> None:
    """Write weights of random numbers in ``sizes`` bytes by name, beside a configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {"architectures": ["BertModel"], "hidden_size": 4}
    (folder / "config.json").write_text(json.dumps(config), encoding="ascii")
    source = random.Random(7)
    for name, size in sizes.items():
        entry = {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}
        head = json.dumps({name: entry}).encode()
        with (folder / name).open("wb") as stream:
            stream.write(struct.pack("<Q", len(head)) + head)
            for begin in range(0, size, MIB):
                stream.write(source.randbytes(min(MIB, size - begin)))


def write_models(hub: Path, size: int) -> None:
    """Write one model as one file, one in shards, and one of many small files."""
    shard = size // SHARD_COUNT
    write_model(hub / WHOLE, {"model.safetensors": size})
    write_model(hub / SHARDS, {f"model-{n}.safetensors": shard for n in range(SHARD_COUNT)})
    write_model(hub / MANY, {"model.safetensors": 1000})
    for number in range(SMALL_COUNT - 2):
        (hub / MANY / f"file-{number:04}.txt").write_text(f"{number}\n", encoding="ascii")


def remove(folder: Path) -> None:
    """Remove a folder whether it is sealed or not."""
    if folder.is_dir():
        for path in [folder, *(item for item in folder.rglob("*") if item.is_dir())]:
            path.chmod(0o755)
        shutil.rmtree(folder)


def forget(folder: Path) -> None:
    """Take the files below ``folder`` out of the page cache."""
    os.sync()
    for path in folder.rglob("*"):
        if path.is_file():
            handle = os.open(path, os.O_RDONLY)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(handle)


# -- turns -----------------------------------------------------------------------------------------


def run(command: list[str] | str, env: dict[str, str] | None = None) -> Turn:
    """Run a program (a text: by the shell)."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        command,
        shell=isinstance(command, str),
        env={**os.environ, **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    output = process.stdout.read() if process.stdout else ""
    _pid, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{command} ended with {process.returncode}")
    return Turn(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, output)


def ours(*arguments: str) -> Turn:
    """Run ``ours.py``."""
    return run([sys.executable, str(OURS), *arguments], {"PYTHONPATH": str(COLLECTIONS)})


def inside(*arguments: str) -> Turn:
    """Run ``ours.py`` without the time of its start."""
    turn = ours(*arguments)
    return replace(turn, seconds=float(json.loads(turn.output)["seconds"]))


def rounds(count: int, turns: dict[str, Take]) -> dict[str, Turns]:
    """Let all take turns ``count`` times; return what each took."""
    found = {name: Turns() for name in turns}
    for number in range(count):
        for name, take in turns.items():
            turn = take()
            found[name].seconds.append(turn.seconds)
            found[name].work.append(turn.work)
            found[name].memory = max(found[name].memory, turn.memory)
        print(f"round {number + 1} of {count} done", file=sys.stderr, flush=True)
    return found


def fetching(setting: Setting, model: str, count: int) -> dict[str, Turns]:
    """Fetch ``model`` with everyone, ``count`` times in turn."""
    folder = setting.work / "fetched"
    names = sorted(path.name for path in (setting.work / "hub" / model).iterdir())
    address = f"{setting.endpoint}/store/{model}/{REVISION}/"
    # As many connections as ours has.
    curl = ["curl", "-sf", "--parallel", "--parallel-max", "4"]
    to_files = [part for name in names for part in ("-o", str(folder / name), address + name)]
    piped = "; ".join(f"curl -sf {address}{name} | tee {folder / name}" for name in names)

    def turn(work: Take) -> Take:
        def clean() -> Turn:
            remove(folder)
            remove(setting.snapshot(model).parent)
            folder.mkdir()
            os.sync()
            return work()

        return clean

    def library(name: str) -> Turn:
        command = [setting.clients, str(CLIENT), name, setting.endpoint, model, REVISION]
        home = {"MODELSCOPE_CACHE": str(folder / "cache"), "HF_HOME": str(folder / "cache")}
        return run([*command, str(folder / "model")], home)

    def program() -> Turn:
        command = [str(Path(setting.clients).with_name("modelscope")), "download", "--model", model]
        options = ["--revision", REVISION, "--local_dir", str(folder / "model")]
        endpoint = {"MODELSCOPE_ENDPOINT": setting.endpoint}
        return run([*command, *options], {**endpoint, "MODELSCOPE_CACHE": str(folder / "cache")})

    return rounds(
        count,
        {
            "ours": turn(lambda: ours("fetch", setting.endpoint, model, str(setting.store))),
            "curl, no hash": turn(lambda: run([*curl, *to_files])),
            "curl and sha256sum": turn(lambda: run(f"({piped}) | sha256sum")),
            "modelscope download": turn(program),
            "modelscope": turn(lambda: library("modelscope")),
            "huggingface_hub": turn(lambda: library("huggingface_hub")),
        },
    )


def verifying(setting: Setting, count: int, cold: bool) -> dict[str, Turns]:
    """Hash the sharded model's files with everyone, ``count`` times in turn."""
    folder = setting.snapshot(SHARDS)

    def turn(work: Take) -> Take:
        def prepared() -> Turn:
            if cold:
                forget(folder)
            return work()

        return prepared

    return rounds(
        count,
        {
            "ours": turn(lambda: inside("verify", str(setting.store), SHARDS)),
            "one hashlib thread": turn(lambda: inside("thread", str(folder))),
            "sha256sum": turn(lambda: run(["sha256sum", *map(str, sorted(folder.iterdir()))])),
            "reading alone": turn(lambda: inside("read", str(folder))),
        },
    )


# -- the report ------------------------------------------------------------------------------------


def table(title: str, found: dict[str, Turns], size: int) -> str:
    """Return a Markdown table of what each took."""
    lines = [
        f"### {title}",
        "",
        "| | median s | best s | MiB/s | processor s | peak MiB |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {name} | {turns.median:.2f} | {turns.best:.2f} "
        f"| {size / MIB / turns.median:.0f} | {min(turns.work):.2f} | {turns.memory:.0f} |"
        for name, turns in found.items()
    ]
    return "\n".join([*lines, ""])


def verdict(what: str, value: float, bound: float, met: bool, form: str = ".2f") -> str:
    """Return one line of the table of targets."""
    return f"| {what} | {value:{form}} | {bound:{form}} | {'met' if met else 'MISSED'} |"


def machine(setting: Setting) -> str:
    """Return what was measured, where and when."""
    processor = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("model name"):
            processor = line.partition(":")[2].strip()
            break
    ask = "import modelscope as m, huggingface_hub as h; print(m.__version__, h.__version__)"
    modelscope, hub = run([setting.clients, "-c", ask]).output.split()[-2:]
    curl = run(["curl", "--version"]).output.split()[1]
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{time.strftime('%Y-%m-%d')}, {processor}, {len(os.sched_getaffinity(0))} cores, "
        f"Linux {platform.release()}, Python {platform.python_version()}, modelscope {modelscope}, "
        f"huggingface_hub {hub}, curl {curl}; load average at the begin: {load}"
    )


def report(setting: Setting, size: int, count: int) -> Iterator[str]:
    """Measure everything, and yield the report piece by piece."""
    yield machine(setting) + "\n"
    names = f"{size / MIB:.0f} MiB"
    targets = ["### Targets", "", "| | found | target | |", "|---|---:|---:|---|"]
    memory = 0.0
    for model, title in ((WHOLE, "in one file"), (SHARDS, f"in {SHARD_COUNT} files")):
        found = fetching(setting, model, count)
        yield table(f"Fetching {names} {title}", found, size)
        mine, plain, library = (found[n] for n in ("ours", "curl, no hash", "modelscope download"))
        memory = max(memory, mine.memory)
        value = mine.median / plain.median
        targets.append(verdict(f"fetching {title} / curl without a hash", value, 1.6, value <= 1.6))
        value = mine.median / library.median
        targets.append(verdict(f"fetching {title} / modelscope download", value, 0.5, value <= 0.5))
    ours("fetch", setting.endpoint, SHARDS, str(setting.store))
    cores = len(os.sched_getaffinity(0))
    warm = verifying(setting, count, cold=False)
    yield table(f"Verifying {names} in {SHARD_COUNT} files, cached", warm, size)
    value = warm["one hashlib thread"].median / warm["ours"].median / cores
    targets.append(verdict(f"verifying / {cores} hashlib threads", value, 0.9, value >= 0.9))
    cold = verifying(setting, count, cold=True)
    yield table(f"Verifying {names} in {SHARD_COUNT} files, from the disk", cold, size)
    limit = max(cold["reading alone"].median, warm["ours"].median)
    value = limit / cold["ours"].median
    targets.append(verdict("verifying from the disk / disk or cores", value, 0.9, value >= 0.9))
    memory = max(memory, warm["ours"].memory, cold["ours"].memory)
    targets.append(verdict("peak of the memory, MiB", memory, 200, memory <= 200, ".0f"))
    check = ["check", setting.endpoint, MANY, str(setting.store)]
    ours("fetch", *check[1:])
    again = rounds(count, {"ours": lambda: inside(*check)})["ours"]
    text = f"check of {SMALL_COUNT} unchanged files, s"
    targets.append(verdict(text, again.median, 0.3, again.median <= 0.3))
    yield "\n".join(targets)


@contextmanager
def hub_at(root: Path) -> Iterator[str]:
    """Run the test hub over ``root`` and yield its address, once it knows the files' hashes."""
    command = [sys.executable, str(HUB), str(root), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        endpoint = process.stdout.readline().strip() if process.stdout else ""
        for model in (WHOLE, SHARDS, MANY):
            run(["curl", "-sf", f"{endpoint}/store/{model}/{REVISION}/manifest.json"])
        yield endpoint
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--mebibytes", type=int, default=1024, help="size of a model")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each contestant")
    parser.add_argument("--work", type=Path, help="folder with room for four such models")
    options = parser.parse_args()
    clients = os.environ.get("MODEL_CLIENTS_PYTHON", "")
    if not clients:
        raise SystemExit("MODEL_CLIENTS_PYTHON names no interpreter. Run make bench-verify.")
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        work, size = Path(folder), options.mebibytes * MIB
        write_models(work / "hub", size)
        with hub_at(work / "hub") as endpoint:
            setting = Setting(work, endpoint, clients)
            for piece in report(setting, size, options.rounds):
                print(piece, flush=True)
        remove(work / "store")


if __name__ == "__main__":
    main()
