// farm log: what `farm serve` has logged, from the journal of its systemd unit.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { Command } from 'commander';
import { FarmError, sentence, systemCode } from '../base/errors.ts';
import { run } from '../base/processes.ts';
import { loadFarm } from '../farm/config.ts';
import { linesAbout } from '../farm/log-lines.ts';
import { type ExcludeOption, nodesArgument, someOrAll, withExclude } from './node-sets.ts';
import { farmDirectory, numberArgument } from './options.ts';

interface LogOptions extends ExcludeOption {
  readonly unit: string;
  readonly lines: number;
  readonly since?: string;
  readonly follow?: boolean;
}

/** Of the journal's newest lines, when only some nodes' are wanted and more are to come. */
const searched = 10_000;

export function logCommand(): Command {
  return withExclude(new Command('log').description('show what farm serve has logged, of all or of some nodes').argument('[nodes...]', nodesArgument))
    .option('-f, --follow', 'go on with what is logged from now')
    .option('-n, --lines <number>', 'the newest lines', numberArgument(1, 1_000_000), 100)
    .option('--since <time>', 'not older than this, as journalctl reads it: "1 hour ago", 10:30')
    .option('--unit <name>', 'the systemd unit that runs farm serve', 'farm')
    .action(async (sets: string[], options: LogOptions, command: Command) => {
      const farm = loadFarm(farmDirectory(command));
      const isWanted = sets.length === 0 && options.exclude.length === 0 ? undefined : linesAbout(someOrAll(options, sets)(farm));
      await needUnit(options.unit);
      await showJournal(options, isWanted);
    });
}

/** Throws `log.nowhere` where no such unit is installed, and so no journal has what the server said. */
async function needUnit(unit: string): Promise<void> {
  const remedy = 'install it with: farm unit --help; a server that was started by hand logs to where it was started';
  let state: string;
  try {
    state = (await run('systemctl', ['show', '--property=LoadState', '--value', '--', unit])).toString().trim();
  } catch (error) {
    throw new FarmError('log.nowhere', `systemd cannot be asked for the unit ${unit}: ${sentence(error)}`, remedy, error);
  }
  if (state !== 'loaded') throw new FarmError('log.nowhere', `systemd has no unit ${unit} (${state})`, remedy);
}

async function showJournal({ unit, lines, since, follow }: LogOptions, isWanted: ((line: string) => boolean) | undefined): Promise<void> {
  const limit = isWanted === undefined ? [`--lines=${lines}`] : follow === true ? [`--lines=${searched}`] : [];
  const args = ['--no-pager', '--quiet', '--output=cat', `--unit=${unit}`, ...limit, ...(since === undefined ? [] : [`--since=${since}`])];
  const journal = spawn('journalctl', follow === true ? [...args, '--follow'] : args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const closed = once(journal, 'close');
  const newest: string[] = [];
  const reading = (async () => {
    for await (const line of createInterface({ input: journal.stdout })) {
      if (isWanted?.(line) === false) continue;
      if (follow === true) process.stdout.write(`${line}\n`);
      else if (newest.push(line) > lines) newest.shift();
    }
  })();
  const [[code, signal]] = await Promise.all([closed, reading]).catch((error: unknown) => {
    throw systemCode(error) === 'ENOENT' ? new FarmError('program.missing', 'journalctl is not installed', 'it is part of systemd', error) : error;
  });
  process.stdout.write(newest.map((line) => `${line}\n`).join(''));
  if (code !== 0)
    throw new FarmError(
      'program.failed',
      `journalctl ended with ${signal ?? code}`,
      'may this user read the journal? run as root, or join the group systemd-journal',
    );
}
