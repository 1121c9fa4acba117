"""What is in a PostgreSQL database: whether it is ours and keeps what it is given, and bringing it up to date."""

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator, Mapping

import asyncpg

from fleetroll.store import migrations, server_key
from fleetroll.store.port import Origin
from fleetroll.store.postgres_connections import (
    LOCK_SPACE,
    SERVING,
    DatabaseAway,
    Purpose,
    Session,
    application,
    close,
    connect,
    translated,
)
from fleetroll.store.refusals import InvalidLocation, Refused, Unreachable
from fleetroll.store.server_key import EVIDENCE, ROOT
from fleetroll.store.statements import SQL

logger = logging.getLogger("fleetroll.store")

_SETTINGS = {
    "default_transaction_isolation": "read committed",
    "statement_timeout": "0",  # an operator's bound is for who serves; a step takes what it takes
    # Whoever is cut off in the middle of a step holds what others wait for.
    "idle_in_transaction_session_timeout": "60s",
}
_ADMINISTRATION = Purpose("administration", 1, _SETTINGS, None)
_ANSWER_SECONDS = 3.0  # for what takes a moment
_CHECK_SECONDS, _MOST_UNANSWERED = 5.0, 12  # a disk that is busy with a step may keep it from answering
_OURS = "fleetroll"
UNFINISHED_COPY = "fleetroll_copy"  # the table of how far a copy is, which goes with its end
_TABLE = re.compile(r"^CREATE TABLE (\w+)", re.MULTILINE)
_RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE", "USAGE")
_MIGRATION_LOCK = f"SELECT pg_advisory_xact_lock({LOCK_SPACE}, 0)"  # in the place of an organization
_MIGRATION_PATIENCE = "30s"  # for a table that somebody else uses, who may have forgotten about it
# With a column that a later step moves to a table of its own.
_BOOKKEEPING = """
CREATE TABLE IF NOT EXISTS fleetroll (version bigint NOT NULL, server_key text COLLATE "C");
INSERT INTO fleetroll (version) SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM fleetroll)
"""
_EARLIER_MARK = "SELECT server_key FROM fleetroll WHERE server_key IS NOT NULL"
_OLDEST = 14  # the first to say of a session whether it is with a standby; roles may make pg_trgm since 13
# Off, each of these may lose what was acknowledged, or damage the database, when the machine fails.
_DURABLE = ("fsync", "full_page_writes", "synchronous_commit")
_ENCODING, _UNICODE = "server_encoding", "UTF8"
_SEARCH_INDEX = "device_search"
# Providers of servers often put extensions into a schema of their own.
_TRIGRAMS = """
DO $$
DECLARE home regnamespace;
BEGIN
    IF EXISTS (SELECT 1 FROM pg_available_extensions WHERE name = 'pg_trgm') THEN
        CREATE EXTENSION IF NOT EXISTS pg_trgm;
        SELECT extnamespace::regnamespace FROM pg_extension WHERE extname = 'pg_trgm' INTO home;
        EXECUTE format('CREATE INDEX IF NOT EXISTS device_search ON device USING gin (search %s.gin_trgm_ops)', home);
    END IF;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE 'pg_trgm is there, but this role may not create it';
END
$$
"""


@contextlib.asynccontextmanager
async def administered(url: str) -> AsyncIterator[Session]:
    """A session for what an administrator does. Raises Refused, also for what goes wrong with it in the block."""
    try:
        session, process = await _begun(url)
    except (DatabaseAway, asyncpg.PostgresError, ValueError) as problem:
        raise refusal("opened", problem) from None
    watching = asyncio.ensure_future(_end_in_silence(session, process, url))
    try:
        yield session
    except (DatabaseAway, asyncpg.PostgresError, asyncpg.InterfaceError) as problem:
        silence = watching.result() if watching.done() else None
        raise refusal("used", silence or translated(_first(problem))) from None
    finally:
        watching.cancel()
        await asyncio.wait([watching])
        await close(session)


async def _begun(url: str) -> tuple[Session, int]:
    """A session, and the server's process for it."""
    session = await connect(url, _ADMINISTRATION)
    session.seconds = _ANSWER_SECONDS
    try:
        [(process,)] = await session.fetch(SQL["postgres_backend"], {})
    except BaseException:
        session.connection.terminate()
        raise
    session.seconds = _ADMINISTRATION.seconds
    return session, int(process)


