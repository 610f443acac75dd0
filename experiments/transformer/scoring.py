"""BLEU of what fairseq-generate wrote, and a few of its sentences to look at."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from sacrebleu.metrics import BLEU
from sacremoses import MosesDetokenizer

from experiments.transformer.corpus import Corpus


@dataclass(frozen=True)
class Translations:
    """Tokenised, lowercased sentences without BPE marks, in the order of the test set."""

    sources: list[str]
    references: list[str]
    hypotheses: list[str]
    source: str
    target: str

    def tokenized_bleu(self) -> float:
        """On the tokens as they stand, without smoothing: what fairseq-generate prints and the paper reports."""
        scorer = BLEU(tokenize="none", smooth_method="none", force=True)
        return scorer.corpus_score(self.hypotheses, [self.references]).score

    def sacrebleu(self) -> float:
        """sacreBLEU's own tokenisation on detokenised, lowercase text."""
        return self._scorer.corpus_score(*self._detokenized).score

    def signature(self) -> str:
        """sacreBLEU's, so that others can compute the same number."""
        self._scorer.corpus_score(*self._detokenized)
        return str(self._scorer.get_signature())

    def samples(self, count: int) -> list[dict[str, str]]:
        """The first sentences of the test set, as people write them."""
        hypotheses, (references,) = self._detokenized
        sources = _detokenize(self.sources[:count], self.source)
        return [
            {"source": source, "reference": reference, "translation": hypothesis}
            for source, reference, hypothesis in zip(sources, references, hypotheses, strict=False)
        ]

    @cached_property
    def _detokenized(self) -> tuple[list[str], list[list[str]]]:
        return _detokenize(self.hypotheses, self.target), [_detokenize(self.references, self.target)]

    @cached_property
    def _scorer(self) -> BLEU:
        return BLEU()


def parse(lines: Iterable[str], corpus: Corpus) -> Translations:
    """`S-3<tab>source`, `T-3<tab>reference`, `H-3<tab>score<tab>hypothesis`; sentences come sorted by length."""
    texts: dict[str, dict[int, str]] = {"S": {}, "T": {}, "H": {}}
    for line in lines:
        name, _, rest = line.rstrip("\n").partition("\t")
        kind, _, number = name.partition("-")
        if kind in texts and number.isdigit():
            texts[kind][int(number)] = rest.split("\t")[-1]
    for kind, found in texts.items():
        if len(found) != corpus.sizes["test"]:
            raise RuntimeError(
                f"fairseq-generate wrote {len(found)} lines {kind}-... for {corpus.sizes['test']} sentences"
            )
    sources, references, hypotheses = ([found[i] for i in sorted(found)] for found in texts.values())
    return Translations(sources, references, hypotheses, corpus.source, corpus.target)


def _detokenize(lines: list[str], language: str) -> list[str]:
    detokenizer = MosesDetokenizer(language)
    return [detokenizer.detokenize(line.split()) for line in lines]
