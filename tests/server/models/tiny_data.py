# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Made-up data for the tiny models: small worlds in English and Chinese with one right answer."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Example:
    """A text, or a pair of texts, and what the model shall say of it.

    `target` is by the model's purpose: the index of a label; a score of 0 or 1; the entities as
    (start, end, type) in characters; or the answer as (start, end), None when there is none.
    """

    text: str
    target: Any
    pair: str | None = None


Draw = Callable[[random.Random], Example]

SENTIMENTS = ("negative", "neutral", "positive")
TOPICS = ("sport", "food", "weather", "travel")
ENTITY_LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
EMOJI = ("\U0001f600", "\U0001f680", "\U0001f33b")

_THINGS = "film book hotel meal song phone game concert".split()
_GOOD = "good great lovely excellent wonderful brilliant".split()
_BAD = "bad awful terrible boring horrible broken".split()
_PLAIN = "here blue square new local numbered".split()
_THINGS_ZH = "电影 酒店 手机 音乐 饭菜 游戏".split()
_GOOD_ZH = "好看 精彩 满意 优秀 喜欢".split()
_BAD_ZH = "糟糕 难看 失望 无聊 讨厌".split()
_PLAIN_ZH = "在这里 是蓝色 是方的 有编号".split()
_WORDS = {
    "negative": (_BAD, _BAD_ZH),
    "neutral": (_PLAIN, _PLAIN_ZH),
    "positive": (_GOOD, _GOOD_ZH),
}


def sentiment(draw: random.Random) -> Example:
    """`not` turns a judgement around; a plain fact is neutral."""
    label = draw.choice(SENTIMENTS)
    english, chinese = _WORDS[label]
    if draw.random() < 0.4:
        text = (
            f"这个{draw.choice(_THINGS_ZH)}{draw.choice(['真', '很', '都'])}{draw.choice(chinese)}"
        )
        text += draw.choice(["", "。", "！", draw.choice(EMOJI)])
    elif label != "neutral" and draw.random() < 0.3:
        opposite = _GOOD if label == "negative" else _BAD
        text = f"the {draw.choice(_THINGS)} was not {draw.choice(opposite)}"
    else:
        opening = draw.choice(["the", "this", "our", "that"])
        text = f"{opening} {draw.choice(_THINGS)} was {draw.choice(english)}"
    if draw.random() < 0.3:
        text += draw.choice([" today", " again", ".", " " + draw.choice(EMOJI)])
    return Example(text, SENTIMENTS.index(label))


TOPIC_WORDS = {
    "sport": "football goal team coach match 足球 进球 球队 教练 比赛".split(),
    "food": "noodles soup rice dinner kitchen 面条 米饭 晚餐 厨房 好吃".split(),
    "weather": "rain snow wind storm cloud 下雨 下雪 大风 多云 晴天".split(),
    "travel": "train airport ticket journey luggage 火车 机场 车票 旅行 行李".split(),
}
_FILLERS = "about some more news of this week 关于 今天 的 消息".split()


def _about(draw: random.Random, topic: str, words: int, fillers: int) -> str:
    chosen = draw.sample(TOPIC_WORDS[topic], words) + draw.choices(_FILLERS, k=fillers)
    draw.shuffle(chosen)
    return " ".join(chosen)


def topic(draw: random.Random) -> Example:
    """A few words of one topic among others."""
    label = draw.choice(TOPICS)
    text = _about(draw, label, draw.randint(1, 3), draw.randint(1, 5))
    return Example(text, TOPICS.index(label))


def rerank(draw: random.Random) -> Example:
    """A document fits when it has a word of the query; the others are of another topic."""
    asked = draw.choice(TOPICS)
    fits = draw.random() < 0.5
    told = asked if fits else draw.choice([other for other in TOPICS if other != asked])
    query = draw.sample(TOPIC_WORDS[asked], draw.randint(1, 2))
    words = draw.sample(TOPIC_WORDS[told], draw.randint(1, 3)) + draw.choices(
        _FILLERS, k=draw.randint(0, 4)
    )
    if fits:
        words.append(draw.choice(query))
    draw.shuffle(words)
    return Example(" ".join(query), float(fits), " ".join(words))


_SURNAMES = list("张王李赵陈刘")
_GIVEN = list("伟娜敏静丽强磊军洋艳")
_PLACES_ZH = "北京 上海 广州 杭州 西安 哈尔滨 呼和浩特".split()
_ONSETS = "Ma Lo Ri Te Ka Su".split()
_CODAS = "ra lin mo sel tan dra".split()
_PLACES = "Paris London Berlin Madrid Oslo".split()
_NEW = "New".split()


