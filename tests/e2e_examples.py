# SPDX-License-Identifier: Apache-2.0
"""The examples of the manual pages, of README.md and of examples/ do what they claim.

A block of a page is run when the line before it says so: "; run" in a manual page, "<!-- run -->" in
Markdown; "run as root subuid" is for these personas only. In a block a line "$ command" is run by sh
("> " goes on with it), in one shell per page and one directory, where ./rootfs is an unpacked root
file system; what follows is what it prints, standard error included. "..." stands for anything within
a line, and alone on a line for any lines. A block with a "$ " line that is not marked fails.
"""

import json
import os
import re
import resource
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

from lib import Case, PERSONAS, needs, only

ROOT = Path(__file__).resolve().parent.parent
MAN = ROOT / "man"
MAN_OPTIONS = ROOT / "tools" / "man-options"
RUN = re.compile(r"(?:; |<!-- )run(?: as ([\w -]+?))?(?: -->)?")


@dataclass
class Step:
    """One command of a block and what it prints."""

    line: int
    command: str
    output: list[str] = field(default_factory=list)


@dataclass
class Block:
    line: int
    personas: tuple[str, ...]
    marked: bool
    text: list[str] = field(default_factory=list)

    def steps(self) -> list[Step]:
        steps: list[Step] = []
        for number, text in enumerate(self.text, self.line + 1):
            if text.startswith("$ "):
                steps.append(Step(number, text[2:]))
            elif text.startswith("> ") and steps and not steps[-1].output:
                steps[-1].command += "\n" + text[2:]
            elif steps:
                steps[-1].output.append(text)
        return steps


def blocks_of(page: Path) -> list[Block]:
    """The literal blocks of a page."""
    blocks: list[Block] = []
    inside, mark = False, ""
    for number, text in enumerate(page.read_text().splitlines(), 1):
        if text.startswith("```"):
            inside = not inside
            if inside:
                found = RUN.fullmatch(mark)
                personas = tuple(found.group(1).split()) if found and found.group(1) else PERSONAS
                blocks.append(Block(number, personas, found is not None))
        elif inside:
            blocks[-1].text.append(text)
        mark = text
    return blocks


def pattern(lines: list[str]) -> str:
    """What the output must match as a whole."""
    made = ""
    for line in lines:
        if line == "...":
            made += r"(?:.*\n)*?"
        else:
            made += ".*".join(re.escape(part) for part in line.split("...")) + r"\n"
    return made


