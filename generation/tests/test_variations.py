"""Prompt templates: what they stand for, and what is said of those that make no sense."""

from __future__ import annotations

import time

from django.test import SimpleTestCase

from generation.variations import MAX_PROMPTS, BadTemplate, escape, expand


class TemplateTest(SimpleTestCase):
    def test_a_prompt_without_braces_is_itself_to_the_last_space(self) -> None:
        for prompt in ("red sneakers", "", "  red   sneakers ", "a | b", "back\\slash", "naïve ü 鞋 👟\nsecond line"):
            self.assertEqual(expand(prompt), [prompt])

    def test_each_alternative_makes_a_prompt_and_the_last_group_changes_fastest(self) -> None:
        made = expand("{red|blue} {sneakers|boots}, side view")
        self.assertEqual(
            made,
            ["red sneakers, side view", "red boots, side view", "blue sneakers, side view", "blue boots, side view"],
        )

    def test_groups_may_hold_groups(self) -> None:
        self.assertEqual(expand("{red|{dark|light} blue} clogs"), ["red clogs", "dark blue clogs", "light blue clogs"])

    def test_an_empty_alternative_leaves_no_gap(self) -> None:
        self.assertEqual(expand("a {red|} shoe"), ["a red shoe", "a shoe"])

    def test_the_same_words_twice_are_one_prompt(self) -> None:
        self.assertEqual(expand("{red|red} shoe"), ["red shoe"])

    def test_a_backslash_makes_a_brace_an_ordinary_character(self) -> None:
        self.assertEqual(expand(r"\{red\|blue\} {a\|b|c}"), ["{red|blue} a|b", "{red|blue} c"])
        self.assertEqual(expand(r"\\{a|b}"), [r"\a", r"\b"])

    def test_an_escaped_prompt_stands_for_itself(self) -> None:
        for prompt in ("{a|b}", r"\{", "}{", "plain | text", r"\\", "{{{"):
            self.assertEqual(expand(escape(prompt)), [prompt])

    def test_what_is_wrong_is_said_with_the_place_and_the_remedy(self) -> None:
        wrong = {
            "red {blue|green": "“{blue|green” is never closed",
            "red} shoe": "behind “red” closes nothing",
            "{red} shoe": "“{red}” offers no choice",
            "a {} shoe": "“{}” offers no choice",
            "{" * 9 + "a|b": "more than 8 deep",
        }
        for template, words in wrong.items():
            with self.subTest(template), self.assertRaisesMessage(BadTemplate, words):
                expand(template)

    def test_too_many_prompts_are_counted_and_never_made(self) -> None:
        self.assertEqual(len(expand("{a|b|c|d|e|f}{1|2|3|4}")), MAX_PROMPTS)
        with self.assertRaisesMessage(BadTemplate, "stands for 25 prompts; at most 24"):
            expand("{1|2|3|4|5}{1|2|3|4|5}")
        started = time.process_time()
        with self.assertRaisesMessage(BadTemplate, "stands for 1,000+ prompts"):
            expand("{1|2|3|4|5|6|7|8|9|0}" * 90)
        self.assertLess(time.process_time() - started, 1)
