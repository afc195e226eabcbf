"""However a text writes a version, a run or a file, it is read as named; pictures name nothing."""

import base64
import html

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.housekeeping.mentions import words_of_page, words_of_text, words_of_value

NAMES = st.from_regex(r"[a-z0-9]([a-z0-9._-]{0,20}[a-z0-9])?", fullmatch=True)
TEXTS = st.text(alphabet=st.characters(blacklist_categories=["Cs"]), max_size=30)


@given(NAMES, st.integers(1, 999_999), st.sampled_from(["{}@{}", "{}, version {}", "{} version {}", "models:/{}/{}"]))
def test_a_version_is_read_in_every_form(name: str, number: int, form: str) -> None:
    assert f"{name}@{number}" in words_of_text(f"Of ({form.format(name, number)}).")
    assert f"{name}@{number}" in words_of_text(f"/a b/datasets/{name}/versions/{number:06d}/manifest.json")


@given(NAMES, TEXTS, TEXTS)
def test_a_word_of_a_page_is_read_beside_any_text(name: str, before: str, after: str) -> None:
    page = f"<p>{html.escape(before)} <a href='{name}.html'>{name}</a> {html.escape(after)}</p>"
    assert {name, f"{name}.html"} <= words_of_page(page)


def test_cells_of_a_table_are_read_as_one_text() -> None:
    assert "sky@3" in words_of_page("<tr><td>sky</td>\n<td>version 3</td></tr>")


def test_a_picture_names_nothing() -> None:
    picture = base64.b64encode(b"sky, version 3" * 50).decode()
    assert words_of_page(f'<img src="data:image/png;base64,{picture}">') == {"img", "src"}
    assert words_of_page('<b>sky@3</b><svg width="9"><path d="M sky@1\n"/></svg> sky@2') == {"b", "sky@3", "sky@2"}


@pytest.mark.parametrize(
    "value",
    [{"digests": '{"champion": "models:/realbogus/2"}'}, {"a": [{"b": "realbogus@2"}]}, ["models:/realbogus/2"]],
)
def test_json_is_read_at_any_depth(value: object) -> None:
    assert "realbogus@2" in words_of_value(value)
