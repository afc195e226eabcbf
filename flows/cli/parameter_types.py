"""Parameters that several flows share: type and description, stated once.

The vocabularies (sources, networks, engines, ...) are stated in the packages that implement them.
"""

from typing import Annotated, Any

from pydantic import Field

from galaxy.images.cutouts import Field as FrameField
from realbogus.models.network_settings import Network as CandidateNetworkName
from realbogus.models.network_settings import Profile as ProfileName
from realbogus.models.network_settings import Size
from realbogus.models.network_settings import Smoothness as SmoothnessName
from realbogus.models.preprocessing import Normalisation as NormalisationName
from realbogus.simulation.night_conditions import NightConditions
from realbogus.subtraction.engine_names import SubtractionEngine
from tasks.candidates import choices as candidates
from tasks.candidates.methods import CandidateMethods as CandidateMethodFields
from tasks.galaxies import choices as galaxies
from tasks.galaxies.methods import TrainingMethods
from tasks.learning.fits.fit_settings import DeviceName
from tasks.learning.fits.fit_settings import KeptEpoch as KeptEpochName
from tasks.learning.fits.fit_settings import Optimizer as OptimizerName
from tasks.learning.labels.suspects import FoldRule as FoldRuleName
from tasks.learning.labels.suspects import SuspectRule as RuleName
from tasks.learning.models.inference import Engine as EngineName
from tasks.training.choices import RelabelStage as StageName


def param(description: str, **limits: Any) -> Any:
    """Return a parameter's ``description`` and ``limits`` for its annotation.

    Prefect's form shows a description only if it is an extra of the schema.
    """
    return Field(description=description, json_schema_extra={"description": description}, **limits)


NewDataset = Annotated[str, param("Name of the dataset; an existing dataset gets a new version with the new samples")]
Dataset = Annotated[str, param("Dataset: NAME for its current version, NAME@3 for its third")]
Model = Annotated[
    str,
    param("Run id, models:/NAME/VERSION, NAME@alias, or an alias, whose model name follows from dataset and scheme"),
]
ModelOfName = Annotated[str, param("Run id, models:/NAME/VERSION, NAME@alias, or an alias of name")]
RegisteredName = Annotated[str, param("Registered name of the models, such as realbogus or galaxy-deck-3")]
Reason = Annotated[str, param("Why; required, and kept in the ledger")]
DecidedBy = Annotated[str | None, param("Who decides; null: the user of this process")]
ScoringEngine = Annotated[
    EngineName,
    param("Runtime: auto uses ONNX if it reproduces the Keras scores; tensorflow can use a GPU"),
]
Seed = Annotated[int, param("Seed of all random numbers")]
Catalog = Annotated[
    str | None,
    param("Galaxy catalogue: ingested name, file, or URL; null: that of the simulated sky"),
]
Metadata = Annotated[
    str | None, param("Table of redshifts and radii; fills in what the catalogue lacks, joined on id or position")
]
Columns = Annotated[
    dict[str, str] | None,
    param('Role or catalogue column -> column of your tables, such as {"ra": "RA_fit"}, where names do not tell'),
]
Source = Annotated[galaxies.SourceName, param("Source of the images: a cutout service, an archive, or simulation")]
Images = Annotated[str | None, param("For source=archive: folder or zip file of images")]
Mapping = Annotated[
    str | None, param("For source=archive: table of object ids and asset ids, if files are named by asset id")
]
BuildScheme = Annotated[str, param("Class scheme: name of a shipped scheme, TOML file, or 'none' for no labels")]
Scheme = Annotated[str | None, param("Class scheme; null: the first scheme of the dataset")]
SizePx = Annotated[int, param("Side of a stored image in pixels")]
RequestPx = Annotated[int, param("Side of the image requested from the cutout service in pixels")]
CropFraction = Annotated[float, param("Central fraction of the image's side that is kept")]
FieldRule = Annotated[
    FrameField,
    param(
        "Size of the frame: petrosian (8.48 Petrosian R90), redshift (a fixed size in kpc), or fixed (a fixed scale)"
    ),
]
Scale = Annotated[float | None, param("For field=fixed: pixel scale in arcsec per pixel")]
Limit = Annotated[
    int | None,
    param("Maximum number of objects, chosen by a hash of id and seed; null: 600 of the simulated sky, else all"),
]
ServiceUrl = Annotated[str | None, param("Base URL of another cutout service; null: that of the source")]
Release = Annotated[str | None, param("Data release or layer; null: dr17 for sdss, ls-dr10 for legacy")]
MaxRate = Annotated[
    float | None,
    param("Maximum number of requests per second, shared by all workers and flows; unlimited on loopback"),
]
MaxConnections = Annotated[int, param("Maximum number of simultaneous connections, shared by all workers")]
MinStored = Annotated[float, param("Fail if a smaller fraction of the objects can be stored")]
AllowMixed = Annotated[bool, param("Allow samples of another source, release or field in an existing dataset")]
VerifyExisting = Annotated[
    bool, param("Compare every byte of the version that is added to with its digests first, as the flow verify does")
]
RetryRejected = Annotated[bool, param("Request objects again that an earlier build rejected for good")]
Network = Annotated[
    galaxies.NetworkName, param("Network architecture; the small ones suit two cores, xception and vit need a GPU")
]
Weights = Annotated[
    str,
    param(
        "Initial weights: none (random), imagenet (published weights of the network), models:/NAME/VERSION or "
        "models:/NAME@ALIAS (a registered model), or the path of a file of weights or a saved model"
    ),
]
Optimizer = Annotated[galaxies.OptimizerName | None, param("Optimiser; null: the preset's")]
Preset = Annotated[
    galaxies.PresetName,
    param("Network and training settings: deck (as in the lecture slides) or tuned (more accurate)"),
]
Methods = Annotated[
    TrainingMethods | None,
    param(
        'Changes of the preset by name, such as {"balance": "weights", "weight_average": 0.998}; null: none. The guide '
        "on galaxies lists them"
    ),
]
Epochs = Annotated[int | None, param("Number of epochs; null: early stopping by the preset's rule")]
BatchSize = Annotated[int | None, param("Samples per batch; null: the preset's")]
Device = Annotated[DeviceName, param("Device: auto uses all GPUs if there are any, else the CPU")]
Arms = Annotated[
    list[str | dict[str, Any]] | None,
    param(
        "Ways to train: NETWORK, NETWORK:PRESET, NETWORK:PRESET:WEIGHTS, or JSON objects of train-galaxy's parameters "
        "with a name; the first is what the others are compared with; null: cnn:deck, cnn:tuned"
    ),
]
Grey = Annotated[bool, param("Convert images to luminance inside the model")]

