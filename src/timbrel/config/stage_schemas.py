"""The stages by name: the schema of each, and the texts of its help page."""

from dataclasses import dataclass

from timbrel.config.generate_schema import GenerateConfig
from timbrel.config.schema import (
    AnalyzeConfig,
    EvaluateConfig,
    InspectConfig,
    PriorStageConfig,
    TrainConfig,
)


@dataclass(frozen=True)
class Stage:
    """A stage's schema and the texts of its help page."""

    schema: type
    summary: str
    writes: str
    examples: tuple[str, ...]


STAGES = {
    "inspect": Stage(
        InspectConfig,
        "check a folder of recordings: which files can train, and why others cannot",
        "outputs/inspect_<data>.html (report=); output=FILE.csv writes one line per file",
        (
            "data.root=~/kicks",
            "data.root=~/kicks report=kicks.html output=kicks.csv",
            "data.root=~/kicks augmentation=strong    # listen to augmented training examples",
        ),
    ),
    "train": Stage(
        TrainConfig,
        "train an instrument from a folder of recordings",
        "outputs/<date>_<time>_<name>/ (with --multirun: sweeps/<date>_<time>/<number>/)",
        (
            "data.root=~/kicks",
            "experiment=demo",
            "data.root=~/kicks architecture=spectral_small latent=annealed trainer.max_time=8m",
            "run=outputs/<run folder>    # resume an interrupted run",
            "reproduce=outputs/<run folder>    # train it again and compare",
            "data.root=~/kicks init_from=outputs/<run folder>    # start from its weights",
            "--multirun data=demo latent=vae,beta_vae seed=0,1,2",
            "--multirun sweep=loss_weights data.root=~/kicks    # a search; timbrel[optuna]",
        ),
    ),
    "evaluate": Stage(
        EvaluateConfig,
        "score a run's model on its recordings, beside silence and noise, and check its gates",
        "<run>/evaluation/ and <run>/report.html; with output= both go there",
        (
            "run=outputs/<run folder>",
            "run=outputs/<run folder> evaluate.strict=true",
            "run=outputs/<run folder> limits.memorisation=0.3    # the others are the run's own",
        ),
    ),
    "prior": Stage(
        PriorStageConfig,
        "fit what draws new sounds to a run that exists, or change its kind",
        "<run>/model/parts/prior/",
        (
            "run=outputs/<run folder>",
            "run=outputs/<run folder> prior=gaussian    # without the recordings' codes",
        ),
    ),
    "analyze": Stage(
        AnalyzeConfig,
        "find sliders: what moves one thing of a model's sounds, in units, and how well",
        "<run>/model/parts/mapper/, <run>/analysis/, its gates and <run>/report.html",
        (
            "run=outputs/<run folder>",
            "run=outputs/<run folder> profile=quick    # a minute, on fewer sounds",
            "run=outputs/<run folder> limits.sliders=2    # the other limits are the run's own",
        ),
    ),
    "generate": Stage(
        GenerateConfig,
        "render sounds from a trained model",
        "outputs/generated/, or output=",
        (
            "model=outputs/<run folder>",
            "model=outputs/<run folder> source=file input=kick.wav output=kick_again.wav",
            "model=outputs/<run folder> seed=7 seconds=2 temperature=0.8 export=flac",
            "model=outputs/<run folder> controls.pitch_st='[[0,0],[1,7]]'    # seconds, semitones",
            "model=outputs/<run folder> controls.from=voice.wav    # as loud, bright and high",
            "model=outputs/<run folder> source=file input=voice.wav file.transpose=auto",
            "model=outputs/<run folder> source=midi input=song.mid seed=3",
            "model=outputs/<run folder> source=keys keys=C2-C6:3 output=piano    # for samplers",
        ),
    ),
}