class Examples(Case):
    def place(self) -> Path:
        """The directory in which a page's commands run."""
        work = self.mkdir("work")
        (work / "rootfs").symlink_to(self.rootfs)
        programs = self.mkdir("bin")
        (programs / "hutch").symlink_to(self.persona.program)
        example = self.session.build / "examples" / "run"
        if example.exists():
            (programs / "run").symlink_to(self.session.program_for(self.persona, example))
        return work

    def run_steps(self, steps: list[Step]) -> list[str]:
        """Runs them all in one shell; what each printed."""
        work = self.place()
        script = "mark() { status=$?; printf '\\n@@ next @@\\n'; return $status; }\n"
        script += "\nmark\n".join(step.command for step in steps)
        file = self.write("script", script)
        env = self.environment()
        env["PATH"] = f"{self.tmp / 'bin'}:{env['PATH']}"
        process = self.persona.popen(["sh", str(file)], env=env, cwd=work, stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self._started.append(process)
        out = self.finish(process).out
        return out.split("\n@@ next @@\n")

    def check_page(self, page: Path) -> None:
        blocks = [b for b in blocks_of(page) if b.marked]
        self.assertTrue(blocks, f"{page.name} has no example that is run")
        steps = [s for b in blocks if self.persona.name in b.personas for s in b.steps()]
        self.assertTrue(steps, f"{page.name} has no example for {self.persona.name}")
        printed = self.run_steps(steps)
        self.assertEqual(len(printed), len(steps), f"the shell ended early:\n{printed[-1]}")
        for step, text in zip(steps, printed):
            text = text if text.endswith("\n") or not text else text + "\n"
            if not re.fullmatch(pattern(step.output), text):
                wanted = "\n".join(step.output)
                self.fail(f"{page.name}:{step.line}: $ {step.command}\n-- says\n{wanted}\n-- printed\n{text}")

    # ---- pages with a test of their own each, made below --------------------------------------------

    @only("root")
    def test_every_command_in_a_page_is_run_by_a_test(self):
        pages = documents()
        self.assertGreater(len(pages), 6)
        for page in pages:
            for block in blocks_of(page):
                shown = any(line.startswith("$ ") for line in block.text)
                self.assertTrue(block.marked or not shown, f"{page.name}:{block.line} is not marked as run")
                self.assertTrue(not block.marked or block.steps(), f"{page.name}:{block.line} runs nothing")

    @only("root")
    def test_a_wrong_claim_in_a_page_would_be_found(self):
        page = self.write("page.md", "<!-- run -->\n```\n$ hutch run -- echo one\ntwo\n```\n")
        with self.assertRaisesRegex(AssertionError, "page.md:3"):
            self.check_page(page)

    def test_the_example_in_c_prints_what_its_page_shows(self):
        example = self.session.build / "examples" / "run"
        program = str(self.session.program_for(self.persona, example))
        for words in ([], [self.rootfs]):
            result = self.hutch(*words, program=program)
            self.assertEqual((result.code, result.err), (0, ""), str(result))
            self.assertEqual(result.out, "inside: WHOEVER READS THIS IS IN A SANDBOX\nended with 42\n")
        result = self.hutch(self.tmp / "nothing", program=program)
        self.assert_fails(result, 125, "nothing", "No such file")

    @only("root")
    def test_the_example_in_c_includes_the_public_header_alone(self):
        text = (ROOT / "examples" / "run.c").read_text()
        ours = [h for h in re.findall(r'#include\s+[<"]([^>"]+)[>"]', text) if not re.fullmatch(r"[a-z]+\.h", h)]
        self.assertEqual(ours, [])
        self.assertIn("#include <hutch.h>", text)
        for header in re.findall(r"#include\s+<([^>]+)>", text):
            self.assertIn(header, ("hutch.h", "stdio.h", "stdlib.h", "string.h", "unistd.h"))

    @only("root")
    @needs(lambda: shutil.which("pkg-config") is not None, "no pkg-config here")
    def test_the_example_in_c_is_built_with_what_make_install_installs(self):
        if sanitized(self.session.build):
            self.skipTest("the library of this build needs the sanitizers in the program, too")
        tree = self.tmp / "tree"
        call("meson", "install", "-C", self.session.build, "--destdir", tree, "--no-rebuild", "--quiet")
        found = next(tree.rglob("hutch.pc"))
        env = {**os.environ, "PKG_CONFIG_LIBDIR": f"{found.parent}:{system_libdir()}",
               "PKG_CONFIG_SYSROOT_DIR": str(tree)}
        shared = call("pkg-config", "--cflags", "--libs", "hutch", env=env).split()
        whole = [word.replace(f"{tree}/usr/lib", "/usr/lib") for word in
                 call("pkg-config", "--static", "--cflags", "--libs", "hutch", env=env).split()]
        for kind, flags in (("shared", shared), ("static", ["-static", *whole])):
            with self.subTest(kind):
                program = self.tmp / kind
                printed = call("cc", ROOT / "examples" / "run.c", "-o", program, "-std=c11", "-Wall", "-Wextra", *flags)
                self.assertEqual(printed, "")
                result = self.hutch(program=str(program), env={"LD_LIBRARY_PATH": str(found.parent.parent)})
                self.assertEqual((result.code, result.err), (0, ""), str(result))
                self.assertIn("ended with 42", result.out)

    @needs(lambda: not 0 <= resource.getrlimit(resource.RLIMIT_CORE)[1] < 4096, "no core dumps here")
    def test_core_dumps_are_had_when_asked_for_as_the_page_says(self):
        asked = self.hutch("run", "--ulimit", "core=4096", "--", "sh", "-c", "ulimit -c; ulimit -Hc")
        self.assertEqual((asked.code, asked.out.split(), asked.err), (0, ["8", "8"], ""), str(asked))

    # ---- what the pages list --------------------------------------------------------------------------

    @only("root")
    def test_the_manual_page_of_run_has_every_option_of_its_help_and_no_other(self):
        told = set(re.findall(r"^ +(?:-\w, )?--([\w-]+)", self.run_ok("run", "--help").out, re.M))
        page = subprocess.run([sys.executable, MAN_OPTIONS, MAN / "hutch-run.1.scd"],
                              capture_output=True, text=True, check=True).stdout
        listed = set(re.findall(r"^(?:\*-\w\*, )?\*--([\w-]+)\*(?:[ \[].*)?\n\t", page, re.M))
        self.assertEqual(told - {"host"}, listed - {"host"})
        self.assertIn("*--host*", page)

    @only("root")
    def test_an_option_is_in_the_help_exactly_when_it_is_not_called_not_yet(self):
        told = set(re.findall(r"^ +(?:-\w, )?--([\w-]+)", self.run_ok("run", "--help").out, re.M))
        rows = [f for group in table() for f in group.fields if f.flag and f.flag != "pull"]
        self.assertGreater(len(rows), 50)
        for row in rows:
            self.assertEqual(row.flag in told, not row.later, row.flag)
            if row.later:
                result = self.hutch("run", f"--{row.flag}=1", "--", "true")
                self.assert_fails(result, 125, f"--{row.flag}", "not in this version yet")

    @only("root")
    @needs(lambda: shutil.which("scdoc") is not None, "no scdoc here")
    def test_the_build_makes_every_page_and_fills_its_lists(self):
        for source in sorted(MAN.glob("*.scd")):
            built = self.session.build / "man" / source.name.removesuffix(".scd")
            self.assertTrue(built.is_file(), f"{built} was not made")
            self.assertNotRegex(built.read_text(), r"(?m)^@\w+.*@$")
        self.assertIn("size of /dev/shm".capitalize(), (self.session.build / "man/hutch-run.1").read_text())
        self.assertIn("shm_size", (self.session.build / "man/hutch-spec.5").read_text().replace("\\", ""))

    @only("root")
    def test_the_manual_page_of_the_library_has_every_function_and_what_each_returns(self):
        page = call(sys.executable, MAN_OPTIONS, MAN / "hutch.3.scd").replace("\\", "")
        exported = re.findall(r"^\t(hutch_\w+);", (ROOT / "libhutch.map").read_text(), re.M)
        self.assertGreater(len(exported), 20)
        for name in exported:
            section = re.search(rf"^## {name}\(\).*?(?=^##? )", page, re.M | re.S)
            self.assertTrue(section, f"{name} has no section")
            for word in ("*Threads:*", "*Since:*"):
                self.assertIn(word, section.group(), name)
            if f"void {name}(" not in section.group():
                self.assertIn("*Return:*", section.group(), name)

    @only("root")
    def test_every_page_that_a_page_refers_to_is_there(self):
        pages = {p.name.removesuffix(".scd") for p in MAN.glob("*.scd")}
        for page in MAN.glob("*.scd"):
            for name, section in re.findall(r"\*(hutch[\w-]*)\*\((\d)\)", page.read_text()):
                self.assertIn(f"{name}.{section}", pages, f"{page.name} refers to it")

    @only("root")
    def test_every_file_that_the_readme_refers_to_is_there(self):
        for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
            targets = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
            for target in targets:
                if "://" not in target:
                    self.assertTrue((page.parent / target).exists(), f"{page.name}: {target}")


def call(*argv, **options) -> str:
    """Both streams of a program that must succeed."""
    done = subprocess.run(list(map(str, argv)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                          **options)
    if done.returncode:
        raise AssertionError(f"{argv}: status {done.returncode}\n{done.stdout}")
    return done.stdout


def system_libdir() -> str:
    """Where pkg-config looks for the libraries that hutch needs."""
    return call("pkg-config", "--variable=pc_path", "pkg-config").strip()


def table():
    """The table of fields, as tools/man-options reads it."""
    loader = SourceFileLoader("man_options", str(MAN_OPTIONS))
    module = module_from_spec(spec_from_loader("man_options", loader))
    sys.modules["man_options"] = module
    loader.exec_module(module)
    return module.read_table(ROOT / "src" / "spec" / "fields.def")


def sanitized(build: Path) -> bool:
    listed = subprocess.run(["meson", "introspect", "--buildoptions", str(build)], capture_output=True, text=True,
                            check=True).stdout
    return any(o["name"] == "b_sanitize" and o["value"] != "none" for o in json.loads(listed))


def documents() -> list[Path]:
    return [*sorted(MAN.glob("*.scd")), ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def _test_of(page: Path):
    personas = {p for block in blocks_of(page) if block.marked for p in block.personas}
    return only(*(p for p in PERSONAS if p in personas))(lambda self: self.check_page(page))


for _page in documents():
    if any(block.marked for block in blocks_of(_page)):
        _name = re.sub(r"\W", "_", _page.name.removesuffix(".scd"))
        setattr(Examples, f"test_the_examples_of_{_name}_print_what_it_shows", _test_of(_page))
