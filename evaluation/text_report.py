"""The report as the seed's script prints it: Portuguese as there, or English."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from evaluation.metrics import METRICS

RULE: Final = "=" * 70

PT: Final[Mapping[str, str]] = {
    "title": "RELATÓRIO DE AVALIAÇÃO DO MODELO",
    "clip_score": "CLIP SCORE (Alinhamento Texto-Imagem)",
    "fid": "FID SCORE (Similaridade com Dataset Real)",
    "kid": "KID (Similaridade com Dataset Real, sem viés para poucas imagens)",
    "inception_score": "INCEPTION SCORE (Qualidade e Diversidade)",
    "diversity": "DIVERSIDADE",
    "fidelity": "FIDELIDADE (Proximidade de fotos nunca vistas)",
    "copy_risk": "RISCO DE CÓPIA",
    "checks_passed": "VERIFICAÇÕES DA FOTO",
    "mean": "Média",
    "std": "Desvio",
    "range": "Range",
    "score": "Score",
    "interval": "Intervalo de 95 %",
    "indicative": "indicativo",
    "features": "Características",
    "pictures": "imagens",
    "reached": "✓ META ATINGIDA",
    "acceptable": "✓ ACEITÁVEL",
    "missed": "✗ META NÃO ATINGIDA",
    "not_applicable": "Meta não se aplica: precisa de",
    "too_few": "Meta não decidida: poucas imagens",
    "not_measured": "Não medido",
    "conclusion": "CONCLUSÃO",
    "approved": "✓ MODELO APROVADO - Todas as métricas atingidas",
    "approved_acceptable": "✓ MODELO ACEITÁVEL - Todas as métricas ao menos aceitáveis",
    "not_approved": "✗ MODELO NÃO APROVADO - Metas não atingidas",
    "open": "MODELO NÃO JULGADO - Nem toda meta pôde ser decidida",
    "problems": "AVISOS",
}
EN: Final[Mapping[str, str]] = {
    "title": "MODEL EVALUATION REPORT",
    "clip_score": "CLIP SCORE (text-image alignment)",
    "fid": "FID SCORE (similarity to the real dataset)",
    "kid": "KID (similarity to the real dataset, unbiased for few pictures)",
    "inception_score": "INCEPTION SCORE (quality and diversity)",
    "diversity": "DIVERSITY",
    "fidelity": "FIDELITY (nearness to photos never learned from)",
    "copy_risk": "COPY RISK",
    "checks_passed": "PHOTO CHECKS",
    "mean": "Mean",
    "std": "Deviation",
    "range": "Range",
    "score": "Score",
    "interval": "95 % interval",
    "indicative": "indicative",
    "features": "Features",
    "pictures": "pictures",
    "reached": "✓ TARGET REACHED",
    "acceptable": "✓ ACCEPTABLE",
    "missed": "✗ TARGET MISSED",
    "not_applicable": "Target not applicable: needs",
    "too_few": "Target not decided: too few pictures",
    "not_measured": "Not measured",
    "conclusion": "CONCLUSION",
    "approved": "✓ MODEL APPROVED - all metrics reached",
    "approved_acceptable": "✓ MODEL ACCEPTABLE - all metrics at least acceptable",
    "not_approved": "✗ MODEL NOT APPROVED - targets missed",
    "open": "MODEL NOT JUDGED - not every target could be decided",
    "problems": "WARNINGS",
}
LANGUAGES: Final = {"pt": PT, "en": EN}
CONCLUSIONS: Final = {
    "approved": "approved", "acceptable": "approved_acceptable", "missed": "not_approved", "open": "open",
}  # fmt: skip
ORDER: Final = (
    "clip_score", "fid", "inception_score", "diversity", "kid", "fidelity", "copy_risk", "checks_passed",
)  # fmt: skip
STANDARD: Final = {"clip": "CLIP ViT-B/32", "inception": "Inception-v3"}


def text_report(report: Mapping[str, Any], language: str = "pt") -> str:
    """`report` is what `reports.report_of` tells."""
    words = LANGUAGES[language]
    lines = [RULE, words["title"], RULE, ""]
    for subject in report["subjects"]:
        if len(report["subjects"]) > 1:
            lines += [f"--- {subject['label']} ---", ""]
        lines += _subject(subject, words)
    if report["problems"]:
        lines += [words["problems"], *(f"   {problem}" for problem in report["problems"]), ""]
    return "\n".join(lines) + "\n"


def _subject(subject: Mapping[str, Any], words: Mapping[str, str]) -> Iterator[str]:
    targets = {row["metric"]: row for row in subject["targets"]}
    number = 0
    for name in ORDER:
        if name not in subject["metrics"] and name not in targets:
            continue
        number += 1
        yield f"{number}. {words[name]}"
        yield from (f"   {line}" for line in _metric(name, subject["metrics"].get(name), targets.get(name), words))
        yield ""
    yield from (RULE, words["conclusion"], RULE, words[CONCLUSIONS[subject["verdict"]]], "")


def _metric(
    name: str, score: Mapping[str, Any] | None, target: Mapping[str, Any] | None, words: Mapping[str, str]
) -> Iterator[str]:
    if score is None or score["value"] is None:
        yield words["not_measured"] + (f": {score['reason']}" if score and score["reason"] else "")
        return
    detail, digits = score["detail"], 3 if score["value"] < 1.5 else 2
    value = f"{score['value']:.{digits}f}"
    tail = f" ({words['indicative']}: {score['reason']})" if score["indicative"] else ""
    if name == "clip_score":
        yield f"{words['mean']}: {value}{tail}"
        if "std" in detail:
            yield f"{words['std']}: {detail['std']:.2f}"
            yield f"{words['range']}: [{detail['min']:.2f}, {detail['max']:.2f}]"
    elif name == "inception_score" and "std" in detail:
        yield f"IS: {value} ± {detail['std']:.2f}{tail}"
    else:
        yield f"{'FID' if name == 'fid' else words['score']}: {value}{tail}"
    if score["low"] is not None:
        yield f"{words['interval']}: [{score['low']:.{digits}f}, {score['high']:.{digits}f}]"
    if score["extractor"]:
        yield f"{words['features']}: {score['extractor']}, {score['n']} {words['pictures']}"
    if score["band"]:
        yield str(score["band"])
    if target:
        yield _target(target, words)


def _target(target: Mapping[str, Any], words: Mapping[str, str]) -> str:
    metric = METRICS[target["metric"]]
    said = words[target["verdict"]]
    if target["verdict"] == "not_applicable":
        return f"{said} {STANDARD[metric.standard]}"
    bound = target["acceptable"] if target["verdict"] == "acceptable" else target["target"]
    return f"{said} ({target['metric']} {'>' if metric.higher_is_better else '<'} {bound:g})"
