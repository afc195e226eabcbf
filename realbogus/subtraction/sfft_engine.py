"""The optional package sfft (Hu et al. 2022, ApJ 936, 157) as an engine, by its NumPy backend."""

from typing import Literal

import numpy as np


class EngineError(ImportError):
    """An optional engine is not installed."""


def subtract_with_sfft(
    new: np.ndarray,
    reference: np.ndarray,
    fitted: np.ndarray,
    convolved: Literal["reference", "new"],
    half_width_px: int,
    order: int,
) -> np.ndarray:
    """Subtract by sfft.

    Parameters
    ----------
    new, reference : ndarray of shape (y, x) float32, counts
        Above the background, without NaN.
    fitted : ndarray of bool, shape (y, x)
        Pixels of stars that the kernel is fitted on.
    convolved : ``reference`` or ``new``
    half_width_px : int
        Of the kernel, each of whose pixels is a free parameter.
    order : int
        Highest degree of its variation over the chip.

    Returns
    -------
    ndarray of shape (y, x) float32
        New minus reference, in the counts of the frame that is not convolved.

    Raises
    ------
    EngineError
        sfft is not installed.
    """
    try:
        from sfft.sfftcore.SFFTConfigure import SingleSFFTConfigure
        from sfft.sfftcore.SFFTSubtract import GeneralSFFTSubtract
    except ImportError as missing:
        raise EngineError(
            "engine='sfft' needs the package sfft, which is not installed: pip install sfft, or engine='alard-lupton'"
        ) from missing
    sharp, broad = (reference, new) if convolved == "reference" else (new, reference)
    images = [np.ascontiguousarray(image.T, np.float64) for image in (sharp, broad)]  # its first axis is x
    masked = [np.ascontiguousarray(np.where(fitted, image, 0).T, np.float64) for image in (sharp, broad)]
    computing = {"BACKEND_4SUBTRACT": "Numpy", "NUM_CPU_THREADS_4SUBTRACT": 1}
    configuration = SingleSFFTConfigure.SSC(
        NX=images[0].shape[0],
        NY=images[0].shape[1],
        KerHW=half_width_px,
        KerPolyOrder=order,
        BGPolyOrder=order,
        ConstPhotRatio=False,
        **computing,
    )
    difference = GeneralSFFTSubtract.GSS(
        PixA_I=images[0],
        PixA_J=images[1],
        PixA_mI=masked[0],
        PixA_mJ=masked[1],
        SFFTConfig=configuration,
        ContamMask_I=None,
        **computing,
    )[1]
    return (difference.T if convolved == "reference" else -difference.T).astype(np.float32)
