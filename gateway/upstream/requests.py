"""The desk where requests arrive: everything on it comes from outside and is checked before anything is done.

In this order: response topic (foreign: no answer at all), size 413, verb 404, arguments 400, schema major 415, right
403, age 504, number of reads at once 429. Then the verb runs and its answers are published with the user property `st`.
"""

import hashlib
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass

import msgspec
from msgspec import UNSET, Struct

from gateway.upstream.endpoint import Inbound
from gateway.upstream.envelope import MAJORS, Result, encode, major
from gateway.upstream.lanes import Lane
from gateway.upstream.ports import House
from gateway.upstream.topics import Topics
from gateway.upstream.verbs import VERBS, Answer, Asked, RefusalError, Verb

MAX_REQUEST_BYTES = 16 * 1024
MAX_READS = 4  # at once and upstream: more are told 429
RETRY_S = 5.0

log = logging.getLogger("carebed.upstream")

Publish = Callable[[str, Answer, bytes | None], Awaitable[bool]]


class _Kept(Struct, array_like=True):
    st: int
    payload: bytes


@dataclass(slots=True)
class Desk:
    """Answers the requests of one upstream. publish: sends one answer, False when it did not reach anybody.

    counts: by status, and "foreign" for response topics that point elsewhere, "mute" for reads that name none.
    """

    upstream: str
    topics: Topics
    house: House
    responder: bool
    page_bytes: int
    publish: Publish
    sent_rev: Callable[[str], int | None]
    counts: Counter[str]
    reading: int = 0

    async def answer(self, message: Inbound) -> None:
        """Deal with one request to its end."""
        name = self.topics.verb(message.topic) or ""
        if message.response_topic is not None and not self.topics.may_answer_on(message.response_topic):
            self.counts["foreign"] += 1
            log.warning("%s: %s wants its answer on a foreign topic: refused (400)", self.upstream, name)
            return
        try:
            verb, args = self._understood(name, message)
            async with aclosing(self._run(verb, args, message)) as answers:
                async for answer in answers:
                    if not await self._send(message, answer):
                        return
        except RefusalError as refused:
            await self.refuse(message, refused)

    async def refuse(self, message: Inbound, refused: RefusalError) -> None:
        """Say why nothing was done."""
        log.info("%s: %s: %d %s", self.upstream, message.topic, refused.st, refused.text)
        result = Result(
            verb=(self.topics.verb(message.topic) or "")[:64],
            st=refused.st,
            text=refused.text,
            retry_s=UNSET if refused.retry_s is None else refused.retry_s,
            alarm=UNSET if refused.alarm is None else refused.alarm,
        )
        user = {} if refused.retry_s is None else {"retry": f"{refused.retry_s:g}"}
        await self._send(message, Answer(refused.st, encode(result), user))

    def _understood(self, name: str, message: Inbound) -> tuple[Verb, Struct]:
        if len(message.payload) > MAX_REQUEST_BYTES:
            raise RefusalError(413, f"{len(message.payload)} bytes, at most {MAX_REQUEST_BYTES} are read")
        verb = VERBS.get(name)
        if verb is None:
            raise RefusalError(404, f"no verb {name[:64]!r}; known: {', '.join(sorted(VERBS))}")
        try:
            args = msgspec.json.decode(message.payload or b"{}", type=verb.args)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RefusalError(400, str(error)) from None
        if major(getattr(args, "v", "")) not in MAJORS:
            raise RefusalError(415, f"schema version {getattr(args, 'v', '')!r}; spoken here: {list(MAJORS)}")
        if verb.care and not self.responder:
            raise RefusalError(403, "this upstream is not a responder: it may read, but not answer for people")
        if self._expired(message):
            raise RefusalError(504, f"the request expired: it was to be answered within {message.expiry_s} s")
        return verb, args

    def _expired(self, message: Inbound) -> bool:
        """The broker counts a message's life in real seconds, so the rest is counted in real seconds here too."""
        age_s = (self.house.clock.real_ns() - message.real_ns) / 1e9
        return message.expiry_s is not None and age_s > message.expiry_s

    async def _run(self, verb: Verb, args: Struct, message: Inbound) -> AsyncGenerator[Answer, None]:
        asked = Asked(self.upstream, self.house, self.page_bytes, self.sent_rev)
        if verb.care:
            yield await self._once(verb, args, message, asked)
            return
        if message.response_topic is None:
            self.counts["mute"] += 1
            return
        if self.reading >= MAX_READS:
            raise RefusalError(429, f"{MAX_READS} reads are being answered already", retry_s=RETRY_S)
        self.reading += 1
        try:
            async for answer in verb.run(asked, args):  # read to its end or dropped with this generator
                if self._expired(message) and answer.lane is not Lane.PULL:
                    raise RefusalError(504, f"the request expired: it was to be answered within {message.expiry_s} s")
                yield answer
        finally:
            self.reading -= 1

    async def _once(self, verb: Verb, args: Struct, message: Inbound, asked: Asked) -> Answer:
        """A command that was carried out before is answered as it was then."""
        if not message.correlation:
            return await _only(verb, asked, args)
        digest = hashlib.sha256(b"\0".join((verb.name.encode(), message.correlation, message.payload))).hexdigest()
        key = f"{self.upstream}/{digest[:32]}"
        kept = await self.house.replies.begin(key, verb.name, message.payload)
        if kept is not None:
            known = msgspec.msgpack.decode(kept, type=_Kept)
            return Answer(known.st, known.payload)
        answer = await _only(verb, asked, args)
        await self.house.replies.finish(key, msgspec.msgpack.encode(_Kept(answer.st, answer.payload)))
        return answer

    async def _send(self, message: Inbound, answer: Answer) -> bool:
        self.counts[str(answer.st)] += 1
        if message.response_topic is None:
            return True
        if len(answer.payload) > self.page_bytes and answer.lane is not Lane.PULL:
            text = f"the reply has {len(answer.payload)} bytes, the broker takes {self.page_bytes}"
            answer = Answer(413, encode(Result(verb="", st=413, text=text)))
        user = {"st": str(answer.st), **answer.user}
        return await self.publish(
            message.response_topic, Answer(answer.st, answer.payload, user, answer.lane), message.correlation
        )


async def _only(verb: Verb, asked: Asked, args: Struct) -> Answer:
    """The one answer of a command."""
    (answer,) = [answer async for answer in verb.run(asked, args)]
    return answer
