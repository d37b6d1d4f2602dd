// mtop: top(1) with a column N#, the node that each process is on. openMosix mtop(1), facts sheet 3.5.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { FarmError } from '../../base/errors.ts';
import { openFullScreen } from '../../base/full-screen.ts';
import { type Place, placesOf } from './mps.ts';
import { done, misuse, type Tool, unable } from './tool.ts';

export const usage = 'mtop [-d SECONDS] [-n TIMES] [-c] [-S] [-i]    keys: q, c, S, i';

/** Of the original. */
const defaultDelay = '5';

interface Asked {
  delay: string;
  times: string | undefined;
  readonly switches: Set<string>;
}

export const mtop: Tool = async (args, { hpc }) => {
  const asked = parse(args);
  const { stdin, stdout } = process;
  if (!stdout.isTTY || !stdin.isTTY) return follow(asked, 512, (frame) => void stdout.write(`${withNodes(frame, placesOf(hpc)).join('\n')}\n`)).ended;
  let running: Following | undefined;
  let quit = false;
  const screen = openFullScreen(
    stdin,
    stdout,
    (key) => {
      if (key === 'q' || key === '\u0003') quit = true;
      else if (!/^[cSi]$/.test(key)) return;
      else if (!asked.switches.delete(key)) asked.switches.add(key);
      running?.stop();
    },
    () => running?.stop(),
  );
  try {
    // Another switch or another size of the terminal is another top.
    while (!quit) {
      const { columns, rows } = screen.size();
      running = follow(asked, columns, (frame) => screen.draw(fitted(withNodes(frame, placesOf(hpc)), columns, rows)));
      const status = await running.ended;
      if (!running.stopped) return status;
    }
    return done;
  } finally {
    screen.close();
  }
};

function parse(args: readonly string[]): Asked {
  const asked: Asked = { delay: defaultDelay, times: undefined, switches: new Set() };
  for (let at = 0; at < args.length; at += 1) {
    const arg = args[at] ?? '';
    if (arg === '-d' || arg === '-n') {
      at += 1;
      const value = args[at] ?? '';
      if (!/^\d{1,6}(\.\d{1,2})?$/.test(value) || Number(value) === 0) throw misuse(`${arg} needs a number`, usage);
      if (arg === '-d') asked.delay = value;
      else asked.times = value;
    } else if (/^-[cSi]+$/.test(arg)) for (const letter of arg.slice(1)) asked.switches.add(letter);
    else throw misuse(`"${arg}" is no option of mtop`, usage);
  }
  return asked;
}

interface Following {
  readonly ended: Promise<number>;
  readonly stop: () => void;
  stopped: boolean;
}

/** top's frames, each as soon as it is whole: when the next begins, or when no more came for a moment. */
function follow({ delay, times, switches }: Asked, columns: number, onFrame: (frame: string) => void): Following {
  const args = ['-b', '-d', delay, '-w', String(Math.min(512, Math.max(columns - 3, 40))), ...[...switches].map((letter) => `-${letter}`)];
  if (times !== undefined) args.push('-n', times);
  const child = spawn('top', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  let settling: NodeJS.Timeout | undefined;
  const flush = (): void => {
    clearTimeout(settling);
    if (text.includes('PID')) onFrame(text.trimEnd());
    text = '';
  };
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    if (chunk.startsWith('top - ') && text !== '') flush();
    text += chunk;
    clearTimeout(settling);
    settling = setTimeout(flush, 100);
  });
  const ended = once(child, 'close').then(
    () => {
      flush();
      return child.exitCode === 0 || child.signalCode !== null ? done : unable;
    },
    (error: unknown) => {
      throw new FarmError('top.missing', 'there is no top on this node', 'apt-get install procps', error);
    },
  );
  const following: Following = {
    ended,
    stopped: false,
    stop() {
      following.stopped = true;
      child.kill();
    },
  };
  return following;
}

/** A frame of top with N# behind PID in the table. */
export function withNodes(frame: string, place: Place): readonly string[] {
  let end: number | undefined;
  return frame.split('\n').map((line) => {
    const heading = /^\s*PID(?= )/.exec(line);
    if (heading !== null) end = heading[0].length;
    if (end === undefined || line.trim() === '') return line;
    const column = heading === null ? String(place(/\d+/.exec(line)?.[0] ?? '').node) : 'N#';
    return `${line.slice(0, end)} ${column.padStart(2)}${line.slice(end)}`;
  });
}

function fitted(lines: readonly string[], columns: number, rows: number): readonly string[] {
  return Array.from({ length: rows }, (_, row) => (lines[row] ?? '').slice(0, columns));
}