async def _end_in_silence(session: Session, process: int, url: str) -> DatabaseAway:
    """End a session once nothing can be expected of it any more, so that what waits for an answer fails; returns why.

    A statement may take hours. Meanwhile the server answers others, and lists the process that is at work on it.
    """
    unanswered = 0
    while unanswered < _MOST_UNANSWERED:
        await asyncio.sleep(_CHECK_SECONDS)
        unanswered = 0 if await _is_at_work(process, url) else unanswered + 1
    session.connection.terminate()
    return DatabaseAway("the server does not answer any more; see that it runs and can be reached, and try again")


async def _is_at_work(process: int, url: str) -> bool:
    """Whether the server still has this process; if it can only say that it has no room for us, it is believed to."""
    try:
        other = await connect(url, _ADMINISTRATION)
    except Exception as problem:  # noqa: BLE001  # an answer that refuses us is a sign of life
        # Whoever hangs up without one may be a balancer that cannot reach the server either.
        return not isinstance(problem.__cause__, OSError | asyncpg.ConnectionDoesNotExistError)
    other.seconds = _ANSWER_SECONDS
    try:
        return bool(await other.fetch(SQL["postgres_process"], {"process": process}))
    except Exception:  # noqa: BLE001  # whatever it is, it is no answer
        return False
    finally:
        await close(other)


def _first(problem: Exception) -> Exception:
    """Why a connection was lost, in place of what the end of each of its transactions says: that it is lost."""
    while isinstance(problem, asyncpg.InterfaceError) and isinstance(problem.__context__, Exception):
        problem = problem.__context__
    return problem


def refusal(done: str, problem: Exception) -> Refused:
    """What to say of a database that cannot be `done`: it is away, its URL is invalid, or it is not as it should be."""
    reason = (str(problem).splitlines() or [type(problem).__name__])[0].rstrip(".")
    kind = InvalidLocation if isinstance(problem, ValueError) else Refused
    kind = Unreachable if isinstance(problem, DatabaseAway) else kind
    return kind(f"The database cannot be {done}: {reason}.")


async def examine(session: Session, *, unsafe: bool) -> tuple[int, int]:
    """The number of the schema there is (0: an empty database), and of the newest. Raises Refused."""
    require_version(session)
    await require_unicode(session)
    await require_durable(session, unsafe=unsafe)
    names = await tables(session)
    newest = len(migrations.load("postgres"))
    if not names:
        return 0, newest
    if UNFINISHED_COPY in names:
        raise Refused("A copy into this database is not finished; run the same `fleetroll copy` again.")
    if _OURS not in names:
        raise Refused("The database contains tables that are not Fleetroll's; name another database.")
    version = await _version(session)
    if version > newest:
        raise Refused(f"The database has schema {version}; this release knows {newest}. Run a newer release.")
    return version, newest


async def tables(session: Session) -> set[str]:
    return {str(row[0]) for row in await session.fetch(SQL["postgres_tables"], {"kind": "BASE TABLE"})}


def require_version(session: Session) -> None:
    """Raises Refused."""
    found = session.connection.get_server_version().major
    if found < _OLDEST:
        raise Refused(f"The database server is PostgreSQL {found}; this release needs {_OLDEST} or newer.")


async def require_unicode(session: Session) -> None:
    """Raises Refused where there is text that the database cannot store, or cannot tell from bytes."""
    encoding = (await _settings(session, _ENCODING))[_ENCODING]
    if encoding != _UNICODE:
        raise Refused(
            f"The database stores text as {encoding}, which cannot hold all of it; make one with ENCODING '{_UNICODE}' "
            "TEMPLATE template0."
        )


async def require_sessions(session: Session, url: str) -> None:
    """Raises Refused where a second session has the server process of the first: then a pooler keeps no sessions."""
    other, theirs = await _begun(url)
    try:
        [(ours,)] = await session.fetch(SQL["postgres_backend"], {})
    finally:
        await close(other)
    if ours == theirs:
        raise Refused(
            "The database is behind a pooler that keeps no sessions, so processes could not notify each other; set its "
            "pool mode to session, or name the server itself."
        )


async def require_durable(session: Session, *, unsafe: bool) -> None:
    """Raises Refused where the server may lose what it acknowledges, unless that is `unsafe` by intention."""
    found = await _settings(session, *_DURABLE)
    wrong = [name for name in _DURABLE if found[name] == "off"]
    if not wrong:
        return
    settings = " and ".join(wrong)
    if not unsafe:
        raise Refused(
            f"The database server runs with {settings} off, so acknowledged data may be lost. Turn it on, "
            "or start with --allow-unsafe-database."
        )
    logger.warning("the database server runs with %s off: acknowledged data may be lost", settings)


