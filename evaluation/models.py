"""The app's tables, for Django to find."""

from evaluation.run_models import EvaluationRun, ImageScore, Score, Subject, SuiteImage, Verdict
from evaluation.verdict_models import ChannelVerdict, PictureCheck

__all__ = ["ChannelVerdict", "EvaluationRun", "ImageScore", "PictureCheck", "Score", "Subject", "SuiteImage", "Verdict"]
