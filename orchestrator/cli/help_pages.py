"""The help of every command, so that it costs no import. Made by `help_source`; a test compares."""

# fmt: off
PAGES = {
    '': r'''Usage: orchestrator [OPTIONS] COMMAND [ARGS]...

  Runs coding agents in isolated git trees, checks what they leave, and hands
  you a branch.

Options:
  --version             Show the version and exit.
  --install-completion  Install completion for the current shell.
  --show-completion     Show completion for the current shell, to copy it or
                        customize the installation.

Commands:
  init           Create .orchestrator/ here and write a workflow.yaml to start
                 from.
  deinit         Take orchestrator out of this repository again.
  run            Let agents work on a task in an isolated tree, check it, and
                 leave a branch.
  resume         Go on with an interrupted, failed or waiting run.
  plan           Show the phases in which a task would be worked on; change
                 nothing.
  status         Show problems first, then runs.
  log            Show what happened in a run, in order.
  diff           Show what a run changed.
  findings       Show what the checks complained about.
  report         Show a run's report in Markdown.
  checkpoints    List a run's checkpoints, newest first.
  restore        Write a checkpoint's files into a new directory; bring back an
                 archived run.
  merge          Merge a run's result into the current branch.
  discard        Drop a run's branch and trees; a checkpoint stays.
  cancel         Stop a run; what it reached is kept.
  undo           Take back the last merge, discard or cancel here.
  ops            List what can be undone.
  interventions  List what needs a person.
  resolve        Answer something that needed a person.
  verify         Run the checks on the working tree as it is.
  prune          Make room: remove what ended runs left, archive old ones in
                 git.
  migrate        Take over what earlier orchestrators left; show it first, take
                 it back later.
  sessions       List, show, rename, bring back and prune the states that
                 machines left.
  bundle         Take a run along as one file, and bring it back elsewhere.
  doctor         Look for problems and say how to fix each.
  config         Show, check and explain the configuration.
  agents         List agents, their versions and health.
  secrets        Keep keys for agents, encrypted; see where each comes from.
  trust          Approve the commands that this repository's configuration would
                 run.

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'init': r'''Usage: orchestrator init [OPTIONS]

  Create .orchestrator/ here and write a workflow.yaml to start from.

Options:
  --dry-run                       Show what would be made; change nothing.
  --private                       Keep all of it out of git.
  --trust                         Trust the commands of the configuration.
  --push-state / --no-push-state  Agree that state of runs is pushed to the
                                  remote, or take that back.

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'deinit': r'''Usage: orchestrator deinit [OPTIONS]

  Take orchestrator out of this repository again.

Options:
  --export FILE  Write everything into this git bundle first.

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'run': r'''Usage: orchestrator run [OPTIONS] TASK

  Let agents work on a task in an isolated tree, check it, and leave a branch.

Arguments:
  TASK <str>  What shall be done; - reads it from standard input.  [required]

Options:
  --workflow NAME                Workflow of workflow.yaml; `default` when not
                                 given.
  --agent NAME                   This agent alone, instead of a workflow.
  --command "…"                  This command alone; split as a shell does,
                                 started without one.
  --plan FILE                    Plan of phases, as JSON.
  --base REF                     Start from here instead of HEAD.
  --integrate none|branch|merge  What becomes of the result; else as
                                 `git.integrate` says.
  --run-id ID                    Id of the run; must be new.
  --dry-run                      Show what would be done; change nothing.
  --trust                        Trust this repository for this call.
  --require-clean                Done only when every check passes without
                                 findings, old or new.
  --include-changes              Start from your uncommitted changes too.
  --wait                         Wait here instead of ending with status 6.
  --max-time S                   Seconds for the whole run.  [x>=1]
  --max-cost USD                 US dollars for the whole run, as far as agents
                                 tell.  [x>=1e-06]
  --max-turns N                  Turns of models (or uses of tools) in the whole
                                 run.  [x>=1]
  --no-cache                     Ask models again what they have answered
                                 before.

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'resume': r'''Usage: orchestrator resume [OPTIONS] [RUN]

  Go on with an interrupted, failed or waiting run.

Arguments:
  RUN <str>  Id of the run.

Options:
  --due    Every waiting run whose time has come.
  --watch  With --due: stay and look again.
  --trust  Trust this repository for this call.
  --wait   Wait here instead of ending with status 6.

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'plan': r'''Usage: orchestrator plan [OPTIONS] TASK

  Show the phases in which a task would be worked on; change nothing.

Arguments:
  TASK <str>  What shall be done; - reads it from standard input.  [required]

Options:
  --base REF  Plan for here instead of HEAD.
  --mermaid   Print it as a Mermaid flowchart.
  --trust     Trust this repository for this call.

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'status': r'''Usage: orchestrator status [OPTIONS] [RUN]

  Show problems first, then runs.

Arguments:
  RUN <str>  Id of the run.

Options:
  --watch              Stay, and show again what changes.
  --limit <int range>  How many runs, newest first.  [default: 20; 1<=x<=10000]
  --all-sessions       The runs of every session here, also of earlier machines.

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'log': r'''Usage: orchestrator log [OPTIONS] RUN

  Show what happened in a run, in order.

Arguments:
  RUN <str>  Id of the run.  [required]

Options:
  --no-pager  Print at once, on a terminal too.

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'diff': r'''Usage: orchestrator diff [OPTIONS] RUN

  Show what a run changed.

Arguments:
  RUN <str>  Id of the run.  [required]

Options:
  --stat      Only how much of which file.
  --no-pager  Print at once, on a terminal too.

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'findings': r'''Usage: orchestrator findings [OPTIONS] RUN

  Show what the checks complained about.

Arguments:
  RUN <str>  Id of the run.  [required]

Options:
  --format text|json|sarif|junit|github|markdown
                                  Form of the answer.  [default: text]
  --open                          Leave out what has been resolved.
  --no-pager                      Print at once, on a terminal too.

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'report': r'''Usage: orchestrator report [OPTIONS] RUN

  Show a run's report in Markdown.

Arguments:
  RUN <str>  Id of the run.  [required]

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'checkpoints': r'''Usage: orchestrator checkpoints [OPTIONS] RUN

  List a run's checkpoints, newest first.

Arguments:
  RUN <str>  Id of the run.  [required]

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'restore': r'''Usage: orchestrator restore [OPTIONS] CHECKPOINT|RUN

  Write a checkpoint's files into a new directory; bring back an archived run.

Arguments:
  CHECKPOINT|RUN <str>  Id as `checkpoints` shows it; or an archived run.
                        [required]

Options:
  --into DIR  A directory that is missing or empty.

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'merge': r'''Usage: orchestrator merge [OPTIONS] RUN

  Merge a run's result into the current branch.

Arguments:
  RUN <str>  Id of the run.  [required]

Options:
  --trust  Trust this repository for this call.

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'discard': r'''Usage: orchestrator discard [OPTIONS] RUN

  Drop a run's branch and trees; a checkpoint stays.

Arguments:
  RUN <str>  Id of the run.  [required]

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'cancel': r'''Usage: orchestrator cancel [OPTIONS] RUN

  Stop a run; what it reached is kept.

Arguments:
  RUN <str>  Id of the run.  [required]

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'undo': r'''Usage: orchestrator undo [OPTIONS] [OP]

  Take back the last merge, discard or cancel here.

Arguments:
  OP <str>  Id as `ops` shows it.

Options:
  --trust  Trust this repository for this call.

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'ops': r'''Usage: orchestrator ops [OPTIONS]

  List what can be undone.

Options:
  --limit <int range>  How many, newest first.  [default: 20; 1<=x<=10000]

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'interventions': r'''Usage: orchestrator interventions [OPTIONS] [RUN]

  List what needs a person.

Arguments:
  RUN <str>  Id of the run.

Options:
  --all  Those too that have been answered.

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'resolve': r'''Usage: orchestrator resolve [OPTIONS] ID

  Answer something that needed a person.

Arguments:
  ID <str>  Id as `interventions` shows it.  [required]

Options:
  --note TEXT  What was done about it.

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'verify': r'''Usage: orchestrator verify [OPTIONS]

  Run the checks on the working tree as it is.

Options:
  --base REF                      Only findings that this commit lacks count.
  --format text|json|sarif|junit|github|markdown
                                  Form of the answer.  [default: text]
  --trust                         Trust this repository for this call.

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'prune': r'''Usage: orchestrator prune [OPTIONS]

  Make room: remove what ended runs left, archive old ones in git.

Options:
  --dry-run  Show what would be removed; change nothing.

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'migrate': r'''Usage: orchestrator migrate [OPTIONS] [[PLANFILE|ID]]

  Take over what earlier orchestrators left; show it first, take it back later.

Arguments:
  [PLANFILE|ID] <str>  Carry out exactly the plan in this file; after
                       --rollback: the migration.

Options:
  --dry-run           Show what would be done, conflicts too, and exit 0; change
                      nothing.
  --check             As --dry-run; exit 1 when there is something to do.
  --rollback          Take the last migration back, or the one named.
  --resume            Finish an interrupted one; begin none.
  --finalize          Drop what --rollback needs; git keeps the originals.
  --prefer old|new    Where both exist and differ, keep this one.
  --only KIND         Only entries of this kind; repeatable.
  --jobs <int range>  Copy with this many threads.  [default: 1; 1<=x<=64]
  --layout FILE       Know this layout too; repeatable.
  --plan-out FILE     Write the plan into this file; change nothing else.
  --tracked           Move files that git tracks too, in its index.
  --force             With --rollback: keep what changed since in quarantine.
  --trust             Use the layouts of this repository in this call.

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'sessions': r'''Usage: orchestrator sessions [OPTIONS] COMMAND [ARGS]...

  List, show, rename, bring back and prune the states that machines left.

Commands:
  list     List the sessions here, the one begun or adopted last first.
  show     Show one session: its machine, its place, what it holds.
  rename   Give a session a name that people remember; its id stays.
  restore  Bring back what was saved of a session at the remote, and take...
  prune    Make room in the sessions alone, and remove those of other...

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'sessions list': r'''Usage: orchestrator sessions list [OPTIONS]

  List the sessions here, the one begun or adopted last first.

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'sessions show': r'''Usage: orchestrator sessions show [OPTIONS] SESSION

  Show one session: its machine, its place, what it holds.

Arguments:
  SESSION <str>  Id or name, or how an id begins.  [required]

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'sessions rename': r'''Usage: orchestrator sessions rename [OPTIONS] SESSION NAME

  Give a session a name that people remember; its id stays.

Arguments:
  SESSION <str>  Id or name, or how an id begins.  [required]
  NAME <str>     What to call it; '' takes the name away.  [required]

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'sessions restore': r'''Usage: orchestrator sessions restore [OPTIONS] [ID]

  Bring back what was saved of a session at the remote, and take over runs that
  went on elsewhere.

Arguments:
  ID <str>  Id of the session; without it the one saved last.

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'sessions prune': r'''Usage: orchestrator sessions prune [OPTIONS]

  Make room in the sessions alone, and remove those of other machines that know
  no run any more.

Options:
  --dry-run  Show what would be removed; change nothing.

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'bundle': r'''Usage: orchestrator bundle [OPTIONS] COMMAND [ARGS]...

  Take a run along as one file, and bring it back elsewhere.

Commands:
  export  Write a run into one file: its history, state and transcripts,...
  import  Bring back the run in a file; every byte of it is checked before...

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'bundle export': r'''Usage: orchestrator bundle export [OPTIONS] RUN FILE

  Write a run into one file: its history, state and transcripts, with the hash
  of each.

Arguments:
  RUN <str>   Id of the run.  [required]
  FILE <str>  The file.  [required]

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'bundle import': r'''Usage: orchestrator bundle import [OPTIONS] FILE

  Bring back the run in a file; every byte of it is checked before anything is
  changed.

Arguments:
  FILE <str>  The file.  [required]

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'doctor': r'''Usage: orchestrator doctor [OPTIONS]

  Look for problems and say how to fix each.

Options:
  --quick      Only what is found out in an instant.
  --fix        Repair what can be repaired without risk.
  --dry-run    With --fix: show what would be done; change nothing.
  --recover    Rebuild a lost or damaged .orchestrator/ from the checkpoints.
  --footprint  List everything that this tool wrote, here and elsewhere.
  --only ID    One check, or all of one group.

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'config': r'''Usage: orchestrator config [OPTIONS] COMMAND [ARGS]...

  Show, check and explain the configuration.

Commands:
  show      Show every value that applies.
  schema    Print the JSON schema of workflow.yaml.
  validate  Check configuration and templates of prompts; every problem is...
  explain   Say what a key means, what applies, and which line says so.

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'config show': r'''Usage: orchestrator config show [OPTIONS]

  Show every value that applies.

Options:
  --origin  Where each value comes from.

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'config schema': r'''Usage: orchestrator config schema [OPTIONS]

  Print the JSON schema of workflow.yaml.

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'config validate': r'''Usage: orchestrator config validate [OPTIONS]

  Check configuration and templates of prompts; every problem is named with its
  place.

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'config explain': r'''Usage: orchestrator config explain [OPTIONS] KEY

  Say what a key means, what applies, and which line says so.

Arguments:
  KEY <str>  For example execution.timeout_s.  [required]

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'agents': r'''Usage: orchestrator agents [OPTIONS] COMMAND [ARGS]...

  List agents, their versions, health and logins.

Commands:
  check  Check that agents can be started, free and offline; exit status 1...

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'agents check': r'''Usage: orchestrator agents check [OPTIONS] [NAME]

  Check that agents can be started, free and offline; exit status 1 when one
  cannot, 4 without a key.

Arguments:
  NAME <str>  One agent; all by default.

Options:
  --turn  Let NAME answer one word: asks its service, costs a few tokens.

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'secrets': r'''Usage: orchestrator secrets [OPTIONS] COMMAND [ARGS]...

  Keep keys for agents, encrypted; see where each comes from.

Commands:
  set         Store a value from standard input, a file, or a prompt that...
  list        List what is stored, where, and how old it is; shows no value.
  show        Show where a stored secret is and, with --reveal, its value.
  which       Say where a secret's value comes from; shows no value, exit...
  remove      Remove a stored secret for good; asks first.
  rekey       Encrypt every secret anew, to the recipients as they are now.
  recipients  Say who can read what is stored from now on.

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'secrets set': r'''Usage: orchestrator secrets set [OPTIONS] NAME

  Store a value from standard input, a file, or a prompt that does not show it.

Arguments:
  NAME <str>  Such as ANTHROPIC_API_KEY.  [required]

Options:
  --file FILE  Take exactly what this file holds.
  --global     Your own store, which serves all your repositories.

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'secrets list': r'''Usage: orchestrator secrets list [OPTIONS]

  List what is stored, where, and how old it is; shows no value.

Options:
  --global  Your own store, which serves all your repositories.

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'secrets show': r'''Usage: orchestrator secrets show [OPTIONS] NAME

  Show where a stored secret is and, with --reveal, its value.

Arguments:
  NAME <str>  Such as ANTHROPIC_API_KEY.  [required]

Options:
  --reveal  Print the value itself.
  --global  Your own store, which serves all your repositories.

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'secrets which': r'''Usage: orchestrator secrets which [OPTIONS] NAME

  Say where a secret's value comes from; shows no value, exit status 4 when
  there is none.

Arguments:
  NAME <str>  Such as ANTHROPIC_API_KEY.  [required]

Options:
  --agent NAME  As in a step of this agent.

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'secrets remove': r'''Usage: orchestrator secrets remove [OPTIONS] NAME

  Remove a stored secret for good; asks first.

Arguments:
  NAME <str>  Such as ANTHROPIC_API_KEY.  [required]

Options:
  --global  Your own store, which serves all your repositories.

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'secrets rekey': r'''Usage: orchestrator secrets rekey [OPTIONS]

  Encrypt every secret anew, to the recipients as they are now.

Options:
  --global  Your own store, which serves all your repositories.

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'secrets recipients': r'''Usage: orchestrator secrets recipients [OPTIONS] COMMAND [ARGS]...

  Say who can read what is stored from now on.

Commands:
  add     Let another key read what is stored from now on.
  remove  Let a key read nothing of what is stored from now on.
  list    List the keys that can read what is stored from now on.

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'secrets recipients add': r'''Usage: orchestrator secrets recipients add [OPTIONS] [KEY]

  Let another key read what is stored from now on.

Arguments:
  KEY <str>  Public key of age or SSH, in quotes; your own by default.

Options:
  --file FILE     Public keys, one a line, such as a .pub file.
  --comment TEXT  Whose key it is.
  --global        Your own store, which serves all your repositories.

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'secrets recipients remove': r'''Usage: orchestrator secrets recipients remove [OPTIONS] KEY

  Let a key read nothing of what is stored from now on.

Arguments:
  KEY <str>  The public key, or its whole comment.  [required]

Options:
  --global  Your own store, which serves all your repositories.

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'secrets recipients list': r'''Usage: orchestrator secrets recipients list [OPTIONS]

  List the keys that can read what is stored from now on.

Options:
  --global  Your own store, which serves all your repositories.

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
    'trust': r'''Usage: orchestrator trust [OPTIONS]

  Approve the commands that this repository's configuration would run.

Options:
  --show    Show what would run and whether it is trusted.
  --revoke  Take trust back.

Options of every command, before or after its name:
  --json         One JSON object on standard output (NDJSON events for run and
                 resume).
  -q, --quiet    Results and errors only.
  -v, --verbose  Say more; twice: everything.
  --debug        Show a traceback when something fails.
  -C DIR         Work as if started in DIR.
  -y, --yes      Answer every question with yes.
  --no-input     Never ask; implied without a terminal or when CI is set.
  --help         Show this message and exit.
''',
}