CandidateSource = Annotated[
    candidates.SourceName,
    param(
        "Source: simulated survey, pairs of FITS frames, published Zenodo layout, alert packets, or an array of "
        "triplets with a table"
    ),
]
CandidatePath = Annotated[str | None, param("File or folder of the source; null for the simulated survey")]
Night = Annotated[int, param("Night of the simulated survey; a different night adds samples to the dataset")]
StampPx = Annotated[int, param("Side of a stamp in pixels")]
LabelColumn = Annotated[str | None, param("For source=triplets: column with the labels; null: weak_label, else label")]
GroupColumn = Annotated[
    str | None,
    param(
        "For source=triplets: column whose equal values stay in one part of the split; null: objectId, else each row"
    ),
]
GalaxyCatalog = Annotated[
    str | None,
    param("For source=frames: table of host galaxies for injections (ra_deg, dec_deg, mag, radius_arcsec)"),
]
KnownObjects = Annotated[
    str | None,
    param(
        "Table of known transients, variables and asteroids; matching detections are not labelled bogus. 'simulated': "
        "those of the simulated sky"
    ),
]
KnownWithoutEpoch = Annotated[
    candidates.WithoutEpoch,
    param("Frames and rows without an epoch, with known_objects: refuse them, or match by position alone"),
]
CandidateColumns = Annotated[
    dict[str, str] | None,
    param(
        'Columns by role, such as {"ra": "RA_fit"}, of the table of triplets or else of known_objects; '
        '"known_objects.ra" always means the latter'
    ),
]
GalaxyFraction = Annotated[float, param("Fraction of the injections, those on variable sources apart, near galaxies")]
Balance = Annotated[
    candidates.Balance,
    param(
        "What galaxy_fraction refers to: asked (requested injections) or stored (further ones are injected into each "
        "frame until it is met among the stored ones)"
    ),
]
VariableFraction = Annotated[
    float,
    param(
        "Fraction, 0 to 0.4, of the injections that brighten a star or a galaxy's nucleus, and of variables among the "
        "simulated scene's changing sources; 0: no injection, and few variables"
    ),
]
InjectionsPerVisit = Annotated[int, param("Number of injected transients per detector and visit")]
InjectionRounds = Annotated[
    int,
    param(
        "How often injections_per_visit transients are injected into each frame, each time others and alone, with a "
        "subtraction of its own: more injections, no closer together"
    ),
]
Chips = Annotated[int, param("Number of detectors of the simulated survey to use, at most 84")]
Visits = Annotated[int, param("Number of visits per detector and night")]
Revisits = Annotated[int, param("Number of consecutive visits to the same field")]
SceneTransients = Annotated[
    float, param("Mean number of the simulated scene's own transients per detector; a test survey needs many")
]
Diversity = Annotated[float, param("Scale of the differences between simulated detectors; 0: all are equal")]
Seeing = Annotated[float, param("Median FWHM of the simulated seeing in arcsec, before optics and pixel response")]
Randomisation = Annotated[
    float,
    param(
        "Spread, 0 to 1, of what differs from survey to survey, drawn anew for each simulated visit: seeing, "
        "registration, correlated noise, missing borders, bad pixels; 0: those of one survey"
    ),
]
Conditions = Annotated[
    NightConditions | None,
    param(
        'For source=simulated: what is special about the night, such as {"seeing_factor": 1.5, "hot_chip": 3}; also '
        "extinction_mag (clouds) and wrong_labels (fraction of flipped labels); null: an ordinary night"
    ),
]
Engine = Annotated[SubtractionEngine, param("Image-subtraction method")]
ThresholdSigma = Annotated[float, param("Detection threshold (signal-to-noise ratio)")]
CandidateLimit = Annotated[
    int | None,
    param("Maximum number of triplets, chosen by a hash of id and seed; for frames: of visits, in order; null: all"),
]

