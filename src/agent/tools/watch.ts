// Runs mosmon's screen on a terminal until q: for mosmon on a node, and for `farm top` on the server.
import type { ReadStream, WriteStream } from 'node:tty';
import { openFullScreen } from '../../base/full-screen.ts';
import { type MonitorNode, type MonitorView, press, screen } from '../../cluster/monitor.ts';

/** openMosix's pace, and the gossip's. */
const refresh = 1000;

/** What a screen of a program that is not on a terminal has, `mosmon | head` say. */
const paper = { columns: 80, rows: 24 };

export interface Watched {
  readonly view: MonitorView;
  /** Asked once a second. What it throws ends the watching. */
  readonly nodes: () => Promise<readonly MonitorNode[]>;
  readonly input: ReadStream;
  readonly output: WriteStream;
}

/** Settles when the user has had enough. Without a terminal: one screen. */
export async function watch({ view: first, nodes: ask, input, output }: Watched): Promise<void> {
  let nodes = await ask();
  if (!output.isTTY || !input.isTTY) {
    output.write(`${screen(nodes, first, paper).join('\n').trimEnd()}\n`);
    return;
  }
  let view = first;
  let typed: string | undefined;
  await new Promise<void>((resolve, reject) => {
    const draw = (): void => {
      const lines = [...screen(nodes, view, full.size())];
      if (typed !== undefined) lines[lines.length - 1] = ` start at node ${typed}`;
      full.draw(lines);
    };
    const onKey = (key: string): void => {
      const pressed = press(view, typed, key, nodes);
      if (pressed === 'quit') end();
      else if (pressed !== undefined) {
        ({ view, typed } = { typed: undefined, ...pressed });
        draw();
      }
    };
    const full = openFullScreen(input, output, onKey, () => draw());
    const end = (error?: unknown): void => {
      clearInterval(ticking);
      full.close();
      for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.off(signal, end);
      if (error instanceof Error) reject(error);
      else resolve();
    };
    const ticking = setInterval(() => {
      ask().then((fresh) => {
        nodes = fresh;
        draw();
      }, end);
    }, refresh);
    for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.once(signal, end);
    draw();
  });
}
