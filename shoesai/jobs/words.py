"""What people call the kinds of jobs."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

KIND_LABELS = {
    "generate": _("Generation"),
    "recreate": _("Re-creation"),
    "judge_images": _("Checks of new pictures"),
    "train": _("Training"),
    "evaluate": _("Evaluation"),
    "measure_training": _("Measurement"),
    "add_base_model": _("Base model"),
    "merge_lora": _("Merged pipeline"),
    "check_lora": _("LoRA check"),
    "try_checkpoint": _("Checkpoint trial"),
    "scan_models": _("Model scan"),
    "purge_trash": _("Trash"),
    "augment_dataset": _("Augmentation"),
    "expand_dataset": _("Expansion"),
    "preview_augmentation": _("Augmentation preview"),
    "make_demo": _("Demo data"),
    "import_dataset": _("Photo import"),
    "check_dataset": _("Photo check"),
    "mend_photos": _("Photo mending"),
    "propose_captions": _("Caption proposals"),
    "tidy_uploads": _("Abandoned uploads"),
}


def label_of(kind: str) -> str:
    return str(KIND_LABELS.get(kind, kind.replace("_", " ").capitalize()))
