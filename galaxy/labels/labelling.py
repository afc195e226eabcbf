"""Labels of a catalogue's rows under a class scheme: the class or why there is none, votes on the path, soft labels."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from galaxy.labels.schemes import ClassAssignment, Cut, Scheme, SchemeError, VoteLimits
from galaxy.labels.soft_labels import FRACTION, soft_labels
from galaxy.labels.votes import QUESTIONS, question_values


def label_rows(scheme: Scheme, catalogue: pa.Table, *, cuts: bool = True) -> pa.Table:
    """Label every row of a catalogue.

    Parameters
    ----------
    scheme
        The scheme.
    catalogue
        ``id`` and the columns of `Scheme.inputs` that it has.
    cuts
        Apply the scheme's selection cuts.

    Returns
    -------
    pa.Table
        ``id``, ``label`` (null where excluded), ``excluded`` (null, or why), ``vote_fraction`` float32 and
        ``votes_at_node`` int32 (null where excluded or unknown); the catalogue's rows in their order. Where it has the
        votes that a scheme of grammar ``gz2`` needs also ``fraction_CLASS`` float32, see `soft_labels`.

    Raises
    ------
    SchemeError
        The catalogue has none of the scheme's columns, or lacks votes that the scheme's ``[votes]`` need.
    """
    codes, assignments = _assign_rows(scheme, catalogue)
    _require_votes(scheme, catalogue, assignments)
    labels = pa.array([assignment.label for assignment in assignments], pa.string()).take(codes)
    fraction, voters = _path_votes(catalogue, codes.to_numpy(), assignments)
    reasons = [pa.array([assignment.excluded for assignment in assignments], pa.string()).take(codes)]
    reasons += [_cut_reason(cut, catalogue) for cut in scheme.cuts] if cuts else []
    reasons.append(_vote_reason(scheme.votes, fraction, voters))
    excluded = pc.coalesce(*reasons)
    is_labelled = pc.is_null(excluded).to_numpy(zero_copy_only=False)
    table = pa.table(
        {
            "id": catalogue["id"],
            "label": pc.if_else(pa.array(is_labelled), labels, None),
            "excluded": excluded,
            "vote_fraction": pa.array(fraction, pa.float32(), mask=~(is_labelled & np.isfinite(fraction))),
            "votes_at_node": pa.array(
                np.nan_to_num(voters).astype(np.int32), mask=~(is_labelled & np.isfinite(voters))
            ),
        }
    )
    shares = soft_labels(scheme, catalogue)
    for name, share in zip(scheme.classes, () if shares is None else shares.T, strict=shares is not None):
        known = is_labelled & np.isfinite(share)
        table = table.append_column(f"{FRACTION}{name}", pa.array(share, pa.float32(), mask=~known))
    return table


def class_counts(scheme: Scheme, catalogue: pa.Table, *, cuts: bool = True) -> tuple[dict[str, int], dict[str, int]]:
    """Return rows by class (in the scheme's order, zeros included) and excluded rows by reason."""
    rows = label_rows(scheme, catalogue, cuts=cuts)
    labelled = {item["values"]: item["counts"] for item in rows["label"].value_counts().to_pylist()}
    left_out = {item["values"]: item["counts"] for item in rows["excluded"].drop_null().value_counts().to_pylist()}
    counts = {name: labelled.get(name, 0) for name in scheme.classes}
    return counts, dict(sorted(left_out.items(), key=lambda item: (-item[1], item[0])))


def _assign_rows(scheme: Scheme, catalogue: pa.Table) -> tuple[pa.Array, list[ClassAssignment]]:
    """Return int32 (rows,) codes and the assignment of each distinct class text that they refer to."""
    present = [catalogue[name].cast(pa.string()) for name in scheme.columns if name in catalogue.column_names]
    if not present:
        raise SchemeError(f"scheme {scheme.name} needs a column of {list(scheme.columns)}, which the catalogue lacks")
    text = pc.fill_null(pc.coalesce(*present), "").combine_chunks()
    encoded = (text if isinstance(text, pa.Array) else pa.concat_arrays(text.chunks)).dictionary_encode()
    return encoded.indices, [scheme.assign(item) for item in encoded.dictionary.to_pylist()]


def _require_votes(scheme: Scheme, catalogue: pa.Table, assignments: list[ClassAssignment]) -> None:
    limits = {"debiased": scheme.votes.min_fraction, "count": scheme.votes.min_voters}
    questions = dict.fromkeys(question for assignment in assignments for question in assignment.path)
    needed = [f"{q}_{a}_{m}" for m, least in limits.items() if least > 0 for q in questions for a in QUESTIONS[q]]
    lacking = [name for name in needed if name not in catalogue.column_names]
    if lacking:
        raise SchemeError(
            f"scheme {scheme.name} has min_fraction={scheme.votes.min_fraction} and min_voters="
            f"{scheme.votes.min_voters}, for which the catalogue lacks {len(lacking)} columns of votes: "
            f"{', '.join(lacking[:3])}, ...; ingest a table that has them, or leave [votes] out of the scheme"
        )


def _path_votes(
    catalogue: pa.Table, codes: np.ndarray, assignments: list[ClassAssignment]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the smallest normalised fraction and number of voters on each path; float64 (rows,), NaN if unknown."""
    fraction, voters = np.full(len(codes), np.inf), np.full(len(codes), np.inf)
    for question in QUESTIONS:
        answer = np.array([assignment.path.get(question, -1) for assignment in assignments])[codes]  # (rows,)
        rows = np.flatnonzero(answer >= 0)
        if len(rows):
            shares = question_values(catalogue, question, "debiased")[rows]  # (on path, answers)
            total = np.nansum(shares, axis=1)
            on_path = shares[np.arange(len(rows)), answer[rows]]
            share = np.divide(on_path, total, out=np.full(len(rows), np.nan), where=total > 0)
            fraction[rows] = np.minimum(fraction[rows], share)
            counts = question_values(catalogue, question, "count")[rows]
            has_votes = np.isfinite(counts).any(axis=1)
            voters[rows] = np.minimum(voters[rows], np.where(has_votes, np.nansum(counts, axis=1), np.nan))
    return np.where(np.isinf(fraction), np.nan, fraction), np.where(np.isinf(voters), np.nan, voters)


def _cut_reason(cut: Cut, catalogue: pa.Table) -> pa.Array:
    """Return the reason of a cut for each row, null where it passes."""
    missing = f"{cut.quantity}_missing"
    if cut.quantity not in catalogue.column_names:
        return pa.array([missing] * catalogue.num_rows, pa.string())
    values = catalogue[cut.quantity].cast(pa.float64()).to_numpy(zero_copy_only=False)
    size = np.abs(values) if cut.absolute else values
    low, high = (-np.inf if cut.min is None else cut.min), (np.inf if cut.max is None else cut.max)
    reason = np.where(np.isfinite(values), np.where((size < low) | (size > high), cut.quantity, ""), missing)
    return pa.array(reason, pa.string(), mask=reason == "")


def _vote_reason(limits: VoteLimits, fraction: np.ndarray, voters: np.ndarray) -> pa.Array:
    """Return ``votes`` where the path's votes are below the limits, ``votes_missing`` where they are unknown."""
    reason = np.full(len(fraction), "", dtype="U13")
    for least, values in ((limits.min_fraction, fraction), (limits.min_voters, voters)):
        if least > 0:
            reason = np.where(values < least, "votes", np.where(np.isnan(values), "votes_missing", reason))
    return pa.array(reason, pa.string(), mask=reason == "")
