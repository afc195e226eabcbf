"""The parameters that several flows take: type and description, written once."""

from typing import Annotated, Any, Literal

from pydantic import Field


def told(description: str, **limits: Any) -> Any:
    """Return a parameter's ``description`` and ``limits``, as its annotation carries them.

    Prefect's form takes a description from an annotation only where it is an extra of the schema.
    """
    return Field(description=description, json_schema_extra={"description": description}, **limits)


NewDataset = Annotated[str, told("Name of the dataset; an existing one grows")]
Dataset = Annotated[str, told("Dataset: NAME, or NAME@3 for its third version")]
Catalog = Annotated[
    str | None,
    told("Table of galaxies: an ingested name, a file, an address; empty: the simulated sky's"),
]
Metadata = Annotated[str | None, told("Table with redshifts and radii, joined to the catalogue, where it lacks them")]
Source = Annotated[Literal["sdss", "legacy", "archive", "simulated"], told("Where images come from")]
Images = Annotated[str | None, told("Folder or zip of images, for source=archive")]
Mapping = Annotated[str | None, told("Table of object and asset ids, for an archive named by asset id")]
BuildScheme = Annotated[str, told("Class scheme: a shipped name, a file, or 'none' for pixels without labels")]
Scheme = Annotated[str | None, told("Class scheme; empty: the dataset's first")]
SizePx = Annotated[int, told("Side of a stored sample, pixels")]
RequestPx = Annotated[int, told("Side of the image asked of a service, pixels")]
CropFraction = Annotated[float, told("Share of the image kept, about its centre")]
FieldRule = Annotated[
    Literal["petrosian", "redshift", "fixed"],
    told("Frame: 8.48 Petrosian R90, a fixed size in kpc, or a fixed scale"),
]
Scale = Annotated[float | None, told("Scale for field=fixed, arcsec per pixel")]
Limit = Annotated[
    int | None,
    told("Take so many objects, by a hash of id and seed; empty: 600 of the simulated sky, else all"),
]
ServiceUrl = Annotated[str | None, told("Address of another cutout service")]
Release = Annotated[str | None, told("Release or layer; empty: dr17 for sdss, ls-dr10 for legacy")]
MaxRate = Annotated[float | None, told("Requests a second, shared by all workers and flows; no limit on loopback")]
MaxConnections = Annotated[int, told("Connections at once, shared by all workers")]
MinStored = Annotated[float, told("Stop if a smaller share of the objects is left")]
AllowMixed = Annotated[bool, told("Let another source, release or field in")]
RetryRejected = Annotated[bool, told("Ask again for what was rejected for good")]
Network = Annotated[Literal["cnn"], told("Kind of network")]
Optimizer = Annotated[Literal["sgd", "adam"], told("Optimiser")]
Preset = Annotated[Literal["deck", "tuned"], told("deck: the slides' recipe; tuned: ours, which is better")]
Epochs = Annotated[int | None, told("Exactly so many epochs; empty: the preset's rule")]
BatchSize = Annotated[int | None, told("Images a step; empty: the preset's")]
Device = Annotated[Literal["auto", "cpu", "gpu"], told("auto: every GPU there is, else the processor")]
Grey = Annotated[bool, told("Replace colour by luminance, inside the model")]
Seed = Annotated[int, told("Seed of everything random")]

CandidateSource = Annotated[
    Literal["simulated", "frames", "zenodo", "alerts", "triplets"],
    told("Simulated survey, FITS pairs, the published layout, alert packets, or an array with a table"),
]
CandidatePath = Annotated[str | None, told("Folder or file of the source; empty for the simulated survey")]
Night = Annotated[int, told("Night of the simulated survey; another night adds to the dataset")]
StampPx = Annotated[int, told("Side of a stamp, pixels")]
LabelColumn = Annotated[str | None, told("Column of labels, for source=triplets; empty: weak_label or label")]
GroupColumn = Annotated[str | None, told("Column of what must not be torn apart; empty: objectId, else each row")]
GalaxyCatalog = Annotated[
    str | None, told("Table of galaxies for injections, for source=frames: ra_deg, dec_deg, mag, radius_arcsec")
]
KnownObjects = Annotated[
    str | None,
    told(
        "CSV of known transients (as TNS exports), variables, asteroids: matches leave the bogus; 'simulated': its own"
    ),
]
GalaxyFraction = Annotated[float, told("Share of the injections that lie on galaxies")]
Balance = Annotated[
    Literal["asked", "stored"], told("Whether that share is of the asked injections, or is met among the stored")
]
InjectionsPerVisit = Annotated[int, told("Artificial transients in one chip and visit")]
Chips = Annotated[int, told("Detectors of the simulated survey that are used, of 84")]
Visits = Annotated[int, told("Visits of each detector in the night")]
Revisits = Annotated[int, told("Consecutive visits to one field")]
SceneTransients = Annotated[
    float, told("The simulated scene's own transients on a chip, on average; a test survey wants many")
]
Diversity = Annotated[float, told("How far the simulated detectors differ: 0 all alike")]
Seeing = Annotated[float, told("Median seeing of the simulated survey, arcsec FWHM; optics and pixel come on top")]
Engine = Annotated[Literal["alard-lupton", "zogy", "sfft", "precomputed"], told("How a pair is subtracted")]
ThresholdSigma = Annotated[float, told("Least signal to noise of a detection")]
CandidateLimit = Annotated[
    int | None, told("Take so many triplets, by a hash of id and seed; of frames, the first so many chip-visits")
]

CandidateNetwork = Annotated[
    Literal["simple", "complex", "compact", "first"],
    told("The conventional network, the deeper one, a compact one, or the cheap first one of a cascade"),
]
CandidateSize = Annotated[Literal["small", "full"], told("Width and depth; full is the published one, for a GPU")]
Profile = Annotated[
    Literal["published", "as-written", "fixed"],
    told("What the public code executes, what it means to, or that repaired"),
]
Treatment = Annotated[
    Literal["each", "mix", "all"],
    told("A model a detector, all detectors at the size of one, or all samples"),
]
Detector = Annotated[str | None, told("For treatment=each: this detector alone; empty: one model for every detector")]
LossWeight = Annotated[
    float | None,
    told("Weight of a loss: cross-entropy, exponential cross-hinge (AUC), local smoothness (VAT); empty: the preset's"),
]
Normalisation = Annotated[
    Literal["sky-asinh", "sky-mean", "min-max", "asinh-min-max", "standard-asinh", "l2"] | None,
    told("How stamps are brought to one scale; empty: the preset's, by the sky's noise. l2 for few alerts of a survey"),
]
CandidateOptimizer = Annotated[Literal["sgd", "adam", "adadelta"] | None, told("Optimiser; empty: the preset's")]
Relabelling = Annotated[str | None, told("Name of a relabelling of the train part; empty: the original labels")]
TestDataset = Annotated[
    str, told("Another simulated dataset with hidden truth, on which all is judged: other seed, fields and nights")
]
Seeds = Annotated[list[int], told("Every training is repeated with each of these")]
StudyLimit = Annotated[int | None, told("Training triplets, by a hash of their ids; empty: all")]