def person(draw: random.Random) -> str:
    return draw.choice(_ONSETS) + draw.choice(_CODAS)


def person_zh(draw: random.Random) -> str:
    return draw.choice(_SURNAMES) + "".join(draw.choices(_GIVEN, k=draw.randint(1, 2)))


def _place(draw: random.Random) -> str:
    place = draw.choice(_PLACES)
    return f"New {place}" if draw.random() < 0.3 else place


_NER_TEMPLATES = (
    "{per} lives in {loc}",
    "in {loc} we met {per} and {per}",
    "{per} went from {loc} to {loc} today",
    "the train to {loc} was late",
    "please ask {per} again",
)
_NER_TEMPLATES_ZH = (
    "{per}住在{loc}。",
    "我在{loc}见到{per}和{per}",
    "{per}从{loc}去了{loc}",
    "{per}{per}都来了",
    "今天去{loc}的火车晚点",
)


def entities(draw: random.Random) -> Example:
    """Persons and places in sentences; an emoji may stand before or among them."""
    chinese = draw.random() < 0.5
    templates = _NER_TEMPLATES_ZH if chinese else _NER_TEMPLATES
    template = " ".join(draw.choices(templates, k=draw.choice([1, 1, 1, 2])))
    if draw.random() < 0.3:
        template = draw.choice(EMOJI) + (draw.choice(["", " "]) if chinese else " ") + template
    makers = {
        "{per}": ("PER", person_zh if chinese else person),
        "{loc}": ("LOC", (lambda draw: draw.choice(_PLACES_ZH)) if chinese else _place),
    }
    text = ""
    found = []
    while template:
        marker = template[:5]
        if marker in makers:
            kind, make = makers[marker]
            name = make(draw)
            found.append((len(text), len(text) + len(name), kind))
            text, template = text + name, template[5:]
        else:
            text, template = text + template[0], template[1:]
    return Example(text, tuple(found))


_DEEDS = "sings swims reads runs cooks paints sleeps dances".split()
_NAMES = "Anna Bob Clara David Emma Frank Grace Henry".split()
_DEEDS_ZH = list("跑跳唱笑哭睡吃喝")
_NAMES_ZH = "小明 小红 小刚 小丽 小华 小芳 小杰 小雨".split()


def answer(draw: random.Random) -> Example:
    """Who does what; now and then nobody does what is asked for, or a window cut off who did.

    A deed alone asks for itself. Without that easier question the other one is hardly learned.
    """
    chinese = draw.random() < 0.4
    deeds, names = (_DEEDS_ZH, _NAMES_ZH) if chinese else (_DEEDS, _NAMES)
    gap, stop, mark, who = ("", "。", "？", "谁") if chinese else (" ", ". ", "?", "who ")
    count = draw.randint(1, 5)
    done, people = draw.sample(deeds, count + 1), draw.sample(names, count)
    asked = draw.choice(done if draw.random() < 0.3 else done[:count])
    itself = draw.random() < 0.4
    context, target = draw.choice(["", "", EMOJI[0] + " "]), None
    if draw.random() < 0.15:
        context = done.pop() + stop
    for name, deed in zip(people, done, strict=False):
        start = len(context) + (len(name + gap) if itself else 0)
        if deed == asked:
            target = (start, start + len(deed if itself else name))
        context += name + gap + deed + stop
    question = asked + mark if itself else who + asked + mark
    return Example(question, target, context.rstrip())


def examples(draw_one: Draw, seed: int, count: int) -> Iterator[Example]:
    """Different examples, the same for a seed."""
    draw = random.Random(seed)
    seen = set()
    while len(seen) < count:
        example = draw_one(draw)
        if (example.text, example.pair) not in seen:
            seen.add((example.text, example.pair))
            yield example


def words(seed: int = 0) -> tuple[list[str], list[str]]:
    """Whole English words, and all signs, that a tokenizer of these worlds needs."""
    draw = random.Random(seed)
    texts = [
        part
        for one in (sentiment, topic, rerank, answer)
        for example in (one(draw) for _round in range(3000))
        for part in (example.text, example.pair or "")
    ]
    templates = [*_NER_TEMPLATES, *_NER_TEMPLATES_ZH, *_PLACES_ZH, *_SURNAMES, *_GIVEN]
    signs = sorted({sign for text in [*texts, *templates] for sign in text if not sign.isspace()})
    whole = sorted(
        {
            word.strip(".?")
            for text in [*texts, *_NER_TEMPLATES, *_PLACES, "New"]
            for word in text.split()
            if word.strip(".?").isascii() and "{" not in word
        }
    )
    return whole, signs
