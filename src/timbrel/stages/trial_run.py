"""What `timbrel train dry_run=true` tells: the cost of a training, after a few steps of it."""

from omegaconf import DictConfig

from timbrel.stages import parts
from timbrel.stages.additions import additions
from timbrel.stages.measuring import check_monophonic, measuring
from timbrel.stages.recordings import recordings
from timbrel.stages.training_parts import chosen_compute, fitting_model, training_loader
from timbrel.stages.warm_start import warm_started
from timbrel.training.dry_run import measure
from timbrel.words import duration_s


def dry_run(config: DictConfig) -> str:
    """What the training would cost, as a table; writes nothing but the cache."""
    parts.check_sections(config)
    additions(config)
    compute = chosen_compute(config)
    model = fitting_model(config)
    warm_started(config, model)
    found = recordings(config.data, seed=config.seed, guard_samples=model.receptive_field_samples)
    check_monophonic(config, found, model)
    measured = measuring(config, found, model)
    loader = training_loader(config, found, compute, 0, measured, only_told=True)
    batch = next(iter(loader))
    trainer = config.trainer
    return measure(
        model,
        parts.build_reconstruction(config),
        parts.build_penalty(config),
        parts.build_mix(config),
        batch,
        adversaries=parts.build_adversaries(config),
        device=compute.torch_device,
        autocast=compute.autocast,
        max_steps=trainer.max_steps,
        max_time_s=duration_s(trainer.max_time) if trainer.max_time else None,
    ).text()
