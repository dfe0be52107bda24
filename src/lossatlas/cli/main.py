"""The ``lossatlas`` command."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from lossatlas import __version__
from lossatlas.core.errors import ConfigurationError, InputError, LossatlasError

__all__ = ["main"]

_COMMANDS = {
    "study": ("lossatlas.cli.study", "study", "Plan, run and inspect studies."),
    "connect": ("lossatlas.cli.connect", "connect", "Find paths between points of a landscape."),
    "surface": ("lossatlas.cli.surface", "surface", "Draw a landscape on a plane through weights."),
    "spectrum": ("lossatlas.cli.spectrum", "spectrum", "Measure the curvature at points of a landscape."),
    "diagnose": ("lossatlas.cli.diagnose", "diagnose", "Find what is wrong at a point, with evidence and advice."),
    "align": ("lossatlas.cli.align", "align", "Reorder the hidden units of one network to match another."),
    "theory": ("lossatlas.cli.theory", "theory", "Lay exact predictions over simulations of the same system."),
    "report": ("lossatlas.cli.report", "report", "Write the report of a study."),
    "list": ("lossatlas.cli.listing", "listing", "List problems, optimizers, landscapes or recipes."),
    "data": ("lossatlas.cli.data", "data", "Fetch data sets."),
}


class _Lazy(click.Group):
    """Commands are imported when they run: ``lossatlas -h`` should not wait for PyTorch."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, attribute, _ = _COMMANDS[cmd_name]
        from importlib import import_module

        command: click.Command = getattr(import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            from lossatlas.core.errors import nearest

            ctx.fail(f"unknown command '{args[0]}': {nearest(args[0], _COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, _, summary) in _COMMANDS.items()])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="lossatlas")
def cli() -> None:
    """Map loss landscapes: train replicas, then see how deep, how far apart and how well connected they ended."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 bad usage, 130 interrupted.

    Args:
        arguments: without the program's name; default: those of the process.
    """
    try:
        outcome = cli.main(
            args=list(arguments) if arguments is not None else None, prog_name="lossatlas", standalone_mode=False
        )
        sys.exit(outcome if isinstance(outcome, int) else 0)
    except click.exceptions.Abort:
        _fail("stopped by the user: what was finished is stored, and the same command continues", 130)
    except KeyboardInterrupt:
        _fail("stopped by the user: what was finished is stored, and the same command continues", 130)
    except click.exceptions.NoArgsIsHelpError as error:
        sys.stderr.write(f"{error.format_message()}\n")
        sys.exit(2)
    except click.UsageError as error:
        where = f" (see '{error.ctx.command_path} -h')" if error.ctx is not None else ""
        _fail(f"{error.format_message().rstrip('.')}{where}", 2)
    except click.ClickException as error:
        _fail(error.format_message(), 1)
    except (ConfigurationError, InputError) as error:
        _fail(str(error), 2)
    except LossatlasError as error:
        _fail(str(error), 1)
    except BrokenPipeError:
        # The reader of our output left, as `| head` does.
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:
        _fail(
            f"expected to use {error.filename or 'a file'}, got '{error.strerror or error}': check path and rights", 1
        )
    except (MemoryError, RuntimeError) as error:
        # PyTorch reports a lack of memory as a RuntimeError of its own.
        if isinstance(error, RuntimeError) and "memory" not in str(error):
            raise
        _fail("expected enough memory, got less: take fewer replicas, a smaller data set or fewer points", 1)


def _fail(message: str, status: int) -> None:
    # One line whatever the message quotes; what the terminal cannot show is escaped.
    line = " ".join(message.split()).encode(errors="backslashreplace").decode()
    sys.stderr.write(f"lossatlas: {line}\n")
    sys.exit(status)
