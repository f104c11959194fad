# SPDX-License-Identifier: Apache-2.0
"""hutch doctor: what this host can do, what is lost, and the line that mends it."""

import json
import os
import re
import subprocess

from lib import only
from lib.extra import MANY_IDS, RunCase

REQUIRED = """kernel,clone3,openat2,pidfd,close_range,user namespaces,mnt namespace,pid namespace,net namespace,
    ipc namespace,uts namespace,cgroup namespace,time namespace,mount API,proc,overlay on disk,seccomp,
    data directory,state directory"""
NAMES = {name.strip() for name in REQUIRED.split(",")} | {
    "mount_setattr", "sysfs", "overlay on tmpfs", "executable memfd", "Landlock", "several ids", "free disk space",
                                                          "cgroup v2",
    "cgroup controllers", "pasta", "/dev/net/tun", "open files", "namespace limits", "overlay lowerdir+", "pressure",
                                                          "ping", "CRIU",
    "keyrings", "core dumps"}


class Doctor(RunCase):
    """What it says, in words and as JSON."""

    def checks(self) -> list[dict]:
        result = self.hutch("doctor", "--json")
        self.assertIn(result.code, (0, 1), str(result))
        self.assertEqual(result.err, "")
        return json.loads(result.out)

    def test_it_says_all_that_the_manual_lists(self):
        names = {check["name"] for check in self.checks()}
        self.assertEqual(NAMES - names, set())
        self.assertEqual(len(names), len(self.checks()), "a name twice")

    def test_every_check_has_its_fields(self):
        for check in self.checks():
            self.assertEqual(set(check), {"name", "ok", "level", "found", "lost", "mend"})
            self.assertIn(check["ok"], (True, False, None))
            self.assertIn(check["level"], ("required", "recommended", "optional"))
            self.assertTrue(check["found"], check)
            for text in check["found"], check["lost"], check["mend"]:
                self.assertNotIn("\n", text)
            if check["ok"]:
                self.assertEqual((check["lost"], check["mend"]), ("", ""), check)
            if check["ok"] is False:
                self.assertTrue(check["lost"] and check["mend"], check)

    def test_the_first_one_is_the_caller(self):
        first = self.checks()[0]
        self.assertEqual((first["name"], first["ok"]), ("caller", True))
        self.assertIn({"root": "root", "subuid": "subordinate ids", "plain": "one id", "nested": "user namespace",
                       "nested-range": "user namespace"}[self.persona.name], first["found"])

    def test_words_and_json_say_the_same(self):
        text = self.hutch("doctor").out
        for check in self.checks():
            if check["name"] == "caller":
                self.assertIn(check["found"].split(":")[0], text.splitlines()[0])
                continue
            mark = {True: "ok", False: "no", None: r"\?\?"}[check["ok"]]
            self.assertRegex(text, rf"(?m)^{mark} +{re.escape(check['name'])} +\S", check)
            for part in ("lost", "mend"):
                if check[part]:
                    self.assertIn(f"{part}: {check[part]}", text)

    def test_it_ends_with_0_exactly_when_sandboxes_can_start(self):
        bad = [check for check in self.checks() if check["level"] == "required" and check["ok"] is False]
        self.assertEqual(bad, [], "this host is not for tests")
        self.assertEqual(self.hutch("doctor").code, 0)
        self.assertEqual(self.hutch("run", "--", "true").code, 0)

    def test_what_it_says_of_ids_is_so(self):
        check = self.doctor()["several ids"]
        self.assertEqual(check["ok"], self.persona.name in MANY_IDS, check)
        if self.persona.name == "plain":
            self.assertIn("subuid", check["mend"])

    def test_what_it_says_of_filters_and_overlays_is_so(self):
        checks = self.doctor()
        status = self.host_ok("grep Seccomp: /proc/self/status")
        self.assertEqual((checks["seccomp"]["ok"], status.split()[1]), (True, "2"))
        self.assertEqual(self.hutch("run", "--upper", "tmpfs", "--", "touch",
                         "/x").code == 0, checks["overlay on tmpfs"]["ok"])

    @only("plain", "root")
    def test_without_user_namespaces_it_ends_with_1_and_says_what_mends_it(self):
        words = ["unshare", "--user", "--map-root-user", "sh", "-c",
            'echo 0 >/proc/sys/user/max_user_namespaces && exec "$0" "$@"']
        process = self.start("doctor", "--json", prefix=words, env={"HUTCH_HOME": str(self.tmp / "other")})
        result = self.finish(process)
        self.assertEqual(result.code, 1, str(result))
        check = {check["name"]: check for check in json.loads(result.out)}["user namespaces"]
        self.assertEqual((check["ok"], check["level"]), (False, "required"))
        self.assertIn("max_user_namespaces", check["mend"])

    def test_a_home_that_cannot_be_used_is_named(self):
        home = self.mkdir("home", 0o700)
        self.persona.run(["mkdir", "-m", "0777", str(home / "data")])
        result = self.hutch("doctor", "--json", env={"HUTCH_HOME": str(home)})
        self.assertEqual(result.code, 1, str(result))
        check = {check["name"]: check for check in json.loads(result.out)}["data directory"]
        self.assertEqual((check["ok"], check["level"]), (False, "required"))
        self.assertIn(str(home / "data"), check["found"] + check["mend"])

    def test_it_changes_nothing(self):
        home = self.mkdir("fresh", 0o700)
        self.assertEqual(self.hutch("doctor", env={"HUTCH_HOME": str(home)}).code, 0)
        self.assertEqual(os.listdir(home), [])
        self.assertEqual(self.hutch("doctor", env={"HUTCH_HOME": str(home / "deeper/still")}).code, 0)
        self.assertEqual(os.listdir(home), [])

    def test_it_needs_no_home_no_path_and_no_descriptors(self):
        process = self.persona.popen(["env", "-i", self.persona.program, "doctor", "--json"], cwd=self.tmp,
                                     stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE)
        self._started.append(process)
        result = self.finish(process)
        self.assertIn(result.code, (0, 1), str(result))
        json.loads(result.out)
        self.assertEqual(self.shell('"$HUTCH" doctor <&- >/dev/null 2>&-; test $? -le 1 && echo well'), "well\n")

    @only("root", "plain")
    def test_wrong_words_are_refused(self):
        for words, named in (["--jsno"], "--jsno"), (["x"], "doctor"), (["--json=x"], "--json"):
            self.assert_fails(self.hutch("doctor", *words), 125, named)
        self.assertIn("'--json'", self.hutch("doctor", "--jsno").err)

    @only("root", "plain")
    def test_help_says_what_it_is_for(self):
        result = self.hutch("doctor", "--help")
        self.assertEqual((result.code, result.err), (0, ""))
        self.assertIn("hutch doctor [--json]", result.out)
