"""What is kept in English and shown in the reader's language: words of the engine, errors of jobs, lines of a log.

The engine knows no Django, and a row outlives the visit of whoever caused it, so these sentences are stored as they
were said. `said` finds one among the rows here and translates it with what stands in its places; a sentence that
nobody has put here stays English. A test holds every row against the code that says it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_noop as _

from shoesai.numbers import in_language

# The first that fits is taken, so narrow ones stand before wide ones.
SENTENCES: tuple[str, ...] = (
    # --- what a job does now
    _("Picture %(number)s of %(total)s"),
    _("Variant %(number)s of %(total)s"),
    _("Training, loss %(loss)s"),
    _("Reading photos: %(done)s of %(total)s"),
    _("Reading captions: %(done)s of %(total)s"),
    _("Step %(step)s, micro-batch %(part)s of %(parts)s"),
    _("Measuring"),
    _("loading the base model"),
    _("Drawing photos"),
    _("Importing photos"),
    _("Looking at photos"),
    _("loading the LoRA"),
    # --- why a job failed
    _("%(count)s jobs are waiting or running already; at most %(most)s."),
    _("The device ran out of memory; a smaller picture or batch may fit."),
    _("The engine's machine refused: %(reason)s."),
    _("The worker's machine refused: %(reason)s."),
    _("An unforeseen fault (%(kind)s); the engine's log has the details."),
    _("An unforeseen fault (%(kind)s); the worker's log has the details."),
    _("The worker was lost %(times)s times on this job. Last: %(reason)s"),
    _("The worker was lost: %(reason)s"),
    _("its worker process is gone"),
    _("no heartbeat for %(seconds)s s"),
    _("the engine ended with exit code %(code)s"),
    _("the database did not answer"),
    _("The base model was removed before it could be measured."),
    _("The base model was removed before the LoRA could be checked."),
    _("The checkpoint was deleted before its turn came."),
    _("The starter model was removed, so there is nothing to train."),
    _("The picture was deleted before its turn came."),
    _("The base model %(name)s is gone: its folder is not there any more."),
    _("The checkpoint %(name)s is gone: its file is missing or damaged."),
    _("The reference is gone: its file is missing or damaged."),
    _("The file of the picture is missing or cannot be decoded."),
    _("every kept state of this run is damaged; start a new run (clone it) instead"),
    _("the base model %(name)s cannot be loaded (%(kind)s); the engine's log has the details"),
    _("the picture has values that are not numbers (NaN)"),
    _("the picture is nothing but black"),
    _(
        "the training diverged at step %(step)s: loss %(loss)s, gradient norm %(norm)s, learning rate %(rate)s."
        " Checkpoints up to step %(kept)s are kept. Clone the run with a learning rate of %(advice)s, a longer"
        " warm-up, or a smaller max_grad_norm"
    ),
    _("The draft was frozen or discarded meanwhile; what was made before is kept."),
    _("The draft was frozen or discarded before its photos could be varied."),
    _("The photos were deleted before they could be varied."),
    _("the background has not one colour, so a turned photo would show wedges at its corners"),
    # --- an evaluation of pictures
    _("%(pictures)s of the chosen pictures were left out: deleted meanwhile, or not shared any more"),
    _("there are no photos to hold the pictures against, so what needs photos is not measured"),
    _("no photo of this dataset version is held out, so pictures may be near to photos learned from"),
    # --- a run's log
    _("Queued to go on from step %(step)s."),
    _("Queued."),
    _("Training on %(device)s (%(precision)s): %(photos)s photos to learn from, %(held_out)s held out."),
    _("Checkpoint %(step)s was tidied away: not the best, no milestone."),
    _("No validation picture for %(prompt)s: %(problem)s."),
    _("Ended after step %(step)s: max_train_minutes (%(minutes)s) are over."),
    _("Going on from the state before: %(problem)s."),
    _("a kept state cannot be read (%(reason)s)"),
    _("a kept state is not what was written (its SHA-256 differs)"),
    _("The court: step %(step)s is the best of %(judged)s."),
    _("The court: no checkpoint is fit yet."),
    _("The court ends the training: of %(later)s later checkpoints none is better than step %(step)s."),
    _("The court could not sit: %(problem)s"),
    _("Succeeded."),
    _("Paused; what was learned up to step %(step)s is kept."),
    _("Paused; it had not begun to learn."),
    _("Cancelled; what was learned up to step %(step)s is kept."),
    _("Cancelled; it had not begun to learn."),
    _("Failed (%(code)s): %(problem)s"),
    _("%(problem)s (%(times)s of at most %(most)s times); goes on exactly from step %(step)s."),
    _("%(problem)s (%(times)s of at most %(most)s times); begins again."),
    _("The worker was stopped; goes on exactly from step %(step)s when there is one again."),
    _("The worker was stopped; begins again when there is one again."),
    _("Stepped aside for other work %(times)s times by now; goes on exactly from step %(step)s."),
    _("Stepped aside for other work %(times)s times by now; begins again."),
    _("Stepped aside for other work; goes on exactly from step %(step)s."),
    _("Stepped aside for other work; begins again."),
    # --- what came with the code
    _("Starter (drawn shoes, 128 px)"),
    # --- what a setting of a training must be
    _(
        "must be between %(low)s and %(high)s degrees: beyond them a shoe does not stand on its sole any more, and it"
        " is no product photo"
    ),
    _(
        "must be between %(low)s and %(high)s: beyond that the light is not a studio's, and the material looks like"
        " another one"
    ),
    _("must be between %(low)s and %(high)s: beyond that the shoe has another colour than its caption says"),
    _("must be between %(low)s and %(high)s: beyond that it cuts into the shoe"),
    _("must be 0 (as the photo is) or a multiple of 8 between %(low)s and %(high)s"),
    _("must be %(low)s to %(high)s angles"),
    _("must be different from each other and from 0"),
    _("%(variants)s are asked for, but there are %(angles)s angles; ask for fewer, or give more angles"),
    _("must be at least %(low)s and below 1"),
    _("must be above 0 and at most 1"),
    _("must be a multiple of 8 between %(low)s and %(high)s"),
    _("must be between %(low)s and %(high)s"),
    _("must be 0 (off) or more"),
    _("must be %(low)s or more"),
    _("must be at most a year"),
    _("must be at most %(high)s characters long"),
    _("must be at most %(high)s"),
    _("must be at least %(low)s"),
    _("must be above %(low)s"),
    _("must be below %(high)s"),
    _("must be one line of printable characters"),
    _("must be named once each"),
    _("must be one of %(names)s"),
    _("must be some of %(names)s"),
    _("%(warmup)s is more than max_train_steps %(steps)s: the learning rate would never be reached"),
    _("%(every)s would make more than %(most)s checkpoints in max_train_steps %(steps)s"),
    _("%(every)s would look more than %(most)s times in max_train_steps %(steps)s"),
    _("are given, but validation_steps is 0, so none would be drawn"),
    _("%(seeds)s are given for %(prompts)s validation_prompts; give one for each, or none"),
    _("is on, but unmasked_weight 1 weighs the background like the shoe"),
)

PLACE = re.compile(r"%\((\w+)\)s")
DECIMAL = re.compile(r"-?[\d,]*\.\d+")


def said(text: str) -> str:
    """In the reader's language, if this is one of our sentences; its parts may be sentences of their own."""
    if not text or (get_language() or "en").startswith("en"):
        return text
    sentence, parts = _recognised(text)
    if not sentence:
        return text
    return gettext(sentence) % {name: _part(part) for name, part in parts.items()}


def _part(text: str) -> str:
    return in_language(text) if DECIMAL.fullmatch(text) else said(text)


@lru_cache(maxsize=2000)
def _recognised(text: str) -> tuple[str, Mapping[str, str]]:
    for sentence, pattern in _patterns():
        if found := pattern.fullmatch(text):
            return sentence, found.groupdict()
    return "", {}


@lru_cache(maxsize=1)
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    return [(sentence, pattern_of(sentence)) for sentence in SENTENCES]


def pattern_of(sentence: str) -> re.Pattern[str]:
    """`Picture %(number)s of %(total)s` → one that fits "Picture 1 of 4" and names its parts."""
    literal_and_name = PLACE.split(sentence)
    parts = [f"(?P<{piece}>.+?)" if index % 2 else re.escape(piece) for index, piece in enumerate(literal_and_name)]
    return re.compile("".join(parts), re.DOTALL)
