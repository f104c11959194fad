# SPDX-License-Identifier: Apache-2.0
"""hutch run in a sandbox of hutch."""

from lib.extra import RunCase


class Nested(RunCase):
    """What hutch can do where another hutch has put it, and what it says where it cannot."""

    def inner(self, *options, inner: tuple = ()):
        """hutch run in a sandbox started with @options, with the machine's programs in both."""
        words = ["-v", f"{self.persona.program}:/hutch:ro", "--tmpfs", "/home/h", "-e", "HUTCH_HOME=/home/h",
                 "-e", "ASAN_OPTIONS=detect_leaks=0"]  # leaks cannot be looked for without ptrace
        return self.hutch("run", *words, *options, "--", "/hutch", *inner)

    def test_it_runs_in_a_privileged_one(self):
        script = "id -u; cat /proc/1/comm; echo x >/x; cat /x; hostname"
        result = self.inner("--privileged", inner=("run", "--name", "inner", "--", "sh", "-c", script))
        self.assertEqual((result.code, result.out), (0, "0\nhutch-init\nx\ninner\n"), str(result))
        self.assertEqual(self.inner("--privileged", inner=("doctor",)).code, 0)
        self.assertEqual(self.inner("--privileged", inner=("run", "--timeout", "200ms", "--", "sleep", "300")).code,
                         124)

    def test_in_an_ordinary_one_it_says_that_there_are_no_namespaces(self):
        result = self.inner(inner=("run", "--", "true"))
        self.assert_fails(result, 125, "namespace")
        result = self.inner(inner=("doctor",))
        self.assertEqual(result.code, 1, str(result))
        self.assertRegex(result.out, r"(?m)^no +user namespaces ")

    def test_where_proc_is_masked_it_says_that(self):
        options = ("--security-opt", "userns", "--security-opt", "seccomp=unconfined")
        result = self.inner(*options, inner=("run", "--", "true"))
        self.assert_fails(result, 125, "proc")
        self.assertRegex(self.inner(*options, inner=("doctor",)).out, r"(?m)^no +proc ")
