from __future__ import annotations

from pathlib import Path

from orchestrator.verify.checks import check_tree
from orchestrator.verify.outcome import CheckStatus
from tests.verify.conftest import RequestFor, python


def test_a_check_that_ends_with_zero_passes_in_a_clean_tree(
    request_for: RequestFor, repository: Path
) -> None:
    (repository / "app.py").write_text("changed by the user\n")
    request = request_for({"build": [{"run": python("assert open('app.py').read() == 'print(1)\\n'")}]})

    report = check_tree(request)

    assert [outcome.status for outcome in report.outcomes] == [CheckStatus.PASSED]
    assert report.complete
    assert report.setup_failure is None
