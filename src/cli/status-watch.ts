// farm status --watch: on a terminal the table over and over until q; elsewhere a line for each change until a signal.
import { sentence } from '../base/errors.ts';
import { openFullScreen } from '../base/full-screen.ts';
import type { FarmStatus } from '../farm/status.ts';
import { changeText, statusChanges } from '../farm/status-changes.ts';

/** Nodes report every five seconds; a boot's stages follow each other faster. */
const refresh = 1000;

export interface StatusWatch {
  readonly ask: () => Promise<FarmStatus>;
  /** The table; its lines are cut to the screen. */
  readonly text: (status: FarmStatus, now: number) => string;
  /** Changes as lines of JSON. */
  readonly json: boolean;
}

/** Settles when the user has had enough. What `ask` throws at first ends it; later it is shown, for a server may restart and an edit be half done. */
export async function watchStatus({ ask, text, json }: StatusWatch): Promise<void> {
  const { stdin, stdout } = process;
  const onScreen = stdin.isTTY && stdout.isTTY && !json;
  let status = await ask();
  let trouble: string | undefined;
  await new Promise<void>((settle) => {
    const full = onScreen ? openFullScreen(stdin, stdout, (key) => isEnd(key) && end(), draw) : undefined;
    function draw(): void {
      if (full === undefined) return;
      const { columns, rows } = full.size();
      full.draw(screenLines(`${trouble === undefined ? '' : `${trouble}\n\n`}${text(status, Date.now())}`, columns, rows));
    }
    const tell = (before: FarmStatus | undefined): void => {
      const time = new Date().toISOString();
      for (const change of statusChanges(before, status)) {
        stdout.write(json ? `${JSON.stringify({ time, ...change })}\n` : `${time.slice(0, 19)}Z  ${changeText(change)}\n`);
      }
    };
    const end = (): void => {
      clearInterval(ticking);
      full?.close();
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(signal, end);
      settle();
    };
    let isAsking = false;
    const ticking = setInterval(() => {
      if (isAsking) return; // a slow server is asked no second time
      isAsking = true;
      ask()
        .then((fresh) => {
          const before = status;
          status = fresh;
          trouble = undefined;
          if (full === undefined) tell(before);
        })
        .catch((error: unknown) => {
          const said = sentence(error);
          if (full === undefined && said !== trouble) process.stderr.write(`${said}\n`);
          trouble = said;
        })
        .finally(() => {
          isAsking = false;
          draw();
        });
    }, refresh);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, end);
    if (full === undefined) tell(undefined);
    else draw();
  });
}

function isEnd(key: string): boolean {
  return key === 'q' || key === '\u0003' || key === '\u001b';
}

/** As many lines as the screen has; what does not fit is counted in the last one. */
export function screenLines(text: string, columns: number, rows: number): readonly string[] {
  const lines = text.trimEnd().split('\n');
  const shown = lines.length <= rows ? lines : [...lines.slice(0, rows - 1), `... ${lines.length - rows + 1} more lines; q ends`];
  return [...shown.map((line) => line.slice(0, columns)), ...Array.from({ length: rows - shown.length }, () => '')];
}
