"""Every route keeps to its own description, whatever is sent: schemathesis makes it up from `openapi.json`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from serving import Running, camera_toml, running, wait_for

import vljepa_runtime as vj

schemathesis = pytest.importorskip("schemathesis")
from schemathesis.core.failures import FailureGroup  # noqa: E402
from schemathesis.specs.openapi.checks import positive_data_acceptance  # noqa: E402

ENDLESS = ("/api/cameras/{id}/live.mjpeg", "/api/cameras/test")
EXAMPLES = 8


@pytest.fixture(scope="module")
def own(model: vj.Model, recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server that may be changed in every way."""
    text = camera_toml("door", recording, loop=True)
    with running(model, tmp_path_factory.mktemp("contract"), text) as found:
        wait_for(lambda: found.service.fleet.camera("door").newest)
        yield found


@pytest.fixture(scope="module")
def described(own: Running) -> Any:
    """What the server says of itself, without what has no end, opens whatever it is told, or begins anew."""
    schema = schemathesis.openapi.from_url(f"{own.address}/openapi.json")
    return schema.exclude(path=[*ENDLESS])


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    database=None,
)
@given(data=st.data())
def check(operation: Any, data: st.DataObject) -> None:
    """One operation keeps to its description."""
    case = data.draw(operation.as_strategy())
    # an id that is taken, a slug, a threshold within bounds: OpenAPI cannot say all that is refused with 422
    case.call_and_validate(timeout=20, excluded_checks=[positive_data_acceptance])


# the server draws random waits in this very process while Hypothesis draws requests
@pytest.mark.filterwarnings("ignore:Do not use the `random` module")
def test_every_answer_is_as_described(described: Any) -> None:
    operations = [result.ok() for result in described.get_all_operations()]
    wrong = []
    for operation in operations:
        try:
            check(operation)
        except FailureGroup as error:
            wrong += [f"{operation.label}: {each}" for each in error.exceptions]
    assert len(operations) > 15
    assert wrong == []
