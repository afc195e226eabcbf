"""What a relabelling of galaxies shows: the queue of labels, the page, and the comparison of both trainings."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tasks.galaxies.paired_accuracy import PairedAccuracy, compare_on_test
from tasks.galaxies.relabel_page import relabel_page
from tasks.galaxies.training import GalaxyTraining
from tasks.learning import measures
from tasks.learning.intervals import Interval
from tasks.learning.label_queue import label_queue
from tasks.learning.predictions import SEED
from tasks.learning.split_parts import SplitPart
from tasks.learning.suspects import confident_joint, estimated_joint
from tasks.runtime.provenance import code_version
from tasks.store.columns import align_column, positions_of
from tasks.store.files import whole_file, write_table
from tasks.store.schema import GALAXY
from tasks.tracking.mlflow_runs import open_run
from tasks.training.relabel import RelabelRound, RelabelTask
