"""Work on a Dask cluster: the same results, errors of the work itself, and a cluster that goes."""

import json
import pathlib
import shutil
import time

import pytest

from lamina.flows import cli
from lamina.flows.cluster import connected
from lamina.flows.errors import UserError

distributed = pytest.importorskip("distributed")

NET = str(pathlib.Path(__file__).parents[2] / "examples" / "digits.nir")
VARIABLE = ("seconds", "key")


@pytest.fixture
def cluster():
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=False,
                                  dashboard_address=None) as found:
        yield found


def half(number):
    if number % 2:
        raise ValueError(f"number must be even, not {number}")
    return number // 2


def test_results_come_back(cluster):
    with connected(1, cluster.scheduler_address) as client:
        assert sorted(client.results(half, [(4,), (2,), (8,)])) == [1, 2, 4]


def test_what_the_work_raises_is_not_the_clusters(cluster):
    with connected(1, cluster.scheduler_address) as client, \
            pytest.raises(ValueError, match=r"^number must be even, not 3$"):
        list(client.results(half, [(3,)]))


def test_a_cluster_that_goes_is_one_line(cluster):
    with connected(1, cluster.scheduler_address) as client, \
            pytest.raises(UserError, match=r"^the scheduler went away: what was finished is kept"):
        for _ in client.results(time.sleep, [(0,), (20,)]):
            cluster.close()


def test_an_absent_scheduler_keeps_what_was_there(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("lamina.flows.cluster._CONNECT_SECONDS", 1)
    out = tmp_path / "out"
    options = ["verify", NET, "--data", "digits", "--samples", "11", "-o", str(out)]
    assert cli.main([*options, "--workers", "1"]) == 0
    alone = json.loads((out / "verify" / "verify.json").read_text())
    shutil.rmtree(out / "verify" / "simulation" / "jobs")
    assert cli.main([*options, "--scheduler", "tcp://127.0.0.1:1"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "lamina: --scheduler must be a Dask scheduler that answers, not tcp://127.0.0.1:1")
    assert json.loads((out / "verify" / "verify.json").read_text()) == alone
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=False,
                                  dashboard_address=None) as cluster:
        assert cli.main([*options, "--scheduler", cluster.scheduler_address]) == 0
    there = json.loads((out / "verify" / "verify.json").read_text())
    assert {name: value for name, value in there.items() if name not in VARIABLE} == {
        name: value for name, value in alone.items() if name not in VARIABLE}
    assert there["events_compared"] > 1000
