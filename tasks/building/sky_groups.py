"""Groups of samples that overlap on the sky: a group is never divided between parts of the split."""

from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from tasks.store.sky_coordinates import chord, separations_arcsec, unit_vectors

LEAST_LINK_ARCSEC = 60.0


def link(ra_deg: np.ndarray, dec_deg: np.ndarray, width_arcsec: np.ndarray) -> np.ndarray:
    """Link samples whose square fields can overlap, friends of friends.

    Two are friends when they are nearer than 60 arcsec, or than the distance at which squares of their
    widths can still touch at the corners (the mean width times the root of 2).

    Parameters
    ----------
    ra_deg, dec_deg : ndarray, (n,)
        Degrees; NaN where there is no position: such a sample is a component of its own.
    width_arcsec : ndarray, (n,)
        Width of each square field, arcsec; NaN or 0 where unknown.

    Returns
    -------
    ndarray of int, (n,)
        The number of each sample's component.
    """
    count = len(ra_deg)
    placed = np.flatnonzero(np.isfinite(ra_deg) & np.isfinite(dec_deg))
    if len(placed) == 0:
        return np.arange(count)
    width = np.nan_to_num(np.asarray(width_arcsec, float)[placed])
    points = unit_vectors(np.asarray(ra_deg)[placed], np.asarray(dec_deg)[placed])
    farthest = max(LEAST_LINK_ARCSEC, float(width.max()) * np.sqrt(2))
    pairs = cKDTree(points).query_pairs(chord(farthest), output_type="ndarray")
    first, second = pairs[:, 0], pairs[:, 1]
    reach = np.maximum(LEAST_LINK_ARCSEC, (width[first] + width[second]) / np.sqrt(2))
    near = separations_arcsec(points[first], points[second]) <= reach
    edges = (np.ones(int(near.sum())), (placed[first[near]], placed[second[near]]))
    return np.asarray(connected_components(coo_matrix(edges, shape=(count, count)), directed=False)[1])


def name_groups(
    ids: Sequence[str], components: np.ndarray, published: dict[str, str], part_of_group: dict[str, str]
) -> tuple[list[str], list[bool]]:
    """Return each sample's group; a published sample keeps the group it has.

    A component of newcomers is named by its smallest id. A newcomer linked to published samples takes their group, and
    linked to several groups the smallest name.

    Parameters
    ----------
    ids : sequence of str, n long
    components : ndarray of int, (n,)
        From `link`.
    published : dict of id to group
        Published samples.
    part_of_group : dict of group to part
        The published split.

    Returns
    -------
    groups : list of str, n long
    joins_two : list of bool, n long
        True for a newcomer that would join groups of different parts.
    """
    ids_of: dict[int, list[str]] = {}
    for sample_id, component in zip(ids, components.tolist(), strict=True):
        ids_of.setdefault(component, []).append(sample_id)
    group_of = dict(published)
    joining: set[str] = set()
    for linked_ids in ids_of.values():
        published_groups = {published[sample_id] for sample_id in linked_ids if sample_id in published}
        newcomers = [sample_id for sample_id in linked_ids if sample_id not in published]
        group_of.update(dict.fromkeys(newcomers, min(published_groups or newcomers)))
        if len({part_of_group.get(group) for group in published_groups}) > 1:
            joining.update(newcomers)
    return [group_of[sample_id] for sample_id in ids], [sample_id in joining for sample_id in ids]