async def require_writable(session: Session) -> None:
    """Raises Unreachable where nothing can be written: another server may take over, or somebody change the setting."""
    [(is_read_only,)] = await session.fetch(SQL["postgres_pulse"], {"name": "transaction_read_only"})
    if is_read_only == "on":
        raise Unreachable(
            "The database cannot be used: it may only be read, as the server is a standby or "
            "default_transaction_read_only is on."
        )


async def require_rights(session: Session) -> None:
    """Raises Refused where the role may not use a table, or would not be shown all of its rows."""
    made = {name for step in migrations.load("postgres") for name in _TABLE.findall(step.text)}
    names = [*made, *(f"{name}_id_seq" for name in made)]
    values = {"names": names, "sequence": b"S", **{right.lower(): right for right in _RIGHTS}}
    withheld = [str(row[0]) for row in await session.fetch(SQL["postgres_withheld"], values)]
    if withheld:
        raise Refused(
            f"The role may not read and write all of {', '.join(withheld[:3])}: grant it ALL on ALL TABLES and on ALL "
            "SEQUENCES IN SCHEMA public, and let no row security apply to it."
        )


async def _settings(session: Session, *names: str) -> Mapping[str, str]:
    return dict(await session.fetch(SQL["postgres_settings"], {"names": list(names)}))


async def _version(session: Session) -> int:
    rows = await session.fetch("SELECT max(version) FROM fleetroll", {})
    return int(rows[0][0] or 0)


async def migrate(session: Session) -> list[migrations.Migration]:
    """Bring an examined database up to date, each step in a transaction of its own; returns the steps taken."""
    if await tables(session):
        return await _take_steps(session)
    # All in one, as whoever starts meanwhile would take what is there so far for the schema of an older release.
    async with session.connection.transaction():
        return await _take_steps(session)


async def _take_steps(session: Session) -> list[migrations.Migration]:
    taken, steps = [], migrations.load("postgres")
    for step in steps:
        async with session.connection.transaction():
            await session.command(_MIGRATION_LOCK)  # another process may have just done it
            await session.command(_BOOKKEEPING)
            version = await _version(session)
            if version >= step.number:
                continue
            if version:
                await _require_unserved(session)
            await _take(session, step)
            await session.fetch("UPDATE fleetroll SET version = :version", {"version": step.number})
            if step is steps[-1]:
                await make_search_index(session)
        taken.append(step)
        migrations.log_step(logger, step, since=taken[0].number - 1)
    return taken


async def _take(session: Session, step: migrations.Migration) -> None:
    refused = f"Another session uses a table that step {step.number} changes, as pg_dump does"
    await _change(session, step.text, refused)


async def _change(session: Session, text: str, refused: str) -> None:
    """Raises Unreachable where somebody else goes on using a table: whoever asks for it meanwhile waits as well."""
    async with session.connection.transaction():
        await session.command(f"SET LOCAL lock_timeout = '{_MIGRATION_PATIENCE}'")
        try:
            await session.command(text)
        except DatabaseAway as problem:
            if not isinstance(problem.__cause__, asyncpg.LockNotAvailableError):
                raise
            raise Unreachable(f"{refused}; wait for it or end it, then migrate again.") from None


async def _require_unserved(session: Session) -> None:
    """Raises Refused while a process serves: it would go on writing by the schema that it knows."""
    [(serving,)] = await session.fetch(SQL["postgres_sessions"], {"name": application(SERVING)})
    if serving:
        raise Refused("A server still uses the database, and does not know the newer schema; stop it first.")


async def make_search_index(session: Session) -> None:
    """Make the index of substrings, if the server can have it and there is none."""
    if not await has_search_index(session):  # even to find it there would wait for whoever writes
        await _change(session, _TRIGRAMS, "Another session writes to the devices, which the search index is made of")


async def has_search_index(session: Session) -> bool:
    return bool(await session.fetch(SQL["postgres_index"], {"name": _SEARCH_INDEX}))


async def origin(session: Session) -> Origin:
    """What an examined database, of whichever schema, tells of its server key."""
    names = await tables(session)
    found = {table: await session.fetch(EVIDENCE[table], ROOT) for table in EVIDENCE if table in names}
    if _OURS in names and "server_key" not in names:
        found["server_key"] = await session.fetch(_EARLIER_MARK, {})
    return server_key.origin(found)
