// Progress of long work: one line drawn over on a terminal, a line for each step elsewhere.

export interface Progress {
  /** `fraction` of the step, 0..1, where it is known. */
  show(step: string, detail?: string, fraction?: number): void;
  /** Prints a line that stays. */
  done(line: string): void;
  /** Leaves the terminal as it was. */
  close(): void;
}

/** How often a terminal is drawn on. */
const drawInterval = 100;

export function openProgress(out: NodeJS.WriteStream): Progress {
  let last = '';
  let drawnAt = 0;
  let dirty = false;
  const clear = (): void => {
    if (dirty) out.write('\r\x1b[K');
    dirty = false;
  };
  return {
    show: (step, detail, fraction) => {
      if (step !== last) {
        clear();
        if (!out.isTTY) out.write(`${step}\n`);
        last = step;
      } else if (Date.now() - drawnAt < drawInterval) {
        return;
      }
      if (!out.isTTY) return;
      drawnAt = Date.now();
      const part = fraction === undefined ? '' : ` ${Math.floor(fraction * 100)} %`;
      const text = `${step}${part}${detail === undefined ? '' : `  ${detail.replace(/[\p{Cc}]+/gu, ' ')}`}`;
      out.write(`\r\x1b[K${text.slice(0, (out.columns ?? 80) - 1)}`);
      dirty = true;
    },
    done: (line) => {
      clear();
      out.write(`${line}\n`);
    },
    close: clear,
  };
}
