"""`make demo-kube`: what it expects is in demo/; here it has to come to a good end."""

from __future__ import annotations

import subprocess
import sys

import pytest

from demo.ground import ROOT


@pytest.mark.alone
@pytest.mark.timeout(240)
def test_the_story_on_kubernetes_comes_to_a_good_end() -> None:
    command = [sys.executable, "-m", "demo.kube.story"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=230)
    print(done.stdout)
    assert done.returncode == 0, done.stdout
