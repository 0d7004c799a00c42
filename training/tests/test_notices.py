from __future__ import annotations

from collections.abc import Callable

from django.core import mail
from django.test import override_settings
from django.urls import reverse

from shoesai.jobs.queue import Claim
from shoesai.models import Job
from shoesai.testing import BaseTestCase
from training.models import TrainingRun
from training.services import cancel_training, follow_job, pause_training
from training.tests.runs import kept_checkpoint, kept_state, queued_run, taken


@override_settings(SITE_URL="https://shoes.example")
class NoticeTests(BaseTestCase):
    def setUp(self) -> None:
        self.alice.email = "alice@shoes.example"
        self.alice.save()
        self.run_ = queued_run(self.alice, notify=True)
        TrainingRun.objects.update(train_seconds=4350)

    def end(self, finish: Callable[[Claim], object]) -> str:
        """The text of the one mail, or nothing."""
        claim = taken(self.run_)
        with self.captureOnCommitCallbacks(execute=True):
            finish(claim)
            follow_job(claim.job)  # news heard twice is one mail
        assert len(mail.outbox) < 2
        return str(mail.outbox[0].body) if mail.outbox else ""

    @staticmethod
    def succeed(claim: Claim) -> object:
        return claim.finish(Job.State.SUCCEEDED)

    @staticmethod
    def break_down(claim: Claim) -> object:
        return claim.finish(Job.State.FAILED, code="out_of_memory", text="The device has too little memory.")

    def test_a_success_is_one_mail_with_the_best_checkpoint_and_the_way_to_the_run(self) -> None:
        kept_checkpoint(self.run_, 10, 0.25)
        kept_checkpoint(self.run_, 20, 0.75)
        text = self.end(self.succeed)
        (sent,) = mail.outbox
        assert (sent.to, sent.subject) == (["alice@shoes.example"], "Training spring: succeeded")
        assert "The run spring has succeeded after 1 h 12 min." in text
        assert "Best checkpoint by validation loss: spring/checkpoint-10 (0.2500)." in text
        assert f"https://shoes.example{reverse('training-run', args=[self.run_.pk])}" in text
        assert "resume" not in text

    def test_its_owner_reads_it_in_the_language_that_they_chose(self) -> None:
        self.alice.language = "pt-br"
        self.alice.save()
        kept_checkpoint(self.run_, 10, 0.25)
        text = self.end(self.succeed)
        assert mail.outbox[0].subject == "Treinamento spring: concluído"
        assert "O treino spring foi concluído depois de 1 h 12 min." in text
        assert "perda de validação: spring/checkpoint-10 (0,2500)." in text

    def test_a_failure_says_why_and_how_to_go_on(self) -> None:
        kept_state(self.run_, 40)
        text = self.end(self.break_down)
        assert mail.outbox[0].subject == "Training spring: failed"
        assert "The device has too little memory. (out_of_memory)" in text
        assert "It goes on from step 40" in text and "manage.py resume_training spring" in text
        assert "Best checkpoint" not in text

    def test_a_failure_at_the_beginning_promises_nothing(self) -> None:
        assert "It begins again with the run page's Resume button" in self.end(self.break_down)

    def test_a_worker_lost_for_good_is_a_failure_too(self) -> None:
        for _ in range(2):
            taken(self.run_).lose("it was killed")
        assert "worker_lost" in self.end(lambda claim: claim.lose("it was killed"))

    def test_nobody_who_did_not_ask_or_has_no_address_gets_one(self) -> None:
        TrainingRun.objects.update(notify=False)
        assert self.end(self.succeed) == ""
        TrainingRun.objects.update(notify=True, state="queued")
        Job.objects.update(state="queued")
        self.alice.email = ""
        self.alice.save()
        assert self.end(self.break_down) == ""

    def test_a_person_who_stops_a_run_knows_it_without_a_mail(self) -> None:
        def pause(claim: Claim) -> None:
            pause_training(self.run_)
            claim.finish(Job.State.CANCELLED)

        assert self.end(pause) == ""
        cancel_training(self.run_)
        assert mail.outbox == []

    def test_nothing_is_sent_about_what_was_not_committed(self) -> None:
        claim = taken(self.run_)
        with self.captureOnCommitCallbacks() as callbacks:
            self.succeed(claim)
            assert mail.outbox == []
        assert len(callbacks) == 1

    @override_settings(
        EMAIL_BACKEND="django.core.mail.backends.smtp.EmailBackend", EMAIL_HOST="127.0.0.1", EMAIL_PORT=1
    )
    def test_a_dead_mail_server_fails_nothing_and_is_in_the_log(self) -> None:
        with self.assertLogs("django", "ERROR") as logs:
            self.end(self.succeed)
        assert "Connection refused" in logs.output[0]
        self.run_.refresh_from_db()
        assert self.run_.state == "succeeded"
