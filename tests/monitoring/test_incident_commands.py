"""``trunkline incident``, as an operator types it."""

from typing import Any

import pytest
from click.testing import CliRunner
from tests.cli.refusing import refused
from tests.conftest import Trunkline

from trunkline.audit.acts import Actor
from trunkline.cli import trunkline as command
from trunkline.errors import InvalidRequest, OperatorError
from trunkline.monitoring import incidents
from trunkline.storage.database import Database


def test_an_operator_tells_of_an_outage_from_its_beginning_to_its_end(trunkline: Trunkline) -> None:
    told = trunkline(
        "incident", "open", "Texts are late", "--component", "api", "--component", "carrier:simulated",
        "--component", "api", "--impact", "major",
    )  # fmt: skip
    number = told["incident_id"]
    assert told["components"] == ["api", "carrier:simulated"]
    assert (told["impact"], told["state"], told["closed_at"]) == ("major", "investigating", None)
    assert trunkline("incident", "list")["incidents"] == [told]
    told = trunkline("incident", "update", number, "A cable.\nIt is long.", "--state", "identified")
    assert [(update["state"], update["body"]) for update in told["updates"]] == [
        ("identified", "A cable.\nIt is long."),
        ("investigating", "We are looking into it."),
    ]
    closed = trunkline("incident", "close", number)
    assert closed["state"] == "resolved"
    assert closed["closed_at"]
    assert "closed already" in refused(trunkline, "incident", "close", number)
    assert "no incidents" in trunkline.run("incident", "list").stdout
    assert "Texts are late" in trunkline.run("incident", "list", "--all").stdout
    acts = [row["action"] for row in trunkline("audit", "list")["acts"]]
    assert sorted(acts) == ["incident.closed", "incident.opened", "incident.updated"]


@pytest.mark.asyncio
async def test_what_cannot_be_told_is_refused_and_changes_nothing(database: Database) -> None:
    known = ["api", "database", "webhooks"]
    good: dict[str, Any] = {"title": "Slow", "text": "We look.", "components": ["api"], "impact": "minor"}
    for wrong, saying in (
        ({"components": ["api", "carrier:north"]}, "no component 'carrier:north'; there are: api, database, webhooks"),
        ({"text": " "}, "text is 1 to 4000"),
        ({"text": "x" * 4001}, "text is 1 to 4000"),
        ({"title": "x" * 201}, "title is 1 to 200"),
        ({"title": "Two\nlines"}, "title is 1 to 200"),
        ({"title": "\udcff"}, "title is 1 to 200"),
    ):
        with pytest.raises(InvalidRequest, match=saying):
            await incidents.begin(database, Actor("operator:test"), **good | wrong, known=known)
    number = (await incidents.begin(database, Actor("operator:test"), **good, known=known)).incident_id
    with pytest.raises(InvalidRequest):
        await incidents.tell(database, Actor("operator:test"), number, "", None)
    await incidents.tell(database, Actor("operator:test"), number, "Watched.", "monitoring")
    await incidents.tell(database, Actor("operator:test"), number, "Still watched.", None)
    await incidents.close(database, Actor("operator:test"), number, "Fast again.")
    before = await incidents.find_one(database, number)
    assert [each.state for each in before.updates] == ["resolved", "monitoring", "monitoring", "investigating"]
    with pytest.raises(OperatorError, match="closed already"):
        await incidents.tell(database, Actor("operator:test"), number, "More.", None)
    with pytest.raises(OperatorError, match="closed already"):
        await incidents.close(database, Actor("operator:test"), number, "Again.")
    for nobodys in (999, 2**63 - 1):
        with pytest.raises(OperatorError, match=f"no incident {nobodys}"):
            await incidents.close(database, Actor("operator:test"), nobodys, "Over.")
    assert await incidents.find(database, closed_since=incidents.EVER, most=10) == [before]


@pytest.mark.parametrize(
    "words",
    [
        ("open", "Slow", "--component", "api"),
        ("open", "Slow", "--impact", "minor"),
        ("open", "Slow", "--component", "api", "--impact", "none"),
        ("update", "1001", "Done.", "--state", "resolved"),
        ("close", "0"),
    ],
)
def test_wrong_usage_exits_with_2(words: tuple[str, ...]) -> None:
    assert CliRunner().invoke(command, ["incident", *words]).exit_code == 2
