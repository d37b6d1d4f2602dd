// The commands in a page of documentation: in blocks indented by four blanks, after `$ ` or `# `, or alone in a block that has no prompts.

export interface Documented {
  readonly command: string;
  /** From 1. */
  readonly line: number;
  /** What the page shows of what it prints; undefined: nothing. */
  readonly output: string | undefined;
}

/** What a block's line has to begin with to be a command where there are no prompts. */
const programs = /^(?:farm|npm|git|cd|ip|systemctl|nginx|useradd|chown|apt-get|mkdir|echo|install)\b/;

export function documentedCommands(page: string): readonly Documented[] {
  return blocks(page).flatMap(({ first, lines }) => {
    const starts = lines.flatMap((line, index) => (/^[$#] \S/.test(line) && !/^# /.test(line.replace(/^# farm\b/, '')) ? [index] : []));
    if (starts.length === 0) {
      return lines.flatMap((line, index) => (programs.test(line) && !/[…]/.test(line) ? [{ command: line, line: first + index, output: undefined }] : []));
    }
    return starts.map((start, index) => {
      const output = lines
        .slice(start + 1, starts[index + 1] ?? lines.length)
        .join('\n')
        .trimEnd();
      return { command: (lines[start] ?? '').slice(2), line: first + start, output: output === '' ? undefined : output };
    });
  });
}

interface Block {
  readonly first: number;
  readonly lines: readonly string[];
}

function blocks(page: string): readonly Block[] {
  const found: { first: number; lines: string[] }[] = [];
  let open: { first: number; lines: string[] } | undefined;
  for (const [index, line] of page.split('\n').entries()) {
    if (line.startsWith('    ')) {
      if (open === undefined) {
        open = { first: index + 1, lines: [] };
        found.push(open);
      }
      open.lines.push(line.slice(4));
    } else if (line !== '') open = undefined;
    else open?.lines.push('');
  }
  return found;
}

/** Whether `printed` is what the page shows, in which a line `...` stands for any lines. */
export function isShown(shown: string, printed: string): boolean {
  const pattern = shown
    .split('\n')
    .map((line) => (line === '...' ? '(?:.*\\n)*?' : `${line.trimEnd().replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')}[ ]*\\n`))
    .join('');
  return new RegExp(`^${pattern}$`).test(printed.endsWith('\n') || printed === '' ? printed : `${printed}\n`);
}
