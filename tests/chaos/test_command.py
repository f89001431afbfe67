"""The command of `make chaos`."""

from __future__ import annotations

import sys

import pytest

from .__main__ import main


@pytest.mark.parametrize("none", [["--faults", "0"], ["--faults", "-3"], ["--minutes", "0"]])
def test_a_schedule_without_faults_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], none: list[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["chaos", *none])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().out == (
        "nothing to do: FAULTS must be 1 or more, or MINUTES long enough for one to begin\n"
    )
