"""The service over HTTP: what a page gets and sends, what is refused, and the pages of a long queue."""

import shutil
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pyarrow as pa
import pytest
import uvicorn

from tasks.labelling.answer_log import AnswerLog
from tasks.labelling.app import PAGES, create_app
from tasks.labelling.queue_sources import QueueRequest, open_queue
from tasks.labelling.queues import LabelQueue, QueueFacts, read_label_queue, write_label_queue
from tasks.learning.labels.relabelling import RELABELLING, publish_relabelling
from tasks.runtime.workspace import Workspace
from tasks.store.dataset import Dataset
from tests.answer_writers import AT
from tests.small_galaxies import publish_galaxies

BLIND, OPEN = "/api/night/random", "/api/night/open"


@pytest.fixture
def client(night: Workspace) -> Iterator[httpx.Client]:
    """Of a service with a blind and an open queue of the same 40 candidates."""
    open_queue(night, QueueRequest(dataset="night", count=40, overlap=0.5))
    open_queue(night, QueueRequest(dataset="night", queue="open", count=40, blind=False))
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_app(night), log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with httpx.Client(base_url=address, timeout=30) as client:
        yield client
    server.should_exit = True
    thread.join(20)
    listener.close()


def ask_next(client: httpx.Client, labeller: str, base: str = BLIND, **more: float | str) -> list[dict]:
    return client.get(f"{base}/next", params={"labeller": labeller, **more}).raise_for_status().json()["items"]


def send(client: httpx.Client, id: str, sample: str, base: str = BLIND, **more: str | None) -> httpx.Response:
    body = {"id": id, "labeller": "ann", "sample": sample, "action": "answer", "label": "real", **more}
    return client.post(f"{base}/answers", json=body)


def test_pixels_arrive_as_they_are_stored(client: httpx.Client, night: Workspace) -> None:
    dataset = Dataset.open(night, "night")
    for number in (0, 17):
        reply = client.get(f"{BLIND}/pixels", params={"sample": ask_next(client, "ann", count=40)[number]["id"]})
        sample = ask_next(client, "ann", count=40)[number]["id"]
        shape = tuple(map(int, reply.headers["X-Shape"].split(",")))
        pixels = np.frombuffer(reply.content, reply.headers["X-Dtype"]).reshape(shape)
        np.testing.assert_array_equal(pixels, dataset.pixels[int(sample[1:])])


def test_galaxies_are_sent_as_bytes_of_colour(client: httpx.Client, night: Workspace) -> None:
    publish_galaxies(night, "sky", 40)
    open_queue(night, QueueRequest(dataset="sky", count=10))
    sample = ask_next(client, "ann", "/api/sky/random")[0]["id"]
    reply = client.get("/api/sky/random/pixels", params={"sample": sample})
    assert (reply.headers["X-Dtype"], reply.headers["X-Shape"], len(reply.content)) == ("uint8", "16,16,3", 768)


def test_a_queue_outlives_the_dataset_version_that_it_was_made_of(client: httpx.Client, night: Workspace) -> None:
    dataset = Dataset.open(night, "night")
    publish_relabelling(dataset, "real-bogus", "none", RELABELLING.empty_table(), None, AT)
    shutil.rmtree(dataset.path)
    sample = ask_next(client, "ann")[0]["id"]
    assert client.get(f"{BLIND}/pixels", params={"sample": sample}).status_code == 200


def test_a_blind_queue_shows_neither_label_nor_score_nor_reason(client: httpx.Client) -> None:
    hidden, shown = (ask_next(client, "ann", base)[0] for base in (BLIND, OPEN))
    assert set(hidden) == {"id", "rank"}
    assert set(shown) == {"id", "rank", "reason", "score"}
    for base, item in ((BLIND, hidden), (OPEN, shown)):
        detail = client.get(f"{base}/item", params={"labeller": "ann", "sample": item["id"]}).json()
        assert ("label" in detail) == ("label" in detail["neighbours"][0]) == (base == OPEN)
        assert not {"gold", "previous"} & set(detail)
        assert dict(detail["facts"]).keys() >= {"RA (deg)", "Magnitude", "Detector"}
        assert "injection" not in str(detail)


