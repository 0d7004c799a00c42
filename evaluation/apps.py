from django.apps import AppConfig


class EvaluationConfig(AppConfig):
    name = "evaluation"

    def ready(self) -> None:
        from evaluation.on_the_way import follow_training
        from training.signals import checkpoint_kept, run_succeeded

        for told in (checkpoint_kept, run_succeeded):
            told.connect(follow_training, dispatch_uid=f"{self.name}.follow_training")
