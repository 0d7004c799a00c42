"""The app's tables, for Django to find."""

from evaluation.run_models import EvaluationRun, ImageScore, Score, Subject, SuiteImage, Verdict

__all__ = ["EvaluationRun", "ImageScore", "Score", "Subject", "SuiteImage", "Verdict"]
