// JSON values in lines, on the channels that carry no bytes of the job's.

/** A signal's name or an end's two numbers; no line is longer. */
const lineMax = 512;

export function encodeLine(value: unknown): Buffer {
  return Buffer.from(`${JSON.stringify(value)}\n`);
}

/** Cuts bytes into lines; what is too long or no JSON is passed over. Gives each value to `take` in turn. */
export function lineReader(take: (value: unknown) => Promise<void>): (bytes: Buffer) => Promise<void> {
  let rest = '';
  return async (bytes) => {
    const lines = `${rest}${bytes.toString('utf8')}`.split('\n');
    rest = (lines.pop() ?? '').slice(0, lineMax);
    for (const line of lines) {
      const value = parsed(line);
      if (value !== undefined) await take(value);
    }
  };
}

function parsed(line: string): unknown {
  if (line.length > lineMax) return undefined;
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