def test_filters_keep_what_they_name(client: httpx.Client, night: Workspace) -> None:
    queue = read_label_queue(night, "night", "open")
    scores = [None if rank % 4 == 3 else rank / 10 for rank in range(len(queue))]
    position = queue.rows.column_names.index("score")
    scored = queue.rows.set_column(position, "score", pa.array(scores, pa.float64()))
    facts = QueueFacts(**queue.facts.model_dump() | {"name": "scored"})
    write_label_queue(night, LabelQueue(facts, scored))
    base = "/api/night/scored"
    labels, chips = queue.rows["previous"].to_pylist(), [f"chip {int(name[1:]) % 3}" for name in queue.ids]

    def ranks(**filters: str | float) -> list[int]:
        return [item["rank"] for item in ask_next(client, "ann", base, count=100, **filters)]

    every = ranks()
    assert ranks(label="real") == [rank for rank in every if labels[rank] == "real"]
    assert ranks(detector="chip 1") == [rank for rank in every if chips[rank] == "chip 1"]
    assert ranks(score_from=0.5, score_to=1) == [5, 6, 8, 9, 10]
    assert ranks(score_from=0.5, score_to=1, label="bogus") == [r for r in (5, 6, 8, 9, 10) if labels[r] == "bogus"]
    assert (ranks(reason="random"), ranks(reason="suspect")) == (every, [])
    for number, rank in enumerate(ranks(label="real")[:3]):
        send(client, f"s{number}", queue.ids[rank], base, action="skip", label=None).raise_for_status()
    skipped = client.get(f"{base}/next", params={"labeller": "ann", "mine": "skipped", "count": 1}).json()
    assert (len(skipped["items"]), skipped["left"]) == (1, 3)


