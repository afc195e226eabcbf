"""Groups: samples that must not be torn apart, linked by where they are on the sky."""

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
        NaN where there is no position: such a sample is alone.
    width_arcsec : ndarray, (n,)
        Side of each field; NaN or 0 where unknown.

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
    ids: Sequence[str], components: np.ndarray, known: dict[str, str], part_of_group: dict[str, str]
) -> tuple[list[str], list[bool]]:
    """Name each sample's group so that a published sample keeps the group it has.

    A component of newcomers is named by its smallest id. A newcomer linked to published samples takes
    their group; linked to several, the smallest name if all lie in the same part of the split.

    Parameters
    ----------
    ids : sequence of str, n long
    components : ndarray of int, (n,)
        From `link`.
    known : dict of id to group
        Published samples.
    part_of_group : dict of group to part
        The published split.

    Returns
    -------
    groups : list of str
    torn : list of bool
        True for a newcomer that would join groups of different parts.
    """
    members: dict[int, list[str]] = {}
    for sample_id, component in zip(ids, components.tolist(), strict=True):
        members.setdefault(component, []).append(sample_id)
    groups: dict[str, str] = {}
    torn: set[str] = set()
    for ids_together in members.values():
        published = {known[sample_id] for sample_id in ids_together if sample_id in known}
        newcomers = [sample_id for sample_id in ids_together if sample_id not in known]
        groups.update({sample_id: min(published or newcomers) for sample_id in newcomers})
        if len({part_of_group.get(group) for group in published}) > 1:
            torn.update(newcomers)
    return [known.get(sample_id) or groups[sample_id] for sample_id in ids], [sample_id in torn for sample_id in ids]
