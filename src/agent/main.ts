// farm-agent: the program that runs on every node. `farm-agent [options]` is the daemon, `farm-agent status` asks it.
import { parseArgs } from 'node:util';
import { FarmError, sentence, systemCode } from '../base/errors.ts';
import { agentVersion, startAgent } from './daemon.ts';
import { openAgentLog } from './log.ts';
import { isFilesThread, serveFilesThread } from './mfs/thread.ts';
import { defaultSocketPath, readSettings, usage } from './settings.ts';
import { askStatus, printStatus } from './status.ts';

/** Could not do it: settings, key or map; starting again helps only when somebody mended them. */
const exitUnable = 2;

async function main(args: readonly string[]): Promise<void> {
  const [first] = args;
  if (args.includes('--help') || args.includes('-h') || first === 'help') process.stdout.write(usage);
  else if (first === '--version') process.stdout.write(`${agentVersion}\n`);
  else if (first === 'status') await showStatus(args.slice(1));
  else await runDaemon(args);
}

async function showStatus(args: readonly string[]): Promise<void> {
  const options = { json: { type: 'boolean' }, socket: { type: 'string', default: defaultSocketPath } } as const;
  const { values } = parseArgs({ args: [...args], options, strict: true, allowPositionals: false });
  const text = await askStatus(values.socket);
  process.stdout.write(values.json === true ? `${text}\n` : printStatus(JSON.parse(text)));
}

async function runDaemon(args: readonly string[]): Promise<void> {
  const { JOURNAL_STREAM } = process.env;
  const log = openAgentLog(process.stderr, JOURNAL_STREAM !== undefined);
  const stopped = new Promise<undefined>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve(undefined));
  });
  process.on('SIGHUP', () => {}); // the map is looked at by itself; a stray SIGHUP is no reason to leave the cluster
  for (;;) {
    const agent = await startAgent(readSettings(args), log);
    const failure = await Promise.race([stopped, agent.failed]);
    await agent.stop();
    if (failure === undefined) break;
    if (failure.code !== 'agent.restart') throw failure;
    log('warn', 'agent.restart', { reason: failure.message });
  }
  process.exit(0); // systemctl --wait or a lookup may still be under way
}

function fail(error: unknown): void {
  const misused = systemCode(error)?.startsWith('ERR_PARSE_ARGS') === true;
  const hint = error instanceof FarmError ? error.hint : misused ? 'farm-agent --help lists the options' : undefined;
  process.stderr.write(`farm-agent: ${sentence(error)}\n${hint === undefined ? '' : `  ${hint}\n`}`);
  process.exit(exitUnable);
}

if (isFilesThread()) serveFilesThread();
else main(process.argv.slice(2)).catch(fail);
