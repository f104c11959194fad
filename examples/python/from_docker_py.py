# SPDX-License-Identifier: Apache-2.0
"""What a program with docker-py becomes. Before:

    client = docker.from_env()
    box = client.containers.run(image, detach=True, tty=True, working_dir="/task", environment={"A": "1"},
                                volumes={src: {"bind": "/src", "mode": "ro"}}, network_mode="none")
    code, output = box.exec_run(["sh", "-c", "ls /src; echo $A"])
    box.put_archive("/task", tar_of(file)); box.exec_run("make")
    box.remove(force=True)
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from hutch import Sandbox, SandboxConfig


def main(image: str) -> None:
    with tempfile.TemporaryDirectory() as src:
        (Path(src) / "file").write_text("content\n")
        # The keywords are Docker's; image is a directory until images come.
        config = SandboxConfig.from_docker(image, working_dir="/task", environment={"A": "1"},
                                           volumes={src: {"bind": "/src", "mode": "ro"}}, network_mode="none")
        with Sandbox(config) as box:
            output, code = box.run(["sh", "-c", "ls /src; echo $A"])
            print(code, output.split())
            box.copy_to(Path(src) / "file", "/task/file")  # no tar
            print(box.run("cat file; pwd").output.split())
        # A command line works too.
        line = f"docker run --rm -e A=2 -v {src}:/src:ro -w /task --network none {image} true"
        with Sandbox(SandboxConfig.from_docker_run(line)) as box:
            print(box.run("echo $A; cat /src/file").output.split())


if __name__ == "__main__":
    main(sys.argv[1])
