# SPDX-License-Identifier: Apache-2.0
"""hutch run: where state and data are, and homes that cannot be."""

import os
import stat

from lib import only
from lib.extra import RunCase


class Places(RunCase):
    """HUTCH_HOME, or the places of XDG."""

    def test_home_gets_a_directory_for_state_and_one_for_data_and_both_are_closed(self):
        home = self.mkdir("fresh/home", 0o700)
        self.assertEqual(self.host_ok("echo well", env={"HUTCH_HOME": str(home)}), "well\n")
        self.assertEqual(sorted(os.listdir(home)), ["data", "run"])
        for part in ("data", "run"):
            self.assertEqual(stat.S_IMODE((home / part).stat().st_mode), 0o700)

    @only("subuid", "plain")
    def test_without_a_home_a_user_has_the_places_of_xdg(self):
        runtime, data = self.mkdir("runtime", 0o700), self.mkdir("data", 0o700)
        env = {"XDG_RUNTIME_DIR": str(runtime), "XDG_DATA_HOME": str(data)}
        process = self.start("run", "--", "echo", "well", prefix=["env", "-u", "HUTCH_HOME"], env=env)
        self.assertEqual(self.finish(process).out, "well\n")
        self.assertEqual((os.listdir(runtime), os.listdir(data)), (["hutch"], ["hutch"]))
        for directory in (runtime, data):
            self.assertEqual(stat.S_IMODE((directory / "hutch").stat().st_mode), 0o700)

    @only("subuid", "plain")
    def test_without_xdg_data_is_below_the_users_home(self):
        runtime, home = self.mkdir("runtime", 0o700), self.mkdir("home", 0o700)
        env = {"XDG_RUNTIME_DIR": str(runtime), "HOME": str(home)}
        process = self.start("run", "--", "echo", "well", prefix=["env", "-u", "HUTCH_HOME"], env=env)
        self.assertEqual(self.finish(process).out, "well\n")
        self.assertTrue((home / ".local/share/hutch").is_dir())

    @only("subuid", "plain")
    def test_a_runtime_directory_that_is_open_to_others_is_not_trusted(self):
        runtime, data = self.mkdir("runtime", 0o700), self.mkdir("data", 0o700)
        self.persona.run(["mkdir", "-m", "0777", str(runtime / "hutch")])
        env = {"XDG_RUNTIME_DIR": str(runtime), "XDG_DATA_HOME": str(data)}
        process = self.start("run", "--", "true", prefix=["env", "-u", "HUTCH_HOME"], env=env)
        self.assert_fails(self.finish(process), 125, str(runtime / "hutch"))


class Homes(RunCase):
    """Homes that cannot be, and odd ones."""

    def test_a_home_that_is_no_directory_or_open_to_others_is_refused(self):
        file = self.write("file")
        result = self.hutch("run", "--", "true", env={"HUTCH_HOME": str(file)})
        self.assert_fails(result, 125, str(file))
        for part in ("run", "data"):
            home = self.mkdir(f"open-{part}", 0o700)
            self.persona.run(["mkdir", "-m", "0777", str(home / part)])
            result = self.hutch("run", "--", "true", env={"HUTCH_HOME": str(home)})
            self.assert_fails(result, 125, str(home / part))

    @only("subuid", "plain")
    def test_a_home_of_somebody_else_is_refused(self):
        home = self.mkdir("theirs", 0o777)
        for part in ("run", "data"):
            (home / part).mkdir(mode=0o700)
            os.chown(home / part, 0, 0)
        result = self.hutch("run", "--", "true", env={"HUTCH_HOME": str(home)})
        self.assert_fails(result, 125, str(home))
        result = self.hutch("run", "--", "true", env={"HUTCH_HOME": "/proc/no/such"})
        self.assert_fails(result, 125, "/proc/no")

    def test_a_home_of_odd_or_long_name_is_a_home(self):
        for name in ("new\nline", "x" * 200 + "/" + "y" * 200, "ü,:\\"):
            home = self.mkdir(name, 0o700)
            for parent in (home.parent, home):
                self.give(parent)
            env = {"HUTCH_HOME": str(home)}
            self.assertEqual(self.host_ok("--name", "n" * 60, "hostname; touch /x", env=env), "n" * 60 + "\n")
            self.assertEqual(self.hutch("cleanup", env=env).code, 0)
