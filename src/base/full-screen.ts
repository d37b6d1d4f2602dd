// A program that has the whole terminal: the alternate screen, keys as they are pressed, and lines that are drawn over the last ones. ECMA-48, xterm ctlseqs.
import type { ReadStream, WriteStream } from 'node:tty';

const enter = '\u001b[?1049h\u001b[?25l\u001b[2J';
const leave = '\u001b[?25h\u001b[?1049l';
const home = '\u001b[H';
const clearRest = '\u001b[K';
const lineBreak = `${clearRest}\r\n`;

/** A terminal that does not say has this size. */
const usual = { columns: 80, rows: 24 };

export interface FullScreen {
  readonly size: () => { readonly columns: number; readonly rows: number };
  /** As many lines as there are rows; the last one without a line break, which would scroll. */
  readonly draw: (lines: readonly string[]) => void;
  /** Gives the terminal back as it was. May be called twice. */
  readonly close: () => void;
}

/** `onKey` gets one key at a time: a character or one escape sequence; `onResize` when the size has changed. */
export function openFullScreen(input: ReadStream, output: WriteStream, onKey: (key: string) => void, onResize: () => void): FullScreen {
  let open = true;
  const keys = (text: string) => {
    for (const key of keysOf(text)) onKey(key);
  };
  output.write(enter);
  if (input.isTTY) input.setRawMode(true);
  input.setEncoding('utf8').on('data', keys).resume();
  output.on('resize', onResize);
  return {
    size: () => ({ columns: output.columns || usual.columns, rows: output.rows || usual.rows }),
    draw(lines) {
      if (open) output.write(home + lines.join(lineBreak) + clearRest);
    },
    close() {
      if (!open) return;
      open = false;
      output.off('resize', onResize);
      input.off('data', keys).pause();
      if (input.isTTY) input.setRawMode(false);
      output.write(leave);
    },
  };
}

/** What a terminal sent, cut into keys. Over ssh an escape sequence comes whole, several keys perhaps together. */
export function keysOf(text: string): readonly string[] {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: keys are control characters
  return text.match(/\u001b\[[0-9;]*[A-Za-z~]|\u001bO[A-Z]|[\s\S]/g)?.map((key) => key.replace(/^\u001bO/, '\u001b[')) ?? [];
}