def test_a_place_on_the_sky_keeps_what_lies_within_the_radius(client: httpx.Client, night: Workspace) -> None:
    """Two candidates lie at each place, 33.8 arcsec from those at the next: 0.01 deg of RA at declination 20."""
    queued = read_label_queue(night, "night", "open").ids
    place_of = {name: int(name[1:]) // 2 for name in queued}

    def found(**place: float) -> set[str]:
        asked = {"ra_deg": 150 + 0.01 * place_of[queued[0]], "dec_deg": 20} | place
        return {item["id"] for item in ask_next(client, "ann", OPEN, count=100, **asked)}

    for reach, radius in ((0, {"radius_arcsec": 33}), (1, {}), (2, {"radius_arcsec": 68})):
        apart = {name: abs(place - place_of[queued[0]]) for name, place in place_of.items()}
        assert found(**radius) == {name for name in queued if apart[name] <= reach}
    assert found(ra_deg=0, dec_deg=-90, radius_arcsec=109.9 * 3600) == set()
    assert found(ra_deg=0, dec_deg=-90, radius_arcsec=110.1 * 3600) == set(queued)


@pytest.mark.parametrize(
    ("base", "filters", "word"),
    [
        (BLIND, {"label": "real"}, "queue 'random' is blind and takes no filter by label,"),
        (BLIND, {"score_from": 1, "reason": "x", "mine": "unsure"}, "no filter by reason, score_from,"),
        (BLIND, {"detector": "chip 1"}, "the sample that rates are estimated from"),
        (OPEN, {"label": "star"}, "none of bogus, real"),
        (OPEN, {"score_to": "nan"}, "score_to"),
        (OPEN, {"mine": "all"}, "mine"),
        (OPEN, {"labels": "real"}, "labels"),
        (BLIND, {"ra_deg": 150, "dec_deg": 20}, "takes no filter by dec_deg, ra_deg,"),
        (
            OPEN,
            {"radius_arcsec": 5, "ra_deg": 150},
            "ra_deg=150 and radius_arcsec=5 is no place on the sky without dec_",
        ),
        (OPEN, {"ra_deg": 150, "dec_deg": 120}, "dec_deg=120 is not in the range -90 to 90"),
        (OPEN, {"ra_deg": 150, "dec_deg": "nan"}, "dec_deg=nan is not in the range"),
    ],
)
def test_filters_that_tell_or_that_nobody_knows_are_refused(
    client: httpx.Client, base: str, filters: dict[str, str | int], word: str
) -> None:
    reply = client.get(f"{base}/next", params={"labeller": "ann", **filters})
    assert reply.status_code == 422
    assert word in reply.text
    assert ask_next(client, "ann", BLIND, mine="unsure") == []


def test_detections_at_one_place_are_a_light_history_and_others_neighbours(client: httpx.Client) -> None:
    number = int(ask_next(client, "ann")[0]["id"][1:])
    detail = client.get(f"{BLIND}/item", params={"labeller": "ann", "sample": f"c{number:04d}"}).json()
    first = number // 2 * 2
    assert [(point["id"], point["night"]) for point in detail["history"]] == [
        (f"c{first:04d}", "2026-05-20"),
        (f"c{first + 1:04d}", "2026-05-21"),
    ]
    assert detail["neighbours"][0]["id"] == f"c{first + 1 - number % 2:04d}"
    near = [item["separation_arcsec"] for item in detail["neighbours"]]
    # The next place is 0.01 degrees away, at declination 20.
    assert near == pytest.approx([0] + [36 * np.cos(np.radians(20))] * (len(near) - 1), abs=0.01)


def test_an_answer_is_kept_once_however_often_it_is_sent(client: httpx.Client, night: Workspace) -> None:
    sample = ask_next(client, "ann")[0]["id"]
    first, again = (send(client, "one", sample).json() for _ in range(2))
    assert (first["repeated"], again["repeated"], first["sequence"], again["sequence"]) == (False, True, 1, 1)
    assert first["progress"]["mine"] == 1
    assert send(client, "one", sample, label="bogus").status_code == 409
    assert len(AnswerLog.of(night, "night").rows()) == 1
    undone = client.post(f"{BLIND}/undo", json={"id": "two", "labeller": "ann"}).json()
    assert (undone["sample"], undone["progress"]["mine"]) == (sample, 0)
    assert client.post(f"{BLIND}/undo", json={"id": "three", "labeller": "ann"}).status_code == 422


def test_a_damaged_log_takes_nothing_and_lets_the_page_try_again(client: httpx.Client, night: Workspace) -> None:
    sample = ask_next(client, "ann")[0]["id"]
    send(client, "one", sample).raise_for_status()
    path = AnswerLog.of(night, "night").path
    whole = path.read_bytes()
    path.write_bytes(b"")
    reply = send(client, "two", sample)
    assert (reply.status_code, path.read_bytes()) == (500, b"")
    assert "has become shorter" in reply.json()["detail"]
    path.write_bytes(whole)
    assert send(client, "two", sample).json()["sequence"] == 2


@pytest.mark.parametrize(
    ("change", "status", "word"),
    [
        ({"label": "star"}, 422, "none of bogus, real, unsure"),
        ({"sample": "c9999"}, 422, "has no sample"),
        ({"labeller": " "}, 422, "labeller"),
        ({"action": "undo"}, 422, "action"),
        ({"label": None}, 422, "label None"),
        ({"more": "x"}, 422, "more"),
        ({"base": "/api/night/nothing"}, 404, "has no queue"),
        ({"base": "/api/nothing/random"}, 404, "has no queue"),
        ({"base": "/api/NIGHT/random"}, 404, "is not a name"),
        ({"base": "/api/..%2F..%2Fx/random"}, 404, ""),
    ],
    ids=["class", "sample", "labeller", "action", "no label", "field", "queue", "dataset", "name", "path"],
)
def test_what_is_refused_is_named_and_not_kept(
    client: httpx.Client, night: Workspace, change: dict[str, str | None], status: int, word: str
) -> None:
    reply = send(client, **{"id": "one", "sample": ask_next(client, "ann")[0]["id"], **change})  # type: ignore[arg-type]
    assert reply.status_code == status
    assert word in reply.text
    assert AnswerLog.of(night, "night").rows() == []


def test_another_site_can_neither_post_nor_reach_by_a_name_of_its_own(client: httpx.Client, night: Workspace) -> None:
    sample, own = ask_next(client, "ann")[0]["id"], str(client.base_url).rstrip("/")
    body = {"id": "x", "labeller": "ann", "sample": sample, "action": "answer", "label": "real"}
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        assert client.post(f"{BLIND}/answers", json=body, headers=headers).status_code == 403
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 400
    form = client.post(f"{BLIND}/answers", content=str(body), headers={"Content-Type": "text/plain"})
    assert form.status_code == 422
    assert AnswerLog.of(night, "night").rows() == []
    assert client.post(f"{BLIND}/answers", json=body, headers={"Origin": own}).status_code == 200


def test_pages_name_no_other_host_and_may_load_from_none(client: httpx.Client) -> None:
    assert "/label/night/random" in client.get("/").text
    page = client.get("/label/night/random")
    policy = page.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "http" not in policy
    texts = [page.text, client.get("/").text, *(path.read_text(encoding="utf-8") for path in PAGES.iterdir())]
    for text in texts:
        assert "//" not in text.replace("http://www.w3.org/2000/svg", "").replace("// ", "")
    for path in PAGES.iterdir():
        assert client.get(f"/static/{path.name}").status_code == 200


def test_ten_labellers_at_once_lose_and_double_nothing(client: httpx.Client, night: Workspace) -> None:
    def work(name: str) -> list[str]:
        with httpx.Client(base_url=client.base_url, timeout=60) as own:
            samples: list[str] = []
            while items := ask_next(own, name, count=3):
                for item in items:
                    send(own, f"{name}-{item['id']}", item["id"], labeller=name).raise_for_status()
                    samples.append(item["id"])
            return samples

    with ThreadPoolExecutor(10) as pool:
        done = list(pool.map(work, [f"person {number}" for number in range(10)]))
    rows = AnswerLog.of(night, "night").rows()
    assert Counter(row.answer.sample for row in rows) == Counter(sample for samples in done for sample in samples)
    queue = read_label_queue(night, "night", "random")
    counts = Counter(row.answer.sample for row in rows if not row.answer.gold)
    wanted = dict(zip(queue.ids, queue.opinions.tolist(), strict=True))
    assert all(counts[sample] == opinions for sample, opinions in wanted.items() if opinions)
    summary = client.get(f"{BLIND}/summary").json()
    assert sum(each["answers"] for each in summary["labellers"].values()) == len(rows)


def test_a_hundred_thousand_items_are_paged_by_cursor(client: httpx.Client, night: Workspace) -> None:
    count = 100_000
    small = read_label_queue(night, "night", "random")
    names = [f"c{row:04d}" if row < 40 else f"x{row}" for row in range(count)]
    columns = {"id": names, "rank": np.arange(count), "reason": ["random"] * count, "opinions": [1] * count}
    fields = [
        pa.array(columns[field.name], field.type) if field.name in columns else pa.nulls(count, field.type)
        for field in small.rows.schema
    ]
    facts = QueueFacts(**small.facts.model_dump() | {"name": "large"})
    write_label_queue(night, LabelQueue(facts, pa.table(fields, schema=small.rows.schema)))
    base = "/api/night/large"
    ask_next(client, "ann", base)
    after = -1
    for _ in range(3):
        items = ask_next(client, "ann", base, after=after)
        assert [item["rank"] for item in items] == list(range(after + 1, after + 21))
        after = items[-1]["rank"]
    last = ask_next(client, "ann", base, after=count - 3)
    assert [item["rank"] for item in last] == [count - 2, count - 1]