CandidateNetwork = Annotated[
    CandidateNetworkName,
    param("Network architecture: simple, complex (deeper), compact, or first (fast first stage of a cascade)"),
]
CandidateWeights = Annotated[
    str,
    param("Initial weights: none (random), or a registered model of the same network, such as realbogus@champion"),
]
CandidateMethods = Annotated[
    CandidateMethodFields | None,
    param(
        'Changes of the preset by name, such as {"weight_average": 0.998, "shift_px": 0.5}; null: none. The guide on '
        "transients lists them"
    ),
]
CandidateSize = Annotated[Size, param("Width and depth of the network; full is the published size and needs a GPU")]
Profile = Annotated[
    ProfileName,
    param("Variant of the training code: published (as executed), as-written (as described), or fixed (corrected)"),
]
Treatment = Annotated[
    candidates.Treatment,
    param("Training samples: each (one model per detector), mix (all detectors, sample size of one), or all"),
]
Detector = Annotated[
    str | None, param("For treatment=each: train on this detector only; null: one model for every detector")
]
CrossEntropyWeight = Annotated[float | None, param("Weight of the cross-entropy loss; null: the preset's")]
AucWeight = Annotated[
    float | None, param("Weight of the exponential cross-hinge loss, which maximises the AUC; null: the preset's")
]
SmoothnessWeight = Annotated[
    float | None,
    param("Weight of the smoothness loss, for which suspects stay in the training without a label; null: the preset's"),
]
Smoothness = Annotated[
    SmoothnessName,
    param(
        "Smoothness loss: vat (virtual adversarial training of all candidates) or consistency (strongly altered views "
        "of unlabelled candidates must agree with confident predictions of the plain ones)"
    ),
]
Normalisation = Annotated[
    NormalisationName | None,
    param("Normalisation of the stamps; null: the preset's. l2 and sky-asinh-l2 keep the level of the sky"),
]
CandidateOptimizer = Annotated[OptimizerName | None, param("Optimiser; null: the preset's")]
KeptEpoch = Annotated[
    KeptEpochName | None,
    param(
        "Epoch whose weights are kept: best (lowest validation loss), last, or label-wave (the predictions of the "
        "training part change least for the first time; needs no right labels); null: the preset's"
    ),
]
Relabelling = Annotated[str | None, param("Name of a relabelling of the training part; null: the original labels")]
Folds = Annotated[int, param("Number of cross-validation folds of the training part", ge=2)]
FoldRule = Annotated[
    FoldRuleName,
    param(
        "Suspect labels: misclassified (other class more probable), threshold (its probability exceeds "
        "suspect_threshold), or confident (confident learning)"
    ),
]
SuspectRule = Annotated[
    RuleName,
    param(
        "Suspect labels: misclassified (other class more probable), threshold (its probability exceeds "
        "suspect_threshold), confident (confident learning), two-views (network and a forest on scalars both object), "
        "hidden-reals (the bogus that both score highest, as many as the scores of the reals say are hidden), "
        "or dynamics (area under the margin of one fit to all, no folds)"
    ),
]
SuspectThreshold = Annotated[float, param("For rule=threshold: minimum probability of the other class")]
RelabelRounds = Annotated[int, param("Maximum number of rounds; iteration stops when the suspects do not change", ge=1)]
RelabelStage = Annotated[StageName, param("Last stage to run; finished stages are not repeated")]
TestDataset = Annotated[
    str,
    param("Simulated test dataset with hidden truth; its seed, fields and nights differ from those of dataset"),
]
Seeds = Annotated[list[int], param("Seeds; every training is repeated with each of them")]
StudyEpochs = Annotated[int, param("Number of epochs of every training", ge=1)]
StudyLimit = Annotated[int | None, param("Maximum number of training triplets, chosen by a hash of the id; null: all")]
