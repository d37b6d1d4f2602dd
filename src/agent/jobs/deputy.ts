// One deputy, the process of a mosrun, as its agent sees it: what it says, and what is said to it. It outlives agents.
import { rmSync } from 'node:fs';
import { readFile, readlink } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { type FarmError, sentence, systemCode } from '../../base/errors.ts';
import { type Caller, isInFront, readCaller, statFields } from './caller.ts';
import { openDeputyFiles } from './deputy-files.ts';
import { type HomeStreams, homeStreams } from './home-streams.ts';
import type { Ended, StreamKind, Window } from './types.ts';

/** What a deputy passes on; the others only the kernel gives. */
const passed = ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGUSR1', 'SIGUSR2', 'SIGTSTP', 'SIGCONT', 'SIGWINCH'] as const;
const killed = 128 + 9;
/** Its lines are words of ours; a longer one is not. */
const lineMax = 80;

export interface DeputyEvents {
  readonly ready: (caller: Caller, streams: StreamKind, window: Window | undefined) => void;
  /** By its user, or by what he typed. */
  readonly stopped: (isStopped: boolean) => void;
  /** The job has ended, and the deputy knows how. */
  readonly ended: (ended: Ended) => void;
  /** The process is gone, whether the job has ended or not. */
  readonly gone: () => void;
  readonly fault: (why: string) => void;
}

export interface Deputy {
  readonly caller: Caller;
  readonly streams: HomeStreams | undefined;
  /** A sentence on its standard error and the status that it ends with. */
  fail(error: FarmError, status: number): void;
  /** Looks whether it lives, and whether it has come to the foreground. */
  look(): Promise<void>;
  /** This agent ends; the deputy waits for the next. */
  close(): void;
}

/** Throws `FarmError` `job.caller`, `job.files`, and a system error where the process is gone. */
export async function openDeputy(directory: string, pid: number, events: DeputyEvents): Promise<Deputy> {
  const caller = await callerOf(pid);
  const files = openDeputyFiles(directory, caller.uid);
  let streams: HomeStreams | undefined;
  let isOver = false;
  let isGone = false;
  let waitsForFront = false;

  const lines = createInterface({ input: files.control, crlfDelay: Number.POSITIVE_INFINITY });
  lines.on('line', (line) => (line.length > lineMax ? undefined : said(line.split(' '))));
  files.control.on('close', gone);

  function said([word, ...words]: readonly string[]): void {
    if (word === 'ready' && streams === undefined) ready(words);
    else if (word === 'background') waitsForFront = true;
    else if (word === 'size') {
      const window = windowOf(words);
      if (window !== undefined) streams?.control({ window });
    } else if (word === 'signal') {
      const signal = passed.find((name) => name === `SIG${words[0]}`);
      if (signal === undefined) return;
      streams?.control({ signal });
      if (signal === 'SIGTSTP' || signal === 'SIGCONT') events.stopped(signal === 'SIGTSTP');
    }
  }

  function ready([word, ...size]: readonly string[]): void {
    const kind = (['terminal', 'merged', 'separate'] as const).find((name) => name === word);
    if (kind === undefined) return;
    const pipes = files.settle();
    streams = homeStreams({
      pipes,
      onStopped: () => void tell('SIGTSTP'),
      onEnded(ended) {
        finish(ended.status);
        events.ended(ended);
      },
      onFault: events.fault,
    });
    events.ready(caller, kind, windowOf(size));
  }

  function finish(status: number): void {
    if (isOver) return;
    isOver = true;
    files.finish(status);
  }

  function gone(): void {
    if (isGone) return;
    isGone = true;
    lines.close();
    rmSync(directory, { recursive: true, force: true });
    // The job ends as its deputy has: nobody is left to hear of it.
    if (!isOver) streams?.control({ signal: 'SIGKILL' });
    events.gone();
  }

  /** A signal to the process, unless it is another one by now. */
  async function tell(signal: NodeJS.Signals): Promise<void> {
    const stat = await statOf(pid);
    if (stat === undefined || Number(statFields(stat)[19]) !== caller.start) return;
    try {
      process.kill(pid, signal);
    } catch (error) {
      if (systemCode(error) !== 'ESRCH') throw error;
    }
  }

  return {
    caller,
    get streams() {
      return streams;
    },
    fail(error, status) {
      if (isOver) return;
      const pipes = files.settle();
      const stream = pipes.errors ?? pipes.output;
      streams?.close();
      if (!stream.destroyed) stream.write(`${caller.name}: ${sentence(error)}\n${error.hint === undefined ? '' : `  ${error.hint}\n`}`);
      finish(status);
    },
    async look() {
      const stat = await statOf(pid);
      if (stat === undefined || Number(statFields(stat)[19]) !== caller.start) {
        // Before it was ready its files do not end with it.
        files.control.destroy();
        gone();
        return;
      }
      if (!waitsForFront || !isInFront(stat)) return;
      waitsForFront = false;
      await tell('SIGCONT');
    },
    close() {
      isGone = true;
      lines.close();
      streams?.close();
      files.close();
    },
  };
}

/** What the deputy of a job ends with whose node has gone: as if it had been killed. */
export const lostStatus: number = killed;

function windowOf([rows = '', columns = '']: readonly string[]): Window | undefined {
  const isSize = (text: string) => /^[1-9]\d{0,3}$/.test(text);
  return isSize(rows) && isSize(columns) ? { rows: Number(rows), columns: Number(columns) } : undefined;
}

export async function statOf(pid: number): Promise<string | undefined> {
  return await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
}

async function callerOf(pid: number): Promise<Caller> {
  const text = (name: string) => readFile(`/proc/${pid}/${name}`, 'latin1');
  const link = (of: number | 'self', name: string) => readlink(`/proc/${of}/${name}`);
  const spaces = ['ns/mnt', 'ns/user'];
  const [status, stat, limits, cmdline, environ, cwd, own, namespaces, ownNamespaces] = await Promise.all([
    ...[text('status'), text('stat'), text('limits'), readFile(`/proc/${pid}/cmdline`, 'utf8'), readFile(`/proc/${pid}/environ`, 'utf8'), link(pid, 'cwd')],
    ...[readFile('/proc/self/status', 'utf8'), Promise.all(spaces.map((name) => link(pid, name))), Promise.all(spaces.map((name) => link('self', name)))],
  ] as const);
  return readCaller(pid, { status, stat, limits, cmdline, environ, cwd, namespaces }, { status: own, namespaces: ownNamespaces });
}
